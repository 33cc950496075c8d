//! HTTP responses: bodies, media types and headers; errors as `Status` objects.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::accept::{self, Encoding};
use crate::control::Status;
use crate::model::protobuf;

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

/// Returns the error response for `status` in the encoding that a client which accepts `accepted` prefers.
pub fn from_status_for(status: &Status, accepted: Option<&str>) -> Response {
    let mut response = from_status(status);
    if accept::negotiate_status(accepted) == Encoding::Protobuf {
        let mut body = Vec::new();
        if protobuf::encode_object("v1", "Status", &status_json(status), &mut body).is_ok() {
            let content_type = HeaderValue::from_static(Encoding::Protobuf.content_type());
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            *response.body_mut() = body.into();
        }
    }
    response
}

/// Serializes the `Status` object, followed by a newline.
pub fn status_json(status: &Status) -> Vec<u8> {
    // A Status has only strings and numbers, which always serialize.
    let mut text = serde_json::to_vec(status).unwrap_or_default();
    text.push(b'\n');
    text
}
