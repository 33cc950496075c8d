//! Routes paths to handlers: health checks, discovery, OpenAPI and resources.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::Predicate;

use super::api::Api;
use super::auth::{self, Authorizer};
use super::compression::LargeBody;
use super::health::{self, HealthCheck};
use super::indentation::indent;
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
        ("/version", get(version)),
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
        .route("/", get(|| async { raw_json(&discovery::paths(&HEALTH)) }))
        .route("/openapi/v3", get(|| async { response::json(openapi::index()) }))
        .route("/openapi/v3/{*root}", get(openapi_document))
        .route("/openapi/v2", get(openapi_v2_document))
        .route("/debug/storage", get(storage_usage))
        .fallback(resource::respond)
        .method_not_allowed_fallback(|| async { response::from_status(&method_not_allowed()) })
        .with_state(api)
        .layer(middleware::from_fn_with_state(authorizer, finish_responses))
}

/// Compresses the responses of authorized requests for clients that accept it; a middleware.
async fn finish_responses(authorizer: State<Arc<Authorizer>>, request: Request, next: Next) -> Response {
    // Other responses are not wrapped, which would cost each a tenth of its time.
    if !request.headers().contains_key(header::ACCEPT_ENCODING) {
        let mut response = authorize(authorizer, request, next).await;
        if LargeBody.should_compress(&response) {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        return response;
    }
    let respond = move |request| {
        let (authorizer, next) = (authorizer.clone(), next.clone());
        async move { Ok::<_, Infallible>(authorize(authorizer, request, next).await) }
    };
    let Ok(response) = compression::layer().layer(service_fn(respond)).oneshot(request).await;
    response.map(Body::new)
}

/// Passes an authorized request on, and indents the response for people.
async fn authorize(authorizer: State<Arc<Authorizer>>, request: Request, next: Next) -> Response {
    let is_pretty = pretty::is_requested(&request);
    let response = auth::authorize(authorizer, request, next).await;
    if is_pretty { pretty::indent_body(response).await } else { response }
}

fn health_checks<'a>(api: &'a Api, endpoint: &str) -> &'a [HealthCheck] {
    if endpoint == "readyz" { &api.ready } else { &api.live }
}

/// Responds with what the store holds, for `wasmpod state inspect`.
async fn storage_usage(State(api): State<Arc<Api>>) -> Response {
    let usage = api.store.as_ref().and_then(|store| serde_json::to_vec(&store.usage()).ok());
    usage.map_or_else(|| response::from_status(&no_such_resource()), response::json)
}

/// Returns the `Accept` header.
fn accept_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT)?.to_str().ok()
}

/// Responds with the version, in indented JSON for every client that accepts JSON.
async fn version(headers: HeaderMap) -> Response {
    match accept::require_json(accept_header(&headers)) {
        Ok(()) => raw_json(&discovery::version()),
        Err(status) => response::from_status_for(&status, accept_header(&headers)),
    }
}

/// Returns the response with a document that is not negotiated, indented as Kubernetes' `WriteRawJSON` does.
fn raw_json(document: &Value) -> Response {
    response::json(indent(document.to_string().as_bytes()))
}

fn document_response(headers: &HeaderMap, document: Option<Value>) -> Response {
    let accepted = accept_header(headers);
    let Some(document) = document else { return response::from_status_for(&no_such_resource(), accepted) };
    let response = accept::negotiate_document(accepted).and_then(|encoding| encoded_document(encoding, &document));
    response.unwrap_or_else(|status| response::from_status_for(&status, accepted))
}

/// Encodes a discovery document. Those of the core group have no API version.
fn encoded_document(encoding: accept::Encoding, document: &Value) -> Result<Response, Status> {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    representation::encoded(encoding, document.to_string().into_bytes(), text("apiVersion"), text("kind"))
        .map(response::varying_by_accept)
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
    let response = match accept::negotiate_discovery(accept_header(headers)) {
        Ok(form @ accept::DiscoveryFormat::Unaggregated(encoding)) => encoded_document(encoding, &document(form)),
        Ok(form) => Ok(aggregated_response(headers, form, document(form).to_string())),
        Err(status) => Err(status),
    };
    response.unwrap_or_else(|status| response::from_status_for(&status, accept_header(headers)))
}

/// Responds with an aggregated document, or that the client has it already, as kube-apiserver's
/// `discovery/aggregated/etag.go` does.
fn aggregated_response(headers: &HeaderMap, form: accept::DiscoveryFormat, document: String) -> Response {
    let hash: String = Sha256::digest(&document).iter().map(|byte| format!("{byte:02X}")).collect();
    let tag = response::entity_tag(&hash);
    let mut response = match response::has_current(headers, tag.as_ref()) {
        true => response::not_modified(form.content_type()),
        false => response::ok(form.content_type(), document),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response::with_entity_tag(response, tag)
}

/// Responds with an OpenAPI document, which is served in JSON only. It never changes while the process runs.
async fn openapi_document(Path(root): Path<String>, headers: HeaderMap) -> Response {
    let Some(hash) = openapi::hash_of(&root) else { return response::from_status(&no_such_resource()) };
    if accept::negotiate_media_type(accept_header(&headers), &[response::JSON]).is_none() {
        return openapi_not_acceptable();
    }
    let tag = response::entity_tag(&hash);
    if response::has_current(&headers, tag.as_ref()) {
        return response::with_entity_tag(response::not_modified(response::JSON), tag);
    }
    let document = tokio::task::spawn_blocking(move || openapi::document(&root)).await;
    let Ok(Some(document)) = document else { return response::from_status(&no_such_resource()) };
    response::with_entity_tag(response::json(document), tag)
}

/// Responds with the OpenAPI v2 document, in protobuf for clients that prefer it.
async fn openapi_v2_document(headers: HeaderMap) -> Response {
    let types = [response::JSON, openapi_v2::PROTOBUF, openapi_v2::PROTOBUF_CONTENT_TYPE];
    let content_type = match accept::negotiate_media_type(accept_header(&headers), &types) {
        Some(response::JSON) => response::JSON,
        Some(_) => openapi_v2::PROTOBUF_CONTENT_TYPE,
        None => return openapi_not_acceptable(),
    };
    let tag = response::entity_tag(&openapi::hash_of_v2(content_type));
    if response::has_current(&headers, tag.as_ref()) {
        return response::with_entity_tag(response::not_modified(content_type), tag);
    }
    let render = move || match content_type {
        response::JSON => Ok(openapi_v2::json()),
        _ => openapi_v2::protobuf().map_err(Status::internal),
    };
    let rendered = tokio::task::spawn_blocking(render).await.map_err(Status::internal).flatten();
    let rendered = rendered.map(|body| response::with_entity_tag(response::ok(content_type, body), tag));
    rendered.unwrap_or_else(|status| response::from_status(&status))
}

/// Returns the response 406 without a body, as kube-openapi answers.
fn openapi_not_acceptable() -> Response {
    response::varying_by_accept(response::with_status_code(StatusCode::NOT_ACCEPTABLE, response::JSON, ()))
}
