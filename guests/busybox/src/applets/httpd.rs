//! httpd: serves files of a directory over HTTP/1.0, and runs the programs below its `cgi-bin` in the shell of this
//! process. One request per connection, as in busybox.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use wstd::io::{AsyncRead, AsyncWrite};
use wstd::iter::AsyncIterator;
use wstd::net::{TcpListener, TcpStream};

use super::sleep::within;
use super::{Options, Outcome, fail, usage};
use crate::proc::{Proc, Reader, Writer, pipe, strerror};

/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// The longest body for a program.
const MAX_BODY: usize = 1 << 20;
/// Seconds that a client has for sending its request.
const REQUEST_TIMEOUT: f64 = 60.0;

const BLOCK: usize = 32 * 1024;

/// The served directory.
struct Site {
    home: PathBuf,
    /// Environment and standard error of the programs.
    proc: Proc,
}

pub async fn httpd(p: Proc) -> Outcome {
    let o = Options::parse(&p, "fvip:h:u:r:c:").await?;
    if !o.operands.is_empty() || o.has('i') {
        return usage(&p).await;
    }
    let address = o.get('p').unwrap_or("80");
    let address = if address.contains(':') { address.to_string() } else { format!("0.0.0.0:{address}") };
    let home = p.path(o.get('h').unwrap_or("."));
    if !home.is_dir() {
        return fail(&p, 1, &format!("can't change directory to '{}': No such file or directory", home.display()))
            .await;
    }
    let listener = match TcpListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => return fail(&p, 1, &format!("bind: {}", strerror(&error))).await,
    };
    let serving = serve(listener, Rc::new(Site { home, proc: p }));
    if o.has('f') {
        serving.await;
    } else {
        wstd::runtime::spawn(serving).detach();
    }
    Ok(0)
}

async fn serve(listener: TcpListener, site: Rc<Site>) {
    let mut incoming = listener.incoming();
    while let Some(next) = incoming.next().await {
        // A failing connection must not stop the server.
        let Ok(stream) = next else { continue };
        let site = site.clone();
        wstd::runtime::spawn(async move {
            // A client that has disconnected needs no response.
            let _ = answer(&site, stream).await;
        })
        .detach();
    }
}

/// A request.
struct Request {
    method: String,
    /// The decoded path within the served directory.
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

async fn answer(site: &Rc<Site>, mut stream: TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    let request = within(REQUEST_TIMEOUT, std::pin::pin!(read_head(&mut stream, &mut read))).await;
    let request = match request {
        None => return send_status_page(&mut stream, 408).await,
        Some(Err(error)) => return Err(error),
        Some(Ok(None)) => return send_status_page(&mut stream, 400).await,
        Some(Ok(Some(request))) => request,
    };
    if request.path.starts_with("/cgi-bin/") {
        return run_cgi(site, stream, request, read).await;
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return send_status_page(&mut stream, 501).await;
    }
    let mut path = site.home.join(request.path.trim_start_matches('/'));
    if path.is_dir() {
        if !request.path.ends_with('/') {
            let head = format!("HTTP/1.0 302 Found\r\nLocation: {}/\r\nConnection: close\r\n\r\n", request.path);
            return send(&mut stream, head.as_bytes()).await;
        }
        path.push("index.html");
    }
    match fs::File::open(&path) {
        Ok(file) => {
            let length = file.metadata()?.len();
            let kind = content_type(&path);
            let head = format!(
                "HTTP/1.0 200 OK\r\nContent-type: {kind}\r\nConnection: close\r\nContent-length: {length}\r\n\r\n"
            );
            send(&mut stream, head.as_bytes()).await?;
            if request.method == "HEAD" { Ok(()) } else { forward(&Reader::from_file(file), &mut stream).await }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => send_status_page(&mut stream, 403).await,
        Err(_) => send_status_page(&mut stream, 404).await,
    }
}

/// Reads up to the empty line; the bytes after it stay in `read`. `None` if it is not a valid request.
async fn read_head(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let mut block = [0; 2048];
    loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Ok(parse_head(&String::from_utf8_lossy(&head)));
        }
        if read.len() > MAX_HEAD || !may_begin(read) {
            return Ok(None);
        }
        match stream.read(&mut block).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => read.extend_from_slice(block.get(..n).unwrap_or_default()),
        }
    }
}

/// Whether an incomplete head can still become a request. False for TLS, so that such a client, which waits for a
/// response, gets one at once.
fn may_begin(head: &[u8]) -> bool {
    match head.iter().position(|b| *b == b'\n') {
        Some(end) => parse_head(&String::from_utf8_lossy(&head[..end])).is_some(),
        None => head.first().is_none_or(u8::is_ascii_alphabetic),
    }
}

fn parse_head(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decode_path(path)?;
    // Dots must not lead out of the directory.
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return None;
    }
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_string(), value.trim().to_string()));
    let headers = lines.filter_map(header).collect();
    Some(Request { method: method.into(), path, query: query.into(), headers })
}

fn decode_path(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        };
        out.push(byte);
    }
    String::from_utf8(out).ok().filter(|path| !path.contains('\0'))
}

/// Runs a program below `cgi-bin` and sends its output.
async fn run_cgi(site: &Rc<Site>, mut stream: TcpStream, request: Request, mut body: Vec<u8>) -> io::Result<()> {
    let path = site.home.join(request.path.trim_start_matches('/'));
    if !path.is_file() {
        return send_status_page(&mut stream, 404).await;
    }
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if length > MAX_BODY {
        return send_status_page(&mut stream, 413).await;
    }
    while body.len() < length {
        let mut block = [0; 4096];
        match stream.read(&mut block).await? {
            0 => return Ok(()),
            n => body.extend_from_slice(block.get(..n).unwrap_or_default()),
        }
    }
    body.truncate(length);
    let (output, stdout) = pipe();
    let child = cgi_process(site, &request, &path, body, stdout);
    wstd::runtime::spawn(async move {
        crate::run(child).await;
    })
    .detach();
    let mut first = output.read_line().await?;
    if first.is_empty() {
        return send_status_page(&mut stream, 500).await;
    }
    if let Some(status) = first.strip_prefix(b"Status: ") {
        first = [b"HTTP/1.0 ", status].concat();
    } else if !first.starts_with(b"HTTP/1.") {
        first = [b"HTTP/1.0 200 OK\r\nConnection: close\r\n", first.as_slice()].concat();
    }
    send(&mut stream, &first).await?;
    forward(&output, &mut stream).await
}

/// Returns the program's process, as RFC 3875 describes it.
fn cgi_process(site: &Site, request: &Request, path: &Path, body: Vec<u8>, stdout: Writer) -> Proc {
    let mut env = site.proc.env.clone();
    let mut set = |name: &str, value: &str| env.insert(name.to_string(), value.to_string());
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set("SERVER_PROTOCOL", "HTTP/1.0");
    set("SERVER_SOFTWARE", "busybox httpd");
    set("REQUEST_METHOD", &request.method);
    set("SCRIPT_NAME", &request.path);
    set("SCRIPT_FILENAME", &path.to_string_lossy());
    set("QUERY_STRING", &request.query);
    set("CONTENT_LENGTH", &body.len().to_string());
    for (name, value) in &request.headers {
        let name = name.to_ascii_uppercase().replace('-', "_");
        match name.as_str() {
            "CONTENT_TYPE" => set(&name, value),
            // A program must not take a request's `Proxy` header for its own proxy.
            "CONTENT_LENGTH" | "PROXY" => None,
            name => set(&format!("HTTP_{name}"), value),
        };
    }
    // The shell reads the interpreter from the file.
    let path = path.to_string_lossy().into_owned();
    let cwd = Path::new(&path).parent().unwrap_or(Path::new("/")).to_path_buf();
    let args = ["sh".into(), "-c".into(), "\"$0\"".into(), path].into();
    Proc { args, env, cwd, stdin: Reader::from_bytes(body), stdout, stderr: site.proc.stderr.clone() }
}

/// Writes a short page that names the status.
async fn send_status_page(stream: &mut TcpStream, status: u16) -> io::Result<()> {
    let (reason, why) = match status {
        400 => ("Bad Request", "Unsupported method"),
        403 => ("Forbidden", ""),
        404 => ("Not Found", "The requested URL was not found"),
        408 => ("Request Timeout", "No request appeared within 60 seconds"),
        413 => ("Payload Too Large", ""),
        501 => ("Not Implemented", "The requested method is not recognized"),
        _ => ("Internal Server Error", "Internal Server Error"),
    };
    let body = format!(
        "<HTML><HEAD><TITLE>{status} {reason}</TITLE></HEAD>\n<BODY><H1>{status} {reason}</H1>\n{why}\n</BODY></HTML>\n"
    );
    let head = format!("HTTP/1.0 {status} {reason}\r\nContent-type: text/html\r\nConnection: close\r\n\r\n");
    send(stream, [head, body].concat().as_bytes()).await
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn forward(from: &Reader, stream: &mut TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block).await? {
            0 => return Ok(()),
            n => send(stream, block.get(..n).unwrap_or_default()).await?,
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html",
        "txt" | "conf" | "sh" | "log" => "text/plain",
        "css" => "text/css",
        "js" => "application/javascript",
        "json" => "application/json",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        _ => "application/octet-stream",
    }
}
