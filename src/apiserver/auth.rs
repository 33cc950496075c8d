//! Who may come in: the token for everything but health, and only requests that were meant for
//! this server.
//!
//! A page that a browser shows may send requests here, and a name that an attacker owns may lead
//! here (DNS rebinding). So a `Host` must be an address, `localhost` or a name that the node was
//! told, and an `Origin` must be this server's own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer;
use super::credentials::Credentials;
use super::server::Transport;
use crate::control::{Reason, Status};

/// Bytes of a URL without its host; one of twice this length is not even taken in.
const MAX_URL: usize = 32 * 1024;

/// What the gate goes by.
pub struct Authorizer {
    /// Knows the token.
    pub credentials: Arc<Credentials>,
    /// Host names beside `localhost` that mean this server.
    pub names: Vec<String>,
}

/// What anybody may ask who can reach the port: load balancers and supervisors carry no token.
fn is_health(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("livez" | "readyz" | "healthz"))
}

/// Lets `request` through, or answers in its place.
pub async fn check(State(gate): State<Arc<Authorizer>>, request: Request, next: Next) -> Response {
    match gate.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(status) => answer::refusal(&status),
    }
}

impl Authorizer {
    fn judge(&self, request: &Request) -> Result<(), Status> {
        let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if length > MAX_URL {
            let message = format!("the URL is {length} bytes long: at most {MAX_URL} are read");
            return Err(Status::new(Reason::BadRequest, message));
        }
        let host = host(request).ok_or_else(|| Status::new(Reason::BadRequest, "the request names no Host"))?;
        if !self.knows(host) {
            let message = format!(
                "Host {host:?} is not this server's: use its address or localhost, or start it with --tls-san {}",
                name_of(host)
            );
            return Err(Status::new(Reason::Forbidden, message));
        }
        let headers = request.headers();
        if let Some(origin) = headers.get(header::ORIGIN) {
            let scheme = match request.extensions().get::<Transport>() {
                Some(Transport::Plain) => "http",
                Some(Transport::Tls) | None => "https",
            };
            if origin.as_bytes() != format!("{scheme}://{host}").as_bytes() {
                return Err(Status::new(Reason::Forbidden, "requests of other sites' pages are not answered"));
            }
        }
        if is_health(request.uri().path()) || bearer(headers).is_some_and(|token| self.credentials.accepts(token)) {
            return Ok(());
        }
        Err(Status::new(Reason::Unauthorized, "Unauthorized"))
    }

    fn knows(&self, host: &str) -> bool {
        let name = name_of(host);
        let known = |other: &str| name.eq_ignore_ascii_case(other);
        name.parse::<IpAddr>().is_ok() || known("localhost") || self.names.iter().any(|other| known(other))
    }
}

/// HTTP/2 has it in the URI.
fn host(request: &Request) -> Option<&str> {
    let authority = request.uri().authority().map(|a| a.as_str());
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// A host without its port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(host: &str, origin: Option<&str>, token: Option<&str>, path: &str) -> u16 {
        let folder = tempfile::tempdir().expect("a folder");
        let credentials = Arc::new(Credentials::of(folder.path(), &[], &[]).expect("credentials"));
        let mut request = Request::builder().uri(path).header("Host", host).extension(Transport::Plain);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        if let Some(token) = token {
            let token = if token == "right" { credentials.token() } else { token };
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let gate = Authorizer { credentials: credentials.clone(), names: vec!["node.example".into()] };
        let request = request.body(axum::body::Body::empty()).expect("a request");
        gate.judge(&request).map_or_else(|status| status.reason.code(), |()| 200)
    }

    #[test]
    fn only_those_who_are_meant_come_in() {
        let pods = "/api/v1/pods";
        for (host, origin, token, path, code) in [
            ("127.0.0.1:1", None, Some("right"), pods, 200),
            ("[::1]:1", None, Some("right"), pods, 200),
            ("LocalHost", None, Some("right"), pods, 200),
            ("node.example:6443", None, Some("right"), pods, 200),
            ("127.0.0.1:1", None, None, pods, 401),
            ("127.0.0.1:1", None, Some("wrong"), pods, 401),
            ("127.0.0.1:1", None, None, "/readyz", 200),
            ("127.0.0.1:1", None, None, "/livez/ping", 200),
            ("127.0.0.1:1", None, None, "/livezz", 401),
            ("evil.example", None, Some("right"), pods, 403),
            ("evil.example", None, None, "/healthz", 403),
            ("localhost.evil.example:1", None, Some("right"), pods, 403),
            ("127.0.0.1:1", Some("http://127.0.0.1:1"), Some("right"), pods, 200),
            ("127.0.0.1:1", Some("http://evil.example"), Some("right"), pods, 403),
            ("127.0.0.1:1", Some("null"), Some("right"), pods, 403),
        ] {
            assert_eq!(judged(host, origin, token, path), code, "{host} {origin:?} {token:?} {path}");
        }
    }
}
