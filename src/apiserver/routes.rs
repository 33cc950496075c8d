//! Which function answers which path.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;

use super::auth::{self, Authorizer};
use super::health::{self, Check};
use super::request::{Params, Target};
use super::{accept, answer, body, discovery, openapi, reads, representation, served, writes};
use crate::clock::Clock;
use crate::control::{ControlPlane, Reason, Status, Warnings};
use crate::node::Handle;

/// What the API is served from.
pub struct Api {
    /// The objects.
    pub control: Arc<dyn ControlPlane>,
    /// The nodes of this process, by name.
    pub nodes: HashMap<String, Handle>,
    /// What ages and log options are reckoned by.
    pub clock: Clock,
    /// What must hold for `/livez`.
    pub live: Vec<Check>,
    /// What must hold for `/readyz`.
    pub ready: Vec<Check>,
}

/// Paths beside those of the API's versions, for `/`.
const HEALTH: [&str; 6] = ["/healthz", "/healthz/ping", "/livez", "/livez/ping", "/readyz", "/readyz/ping"];

/// Answers all requests that `authorizer` lets in.
pub fn router(api: Arc<Api>, authorizer: Arc<Authorizer>) -> Router {
    let mut router = Router::new();
    for endpoint in ["livez", "readyz", "healthz"] {
        let all = move |State(api): State<Arc<Api>>, request: Request| async move {
            let verbose = Params::of(request.uri().query()).flag("verbose");
            health::answer(endpoint, checks(&api, endpoint), None, verbose)
        };
        let one = move |State(api): State<Arc<Api>>, Path(name): Path<String>| async move {
            health::answer(endpoint, checks(&api, endpoint), Some(&name), false)
        };
        router = router.route(&format!("/{endpoint}"), get(all)).route(&format!("/{endpoint}/{{check}}"), get(one));
    }
    let discovered = [
        ("/version", get(|headers: HeaderMap| async move { document(&headers, Some(discovery::version())) })),
        ("/api", get(core_versions)),
        ("/apis", get(groups)),
        (
            "/apis/{group}",
            get(
                |Path(name): Path<String>, headers: HeaderMap| async move { document(&headers, discovery::group(&name)) },
            ),
        ),
        (
            "/api/{version}",
            get(|Path(version): Path<String>, headers: HeaderMap| async move {
                document(&headers, discovery::resources("", &version))
            }),
        ),
        (
            "/apis/{group}/{version}",
            get(|Path((group, version)): Path<(String, String)>, headers: HeaderMap| async move {
                document(&headers, discovery::resources(&group, &version))
            }),
        ),
    ];
    for (path, told) in discovered {
        router = router.route(path, told.clone()).route(&format!("{path}/"), told);
    }
    router
        .route("/", get(|headers: HeaderMap| async move { document(&headers, Some(discovery::paths(&HEALTH))) }))
        .route("/openapi/v3", get(|| async { answer::json(openapi::index()) }))
        .route("/openapi/v3/{*root}", get(openapi_document))
        .fallback(resource)
        .method_not_allowed_fallback(|| async { answer::refusal(&not_allowed()) })
        .with_state(api)
        .layer(middleware::from_fn_with_state(authorizer, auth::check))
}

fn checks<'a>(api: &'a Api, endpoint: &str) -> &'a [Check] {
    if endpoint == "readyz" { &api.ready } else { &api.live }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// What the client accepts.
fn accepted(headers: &HeaderMap) -> Option<&str> {
    header_text(headers, &header::ACCEPT)
}

fn document(headers: &HeaderMap, document: Option<Value>) -> Response {
    let Some(document) = document else { return answer::refusal(&no_such_resource()) };
    let encoding = accept::plain(accepted(headers));
    representation::encoded(encoding, document.to_string().into_bytes()).unwrap_or_else(|s| answer::refusal(&s))
}

async fn core_versions(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    discovered(&headers, |form| discovery::api(form, host))
}

async fn groups(headers: HeaderMap) -> Response {
    discovered(&headers, discovery::apis)
}

fn discovered(headers: &HeaderMap, tell: impl Fn(accept::Discovery) -> Value) -> Response {
    match accept::discovery(accepted(headers)) {
        Ok(form @ accept::Discovery::Plain(_)) => document(headers, Some(tell(form))),
        Ok(form) => answer::body(form.content_type(), tell(form).to_string()),
        Err(status) => answer::refusal(&status),
    }
}

/// A document never changes while this process lives: its hash is its name.
async fn openapi_document(Path(root): Path<String>, headers: HeaderMap) -> Response {
    let Some(document) = openapi::document(&root) else { return answer::refusal(&no_such_resource()) };
    let tag = format!("\"{}\"", document.hash);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return answer::with_code(StatusCode::NOT_MODIFIED, answer::JSON, ());
    }
    let mut response = answer::json(document.json.clone());
    response.headers_mut().extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

fn no_such_resource() -> Status {
    Status::with_empty_details(Reason::NotFound, "the server could not find the requested resource")
}

fn not_allowed() -> Status {
    Status::with_empty_details(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
}

/// Everything below the API's versions.
async fn resource(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let warnings = Warnings::default();
    // Read to its end, whatever the answer: a client that is answered while it still sends may miss the answer.
    let answered = match body::collect(body).await {
        Ok(body) => answer_resource(&api, &parts, body, &warnings).await,
        Err(status) => Err(status),
    };
    writes::warned(answered.unwrap_or_else(|status| answer::refusal(&status)), warnings.take())
}

async fn answer_resource(api: &Api, request: &Parts, body: Bytes, warnings: &Warnings) -> Result<Response, Status> {
    let target = Target::of(request.uri.path()).ok_or_else(no_such_resource)?;
    let served = served::find(&target.group, &target.version, &target.resource).ok_or_else(no_such_resource)?;
    // What lies in a namespace has no path outside of one.
    let misplaced = served.namespaced && target.namespace.is_none() && target.name.is_some();
    if misplaced || (target.namespace.is_some() && !served.namespaced) {
        return Err(no_such_resource());
    }
    let below = match &target.subresource {
        Some(name) => Some(served.subresource(name).ok_or_else(no_such_resource)?),
        None => None,
    };
    let params = Params::of(request.uri.query());
    let ask = reads::ResourceRequest {
        api,
        served,
        namespace: target.namespace.as_deref(),
        params,
        accept: header_text(&request.headers, &header::ACCEPT),
    };
    let verb = verb(&request.method, target.name.is_some(), below.is_some(), ask.params.flag("watch"));
    let verb = verb.filter(|verb| below.map_or(served.verbs, |below| below.verbs).contains(verb));
    let verb = verb.ok_or_else(not_allowed)?;
    if let "get" | "list" | "watch" = verb {
        return match (&target.name, below.map(|below| below.name)) {
            (Some(name), Some("log")) => ask.log(name).await,
            (Some(name), _) => ask.one(name).await,
            (None, _) if verb == "watch" => ask.watch().await,
            (None, _) => ask.list().await,
        };
    }
    // Objects of all namespaces can be read at once, not written.
    if served.namespaced && target.namespace.is_none() {
        return Err(not_allowed());
    }
    let media = header_text(&request.headers, &header::CONTENT_TYPE);
    let change = writes::WriteRequest { ask, media, body, warnings: warnings.clone() };
    let name = target.name.as_deref().unwrap_or_default();
    let below = below.map(|below| below.name);
    match (verb, below, writes::part(below)) {
        ("create", None, _) => change.create().await,
        ("create", Some("binding"), _) => change.bind(name).await,
        ("create", Some("eviction"), _) => change.evict(name).await,
        ("update", _, Some(part)) => change.replace(name, part).await,
        ("patch", _, Some(part)) => change.patch(name, part).await,
        ("delete", None, _) => change.delete(name).await,
        ("deletecollection", None, _) => change.delete_all().await,
        _ => Err(not_allowed()),
    }
}

/// What Kubernetes calls it to send a request with this method to an object or a collection of them.
fn verb(method: &Method, is_object: bool, is_below: bool, watch: bool) -> Option<&'static str> {
    match (method.as_str(), is_object) {
        ("GET", true) => Some("get"),
        ("GET", false) if watch => Some("watch"),
        ("GET", false) => Some("list"),
        ("POST", of_object) if of_object == is_below => Some("create"),
        ("PUT", true) => Some("update"),
        ("PATCH", true) => Some("patch"),
        ("DELETE", true) => Some("delete"),
        ("DELETE", false) => Some("deletecollection"),
        _ => None,
    }
}
