//! The router of the API server without a connection, for tests.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::auth::Authorizer;
use super::server::Transport;
use super::{Api, router};
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::registry::Registry;
use crate::store::ObjectStore;

const JSON: &str = "application/json";

/// A router with an empty store.
pub struct TestServer {
    router: Router,
    /// The control plane behind the router.
    pub control: Arc<dyn ControlPlane>,
}

impl TestServer {
    /// Creates the router.
    pub fn start() -> TestServer {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(100), clock));
        let nodes = HashMap::new();
        let api = Api { control: control.clone(), nodes, clock, live: Vec::new(), ready: Vec::new(), store: None };
        let authorizer = Authorizer { credentials: None, names: Vec::new() };
        TestServer { router: router(Arc::new(api), Arc::new(authorizer)), control }
    }

    /// Sends a request with these headers.
    pub async fn respond(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Response {
        let request = Request::builder().method(method).uri(path).extension(Transport::PrivateSocket);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::from(body)).expect("a request");
        self.router.clone().oneshot(request).await.expect("a response")
    }

    /// Sends a body of one media type and accepts another.
    pub async fn send(&self, method: &str, path: &str, media: [&str; 2], body: String) -> (u16, Body) {
        let [sent, accepted] = media;
        let response = self.respond(method, path, &[("Content-Type", sent), ("Accept", accepted)], body).await;
        (response.status().as_u16(), response.into_body())
    }

    /// Returns the body of a successful read.
    pub async fn bytes(&self, path: &str, accepted: &str) -> Vec<u8> {
        let (code, body) = self.send("GET", path, [JSON, accepted], String::new()).await;
        assert_eq!(code, 200, "{path}");
        collect(body).await
    }

    /// Returns the JSON of a successful read.
    pub async fn get(&self, path: &str, accepted: &str) -> Value {
        serde_json::from_slice(&self.bytes(path, accepted).await).expect("JSON")
    }

    /// Sends JSON and returns the code and the JSON of the response.
    pub async fn write(&self, method: &str, path: &str, media: &str, body: Value) -> (u16, Value) {
        let (code, answer) = self.send(method, path, [media, JSON], body.to_string()).await;
        (code, serde_json::from_slice(&collect(answer).await).expect("JSON"))
    }
}

/// Reads a body to its end.
pub async fn collect(body: Body) -> Vec<u8> {
    body.collect().await.expect("a body").to_bytes().to_vec()
}
