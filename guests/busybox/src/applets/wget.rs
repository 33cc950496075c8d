//! wget: HTTP downloads, without TLS.

use std::fmt;
use std::fs::File;
use std::io;
use std::pin::pin;

use wstd::io::{AsyncRead, AsyncWrite};
use wstd::net::TcpStream;

use super::names::base_name;
use super::nc::{ConnectError, connect};
use super::nslookup::resolve;
use super::sleep::within;
use super::{EarlyExit, Options, Outcome, fail, usage};
use crate::proc::{Proc, Writer, strerror};

const MAX_LINE: usize = 64 * 1024;
const MAX_HEADERS: usize = 1000;
const MAX_REDIRECTS: usize = 20;

struct Url {
    host: String,
    port: u16,
    path: String,
    credentials: Option<String>,
}

fn parse_url(url: &str) -> Option<Url> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    let (credentials, authority) = match authority.rsplit_once('@') {
        Some((credentials, authority)) => (Some(credentials.to_string()), authority),
        None => (None, authority),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let host = host.trim_matches(['[', ']']).to_string();
    (!host.is_empty()).then_some(Url { host, port, path, credentials })
}

/// Why a download fails. Displays as busybox's messages.
enum DownloadError {
    InvalidUrl(String),
    Connect(ConnectError),
    /// A file to send or to write.
    CannotOpen(String, io::Error),
    Send(io::Error),
    Receive(io::Error),
    TimedOut,
    NoResponse,
    /// What is wrong with the head of the response.
    BadResponse(String),
    /// The first line of a response that is not a success.
    ServerError(String),
    TooManyRedirects,
    BadChunkLength,
    Truncated,
    /// The target could not be written.
    Write(io::Error),
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownloadError::InvalidUrl(url) => write!(f, "not an http or ftp url: {url}"),
            DownloadError::Connect(error) => error.fmt(f),
            DownloadError::CannotOpen(name, error) => write!(f, "can't open '{name}': {}", strerror(error)),
            DownloadError::Send(error) | DownloadError::Write(error) => write!(f, "write error: {}", strerror(error)),
            DownloadError::Receive(error) => write!(f, "read error: {}", strerror(error)),
            DownloadError::TimedOut => f.write_str("download timed out"),
            DownloadError::NoResponse => f.write_str("error getting response"),
            DownloadError::BadResponse(reason) => write!(f, "bad response: {reason}"),
            DownloadError::ServerError(line) => write!(f, "server returned error: {line}"),
            DownloadError::TooManyRedirects => f.write_str("too many redirections"),
            DownloadError::BadChunkLength => f.write_str("bad chunk length"),
            DownloadError::Truncated => f.write_str("connection closed prematurely"),
        }
    }
}

/// A connection and the bytes read ahead.
struct Conversation {
    stream: TcpStream,
    buf: Vec<u8>,
    seconds: f64,
}

impl Conversation {
    /// Reads more bytes; false at the end.
    async fn read_more(&mut self) -> Result<bool, DownloadError> {
        let mut buf = vec![0; 32 * 1024];
        let read = within(self.seconds, pin!(self.stream.read(&mut buf))).await;
        match read {
            None => Err(DownloadError::TimedOut),
            Some(Err(error)) => Err(DownloadError::Receive(error)),
            Some(Ok(n)) => {
                self.buf.extend_from_slice(buf.get(..n).unwrap_or_default());
                Ok(n > 0)
            }
        }
    }

    async fn read_line(&mut self) -> Result<String, DownloadError> {
        loop {
            if let Some(end) = self.buf.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buf.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.buf.len() > MAX_LINE {
                return Err(DownloadError::BadResponse("a line is too long".into()));
            }
            if !self.read_more().await? {
                return Err(DownloadError::NoResponse);
            }
        }
    }

    /// Reads the head of a response; also returns it as `-S` shows it.
    async fn read_response_head(&mut self) -> Result<(Response, String), DownloadError> {
        let first_line = self.read_line().await?;
        let mut words = first_line.split_whitespace();
        let version = words.next().unwrap_or_default();
        let status: u16 = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        if !version.starts_with("HTTP/") || status == 0 {
            return Err(DownloadError::BadResponse(first_line));
        }
        let mut headers = Vec::new();
        let mut shown = format!("  {first_line}\n");
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                return Ok((Response { status, first_line, headers }, shown));
            }
            shown += &format!("  {line}\n");
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_string(), value.trim().to_string()));
            }
            if headers.len() > MAX_HEADERS {
                return Err(DownloadError::BadResponse("too many headers".into()));
            }
        }
    }

    /// Copies `count` bytes, or all until the end.
    async fn copy_body(&mut self, count: Option<u64>, to: &Writer) -> Result<(), DownloadError> {
        let mut left = count;
        while left != Some(0) {
            if self.buf.is_empty() && !self.read_more().await? {
                match left {
                    None => break,
                    Some(_) => return Err(DownloadError::Truncated),
                }
            }
            let now = left.map_or(self.buf.len(), |l| self.buf.len().min(l as usize));
            to.write_all(self.buf.get(..now).unwrap_or_default()).await.map_err(DownloadError::Write)?;
            self.buf.drain(..now);
            left = left.map(|l| l - now as u64);
        }
        Ok(())
    }

    /// Copies a body in chunks, whose lengths precede them.
    async fn copy_chunks(&mut self, to: &Writer) -> Result<(), DownloadError> {
        loop {
            let line = self.read_line().await?;
            let length = line.split(';').next().unwrap_or_default().trim();
            match u64::from_str_radix(length, 16) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.copy_body(Some(length), to).await?;
                    self.read_line().await?;
                }
                Err(_) => return Err(DownloadError::BadChunkLength),
            }
        }
    }
}

struct Response {
    status: u16,
    first_line: String,
    headers: Vec<(String, String)>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

struct Job {
    p: Proc,
    o: Options,
    seconds: f64,
}

pub async fn wget(p: Proc) -> Outcome {
    let spec = "qcSO:(output-document)P:(directory-prefix)T:(timeout)t:(tries)U:(user-agent)\
                H:(header)d:(post-data)f:(post-file)s(spider)q(quiet)S(server-response)o:\
                N(no-check-certificate)Y:n:";
    let o = Options::parse(&p, spec).await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let seconds = o.number(&p, 'T').await?.map_or(900.0, |s| s as f64);
    let job = Job { p, o, seconds };
    for url in &job.o.operands {
        match job.fetch(url).await {
            Ok(()) => {}
            Err(DownloadError::Write(error)) => return Err(EarlyExit::Write(error)),
            Err(error) => return fail(&job.p, 1, &error.to_string()).await,
        }
    }
    Ok(0)
}

impl Job {
    async fn print_progress(&self, text: String) {
        if !self.o.has('q') {
            let _ = self.p.stderr.write_all(text.as_bytes()).await;
        }
    }

    async fn fetch(&self, first: &str) -> Result<(), DownloadError> {
        let mut address = first.to_string();
        for _ in 0..MAX_REDIRECTS {
            let Some(url) = parse_url(&address) else { return Err(DownloadError::InvalidUrl(address)) };
            let (mut conversation, response) = self.send_request(&url).await?;
            match (response.status, response.header("location")) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    address = if location.contains("://") {
                        location.to_string()
                    } else if location.starts_with('/') {
                        format!("http://{}:{}{location}", url.host, url.port)
                    } else {
                        let dir = url.path.rfind('/').map_or("/", |at| &url.path[..=at]);
                        format!("http://{}:{}{dir}{location}", url.host, url.port)
                    };
                    continue;
                }
                (200..=299, _) => {}
                _ => return Err(DownloadError::ServerError(response.first_line)),
            }
            if self.o.has('s') {
                self.print_progress("remote file exists\n".into()).await;
                return Ok(());
            }
            return self.save_body(&url, &mut conversation, &response).await;
        }
        Err(DownloadError::TooManyRedirects)
    }

    /// Sends the request and reads the head of the response.
    async fn send_request(&self, url: &Url) -> Result<(Conversation, Response), DownloadError> {
        let Url { host, port, .. } = url;
        let authority = if *port == 80 { host.clone() } else { format!("{host}:{port}") };
        let Some(ip) = resolve(host).await.first().copied() else {
            return Err(DownloadError::Connect(ConnectError::BadAddress(authority)));
        };
        self.print_progress(format!("Connecting to {authority} ({ip}:{port})\n")).await;
        let (mut stream, _) = connect(&ip.to_string(), *port, self.seconds).await.map_err(DownloadError::Connect)?;
        let bytes = self.build_request(url, &authority)?;
        let sent = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        }
        .await;
        sent.map_err(DownloadError::Send)?;
        let mut conversation = Conversation { stream, buf: vec![], seconds: self.seconds };
        loop {
            let (response, shown) = conversation.read_response_head().await?;
            if self.o.has('S') {
                let _ = self.p.stderr.write_all(shown.as_bytes()).await;
            }
            // Others are provisional.
            if response.status >= 200 {
                return Ok((conversation, response));
            }
        }
    }

    /// Returns the bytes of the request.
    fn build_request(&self, url: &Url, authority: &str) -> Result<Vec<u8>, DownloadError> {
        let body = match (self.o.get('d'), self.o.get('f')) {
            (Some(data), _) => Some(data.as_bytes().to_vec()),
            (None, Some(file)) => {
                let read = std::fs::read(self.p.path(file));
                Some(read.map_err(|error| DownloadError::CannotOpen(file.to_string(), error))?)
            }
            (None, None) => None,
        };
        let method = if self.o.has('s') {
            "HEAD"
        } else if body.is_some() {
            "POST"
        } else {
            "GET"
        };
        let given = |name: &str| {
            let named = |h: &str| h.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
            self.o.all('H').any(named)
        };
        let mut request = format!("{method} {} HTTP/1.1\r\n", url.path);
        if !given("host") {
            request += &format!("Host: {authority}\r\n");
        }
        if !given("user-agent") {
            request += &format!("User-Agent: {}\r\n", self.o.get('U').unwrap_or("Wget"));
        }
        request += "Connection: close\r\n";
        if let Some(credentials) = &url.credentials {
            request += &format!("Authorization: Basic {}\r\n", super::digest::encode_text(credentials.as_bytes()));
        }
        for header in self.o.all('H') {
            request += &format!("{header}\r\n");
        }
        if let Some(body) = &body {
            if !given("content-type") {
                request += "Content-Type: application/x-www-form-urlencoded\r\n";
            }
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (request + "\r\n").into_bytes();
        bytes.extend(body.unwrap_or_default());
        Ok(bytes)
    }

    /// Returns the name of the file to write; `-` is standard output.
    fn file_name(&self, url: &Url) -> String {
        if let Some(name) = self.o.get('O') {
            return name.to_string();
        }
        let last = base_name(url.path.split('?').next().unwrap_or_default());
        let name = if url.path.ends_with('/') || last == "/" { "index.html" } else { last };
        match self.o.get('P') {
            Some(dir) => format!("{dir}/{name}"),
            None => name.to_string(),
        }
    }

    async fn save_body(
        &self,
        url: &Url,
        conversation: &mut Conversation,
        response: &Response,
    ) -> Result<(), DownloadError> {
        let name = self.file_name(url);
        let sink = if name == "-" {
            self.print_progress("writing to stdout\n".into()).await;
            self.p.stdout.clone()
        } else {
            let mut how = File::options();
            how.write(true).create(true).truncate(self.o.has('O')).create_new(!self.o.has('O'));
            match how.open(self.p.path(&name)) {
                Ok(file) => Writer::from_file(file),
                Err(error) => return Err(DownloadError::CannotOpen(name, error)),
            }
        };
        if name != "-" {
            self.print_progress(format!("saving to '{name}'\n")).await;
        }
        let chunked = response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        if chunked {
            conversation.copy_chunks(&sink).await?;
        } else {
            let length = response.header("content-length").and_then(|v| v.parse().ok());
            let empty = response.status == 204;
            conversation.copy_body(if empty { Some(0) } else { length }, &sink).await?;
        }
        if name != "-" {
            self.print_progress(format!("'{name}' saved\n")).await;
        }
        Ok(())
    }
}
