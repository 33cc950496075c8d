//! `pods/NAME/proxy`: passes a request on to an HTTP server in a pod, and its response back.
//!
//! The page of a pod must not act as the API's own: responses carry a `Content-Security-Policy` that gives it an origin
//! of its own, and the client's token is not passed on.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio_util::task::AbortOnDropHandle;

use super::reads::ResourceRequest;
use super::response;
use super::server::Transport;
use crate::control::{Reason, Resource, Status};
use crate::network::ConnectionStream;

/// Marks the response of a pod, in its extensions: it reaches the client as the pod sent it.
#[derive(Clone, Copy)]
pub struct ProxiedResponse;

/// Headers of one connection, which are not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The pod and port that a proxy request names: `NAME`, `NAME:PORT` or `http:NAME:PORT`.
#[derive(Debug, PartialEq, Eq)]
struct ProxyTarget<'r> {
    pod: &'r str,
    port: Option<&'r str>,
}

impl<'r> ProxyTarget<'r> {
    fn parse(id: &'r str) -> Result<ProxyTarget<'r>, Status> {
        let parts: Vec<&str> = id.split(':').collect();
        match parts.as_slice() {
            [pod] => Ok(ProxyTarget { pod, port: None }),
            [pod, port] | ["http" | "", pod, port] => {
                Ok(ProxyTarget { pod, port: Some(*port).filter(|port| !port.is_empty()) })
            }
            _ => Err(Status::new(Reason::BadRequest, format!("invalid pod request {id:?}"))),
        }
    }

    /// Returns the number of the port: the one named, or the first that the pod declares.
    fn port_number(&self, pod: &Pod) -> Result<u16, Status> {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
        let number = match self.port {
            Some(port) => match port.parse() {
                Ok(number) => Some(number),
                Err(_) => ports.find(|declared| declared.name.as_deref() == Some(port)).map(|port| port.container_port),
            },
            None => Some(ports.next().map_or(80, |port| port.container_port)),
        };
        let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
        number.ok_or_else(|| Status::new(Reason::BadRequest, format!("pod {} has no port {:?}", self.pod, self.port)))
    }
}

impl ResourceRequest<'_> {
    /// Passes a request on to pod `id`; `path` is what follows `proxy` in the URL.
    pub async fn proxy(&self, id: &str, path: &str, parts: &Parts, body: Bytes) -> Result<Response, Status> {
        if path.is_empty() && parts.method == Method::GET {
            return Ok(redirect_to_directory(&parts.uri));
        }
        let named = ProxyTarget::parse(id)?;
        if self.served.resource() != Resource::PODS {
            // Services have no endpoints yet.
            self.api.control.get(&self.key(named.pod)).await?;
            let message = format!("no endpoints available for service {id:?}");
            return Err(Status::new(Reason::ServiceUnavailable, message));
        }
        let target = self.stream_target(self.stored_pod(named.pod).await?)?;
        let port = named.port_number(&target.pod)?;
        let unavailable = |error: &dyn std::fmt::Display| {
            Status::new(Reason::ServiceUnavailable, format!("error trying to reach service: {error}"))
        };
        let network = target.network().ok_or_else(|| unavailable(&"the pod is not running"))?;
        let address = SocketAddr::new(network.ip(), port);
        let connection = network.dial(address).await;
        let connection = connection.map_err(|error| unavailable(&format!("dial tcp {address}: connect: {error}")))?;
        let stream = TokioIo::new(ConnectionStream::from(connection));
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| unavailable(&error))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // The error reaches the request as well.
            let _ = connection.await;
        }));
        let request = forwarded_request(address, path, parts, body).map_err(|error| unavailable(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| unavailable(&error))?;
        Ok(proxied_response(answer, connection))
    }
}

/// Redirects to the same URL with a slash at its end, relative to which a page's links work.
fn redirect_to_directory(uri: &Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut redirect = response::with_status_code(StatusCode::MOVED_PERMANENTLY, response::TEXT, ());
    let location = HeaderValue::from_str(&format!("{}/{query}", uri.path()));
    redirect.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    redirect
}

fn forwarded_request(
    address: SocketAddr,
    path: &str,
    parts: &Parts,
    body: Bytes,
) -> Result<Request<Body>, axum::http::Error> {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::builder().method(&parts.method).uri(format!("{path}{query}")).body(Body::from(body))?;
    let headers = request.headers_mut();
    *headers = parts.headers.clone();
    remove_hop_by_hop(headers);
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    // The body may have been sent in chunks; its length is known now.
    headers.remove(header::CONTENT_LENGTH);
    if let Some(host) = headers.remove(header::HOST) {
        headers.insert("x-forwarded-host", host);
    }
    let scheme = match parts.extensions.get::<Transport>() {
        Some(Transport::Plain | Transport::PrivateSocket) => "http",
        Some(Transport::Tls) | None => "https",
    };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    headers.insert(header::HOST, HeaderValue::from_str(&address.to_string())?);
    Ok(request)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    HOP_BY_HOP.iter().for_each(|name| _ = headers.remove(name));
}

fn proxied_response(answer: Response<Incoming>, connection: AbortOnDropHandle<()>) -> Response {
    let (mut parts, incoming) = answer.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    parts.extensions.insert(ProxiedResponse);
    Response::from_parts(parts, Body::new(ProxiedBody { incoming, _connection: connection }))
}

/// The body of a pod's response; dropping it closes the connection.
struct ProxiedBody {
    incoming: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl http_body::Body for ProxiedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_names_pod_and_port() {
        for (id, pod, port) in [
            ("web", "web", None),
            ("web:8080", "web", Some("8080")),
            ("web:http", "web", Some("http")),
            ("http:web:8080", "web", Some("8080")),
            ("http:web:", "web", None),
        ] {
            assert_eq!(ProxyTarget::parse(id), Ok(ProxyTarget { pod, port }), "{id}");
        }
        assert!(ProxyTarget::parse("https:web:1").is_err() && ProxyTarget::parse("a:b:c:d").is_err());
    }

    #[test]
    fn port_defaults_to_the_first_declared_one() {
        let pod: Pod = serde_yaml::from_str(
            "{spec: {containers: [{name: a}, {name: b, ports: [{name: x, containerPort: 8081}, {containerPort: 82}]}]}}",
        )
        .expect("a pod");
        let number = |port| ProxyTarget { pod: "p", port }.port_number(&pod).ok();
        assert_eq!((number(None), number(Some("x")), number(Some("9"))), (Some(8081), Some(8081), Some(9)));
        assert_eq!((number(Some("y")), number(Some("0")), number(Some("70000"))), (None, None, None));
        assert_eq!(ProxyTarget { pod: "p", port: None }.port_number(&Pod::default()).ok(), Some(80));
    }
}
