//! Decides the response to a request. Opens files but writes nothing.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::date;
use crate::request::{Request, encode, range};

/// A response before it is written.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// The length of the body, also of one that HEAD omits.
    pub length: u64,
}

pub enum Body {
    Nothing,
    Text(String),
    /// A file, positioned at the first byte to send.
    File(File),
}

/// Returns the reason phrase of a status.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

impl Response {
    /// A short page that names the status.
    pub fn status_page(status: u16) -> Response {
        let title = format!("{status} {}", reason_phrase(status));
        let text = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
             <hr><center>wasmpod</center>\r\n</body>\r\n</html>\r\n"
        );
        Response {
            status,
            headers: vec![("Content-Type", "text/html".into())],
            length: text.len() as u64,
            body: Body::Text(text),
        }
    }

    fn with_header(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, value));
        self
    }
}

/// Decides the response to a request for a file below `root`.
pub fn respond(root: &Path, request: &Request) -> Response {
    let Some((parts, slash)) = request.path() else { return Response::status_page(400) };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::status_page(405).with_header("Allow", "GET, HEAD".into());
    }
    let mut path = root.to_path_buf();
    path.extend(&parts);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() && !slash => {
            let place = format!("/{}/", parts.join("/"));
            Response::status_page(301).with_header("Location", encode(&place) + request.query())
        }
        Ok(meta) if meta.is_dir() => {
            path.push("index.html");
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() => serve_file(&path, &meta, request),
                _ => Response::status_page(403),
            }
        }
        // A file is not a directory.
        Ok(_) if slash => Response::status_page(404),
        Ok(meta) if meta.is_file() => serve_file(&path, &meta, request),
        Ok(_) => Response::status_page(403),
        Err(error) => error_page(error.kind()),
    }
}

fn error_page(kind: ErrorKind) -> Response {
    Response::status_page(match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => 404,
        ErrorKind::PermissionDenied => 403,
        _ => 500,
    })
}

fn serve_file(path: &Path, meta: &Metadata, request: &Request) -> Response {
    let modified =
        meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_secs() as i64);
    let length = meta.len();
    let etag = format!("\"{modified:x}-{length:x}\"");
    let last_modified = date::format_http(modified);
    let known = |response: Response| {
        response.with_header("Last-Modified", last_modified.clone()).with_header("ETag", etag.clone())
    };
    let listed = |list: &str| list.split(',').any(|t| t.trim() == "*" || t.trim().trim_start_matches("W/") == etag);
    // The order of RFC 9110, 13.2.2: entity tags take precedence over dates.
    if request.header("if-match").is_some_and(|list| !listed(list)) {
        return Response::status_page(412);
    }
    let unchanged = match (request.header("if-none-match"), request.header("if-modified-since")) {
        (Some(list), _) => listed(list),
        (None, Some(since)) => date::parse(since).is_some_and(|since| modified <= since),
        (None, None) => false,
    };
    if unchanged {
        return known(Response { status: 304, headers: vec![], body: Body::Nothing, length: 0 });
    }
    let current = request.header("if-range").is_none_or(|mark| mark == etag || mark == last_modified);
    let wanted = match request.header("range").filter(|_| current && request.method == "GET") {
        Some(value) => range(value, length),
        None => Ok(None),
    };
    let (status, from, to) = match wanted {
        Ok(None) => (200, 0, length),
        Ok(Some((from, to))) => (206, from, to),
        Err(()) => return Response::status_page(416).with_header("Content-Range", format!("bytes */{length}")),
    };
    let opened = File::open(path).and_then(|mut file| {
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(file)
    });
    let body = match opened {
        Ok(file) => Body::File(file),
        Err(error) => return error_page(error.kind()),
    };
    let headers = vec![("Content-Type", content_type(path).to_string())];
    let response =
        known(Response { status, headers, body, length: to - from }).with_header("Accept-Ranges", "bytes".into());
    if status == 206 {
        response.with_header("Content-Range", format!("bytes {from}-{}/{length}", to - 1))
    } else {
        response
    }
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "html" | "htm" | "shtml" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "application/javascript",
        "json" | "map" => "application/json",
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "xml" => "text/xml",
        "yaml" | "yml" => "application/yaml",
        "svg" | "svgz" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "tar" => "application/x-tar",
        _ => "application/octet-stream",
    }
}
