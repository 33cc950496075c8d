//! Lists and watches: what the store holds, narrowed to what is asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::control::{ChangeKind, List, Object, Reason, Resource, Revision, Scope, Status, WatchEvent, WatchStream};
use crate::model::selector::{event_field, namespace_field, node_field, pod_field, secret_field};
use crate::store::{Change, Expired, ObjectStore};

/// How often a watch is told how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// What `scope` holds now.
pub(super) fn list(store: &ObjectStore, scope: &Scope) -> List {
    let (items, revision) = store.list(scope);
    narrowed(scope, items, revision)
}

/// What `scope` held at revision `at`.
pub(super) fn list_at(store: &ObjectStore, scope: &Scope, at: Revision) -> Result<List, Status> {
    let items = store.list_at(scope, at).map_err(expired)?;
    Ok(narrowed(scope, items, at))
}

/// Changes of `scope` behind `from`.
pub(super) fn watch(store: &Arc<ObjectStore>, scope: &Scope, from: Revision) -> Result<WatchStream, Status> {
    let watch = store.watch(scope.clone(), from).map_err(expired)?;
    let scope = scope.clone();
    let bookmark = tokio::time::Instant::now() + BOOKMARK_EVERY;
    let batches = stream::unfold(Some((watch, scope, bookmark)), |state| async {
        let (mut watch, scope, mut bookmark) = state?;
        let batch: Vec<Result<WatchEvent, Status>> = match tokio::time::timeout_at(bookmark, watch.next()).await {
            Ok(Ok(changes)) => changes.into_iter().filter_map(|change| seen_from(&scope, change)).map(Ok).collect(),
            Ok(Err(gone)) => return Some((stream::iter(vec![Err(expired(gone))]), None)),
            Err(_due) => {
                bookmark = tokio::time::Instant::now() + BOOKMARK_EVERY;
                vec![Ok(WatchEvent::Bookmark(watch.position()))]
            }
        };
        Some((stream::iter(batch), Some((watch, scope, bookmark))))
    });
    Ok(batches.flatten().boxed())
}

fn expired(expired: Expired) -> Status {
    Status::new(Reason::Expired, expired.to_string())
}

fn narrowed(scope: &Scope, mut items: Vec<Arc<Object>>, revision: Revision) -> List {
    if !scope.is_unfiltered() {
        items.retain(|object| selects(scope, object));
    }
    List { items, revision }
}

/// A change as those see it who look at `scope` only; `None` where they see nothing.
fn seen_from(scope: &Scope, change: Change) -> Option<WatchEvent> {
    let Change { kind, object, previous } = change;
    if scope.is_unfiltered() {
        return Some(WatchEvent::Change(kind, object));
    }
    let is_in = kind != ChangeKind::Deleted && selects(scope, &object);
    let was_in = previous.is_some_and(|previous| selects(scope, &previous));
    let kind = match (was_in, is_in) {
        (false, true) => ChangeKind::Added,
        (true, true) => ChangeKind::Modified,
        (true, false) => ChangeKind::Deleted,
        (false, false) => return None,
    };
    Some(WatchEvent::Change(kind, object))
}

/// Whether labels and fields of `object` are as `scope` wants them.
fn selects(scope: &Scope, object: &Object) -> bool {
    // Most selectors that come name one object: no need to read any.
    if scope.fields.fixed("metadata.name").is_some_and(|name| *name != *object.key.name) {
        return false;
    }
    let by_key = |field: &str| match field {
        "metadata.name" => Some(&*object.key.name),
        "metadata.namespace" => Some(&*object.key.namespace),
        _ => None,
    };
    if scope.labels.is_everything() && scope.fields.asks_for().all(|field| by_key(field).is_some()) {
        return scope.fields.matches(by_key);
    }
    let chosen = match object.key.resource {
        Resource::PODS => object
            .decode::<Pod>()
            .map(|o| labelled(scope, &o.metadata) && scope.fields.matches(|field| pod_field(&o, field))),
        Resource::EVENTS => object
            .decode::<Event>()
            .map(|o| labelled(scope, &o.metadata) && scope.fields.matches(|field| event_field(&o, field))),
        Resource::NODES => object
            .decode::<Node>()
            .map(|o| labelled(scope, &o.metadata) && scope.fields.matches(|field| node_field(&o, field))),
        Resource::NAMESPACES => object
            .decode::<Namespace>()
            .map(|o| labelled(scope, &o.metadata) && scope.fields.matches(|field| namespace_field(&o, field))),
        Resource::CONFIG_MAPS => {
            object.decode::<ConfigMap>().map(|o| labelled(scope, &o.metadata) && scope.fields.matches(by_key))
        }
        Resource::SECRETS => object
            .decode::<Secret>()
            .map(|o| labelled(scope, &o.metadata) && scope.fields.matches(|field| secret_field(&o, field))),
        _ => Ok(false),
    };
    chosen.unwrap_or_else(|error| {
        tracing::error!(%object.key, %error, "cannot read a stored object");
        false
    })
}

fn labelled(scope: &Scope, meta: &ObjectMeta) -> bool {
    static NONE: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    scope.labels.matches(meta.labels.as_ref().unwrap_or(&NONE))
}
