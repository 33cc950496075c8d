//! Read requests: get, list, watch and log.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;

use super::accept::{self, ObjectForm, ResponseKind};
use super::api::Api;
use super::logs::LogOptions;
use super::options::{self, ContinueToken, Freshness, ListOptions, WatchOptions, revision_too_large};
use super::representation::{self, Representation};
use super::request::Params;
use super::served::ServedResource;
use super::tables::{self, IncludeObject, TableOptions};
use super::unread_watches::WatchResponse;
use super::watch;
use crate::control::{Key, List, Object, Reason, Revision, Scope, Status};
use crate::model::pods;
use crate::model::selector::{FieldSelector, Selector};

/// Maximum time to wait for a future revision.
const MAX_REVISION_WAIT: Duration = Duration::from_secs(3);

/// A request for a resource: an object or a collection.
pub struct ResourceRequest<'r> {
    /// The API.
    pub api: &'r Api,
    /// The requested resource.
    pub served: ServedResource,
    /// Namespace; `None` for all namespaces and for cluster-scoped resources.
    pub namespace: Option<&'r str>,
    /// Query parameters.
    pub params: Params,
    /// The `Accept` header.
    pub accept: Option<&'r str>,
}

impl ResourceRequest<'_> {
    /// Responds with one object.
    pub async fn get(&self, name: &str) -> Result<Response, Status> {
        let representation = self.representation(ResponseKind::Object)?;
        if let Some(revision) = options::parse_revision(&self.params)? {
            self.wait_for_revision(revision).await?;
        }
        let object = self.api.control.get(&self.key(name)).await?;
        representation.object_response(&object)
    }

    /// Responds with the `scale` subresource of an object.
    pub async fn scale(&self, name: &str) -> Result<Response, Status> {
        let object = self.api.control.get(&self.key(name)).await?;
        self.scale_response(&object)
    }

    /// Returns the response with the `scale` subresource of `object`.
    pub fn scale_response(&self, object: &Object) -> Result<Response, Status> {
        let format = accept::negotiate_objects("Scale", self.accept, ResponseKind::Object)?;
        let scale = self.served.kind.scale(object).map_err(Status::internal)?;
        let scale = scale.ok_or_else(|| Status::internal("the kind has no scale"))?;
        if let ObjectForm::Table(version) = format.form {
            let include = IncludeObject::parse(self.params.get("includeObject"))?;
            let now = self.api.clock.now().wall;
            let options = TableOptions { version, include, column_definitions: true, now };
            let table = tables::scale(&scale, &options)?;
            return representation::encoded(format.encoding, table, version.api_version(), "Table");
        }
        representation::encoded(
            format.encoding,
            serde_json::to_vec(&scale).map_err(Status::internal)?,
            "autoscaling/v1",
            "Scale",
        )
    }

    /// Responds with the selected objects, or a page of them.
    pub async fn list(&self) -> Result<Response, Status> {
        let representation = self.representation(ResponseKind::List)?;
        let (items, metadata) = self.select_page().await?;
        representation.list_response(&items, &metadata)
    }

    /// Returns the page of a list that the parameters select, and the list's metadata.
    pub async fn select_page(&self) -> Result<(Vec<Arc<Object>>, ListMeta), Status> {
        let scope = self.scope()?;
        let options = ListOptions::parse(&self.params)?;
        let List { mut items, revision } = self.list_objects(&scope, options.freshness).await?;
        if let Some(ContinueToken { after: (namespace, name), .. }) = &options.continue_from {
            let start =
                items.partition_point(|o| (&*o.key.namespace, &*o.key.name) <= (namespace.as_str(), name.as_str()));
            items.drain(..start);
        }
        let remaining = options.limit.map_or(0, |limit| items.len().saturating_sub(limit));
        items.truncate(items.len() - remaining);
        // Later pages keep the revision of the first, so that a watch from there reports all changes since.
        let revision = options.continue_from.map_or(revision, |token| token.revision);
        let next = items
            .last()
            .filter(|_| remaining > 0)
            .map(|last| ContinueToken { revision, after: (last.key.namespace.to_string(), last.key.name.to_string()) });
        let metadata = ListMeta {
            resource_version: Some(revision.to_string()),
            continue_: next.map(|next| next.encode()),
            // Kubernetes omits the count if there is a selector.
            remaining_item_count: i64::try_from(remaining)
                .ok()
                .filter(|remaining| *remaining > 0 && scope.is_unfiltered()),
            ..ListMeta::default()
        };
        Ok((items, metadata))
    }

    /// Responds with a stream of changes.
    pub async fn watch(&self) -> Result<Response, Status> {
        let representation = self.representation(ResponseKind::Watch)?;
        let scope = self.scope()?;
        let options = WatchOptions::parse(&self.params)?;
        if let Some(after) = options.after {
            self.wait_for_revision(after).await?;
        }
        let response = watch::respond(&*self.api.control, self.api.clock, &scope, &options, representation);
        let mut response = response.await?;
        response.extensions_mut().insert(WatchResponse(self.api.retained_memory()));
        Ok(response)
    }

    /// Responds with the log of a container of pod `name`.
    pub async fn log(&self, name: &str) -> Result<Response, Status> {
        let options = LogOptions::parse(name, &self.params)?;
        let object = self.api.control.get(&self.key(name)).await?;
        let pod = object.decode::<Pod>().map_err(Status::internal)?;
        let container = options.resolve_container(&pod)?;
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let Some(handle) = self.api.nodes.get(node) else {
            if node.is_empty() {
                let message = format!("pod {name} is not assigned to a node yet");
                return Err(Status::new(Reason::BadRequest, message));
            }
            return Err(Status::not_found("pods", node));
        };
        let attempt = options.resolve_attempt(&pod, container)?;
        let log = handle.logs.find(pods::node_uid(&pod), container, attempt).ok_or_else(|| {
            let message = format!("unable to retrieve container logs for {attempt}: they are no longer kept");
            Status::new(Reason::NotFound, message)
        })?;
        Ok(options.response(log.reader(), self.api.clock.now().wall))
    }

    /// Returns the key of the object `name`.
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.served.resource(), self.namespace.unwrap_or_default(), name)
    }

    /// Negotiates the representation of the response.
    pub fn representation(&self, response: ResponseKind) -> Result<Representation, Status> {
        Representation::negotiate(self.served, self.accept, response, &self.params, self.api.clock.now().wall)
    }

    /// Returns the scope that namespace and selectors define.
    pub fn scope(&self) -> Result<Scope, Status> {
        let bad = |error: crate::model::selector::SelectorError| Status::new(Reason::BadRequest, error.to_string());
        let text = |name| self.params.get(name).unwrap_or_default();
        Ok(Scope {
            resource: self.served.resource(),
            namespace: self.namespace.map(Into::into),
            labels: Selector::parse(text("labelSelector")).map_err(bad)?,
            fields: FieldSelector::parse(text("fieldSelector"), |label| self.served.field_of_label(label))
                .map_err(bad)?,
        })
    }

    /// Lists the objects at the requested revision.
    async fn list_objects(&self, scope: &Scope, freshness: Freshness) -> Result<List, Status> {
        let revision = match freshness {
            Freshness::Latest => return self.api.control.list(scope).await,
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => revision,
        };
        self.wait_for_revision(revision).await?;
        match freshness {
            Freshness::Exact(revision) => self.api.control.list_at(scope, revision).await,
            Freshness::Latest | Freshness::NotOlderThan(_) => self.api.control.list(scope).await,
        }
    }

    /// Waits up to [`MAX_REVISION_WAIT`] for a revision.
    async fn wait_for_revision(&self, revision: Revision) -> Result<(), Status> {
        let deadline = tokio::time::Instant::now() + MAX_REVISION_WAIT;
        loop {
            let current = self.api.control.revision().await?;
            if current >= revision {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(revision_too_large(revision, current));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
