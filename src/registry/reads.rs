//! Lists and watches over the store, filtered by scope.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::kinds;
use crate::control::{ChangeKind, List, Object, Reason, Revision, Scope, Status, WatchEvent, WatchStream};
use crate::store::{ObjectChange, ObjectStore, RevisionExpired, StoreWatch};

/// Time between the bookmarks of an idle watch.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// Lists the objects of `scope`.
pub(super) fn list(store: &ObjectStore, scope: &Scope) -> List {
    let (items, revision) = store.list(scope);
    filter_list(scope, items, revision)
}

/// Lists the objects of `scope` as of `revision`.
pub(super) fn list_at(store: &ObjectStore, scope: &Scope, revision: Revision) -> Result<List, Status> {
    let items = store.list_at(scope, revision).map_err(expired)?;
    Ok(filter_list(scope, items, revision))
}

/// Streams the changes of `scope` after `from`.
pub(super) fn watch(store: &Arc<ObjectStore>, scope: &Scope, from: Revision) -> Result<WatchStream, Status> {
    Ok(events(store.watch(scope.clone(), from).map_err(expired)?, Some(scope.clone())))
}

/// Streams the changes of all kinds after `from`.
pub(super) fn watch_all(store: &Arc<ObjectStore>, from: Revision) -> Result<WatchStream, Status> {
    Ok(events(store.watch_all(from).map_err(expired)?, None))
}

/// Streams the changes of `watch` as the events that a watch of `scope` sees; `None` sees all.
fn events(watch: StoreWatch, scope: Option<Scope>) -> WatchStream {
    let bookmark = tokio::time::Instant::now() + BOOKMARK_INTERVAL;
    let batches = stream::unfold(Some((watch, scope, bookmark)), |state| async {
        let (mut watch, scope, mut bookmark) = state?;
        let event = |change| filter_change(scope.as_ref(), change);
        let batch: Vec<Result<WatchEvent, Status>> = match tokio::time::timeout_at(bookmark, watch.next()).await {
            Ok(Ok(changes)) => changes.into_iter().filter_map(event).map(Ok).collect(),
            Ok(Err(error)) => return Some((stream::iter(vec![Err(expired(error))]), None)),
            Err(_elapsed) => {
                bookmark = tokio::time::Instant::now() + BOOKMARK_INTERVAL;
                vec![Ok(WatchEvent::Bookmark(watch.position()))]
            }
        };
        Some((stream::iter(batch), Some((watch, scope, bookmark))))
    });
    batches.flatten().boxed()
}

fn expired(error: RevisionExpired) -> Status {
    Status::new(Reason::Expired, error.to_string())
}

fn filter_list(scope: &Scope, mut items: Vec<Arc<Object>>, revision: Revision) -> List {
    if !scope.is_unfiltered() {
        items.retain(|object| matches(scope, object));
    }
    List { items, revision }
}

/// Converts a change to the event that a watch of `scope` sees; `None` if it sees nothing. Without a scope, it sees all.
fn filter_change(scope: Option<&Scope>, change: ObjectChange) -> Option<WatchEvent> {
    let ObjectChange { kind, object, previous } = change;
    let Some(scope) = scope.filter(|scope| !scope.is_unfiltered()) else {
        return Some(WatchEvent::Change(kind, object));
    };
    let is_in = kind != ChangeKind::Deleted && matches(scope, &object);
    let was_in = previous.is_some_and(|previous| matches(scope, &previous));
    let kind = match (was_in, is_in) {
        (false, true) => ChangeKind::Added,
        (true, true) => ChangeKind::Modified,
        (true, false) => ChangeKind::Deleted,
        (false, false) => return None,
    };
    Some(WatchEvent::Change(kind, object))
}

/// Returns whether the selectors of `scope` match `object`.
fn matches(scope: &Scope, object: &Object) -> bool {
    // Most selectors name one object; they need no decoding.
    if scope.fields.required_value("metadata.name").is_some_and(|name| *name != *object.key.name) {
        return false;
    }
    let field_of_key = |field: &str| match field {
        "metadata.name" => Some(Cow::Borrowed(&*object.key.name)),
        "metadata.namespace" => Some(Cow::Borrowed(&*object.key.namespace)),
        _ => None,
    };
    if scope.labels.is_everything() && scope.fields.fields().all(|field| field_of_key(field).is_some()) {
        return scope.fields.matches(field_of_key);
    }
    let Some(kind) = kinds::of(&object.key.resource) else { return false };
    let matched = kind.matches(object, &scope.labels, &scope.fields);
    matched.unwrap_or_else(|error| {
        tracing::error!(%object.key, %error, "cannot decode a stored object");
        false
    })
}
