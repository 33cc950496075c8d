//! HTTP requests as kubelet sends them with Go's client, redirects included.

use std::borrow::Cow;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::check::{HttpCheck, Purpose};
use super::status_line::{CheckedStatusLine, transport_broken};
use super::url::Url;
use super::{CheckResult, HttpError, dial, tls};
use crate::network::{ConnectionStream, PodNetwork};

/// Bytes of a body that are read.
const MAX_BODY_BYTES: usize = 10 * 1024;
/// Requests that one probe sends at most, redirects included.
const MAX_REQUESTS: usize = 10;

/// Go's message for a response whose headers do not arrive in time.
const HEADERS_TIMED_OUT: &str = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
/// Go's message for a body that does not arrive in time.
const BODY_TIMED_OUT: &str = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";

/// A server's response.
enum HttpResponse {
    /// A status and the part of the body that was read.
    Status(StatusCode, String),
    /// A redirect on the same host: the next URL, and the location as the server wrote it.
    Redirect(Url, String),
}

/// Sends one probe request. A hook that uses HTTPS for an HTTP server is repeated without TLS, with a warning, as by
/// kubelet.
pub(super) async fn run_check(network: &PodNetwork, check: &HttpCheck, deadline: Instant) -> CheckResult {
    let not_tls = match send(network, check, deadline).await {
        Err(not_tls) if check.purpose == Purpose::Hook => not_tls,
        Ok(result) | Err(result) => return result,
    };
    let mut fallback = check.clone();
    fallback.url.https = false;
    fallback.headers.remove(AUTHORIZATION);
    match send(network, &fallback, deadline).await {
        Ok(CheckResult::Success(_) | CheckResult::Warning(_)) => {
            let host = &check.url.authority;
            let message =
                format!("request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded");
            CheckResult::Warning(message)
        }
        Ok(_) | Err(_) => not_tls,
    }
}

/// Sends the request and follows redirects. The result is in `Err` if the server does not speak TLS.
async fn send(network: &PodNetwork, check: &HttpCheck, deadline: Instant) -> Result<CheckResult, CheckResult> {
    let mut url = Cow::Borrowed(&check.url);
    let mut host = check.headers.get(HOST).cloned();
    for sent in 1.. {
        match exchange(network, check, &url, host.as_ref(), deadline).await {
            Ok(HttpResponse::Status(status, body)) => return Ok(evaluate(check.purpose, status, body)),
            Ok(HttpResponse::Redirect(_, location)) if sent >= MAX_REQUESTS => {
                return Ok(failed(&location, &format!("stopped after {MAX_REQUESTS} redirects")));
            }
            Ok(HttpResponse::Redirect(next, _)) => {
                // The spec's `Host` is kept until a location names another authority.
                host = host.filter(|_| next.authority == url.authority);
                url = Cow::Owned(next);
            }
            Err(HttpError::NotTls) => {
                return Err(failed(&url.to_string(), "http: server gave HTTP response to HTTPS client"));
            }
            Err(HttpError::NoResponse(cause)) => return Ok(failed(&url.to_string(), &cause)),
            // The response to a hook is not read.
            Err(HttpError::BrokenBody(_)) if check.purpose == Purpose::Hook => {
                return Ok(CheckResult::Success(String::new()));
            }
            Err(HttpError::BrokenBody(cause)) => return Ok(CheckResult::Error(cause)),
        }
    }
    Ok(failed(&url.to_string(), HEADERS_TIMED_OUT))
}

fn failed(url: &str, cause: &str) -> CheckResult {
    CheckResult::Failure(format!("Get {url:?}: {cause}"))
}

/// Returns the result of a response, as kubelet interprets it.
fn evaluate(purpose: Purpose, status: StatusCode, body: String) -> CheckResult {
    match (purpose, status.as_u16()) {
        (Purpose::Hook, _) | (Purpose::Probe, 200..=299) => CheckResult::Success(body),
        (Purpose::Probe, 300..=399) => {
            CheckResult::Warning(format!("Probe terminated redirects, Response body: {body}"))
        }
        (Purpose::Probe, code) => CheckResult::Failure(format!("HTTP probe failed with statuscode: {code}")),
    }
}

/// Sends one request on a connection of its own.
async fn exchange(
    network: &PodNetwork,
    check: &HttpCheck,
    url: &Url,
    host: Option<&HeaderValue>,
    deadline: Instant,
) -> Result<HttpResponse, HttpError> {
    let request = request(url, &check.headers, host)?;
    let timed_out = |_| HttpError::NoResponse(HEADERS_TIMED_OUT.into());
    let dialled = timeout_at(deadline, dial(network, &url.host, url.port)).await.map_err(timed_out)?;
    let stream = ConnectionStream::from(dialled.map_err(HttpError::no_response)?);
    if !url.https {
        return exchange_over(stream, request, check, url, deadline).await;
    }
    let secured = timeout_at(deadline, tls::connect(stream, &url.host)).await.map_err(timed_out)??;
    exchange_over(secured, request, check, url, deadline).await
}

fn request(url: &Url, headers: &HeaderMap, host: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, HttpError> {
    let host = match host {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(&url.authority)
            .map_err(|_| HttpError::NoResponse(format!("invalid URL host {:?}", url.authority)))?,
    };
    let mut request = Request::get(url.target.as_str()).body(Empty::new()).map_err(HttpError::no_response)?;
    let sent = request.headers_mut();
    sent.insert(HOST, host);
    sent.extend(headers.iter().filter(|(name, _)| **name != HOST).map(|(name, value)| (name.clone(), value.clone())));
    Ok(request)
}

/// Sends `request` over a connection and drives the connection until the response is known.
async fn exchange_over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    check: &HttpCheck,
    url: &Url,
    deadline: Instant,
) -> Result<HttpResponse, HttpError> {
    let handshake = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(CheckedStatusLine::new(io)));
    let (mut sender, connection) = handshake.await.map_err(|error| HttpError::NoResponse(go_message(&error)))?;
    let mut exchange = pin!(async {
        let response = timeout_at(deadline, sender.send_request(request)).await;
        let response = response.map_err(|_| HttpError::NoResponse(HEADERS_TIMED_OUT.into()))?;
        let response = response.map_err(|error| HttpError::NoResponse(go_message(&error)))?;
        match redirect(&response, url) {
            Some((next, location)) if next.host == check.url.host => Ok(HttpResponse::Redirect(next, location)),
            _ => {
                let status = response.status();
                let body = timeout_at(deadline, read_body(response.into_body())).await;
                let body = body.unwrap_or_else(|_| Err(HttpError::BrokenBody(BODY_TIMED_OUT.into())))?;
                Ok(HttpResponse::Status(status, body))
            }
        }
    });
    // The connection may end before the response is read.
    tokio::select! {
        response = &mut exchange => response,
        _ = connection => exchange.await,
    }
}

/// Returns the URL that the response redirects to, if it does, and the location as written.
fn redirect(response: &Response<Incoming>, url: &Url) -> Option<(Url, String)> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok().filter(|location| !location.is_empty())?;
    Some((url.join(location)?, location.into()))
}

/// Reads the beginning of the body, up to [`MAX_BODY_BYTES`].
async fn read_body(mut body: Incoming) -> Result<String, HttpError> {
    let mut text = Vec::new();
    while text.len() < MAX_BODY_BYTES
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| {
            let is_incomplete = error.is_incomplete_message();
            HttpError::BrokenBody(if is_incomplete { "unexpected EOF".into() } else { go_message(&error) })
        })?;
        if let Some(bytes) = frame.data_ref() {
            text.extend_from_slice(bytes);
        }
    }
    text.truncate(MAX_BODY_BYTES);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns Go's message for an error on the connection.
fn go_message(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => "read: connection reset by peer".into(),
        Some(io::ErrorKind::Other) => io.map(io::Error::to_string).unwrap_or_default(),
        _ if error.is_parse() => transport_broken(&format!("malformed HTTP response: {error}")),
        _ if error.is_incomplete_message() => transport_broken("unexpected EOF"),
        _ => "EOF".into(),
    }
}
