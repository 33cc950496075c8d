//! What HTTP adds to responses: their encodings, entity tags, compression and indentation.

use std::io::Read;

use axum::http::header;
use axum::response::Response;
use serde_json::json;

use super::compression::MIN_COMPRESSED_BYTES;
use super::indentation::indent;
use super::test_server::{TestServer, collect};

const JSON: &str = "application/json";
const CONFIG_MAPS: &str = "/api/v1/namespaces/pb/configmaps";

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
}

// ---------------------------------------------------------------- gzip

/// Creates a server with a ConfigMap of at least this many bytes.
async fn server_with_config_map(bytes: usize) -> TestServer {
    let server = TestServer::start();
    server.write("POST", "/api/v1/namespaces", JSON, json!({"metadata": {"name": "pb"}})).await;
    let map = json!({"metadata": {"name": "a"}, "data": {"x": "y".repeat(bytes)}});
    assert_eq!(server.write("POST", CONFIG_MAPS, JSON, map).await.0, 201);
    server
}

#[tokio::test(start_paused = true)]
async fn large_responses_are_compressed_on_request() {
    let server = server_with_config_map(MIN_COMPRESSED_BYTES as usize).await;
    let object = format!("{CONFIG_MAPS}/a");
    for (path, encodings, is_compressed) in [
        (object.as_str(), "gzip", true),
        (CONFIG_MAPS, "gzip, deflate, br", true),
        (CONFIG_MAPS, "identity", false),
        (CONFIG_MAPS, "gzip;q=0", false),
        ("/api/v1/namespaces/pb/configmaps?watch=1&timeoutSeconds=1", "gzip", false),
        ("/api/v1/namespaces/pb", "gzip", false),
    ] {
        let plain = server.respond("GET", path, &[("Accept", JSON)], String::new()).await;
        let (plain_headers, plain) = (plain.headers().clone(), collect(plain.into_body()).await);
        let headers = [("Accept", JSON), ("Accept-Encoding", encodings)];
        let response = server.respond("GET", path, &headers, String::new()).await;
        assert_eq!(header_of(&response, header::CONTENT_ENCODING) == "gzip", is_compressed, "{path} {encodings}");
        let response_headers = response.headers().clone();
        let body = collect(response.into_body()).await;
        if !is_compressed {
            assert_eq!((response_headers, &body), (plain_headers, &plain), "{path} {encodings}");
            continue;
        }
        assert_eq!(response_headers.get(header::VARY).map(|value| value.as_bytes()), Some(&b"accept-encoding"[..]));
        assert!(body.len() < plain.len() / 10, "{} of {} bytes", body.len(), plain.len());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text).expect("gzip");
        assert!(text == plain, "{path}");
    }
}

// ---------------------------------------------------------------- pretty

#[tokio::test(start_paused = true)]
async fn people_get_indented_json() {
    let server = server_with_config_map(100_000).await;
    let curl = "curl/8.5.0";
    for (path, agent, is_indented) in [
        ("/api/v1/namespaces/pb/configmaps/a", curl, true),
        ("/api/v1/namespaces/pb/configmaps", curl, true),
        ("/api/v1/namespaces/pb/configmaps?pretty=0", curl, false),
        ("/api/v1/namespaces/pb/configmaps?pretty=true", "kubectl", true),
        ("/api/v1/namespaces/pb/configmaps", "kubectl", false),
        ("/api/v1/namespaces/pb/configmaps?watch=1&timeoutSeconds=1", curl, false),
        ("/api/v1/namespaces/pb/configmaps/missing", curl, true),
        ("/apis/apps/v1", curl, true),
        ("/openapi/v2", curl, false),
    ] {
        let plain = server.respond("GET", path, &[("User-Agent", "test")], String::new()).await;
        let plain = collect(plain.into_body()).await;
        let response = server.respond("GET", path, &[("User-Agent", agent)], String::new()).await;
        assert_eq!(header_of(&response, header::CONTENT_TYPE), JSON, "{path}");
        let body = collect(response.into_body()).await;
        let want = if is_indented { indent(&plain) } else { plain };
        assert!(body == want, "{path} for {agent}");
    }
}
