//! Watches: a stream of events with their objects, as JSON lines or protobuf frames.
//!
//! A slow client costs one chunk: objects are encoded, and changes read from the history, only when they can be sent. A
//! client that falls behind the history gets an `ERROR` event, and the watch ends. The connection of a client that stops
//! reading is closed (`unread_watches`).

use std::convert::Infallible;
use std::task::Poll;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::options::WatchOptions;
use super::representation::Representation;
use super::response;
use crate::clock::Clock;
use crate::control::{ChangeKind, ControlPlane, List, Reason, Revision, Scope, Status, WatchEvent, WatchStream};

/// Size at which a chunk of the response is complete; the event that crosses it is its last one.
const MAX_CHUNK_BYTES: usize = 32 * 1024;

/// An event of the response.
enum ResponseEvent {
    Change(Result<WatchEvent, Status>),
    /// The bookmark that marks the end of the initial objects.
    InitialEventsEnd(Revision),
}

/// Watches `scope` and streams its objects in the form of `representation`.
pub async fn respond(
    control: &dyn ControlPlane,
    clock: Clock,
    scope: &Scope,
    options: &WatchOptions,
    mut representation: Representation,
) -> Result<Response, Status> {
    let StartedWatch { initial, changes } = start(control, scope, options).await?;
    let List { items, revision } = initial.unwrap_or(List { items: Vec::new(), revision: 0 });
    let added =
        items.into_iter().map(|object| ResponseEvent::Change(Ok(WatchEvent::Change(ChangeKind::Added, object))));
    let end = options.initial_events_end.then_some(ResponseEvent::InitialEventsEnd(revision));
    let events = stream::iter(added.chain(end)).chain(changes.map(ResponseEvent::Change));
    let mut events = events.take_until(Box::pin(tokio::time::sleep(options.timeout))).fuse();
    let (bookmarks, content_type) = (options.bookmarks, representation.stream_content_type());
    let chunks = stream::poll_fn(move |cx| {
        let mut chunk = Vec::new();
        loop {
            match events.poll_next_unpin(cx) {
                Poll::Ready(Some(event)) => append(&mut representation, event, bookmarks, clock, &mut chunk),
                Poll::Ready(None) if chunk.is_empty() => return Poll::Ready(None),
                Poll::Pending if chunk.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(Some(chunk)),
            }
            if chunk.len() >= MAX_CHUNK_BYTES {
                return Poll::Ready(Some(chunk));
            }
        }
    });
    let body = chunks.map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
    Ok(response::ok(content_type, Body::from_stream(body)))
}

/// Appends what the client sees of an event.
fn append(
    representation: &mut Representation,
    event: ResponseEvent,
    bookmarks: bool,
    clock: Clock,
    chunk: &mut Vec<u8>,
) {
    match event {
        ResponseEvent::Change(Ok(WatchEvent::Change(kind, object))) => {
            representation.append_event(event_type(kind), &object, clock.now().wall, chunk);
        }
        ResponseEvent::Change(Ok(WatchEvent::Bookmark(revision))) if bookmarks => {
            representation.append_bookmark(revision, false, chunk);
        }
        ResponseEvent::Change(Ok(WatchEvent::Bookmark(_))) => {}
        ResponseEvent::Change(Err(status)) => representation.append_error(&status, chunk),
        ResponseEvent::InitialEventsEnd(revision) => representation.append_bookmark(revision, true, chunk),
    }
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
