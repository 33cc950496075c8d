//! Watches: a stream of JSON lines, each an event with its object.
//!
//! A client that does not read costs a place in the history and one buffer: changes are fetched
//! when there is room for them, and who falls behind the history gets a last event that says so.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::answer::{self, JSON};
use super::options::WatchOptions;
use super::representation::Representation;
use crate::clock::Clock;
use crate::control::{ChangeKind, ControlPlane, List, Reason, Revision, Scope, Status, WatchEvent, WatchStream};

/// Events that are put into one piece of an answer while a client is slower than the changes.
const PIECE: usize = 64;

/// Watches `scope` for a client that wants its objects in this form.
pub async fn answer(
    control: &dyn ControlPlane,
    clock: Clock,
    scope: &Scope,
    options: &WatchOptions,
    mut form: Representation,
) -> Result<Response, Status> {
    let begun = begin(control, scope, options).await?;
    let mut head = Vec::new();
    if let Some(list) = &begun.list {
        let now = clock.now().wall;
        for object in &list.items {
            form.event("ADDED", object, now, &mut head);
        }
        if options.mark_initial_end {
            form.bookmark(list.revision, true, &mut head);
        }
    }
    let bookmarks = options.bookmarks;
    let pieces = begun.changes.ready_chunks(PIECE).map(move |events| {
        let mut piece = Vec::new();
        let now = clock.now().wall;
        for event in events {
            match event {
                Ok(WatchEvent::Change(kind, object)) => form.event(word(kind), &object, now, &mut piece),
                Ok(WatchEvent::Bookmark(revision)) if bookmarks => form.bookmark(revision, false, &mut piece),
                Ok(WatchEvent::Bookmark(_)) => {}
                Err(status) => error_event(&status, &mut piece),
            }
        }
        piece
    });
    let head = stream::iter((!head.is_empty()).then_some(head));
    let whole = head.chain(pieces).filter(|piece| std::future::ready(!piece.is_empty()));
    let whole = whole.take_until(tokio::time::sleep(options.timeout));
    let body = whole.map(|piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece)));
    Ok(answer::body(JSON, Body::from_stream(body)))
}

struct Begun {
    /// What there is already.
    list: Option<List>,
    changes: WatchStream,
}

/// Opens the watch; where it begins in the forgotten past, its first and last event says so.
async fn begin(control: &dyn ControlPlane, scope: &Scope, options: &WatchOptions) -> Result<Begun, Status> {
    let Some(from) = options.from else {
        let list = control.list(scope).await?;
        let changes = open(control, scope, list.revision).await?;
        return Ok(Begun { list: Some(list), changes });
    };
    Ok(Begun { list: None, changes: open(control, scope, from).await? })
}

async fn open(control: &dyn ControlPlane, scope: &Scope, from: Revision) -> Result<WatchStream, Status> {
    match control.watch(scope, from).await {
        Err(status) if status.reason == Reason::Expired => {
            let last: BoxStream<'static, Result<WatchEvent, Status>> = stream::iter([Err(status)]).boxed();
            Ok(last)
        }
        other => other,
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    }
}

/// Appends an event that tells of `status`; the last one of a watch.
pub fn error_event(status: &Status, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"ERROR","object":"#);
    // Strings and numbers: nothing in it can fail to encode.
    out.extend(serde_json::to_vec(status).unwrap_or_default());
    out.extend_from_slice(b"}\n");
}
