//! Indented JSON for people, who read responses in a terminal or a browser.
//!
//! The query parameter `pretty` decides; without it, the `User-Agent` does, as in Kubernetes (`isPrettyPrint`).

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body::Body as _;

use super::indentation::indent;
use super::proxy::ProxiedResponse;
use super::request::Params;
use super::response;
use crate::control::Status;

/// Beginnings of the `User-Agent` of programs that show responses to people.
const USER_AGENTS: [&[u8]; 3] = [b"curl", b"Wget", b"Mozilla/5.0"];
/// Minimum size of a body that is indented on the blocking thread pool.
const MIN_BLOCKING_BYTES: u64 = 64 * 1024;

/// Returns whether the client of `request` gets indented JSON. OpenAPI documents are never indented.
pub fn is_requested(request: &Request) -> bool {
    if request.uri().path().starts_with("/openapi/") {
        return false;
    }
    // Most queries do not need to be parsed.
    if let Some(query) = request.uri().query().filter(|query| query.contains("pretty"))
        && let Some(value) = Params::parse(Some(query)).get("pretty")
    {
        // The values that Go's `strconv.ParseBool` reads as true.
        return matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE");
    }
    let agent = request.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    USER_AGENTS.iter().any(|start| agent.starts_with(start))
}

/// Indents the body of `response` if it is a JSON document; watches and other streams, whose size is not known, stay.
pub async fn indent_body(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_json = content_type.split(|byte| *byte == b';').next() == Some(response::JSON.as_bytes());
    let size = response.body().size_hint().exact().filter(|size| *size > 0);
    let Some(size) = size.filter(|_| is_json && response.extensions().get::<ProxiedResponse>().is_none()) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    match indented_body(body, size).await {
        Ok(body) => Response::from_parts(parts, body),
        Err(status) => response::from_status(&status),
    }
}

async fn indented_body(body: Body, size: u64) -> Result<Body, Status> {
    let text = axum::body::to_bytes(body, usize::MAX).await.map_err(Status::internal)?;
    let indented = match size < MIN_BLOCKING_BYTES {
        true => indent(&text),
        false => tokio::task::spawn_blocking(move || indent(&text)).await.map_err(Status::internal)?,
    };
    Ok(indented.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_or_user_agent_requests_indentation() {
        for (uri, agent, want) in [
            ("/api", "curl/8.5.0", true),
            ("/api", "Wget/1.21", true),
            ("/api", "Mozilla/5.0 (X11)", true),
            ("/api", "kubectl/v1.36.0", false),
            ("/api", "", false),
            ("/api?pretty=true", "", true),
            ("/api?x=y&pretty=1", "kubectl", true),
            ("/api?pretty=0", "curl/8.5.0", false),
            ("/api?pretty=false", "curl/8.5.0", false),
            ("/api?pretty=maybe", "curl/8.5.0", false),
            ("/api?pretty=", "curl/8.5.0", true),
            ("/api?name=pretty", "kubectl", false),
            ("/openapi/v2", "curl/8.5.0", false),
        ] {
            let request = Request::builder().uri(uri).header("User-Agent", agent).body(Body::empty());
            assert_eq!(is_requested(&request.expect("a request")), want, "{uri} {agent}");
        }
    }
}
