//! Dispatches a request for a resource to its verb.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::Response;
use bytes::Bytes;

use super::api::Api;
use super::reads::ResourceRequest;
use super::request::{Params, Target};
use super::served;
use super::writes::{self, WriteRequest};
use super::{body, response, unserved};
use crate::control::{Reason, Status, Warnings};
use crate::registry::strategy::SubresourceInfo;

/// Returns the error 404 for an unknown path.
pub fn no_such_resource() -> Status {
    Status::with_empty_details(Reason::NotFound, "the server could not find the requested resource")
}

/// Returns the error 404 for a part of Kubernetes' API that this server does not serve: `what` and its verb.
pub fn not_served(what: &str) -> Status {
    Status::with_empty_details(Reason::NotFound, format!("{what} not served yet"))
}

/// Returns the error 405.
pub fn method_not_allowed() -> Status {
    Status::with_empty_details(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
}

/// Handles every path below a group and version.
pub async fn respond(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let warnings = Warnings::default();
    // The body is read to its end in any case: a client may miss a response that arrives while it is still sending.
    let result = match body::collect(body).await {
        Ok(body) => dispatch(&api, &mut parts, body, &warnings).await,
        Err(status) => Err(status),
    };
    let accepted = header_text(&parts.headers, &header::ACCEPT);
    writes::with_warnings(result.unwrap_or_else(|status| response::from_status_for(&status, accepted)), warnings.take())
}

async fn dispatch(api: &Api, request: &mut Parts, body: Bytes, warnings: &Warnings) -> Result<Response, Status> {
    let target = Target::parse(request.uri.path()).ok_or_else(no_such_resource)?;
    let served = served::find(&target.group, &target.version, &target.resource);
    let served = served.ok_or_else(|| match unserved::resource(&target) {
        Some(name) => not_served(&format!("{name} are")),
        None => no_such_resource(),
    })?;
    // An object of a namespaced resource has no path outside its namespace.
    let lacks_namespace = served.is_namespaced() && target.namespace.is_none() && target.name.is_some();
    if lacks_namespace || (target.namespace.is_some() && !served.is_namespaced()) {
        return Err(no_such_resource());
    }
    let subresource = match &target.subresource {
        Some(name) => Some(served.subresource(name).ok_or_else(no_such_resource)?),
        None => None,
    };
    let headers = request.headers.clone();
    let resource = ResourceRequest {
        api,
        served,
        namespace: target.namespace.as_deref(),
        params: Params::parse(request.uri.query()),
        accept: header_text(&headers, &header::ACCEPT),
    };
    if let (Some(name), true) = (&target.name, subresource.is_some_and(SubresourceInfo::is_proxy)) {
        return resource.proxy(name, &target.remainder, request, body).await;
    }
    let is_watch = resource.params.flag("watch");
    let verb = verb(&request.method, target.name.is_some(), subresource.is_some(), is_watch);
    let verb =
        verb.filter(|verb| subresource.map_or(served.info().verbs, |subresource| subresource.verbs).contains(verb));
    let verb = verb.ok_or_else(method_not_allowed)?;
    if let (Some(name), Some(subresource)) = (&target.name, subresource.filter(|subresource| subresource.is_stream())) {
        return resource.connect(name, subresource.name, request).await;
    }
    if let "get" | "list" | "watch" = verb {
        return read(&resource, verb, target.name.as_deref(), subresource).await;
    }
    // A collection across all namespaces is read-only.
    if served.is_namespaced() && target.namespace.is_none() {
        return Err(method_not_allowed());
    }
    let media = header_text(&headers, &header::CONTENT_TYPE);
    let request = WriteRequest { resource, media, body, warnings: warnings.clone() };
    write(&request, verb, target.name.as_deref().unwrap_or_default(), subresource).await
}

async fn read(
    resource: &ResourceRequest<'_>,
    verb: &str,
    name: Option<&str>,
    subresource: Option<&SubresourceInfo>,
) -> Result<Response, Status> {
    match (name, subresource.map(|subresource| subresource.name)) {
        (Some(name), Some("log")) => resource.log(name).await,
        (Some(name), Some("scale")) => resource.scale(name).await,
        (Some(name), _) => resource.get(name).await,
        (None, _) if verb == "watch" => resource.watch().await,
        (None, _) => resource.list().await,
    }
}

async fn write(
    request: &WriteRequest<'_>,
    verb: &str,
    name: &str,
    subresource: Option<&SubresourceInfo>,
) -> Result<Response, Status> {
    let subresource = subresource.map(|subresource| subresource.name);
    match (verb, subresource, writes::writable_subresource(subresource)) {
        ("create", None, _) => request.create().await,
        ("create", Some("binding"), _) => request.bind(name).await,
        ("create", Some("eviction"), _) => request.evict(name).await,
        ("update", _, Some(subresource)) => request.replace(name, subresource).await,
        ("patch", _, Some(subresource)) => request.patch(name, subresource).await,
        ("delete", None, _) => request.delete(name).await,
        ("deletecollection", None, _) => request.delete_collection().await,
        _ => Err(method_not_allowed()),
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Returns Kubernetes' verb for a method on an object or a collection.
fn verb(method: &Method, is_object: bool, is_subresource: bool, is_watch: bool) -> Option<&'static str> {
    match (method.as_str(), is_object) {
        ("GET", true) => Some("get"),
        ("GET", false) if is_watch => Some("watch"),
        ("GET", false) => Some("list"),
        // Objects are created in collections, and subresources below objects.
        ("POST", is_object) if is_object == is_subresource => Some("create"),
        ("PUT", true) => Some("update"),
        ("PATCH", true) => Some("patch"),
        ("DELETE", true) => Some("delete"),
        ("DELETE", false) => Some("deletecollection"),
        _ => None,
    }
}
