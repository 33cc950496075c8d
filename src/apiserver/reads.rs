//! What a request is about; get, list, watch and log.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;

use super::accept::Asked;
use super::logs::LogOptions;
use super::options::{self, Continue, Freshness, ListOptions, WatchOptions, too_new};
use super::representation::Representation;
use super::request::Params;
use super::routes::Api;
use super::served::Served;
use super::watch;
use crate::control::{Key, List, Object, Reason, Revision, Scope, Status};
use crate::model::pods;
use crate::model::selector::{FieldSelector, Selector};

/// How long a reader may wait for a revision that is yet to come.
const FUTURE: Duration = Duration::from_secs(3);

/// What a request is about.
pub struct ResourceRequest<'r> {
    /// Where it is.
    pub api: &'r Api,
    /// What kind of things.
    pub served: &'static Served,
    /// In which namespace; `None` for all, or for kinds that lie in none.
    pub namespace: Option<&'r str>,
    /// How.
    pub params: Params,
    /// What the client accepts.
    pub accept: Option<&'r str>,
}

impl ResourceRequest<'_> {
    /// One object.
    pub async fn one(&self, name: &str) -> Result<Response, Status> {
        let form = self.form(Asked::Object)?;
        if let Some(revision) = options::revision(&self.params)? {
            self.wait_for(revision).await?;
        }
        let object = self.api.control.get(&self.key(name)).await?;
        form.one(&object)
    }

    /// All objects, or a part of them.
    pub async fn list(&self) -> Result<Response, Status> {
        let form = self.form(Asked::List)?;
        let (items, metadata) = self.selected().await?;
        form.list(&items, &metadata)
    }

    /// The part of a list that the parameters ask for, and what is told of the list.
    pub async fn selected(&self) -> Result<(Vec<Arc<Object>>, ListMeta), Status> {
        let scope = self.scope()?;
        let options = ListOptions::of(&self.params)?;
        let List { mut items, revision } = self.objects(&scope, options.freshness).await?;
        if let Some(Continue { after: (namespace, name), .. }) = &options.start {
            let begin =
                items.partition_point(|o| (&*o.key.namespace, &*o.key.name) <= (namespace.as_str(), name.as_str()));
            items.drain(..begin);
        }
        let left = options.limit.map_or(0, |limit| items.len().saturating_sub(limit));
        items.truncate(items.len() - left);
        // Later parts keep the revision of the first: a watch from there tells what changed meanwhile.
        let revision = options.start.map_or(revision, |start| start.revision);
        let next = items
            .last()
            .filter(|_| left > 0)
            .map(|last| Continue { revision, after: (last.key.namespace.to_string(), last.key.name.to_string()) });
        let metadata = ListMeta {
            resource_version: Some(revision.to_string()),
            continue_: next.map(|next| next.token()),
            // Kubernetes counts what is left only where no selector makes the count a guess.
            remaining_item_count: i64::try_from(left).ok().filter(|left| *left > 0 && scope.is_unfiltered()),
            ..ListMeta::default()
        };
        Ok((items, metadata))
    }

    /// Changes as they come.
    pub async fn watch(&self) -> Result<Response, Status> {
        let form = self.form(Asked::Watch)?;
        let scope = self.scope()?;
        let options = WatchOptions::of(&self.params)?;
        watch::answer(&*self.api.control, self.api.clock, &scope, &options, form).await
    }

    /// The log of a container of pod `name`.
    pub async fn log(&self, name: &str) -> Result<Response, Status> {
        let options = LogOptions::of(name, &self.params)?;
        let object = self.api.control.get(&self.key(name)).await?;
        let pod = object.decode::<Pod>().map_err(Status::internal)?;
        let container = options.container(&pod)?;
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let Some(handle) = self.api.nodes.get(node) else {
            if node.is_empty() {
                let message = format!("pod {name} is not assigned to a node yet");
                return Err(Status::new(Reason::BadRequest, message));
            }
            return Err(Status::not_found("pods", node));
        };
        let attempt = options.attempt(&pod, container)?;
        let log = handle.logs.find(pods::uid(&pod), container, attempt).ok_or_else(|| {
            let message = format!("unable to retrieve container logs for {attempt}: they are no longer kept");
            Status::new(Reason::NotFound, message)
        })?;
        Ok(options.answer(log.reader(), self.api.clock.now().wall))
    }

    /// The object `name` of what is asked for.
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.served.resource, self.namespace.unwrap_or_default(), name)
    }

    /// The form in which the client wants what it asked for.
    pub fn form(&self, asked: Asked) -> Result<Representation, Status> {
        Representation::of(self.served, self.accept, asked, &self.params, self.api.clock.now().wall)
    }

    /// What the parameters select.
    pub fn scope(&self) -> Result<Scope, Status> {
        let bad = |error: crate::model::selector::SelectorError| Status::new(Reason::BadRequest, error.to_string());
        let text = |name| self.params.get(name).unwrap_or_default();
        let kind = self.served.resource.kind;
        Ok(Scope {
            resource: self.served.resource,
            namespace: self.namespace.map(Into::into),
            labels: Selector::parse(text("labelSelector")).map_err(bad)?,
            fields: FieldSelector::parse(text("fieldSelector"), self.served.group, kind).map_err(bad)?,
        })
    }

    async fn objects(&self, scope: &Scope, freshness: Freshness) -> Result<List, Status> {
        let wanted = match freshness {
            Freshness::Now => return self.api.control.list(scope).await,
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => revision,
        };
        self.wait_for(wanted).await?;
        match freshness {
            Freshness::Exact(revision) => self.api.control.list_at(scope, revision).await,
            Freshness::Now | Freshness::NotOlderThan(_) => self.api.control.list(scope).await,
        }
    }

    /// Waits until there is such a revision, though not for long.
    async fn wait_for(&self, wanted: Revision) -> Result<(), Status> {
        let deadline = tokio::time::Instant::now() + FUTURE;
        loop {
            let current = self.api.control.revision().await?;
            if current >= wanted {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(too_new(wanted, current));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
