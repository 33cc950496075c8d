//! HTTP requests as Go's client sends them for a kubelet.

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

use super::check::{HttpGet, Purpose};
use super::first_line::{FirstLine, broken};
use super::url::Url;
use super::{ProbeVerdict, dial, tls};
use crate::network::{PodNetwork, Stream};

/// More of a body is not read.
const LONGEST_BODY: usize = 10 * 1024;
/// Requests that one attempt sends at most.
const MOST_REQUESTS: usize = 10;

const NO_ANSWER: &str = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
const NO_WHOLE_BODY: &str = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";

/// What a request came to.
enum Answer {
    /// A status, and what was read of the body.
    Status(StatusCode, String),
    /// It leads elsewhere on the same host; the location as it was given.
    Redirect(Url, String),
}

/// Why there is no answer.
pub(super) enum Fault {
    /// Nobody answered; in Go's words.
    Unanswered(String),
    /// Asked over TLS, the server answered without.
    Plain,
    /// The answer broke off.
    Broken(String),
}

/// Asks. Clusters are full of hooks that say HTTPS and mean HTTP; a kubelet tries that, too, and tells of it.
pub(super) async fn attempt(network: &PodNetwork, get: &HttpGet, deadline: Instant) -> ProbeVerdict {
    let plain = match ask(network, get, deadline).await {
        Err(plain) if get.purpose == Purpose::Hook => plain,
        Ok(verdict) | Err(verdict) => return verdict,
    };
    let mut again = get.clone();
    again.url.https = false;
    again.headers.remove(AUTHORIZATION);
    match ask(network, &again, deadline).await {
        Ok(ProbeVerdict::Success(_) | ProbeVerdict::Warning(_)) => {
            let host = &get.url.authority;
            let words = format!("request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded");
            ProbeVerdict::Warning(words)
        }
        Ok(_) | Err(_) => plain,
    }
}

/// Sends the request and those that redirects ask for. What is found where a server does not speak TLS
/// comes as an error.
async fn ask(network: &PodNetwork, get: &HttpGet, deadline: Instant) -> Result<ProbeVerdict, ProbeVerdict> {
    let mut url = Cow::Borrowed(&get.url);
    let mut host = get.headers.get(HOST).cloned();
    for sent in 1.. {
        match exchange(network, get, &url, host.as_ref(), deadline).await {
            Ok(Answer::Status(status, body)) => return Ok(verdict(get.purpose, status, body)),
            Ok(Answer::Redirect(_, location)) if sent >= MOST_REQUESTS => {
                return Ok(failed(&location, &format!("stopped after {MOST_REQUESTS} redirects")));
            }
            Ok(Answer::Redirect(next, _)) => {
                // A name that was given goes on as long as the location names none of its own.
                host = host.filter(|_| next.authority == url.authority);
                url = Cow::Owned(next);
            }
            Err(Fault::Plain) => {
                return Err(failed(&url.to_string(), "http: server gave HTTP response to HTTPS client"));
            }
            Err(Fault::Unanswered(why)) => return Ok(failed(&url.to_string(), &why)),
            // An answer to a hook is not read.
            Err(Fault::Broken(_)) if get.purpose == Purpose::Hook => return Ok(ProbeVerdict::Success(String::new())),
            Err(Fault::Broken(why)) => return Ok(ProbeVerdict::Error(why)),
        }
    }
    Ok(failed(&url.to_string(), NO_ANSWER))
}

fn failed(url: &str, why: &str) -> ProbeVerdict {
    ProbeVerdict::Failure(format!("Get {url:?}: {why}"))
}

fn verdict(purpose: Purpose, status: StatusCode, body: String) -> ProbeVerdict {
    match (purpose, status.as_u16()) {
        (Purpose::Hook, _) | (Purpose::Probe, 200..=299) => ProbeVerdict::Success(body),
        (Purpose::Probe, 300..=399) => {
            ProbeVerdict::Warning(format!("Probe terminated redirects, Response body: {body}"))
        }
        (Purpose::Probe, code) => ProbeVerdict::Failure(format!("HTTP probe failed with statuscode: {code}")),
    }
}

/// One request on a connection of its own.
async fn exchange(
    network: &PodNetwork,
    get: &HttpGet,
    url: &Url,
    host: Option<&HeaderValue>,
    deadline: Instant,
) -> Result<Answer, Fault> {
    let request = request(url, &get.headers, host).map_err(Fault::Unanswered)?;
    let stream = Stream::from(dial(network, &url.host, url.port).map_err(Fault::Unanswered)?);
    if !url.https {
        return over(stream, request, get, url, deadline).await;
    }
    let secured = timeout_at(deadline, tls::connect(stream, &url.host)).await;
    let secured = secured.unwrap_or_else(|_| Err(Fault::Unanswered(NO_ANSWER.into())))?;
    over(secured, request, get, url, deadline).await
}

fn request(url: &Url, headers: &HeaderMap, host: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, String> {
    let host = match host {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(&url.authority).map_err(|_| format!("invalid URL host {:?}", url.authority))?,
    };
    let mut request = Request::get(url.target.as_str()).body(Empty::new()).map_err(|error| error.to_string())?;
    let sent = request.headers_mut();
    sent.insert(HOST, host);
    sent.extend(headers.iter().filter(|(name, _)| **name != HOST).map(|(name, value)| (name.clone(), value.clone())));
    Ok(request)
}

/// Sends `request` over a connection and drives it until the answer is known.
async fn over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    get: &HttpGet,
    url: &Url,
    deadline: Instant,
) -> Result<Answer, Fault> {
    let handshake = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(FirstLine::of(io)));
    let (mut sender, connection) = handshake.await.map_err(|error| Fault::Unanswered(told(&error)))?;
    let mut exchange = pin!(async {
        let response = timeout_at(deadline, sender.send_request(request)).await;
        let response = response.map_err(|_| Fault::Unanswered(NO_ANSWER.into()))?;
        let response = response.map_err(|error| Fault::Unanswered(told(&error)))?;
        match redirect(&response, url) {
            Some((next, location)) if next.host == get.url.host => Ok(Answer::Redirect(next, location)),
            _ => {
                let status = response.status();
                let body = timeout_at(deadline, beginning(response.into_body())).await;
                let body = body.unwrap_or_else(|_| Err(NO_WHOLE_BODY.into())).map_err(Fault::Broken)?;
                Ok(Answer::Status(status, body))
            }
        }
    });
    // The connection may be done with before the answer is read.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

/// Where the answer leads, if it does, and how it says so.
fn redirect(response: &Response<Incoming>, url: &Url) -> Option<(Url, String)> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok().filter(|location| !location.is_empty())?;
    Some((url.joined(location)?, location.into()))
}

/// What the body begins with, up to [`LONGEST_BODY`].
async fn beginning(mut body: Incoming) -> Result<String, String> {
    let mut text = Vec::new();
    while text.len() < LONGEST_BODY
        && let Some(frame) = body.frame().await
    {
        let frame = frame
            .map_err(|error| if error.is_incomplete_message() { "unexpected EOF".into() } else { told(&error) })?;
        if let Some(bytes) = frame.data_ref() {
            text.extend_from_slice(bytes);
        }
    }
    text.truncate(LONGEST_BODY);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What went wrong on the connection, as Go tells it.
fn told(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => "read: connection reset by peer".into(),
        Some(io::ErrorKind::Other) => io.map(io::Error::to_string).unwrap_or_default(),
        _ if error.is_parse() => broken(&format!("malformed HTTP response: {error}")),
        _ if error.is_incomplete_message() => broken("unexpected EOF"),
        _ => "EOF".into(),
    }
}
