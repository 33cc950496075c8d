//! HTTP responses: bodies, media types and headers; errors as `Status` objects.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::accept::{self, Encoding};
use super::indentation::indent;
use crate::control::Status;
use crate::model::{emit, protobuf};

/// `Content-Type` of JSON.
pub const JSON: &str = "application/json";
/// `Content-Type` of text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Returns a 200 response with a body of type `content_type`.
pub fn ok(content_type: &'static str, body: impl Into<Body>) -> Response {
    with_status_code(StatusCode::OK, content_type, body)
}

/// Returns a 200 response with JSON.
pub fn json(bytes: impl Into<Bytes>) -> Response {
    ok(JSON, bytes.into())
}

/// Returns a response with a status code and a body of type `content_type`.
pub fn with_status_code(code: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the error response for `status`, with a `Retry-After` header if it has one.
pub fn from_status(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.reason.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_status_code(code, JSON, status_json(status));
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Returns the error response for `status` in the encoding that a client which accepts `accepted` prefers. A client that
/// accepts no encoding of a `Status` gets indented JSON (Kubernetes' `WriteRawJSON`).
pub fn from_status_for(status: &Status, accepted: Option<&str>) -> Response {
    let mut response = from_status(status);
    let encoding = accept::negotiate_status(accepted);
    let body = match encoding {
        Some(Encoding::Json) => return response,
        Some(Encoding::Protobuf) => {
            let mut body = Vec::new();
            let encoded = protobuf::encode_object("v1", "Status", &status_json(status), &mut body);
            encoded.is_ok().then_some(body)
        }
        Some(Encoding::Yaml) => serde_json::to_value(status).ok().map(|status| emit::to_yaml(&status).into()),
        None => Some(indent(&status_json(status))),
    };
    if let Some(body) = body {
        let content_type = HeaderValue::from_static(encoding.unwrap_or(Encoding::Json).content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        *response.body_mut() = body.into();
    }
    response
}

/// Returns the entity tag of a representation with this hash, in the quotes that HTTP requires.
pub fn entity_tag(hash: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{hash}\"")).ok()
}

/// Returns whether the client has the representation `tag` already: `If-None-Match` lists it.
pub fn has_current(headers: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let Some(tag) = tag.and_then(|tag| tag.to_str().ok()) else { return false };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    let mut known = known.flat_map(|known| known.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Returns the response 304 without a body.
pub fn not_modified(content_type: &'static str) -> Response {
    with_status_code(StatusCode::NOT_MODIFIED, content_type, ())
}

/// Adds the entity tag, and that the response depends on the request's `Accept`.
pub fn with_entity_tag(mut response: Response, tag: Option<HeaderValue>) -> Response {
    response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    varying_by_accept(response)
}

/// Adds that the response depends on the request's `Accept`.
pub fn varying_by_accept(mut response: Response) -> Response {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// Serializes the `Status` object, followed by a newline.
pub fn status_json(status: &Status) -> Vec<u8> {
    // A Status has only strings and numbers, which always serialize.
    let mut text = serde_json::to_vec(status).unwrap_or_default();
    text.push(b'\n');
    text
}
