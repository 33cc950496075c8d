//! wget: HTTP downloads, without TLS.

use std::fmt;
use std::fs::File;
use std::io;

use super::http::{Connection, HttpError, Request, Response, Url, basic_authorization, is_named};
use super::names::base_name;
use super::nc::ConnectError;
use super::nslookup::resolve;
use super::{EarlyExit, Options, Outcome, fail, usage};
use crate::proc::{Proc, Writer, strerror};

const MAX_REDIRECTS: usize = 20;

/// Why a download fails. Displays as busybox's messages.
enum DownloadError {
    InvalidUrl(String),
    Http(HttpError),
    /// A file to send or to write.
    CannotOpen(String, io::Error),
    /// The first line of a response that is not a success.
    ServerError(String),
    TooManyRedirects,
}

impl From<HttpError> for DownloadError {
    fn from(error: HttpError) -> DownloadError {
        DownloadError::Http(error)
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownloadError::InvalidUrl(url) if url.starts_with("https://") => {
                write!(f, "TLS is not supported yet; use http: {url}")
            }
            DownloadError::InvalidUrl(url) => write!(f, "not an http or ftp url: {url}"),
            DownloadError::Http(error) => error.fmt(f),
            DownloadError::CannotOpen(name, error) => write!(f, "can't open '{name}': {}", strerror(error)),
            DownloadError::ServerError(line) => write!(f, "server returned error: {line}"),
            DownloadError::TooManyRedirects => f.write_str("too many redirections"),
        }
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
            Err(DownloadError::Http(HttpError::Write(error))) => return Err(EarlyExit::Write(error)),
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
            let Ok(url) = Url::parse(&address) else { return Err(DownloadError::InvalidUrl(address)) };
            let (mut connection, response) = self.send_request(&url).await?;
            if let Some(location) = response.redirect() {
                address = url.join(location);
                continue;
            }
            if !(200..=299).contains(&response.status) {
                return Err(DownloadError::ServerError(response.first_line));
            }
            if self.o.has('s') {
                self.print_progress("remote file exists\n".into()).await;
                return Ok(());
            }
            return self.save_body(&url, &mut connection, &response).await;
        }
        Err(DownloadError::TooManyRedirects)
    }

    /// Sends the request and reads the head of the response.
    async fn send_request(&self, url: &Url) -> Result<(Connection, Response), DownloadError> {
        let Url { host, port, .. } = url;
        let authority = url.authority();
        let Some(ip) = resolve(host).await.first().copied() else {
            return Err(HttpError::Connect(ConnectError::BadAddress(authority)).into());
        };
        self.print_progress(format!("Connecting to {authority} ({ip}:{port})\n")).await;
        let (mut connection, _) = Connection::open(&ip.to_string(), *port, self.seconds).await?;
        let request = self.build_request(url, &authority)?;
        let mut bytes = request.head(url).into_bytes();
        bytes.extend(request.body.unwrap_or_default());
        connection.send(&bytes).await?;
        loop {
            let response = connection.read_head().await?;
            if self.o.has('S') {
                let mut shown = format!("  {}\n", response.first_line);
                response.lines.iter().for_each(|line| shown += &format!("  {line}\n"));
                let _ = self.p.stderr.write_all(shown.as_bytes()).await;
            }
            // Others are provisional.
            if response.status >= 200 {
                return Ok((connection, response));
            }
        }
    }

    fn build_request(&self, url: &Url, authority: &str) -> Result<Request, DownloadError> {
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
        let given = |name: &str| self.o.all('H').any(|header| is_named(header, name));
        let mut headers = Vec::new();
        if !given("host") {
            headers.push(format!("Host: {authority}"));
        }
        if !given("user-agent") {
            headers.push(format!("User-Agent: {}", self.o.get('U').unwrap_or("Wget")));
        }
        headers.push("Connection: close".into());
        headers.extend(url.credentials.as_deref().map(basic_authorization));
        headers.extend(self.o.all('H').map(str::to_string));
        if body.is_some() && !given("content-type") {
            headers.push("Content-Type: application/x-www-form-urlencoded".into());
        }
        Ok(Request { method: method.into(), headers, body })
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
        connection: &mut Connection,
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
        connection.copy_body(response, &sink).await?;
        if name != "-" {
            self.print_progress(format!("'{name}' saved\n")).await;
        }
        Ok(())
    }
}
