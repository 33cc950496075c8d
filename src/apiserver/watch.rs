//! Watches: a stream of JSON lines, each an event with its object.
//!
//! A slow client costs one buffer: changes are read from the history only when they can be sent. A
//! client that falls behind the history gets an `ERROR` event, and the watch ends.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::options::WatchOptions;
use super::representation::{Representation, append_error_event};
use super::response::{self, JSON};
use crate::clock::Clock;
use crate::control::{ChangeKind, ControlPlane, List, Reason, Revision, Scope, Status, WatchEvent, WatchStream};

/// Maximum number of events in one chunk of the response.
const MAX_EVENTS_PER_CHUNK: usize = 64;

/// Watches `scope` and streams its objects in the form of `representation`.
pub async fn respond(
    control: &dyn ControlPlane,
    clock: Clock,
    scope: &Scope,
    options: &WatchOptions,
    mut representation: Representation,
) -> Result<Response, Status> {
    let StartedWatch { initial, changes } = start(control, scope, options).await?;
    let mut head = Vec::new();
    if let Some(list) = &initial {
        let now = clock.now().wall;
        for object in &list.items {
            representation.append_event("ADDED", object, now, &mut head);
        }
        if options.initial_events_end {
            representation.append_bookmark(list.revision, true, &mut head);
        }
    }
    let bookmarks = options.bookmarks;
    let chunks = changes.ready_chunks(MAX_EVENTS_PER_CHUNK).map(move |events| {
        let mut chunk = Vec::new();
        let now = clock.now().wall;
        for event in events {
            match event {
                Ok(WatchEvent::Change(kind, object)) => {
                    representation.append_event(event_type(kind), &object, now, &mut chunk);
                }
                Ok(WatchEvent::Bookmark(revision)) if bookmarks => {
                    representation.append_bookmark(revision, false, &mut chunk);
                }
                Ok(WatchEvent::Bookmark(_)) => {}
                Err(status) => append_error_event(&status, &mut chunk),
            }
        }
        chunk
    });
    let head = stream::iter((!head.is_empty()).then_some(head));
    let stream = head.chain(chunks).filter(|chunk| std::future::ready(!chunk.is_empty()));
    let stream = stream.take_until(tokio::time::sleep(options.timeout));
    let body = stream.map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::from(chunk)));
    Ok(response::ok(JSON, Body::from_stream(body)))
}

struct StartedWatch {
    /// The objects at the start, unless the client continues from a revision.
    initial: Option<List>,
    changes: WatchStream,
}

/// Starts the watch, with the current objects unless it continues after a revision.
async fn start(control: &dyn ControlPlane, scope: &Scope, options: &WatchOptions) -> Result<StartedWatch, Status> {
    let Some(after) = options.after else {
        let list = control.list(scope).await?;
        let changes = open(control, scope, list.revision).await?;
        return Ok(StartedWatch { initial: Some(list), changes });
    };
    Ok(StartedWatch { initial: None, changes: open(control, scope, after).await? })
}

/// Opens the stream of changes after `from`; if the history no longer has it, the stream is one `Expired` error.
async fn open(control: &dyn ControlPlane, scope: &Scope, from: Revision) -> Result<WatchStream, Status> {
    match control.watch(scope, from).await {
        Err(status) if status.reason == Reason::Expired => {
            let last: BoxStream<'static, Result<WatchEvent, Status>> = stream::iter([Err(status)]).boxed();
            Ok(last)
        }
        other => other,
    }
}

fn event_type(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    }
}
