//! Routes paths to handlers: health checks, discovery, OpenAPI and resources.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::api::Api;
use super::auth::{self, Authorizer};
use super::health::{self, HealthCheck};
use super::request::Params;
use super::resource::{self, method_not_allowed, no_such_resource, not_served};
use super::{accept, compression, discovery, openapi, openapi_v2, pretty, representation, response, unserved};
use crate::control::Status;

/// Health check paths that `/` lists.
const HEALTH: [&str; 6] = ["/healthz", "/healthz/ping", "/livez", "/livez/ping", "/readyz", "/readyz/ping"];

/// Returns the router of all requests that `authorizer` allows.
pub fn router(api: Arc<Api>, authorizer: Arc<Authorizer>) -> Router {
    let mut router = Router::new();
    for endpoint in ["livez", "readyz", "healthz"] {
        let all = move |State(api): State<Arc<Api>>, request: Request| async move {
            let verbose = Params::parse(request.uri().query()).flag("verbose");
            health::respond(endpoint, health_checks(&api, endpoint), None, verbose)
        };
        let one = move |State(api): State<Arc<Api>>, Path(name): Path<String>| async move {
            health::respond(endpoint, health_checks(&api, endpoint), Some(&name), false)
        };
        router = router.route(&format!("/{endpoint}"), get(all)).route(&format!("/{endpoint}/{{check}}"), get(one));
    }
    let discovery = [
        ("/version", get(|headers: HeaderMap| async move { document_response(&headers, Some(discovery::version())) })),
        ("/api", get(core_versions)),
        ("/apis", get(api_groups)),
        (
            "/apis/{group}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move {
                group_response(&headers, &name, None, discovery::group(&name))
            }),
        ),
        (
            "/api/{version}",
            get(|Path(version): Path<String>, headers: HeaderMap| async move {
                document_response(&headers, discovery::resources("", &version))
            }),
        ),
        (
            "/apis/{group}/{version}",
            get(|Path((group, version)): Path<(String, String)>, headers: HeaderMap| async move {
                group_response(&headers, &group, Some(&version), discovery::resources(&group, &version))
            }),
        ),
    ];
    for (path, handler) in discovery {
        router = router.route(path, handler.clone()).route(&format!("{path}/"), handler);
    }
    router
        .route(
            "/",
            get(|headers: HeaderMap| async move { document_response(&headers, Some(discovery::paths(&HEALTH))) }),
        )
        .route("/openapi/v3", get(|| async { response::json(openapi::index()) }))
        .route("/openapi/v3/{*root}", get(openapi_document))
        .route("/openapi/v2", get(openapi_v2_document))
        .fallback(resource::respond)
        .method_not_allowed_fallback(|| async { response::from_status(&method_not_allowed()) })
        .with_state(api)
        .layer(middleware::from_fn_with_state(authorizer, authorize))
        .layer(compression::layer())
}

/// Passes an authorized request on, and indents the response for people; a middleware.
async fn authorize(authorizer: State<Arc<Authorizer>>, request: Request, next: Next) -> Response {
    let is_pretty = pretty::is_requested(&request);
    let response = auth::authorize(authorizer, request, next).await;
    if is_pretty { pretty::indent_body(response).await } else { response }
}

fn health_checks<'a>(api: &'a Api, endpoint: &str) -> &'a [HealthCheck] {
    if endpoint == "readyz" { &api.ready } else { &api.live }
}

/// Returns the `Accept` header.
fn accept_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT)?.to_str().ok()
}

fn document_response(headers: &HeaderMap, document: Option<Value>) -> Response {
    let Some(document) = document else { return response::from_status(&no_such_resource()) };
    let encoding = accept::negotiate_encoding(accept_header(headers));
    representation::encoded(encoding, document.to_string().into_bytes(), "", "")
        .unwrap_or_else(|s| response::from_status(&s))
}

/// Responds with the document of an API group, or says that the group is not served yet.
fn group_response(headers: &HeaderMap, group: &str, version: Option<&str>, document: Option<Value>) -> Response {
    match (document, version) {
        (None, None) if unserved::is_group(group, None) => {
            response::from_status(&not_served(&format!("the API group {group} is")))
        }
        (None, Some(version)) if unserved::is_group(group, Some(version)) => {
            response::from_status(&not_served(&format!("{group}/{version} is")))
        }
        (document, _) => document_response(headers, document),
    }
}

async fn core_versions(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    discovery_response(&headers, |form| discovery::api(form, host))
}

async fn api_groups(headers: HeaderMap) -> Response {
    discovery_response(&headers, discovery::apis)
}

fn discovery_response(headers: &HeaderMap, document: impl Fn(accept::DiscoveryFormat) -> Value) -> Response {
    match accept::negotiate_discovery(accept_header(headers)) {
        Ok(form @ accept::DiscoveryFormat::Unaggregated(_)) => document_response(headers, Some(document(form))),
        Ok(form) => response::ok(form.content_type(), document(form).to_string()),
        Err(status) => response::from_status(&status),
    }
}

/// Responds with an OpenAPI document. It never changes while the process runs.
async fn openapi_document(Path(root): Path<String>, headers: HeaderMap) -> Response {
    let Some(hash) = openapi::hash_of(&root) else { return response::from_status(&no_such_resource()) };
    let tag = format!("\"{hash}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return response::with_status_code(StatusCode::NOT_MODIFIED, response::JSON, ());
    }
    let document = tokio::task::spawn_blocking(move || openapi::document(&root)).await;
    let Ok(Some(document)) = document else { return response::from_status(&no_such_resource()) };
    let mut response = response::json(document);
    response.headers_mut().extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

/// Responds with the OpenAPI v2 document, in protobuf for clients that accept it.
async fn openapi_v2_document(headers: HeaderMap) -> Response {
    let wants_protobuf = accept_header(&headers).is_some_and(|accepted| accepted.contains(openapi_v2::PROTOBUF));
    let render = move || match wants_protobuf {
        true => openapi_v2::protobuf()
            .map(|body| response::ok(openapi_v2::PROTOBUF_CONTENT_TYPE, body))
            .map_err(Status::internal),
        false => Ok(response::json(openapi_v2::json())),
    };
    let rendered = tokio::task::spawn_blocking(render).await.map_err(Status::internal).flatten();
    rendered.unwrap_or_else(|status| response::from_status(&status))
}
