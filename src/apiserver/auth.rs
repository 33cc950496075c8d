//! Authorization of requests: a bearer token, except for health checks, and a `Host` and `Origin` of this server.
//!
//! Any web page can make a browser send requests to this server, and an attacker's domain can resolve
//! to it (DNS rebinding). Therefore `Host` must be an IP address, `localhost` or a configured name, and
//! an `Origin` must be this server's own.
//!
//! Requests over a private Unix socket need none of these: no browser reaches it, and its file mode admits only the
//! user whose rights the server has.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::credentials::Credentials;
use super::response;
use super::server::Transport;
use crate::control::{Reason, Status};

/// Maximum length in bytes of a URL without its host; the HTTP layer rejects URLs of twice this length.
const MAX_URL: usize = 32 * 1024;

/// Prefix of the WebSocket sub-protocol that carries a bearer token, base64url-encoded: browsers cannot set headers.
pub const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Headers that must not be repeated: two servers could each believe another one.
const SINGLE_HEADERS: [HeaderName; 4] = [header::HOST, header::AUTHORIZATION, header::ORIGIN, header::CONTENT_TYPE];

/// Decides which requests are allowed.
pub struct Authorizer {
    /// Credentials with the expected token. Without them, only requests over a private socket are allowed.
    pub credentials: Option<Arc<Credentials>>,
    /// Host names of this server besides `localhost`.
    pub names: Vec<String>,
}

/// Returns whether a path needs no token: load balancers and supervisors have none.
fn is_health_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("livez" | "readyz" | "healthz"))
}

/// Passes an authorized request on, or responds with the error; a middleware.
pub async fn authorize(State(authorizer): State<Arc<Authorizer>>, request: Request, next: Next) -> Response {
    match authorizer.authorize(&request) {
        Ok(()) => next.run(request).await,
        Err(status) => response::from_status(&status),
    }
}

impl Authorizer {
    /// Checks a request.
    ///
    /// # Errors
    /// Returns `BadRequest` for an oversized URL, a missing host or ambiguous headers, `Forbidden` for a foreign host or
    /// origin and for impersonation, and `Unauthorized` without the right token.
    fn authorize(&self, request: &Request) -> Result<(), Status> {
        let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if length > MAX_URL {
            let message = format!("the URL is {length} bytes long: the limit is {MAX_URL}");
            return Err(Status::new(Reason::BadRequest, message));
        }
        check_headers(request)?;
        let headers = request.headers();
        let transport = request.extensions().get::<Transport>();
        if transport == Some(&Transport::PrivateSocket) {
            return reject_impersonation(headers);
        }
        let host = host(request).map_err(|message| Status::new(Reason::BadRequest, message))?;
        let Some(name) = host_name(host) else {
            return Err(Status::new(Reason::BadRequest, format!("the request's host {host:?} is not valid")));
        };
        if !self.is_own_name(name) {
            let message = format!(
                "unknown host {host:?}: use this server's IP address or localhost, or start it with --tls-san {name}"
            );
            return Err(Status::new(Reason::Forbidden, message));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let scheme = match transport {
                Some(Transport::Plain | Transport::PrivateSocket) => "http",
                Some(Transport::Tls) | None => "https",
            };
            if origin.as_bytes() != format!("{scheme}://{host}").as_bytes() {
                return Err(Status::new(Reason::Forbidden, "cross-origin requests are not allowed"));
            }
        }
        if is_health_path(request.uri().path())
            || bearer_token(headers).is_some_and(|token| self.accepts(token))
            || websocket_token(headers).is_some_and(|token| self.accepts(&token))
        {
            return reject_impersonation(headers);
        }
        Err(Status::new(Reason::Unauthorized, "Unauthorized"))
    }

    fn accepts(&self, token: &str) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| credentials.accepts(token))
    }

    fn is_own_name(&self, name: &str) -> bool {
        let known = |other: &str| name.eq_ignore_ascii_case(other);
        name.parse::<IpAddr>().is_ok() || known("localhost") || self.names.iter().any(|other| known(other))
    }
}

/// Rejects headers that are ambiguous.
fn check_headers(request: &Request) -> Result<(), Status> {
    let headers = request.headers();
    if let Some(name) = SINGLE_HEADERS.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Status::new(Reason::BadRequest, format!("the request has more than one {name} header")));
    }
    let host = headers.get(header::HOST).map(|host| host.as_bytes());
    if let Some((authority, host)) = request.uri().authority().zip(host)
        && !authority.as_str().as_bytes().eq_ignore_ascii_case(host)
    {
        return Err(Status::new(Reason::BadRequest, "the request's URL and its Host header name different hosts"));
    }
    Ok(())
}

/// Rejects requests in the name of another user: the one token has all rights.
fn reject_impersonation(headers: &HeaderMap) -> Result<(), Status> {
    if headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
        let message = "impersonation is not supported: remove the Impersonate-* headers (kubectl's --as)";
        return Err(Status::new(Reason::Forbidden, message));
    }
    Ok(())
}

/// Returns the request's host: from the URI in HTTP/2, otherwise from the `Host` header.
fn host(request: &Request) -> Result<&str, &'static str> {
    let host = match (request.uri().authority(), request.headers().get(header::HOST)) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().map_err(|_| "the request's Host header is not valid")?,
        (None, None) => return Err("the request has no Host header"),
    };
    if host.is_empty() { Err("the request's Host header is empty") } else { Ok(host) }
}

/// Removes port and brackets from a host. Returns `None` if it is not valid.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (!name.is_empty() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))).then_some(name)
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the token in the sub-protocols of a WebSocket request.
fn websocket_token(headers: &HeaderMap) -> Option<String> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut protocols = lists.flat_map(|list| list.split(',')).map(str::trim);
    let encoded = protocols.find_map(|protocol| protocol.strip_prefix(BEARER_PROTOCOL))?;
    let token = BASE64_URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(token).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response_code(host: &str, origin: Option<&str>, token: Option<&str>, path: &str) -> u16 {
        let directory = tempfile::tempdir().expect("a directory");
        let credentials = Arc::new(Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials"));
        let mut request = Request::builder().uri(path).header("Host", host).extension(Transport::Plain);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        if let Some(token) = token {
            let token = if token == "right" { credentials.token() } else { token };
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let authorizer = Authorizer { credentials: Some(credentials.clone()), names: vec!["node.example".into()] };
        let request = request.body(axum::body::Body::empty()).expect("a request");
        authorizer.authorize(&request).map_or_else(|status| status.reason.code(), |()| 200)
    }

    #[test]
    fn requests_need_token_host_and_origin() {
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
            assert_eq!(response_code(host, origin, token, path), code, "{host} {origin:?} {token:?} {path}");
        }
    }

    #[test]
    fn requests_name_a_valid_host() {
        let authorizer = Authorizer { credentials: None, names: Vec::new() };
        let message = |uri: &str, host: Option<&[u8]>| {
            let mut request = Request::builder().uri(uri).extension(Transport::Plain);
            if let Some(host) = host {
                request = request.header("Host", host);
            }
            let request = request.body(axum::body::Body::empty()).expect("a request");
            authorizer.authorize(&request).map_err(|status| (status.reason.code(), status.message))
        };
        let refused = |message: &str| Err((400, message.to_string()));
        for (uri, host, expected) in [
            ("/healthz", Some(&b"127.0.0.1"[..]), Ok(())),
            ("/healthz", Some(b"[::1]"), Ok(())),
            ("http://127.0.0.1:1/healthz", None, Ok(())),
            ("/healthz", None, refused("the request has no Host header")),
            ("/healthz", Some(b""), refused("the request's Host header is empty")),
            ("/healthz", Some(b"a\xff"), refused("the request's Host header is not valid")),
            ("/healthz", Some(b":6443"), refused("the request's host \":6443\" is not valid")),
            ("/healthz", Some(b"[::1"), refused("the request's host \"[::1\" is not valid")),
            ("/healthz", Some(b"[::1]evil"), refused("the request's host \"[::1]evil\" is not valid")),
            ("/healthz", Some(b"localhost:http"), refused("the request's host \"localhost:http\" is not valid")),
            (
                "http://127.0.0.1/healthz",
                Some(b""),
                refused("the request's URL and its Host header name different hosts"),
            ),
        ] {
            assert_eq!(message(uri, host), expected, "{uri} {host:?}");
        }
    }

    #[test]
    fn ambiguous_headers_and_impersonation_are_rejected() {
        let authorizer = Authorizer { credentials: None, names: Vec::new() };
        let code = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(uri).extension(Transport::PrivateSocket);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(axum::body::Body::empty()).expect("a request");
            authorizer.authorize(&request).map_or_else(|status| status.reason.code(), |()| 200)
        };
        for (uri, headers, expected) in [
            ("/api", &[("Host", "a"), ("Accept", "b"), ("Accept", "c")][..], 200),
            ("/api", &[("Host", "a"), ("Host", "a")], 400),
            ("/api", &[("Authorization", "Bearer a"), ("Authorization", "Bearer b")], 400),
            ("/api", &[("Origin", "null"), ("Origin", "null")], 400),
            ("/api", &[("Content-Type", "text/plain"), ("Content-Type", "application/json")], 400),
            ("http://a/api", &[("Host", "A")], 200),
            ("http://a/api", &[("Host", "b")], 400),
            ("/api", &[("Impersonate-User", "bob")], 403),
            ("/api", &[("impersonate-extra-scopes", "all")], 403),
        ] {
            assert_eq!(code(uri, headers), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn private_sockets_need_no_token_and_others_always_do() {
        let code = |transport: Transport| {
            let request = Request::builder().uri("/api/v1/pods").header("Host", "127.0.0.1").extension(transport);
            let request = request.body(axum::body::Body::empty()).expect("a request");
            let authorizer = Authorizer { credentials: None, names: Vec::new() };
            authorizer.authorize(&request).map_or_else(|status| status.reason.code(), |()| 200)
        };
        assert_eq!(code(Transport::PrivateSocket), 200);
        assert_eq!((code(Transport::Plain), code(Transport::Tls)), (401, 401));
    }
}
