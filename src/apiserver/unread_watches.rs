//! Ends watches that nobody reads.
//!
//! A body is asked for its next chunk as soon as the connection can take it. A watch whose last chunk was taken a minute
//! ago, and that was not asked for another since, has a client that does not read; its connection is closed. Clients of
//! other responses may take their time: a person may page through a log.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Time after which a watch that is not read ends.
const MAX_UNREAD: Duration = Duration::from_secs(60);

/// Marks the response of a watch, in its extensions.
#[derive(Clone, Copy)]
pub struct WatchResponse;

/// The watches of a connection.
#[derive(Default)]
pub struct UnreadWatches {
    /// Protects the watches.
    watches: Mutex<WatchTable>,
    /// Signals that a watch has started.
    started: Notify,
}

#[derive(Default)]
struct WatchTable {
    next_id: u64,
    /// When each watch handed over a chunk after which it was not asked for another.
    unread_since: HashMap<u64, Option<Instant>>,
}

impl UnreadWatches {
    /// Observes the body of `response` if it is a watch.
    pub fn observe(self: &Arc<UnreadWatches>, response: Response) -> Response {
        if response.extensions().get::<WatchResponse>().is_none() {
            return response;
        }
        let id = {
            let mut watches = self.watches.lock();
            watches.next_id += 1;
            let id = watches.next_id;
            watches.unread_since.insert(id, None);
            id
        };
        self.started.notify_one();
        let watches = self.clone();
        response.map(|body| Body::new(ObservedBody { body, watches, id }))
    }

    /// Returns once a watch has not been read for [`MAX_UNREAD`].
    pub async fn wait_for_unread(&self) {
        loop {
            let (is_watching, oldest) = {
                let watches = self.watches.lock();
                (!watches.unread_since.is_empty(), watches.unread_since.values().flatten().min().copied())
            };
            let deadline = oldest.unwrap_or_else(Instant::now) + MAX_UNREAD;
            match is_watching {
                true if oldest.is_some() && deadline <= Instant::now() => return,
                true => tokio::time::sleep_until(deadline).await,
                false => self.started.notified().await,
            }
        }
    }

    fn set_unread_since(&self, id: u64, since: Option<Instant>) {
        self.watches.lock().unread_since.insert(id, since);
    }
}

/// The body of a watch.
struct ObservedBody {
    body: Body,
    watches: Arc<UnreadWatches>,
    id: u64,
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.watches.set_unread_since(self.id, polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        self.watches.watches.lock().unread_since.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    fn endless(is_watch: bool) -> Response {
        let chunks = stream::repeat_with(|| Ok::<_, axum::Error>(Bytes::from_static(b"{}\n")));
        let mut response = Response::new(Body::from_stream(chunks));
        if is_watch {
            response.extensions_mut().insert(WatchResponse);
        }
        response
    }

    #[tokio::test(start_paused = true)]
    async fn unread_watch_is_noticed_after_a_minute() {
        let watches = Arc::<UnreadWatches>::default();
        let mut body = watches.observe(endless(true)).into_body();
        let mut other = watches.observe(endless(false)).into_body();
        other.frame().await.expect("a chunk").expect("no error");
        let start = Instant::now();
        for _ in 0..6 {
            body.frame().await.expect("a chunk").expect("no error");
            let unread = tokio::time::timeout(Duration::from_secs(50), watches.wait_for_unread()).await;
            assert!(unread.is_err(), "the client reads slowly: {:?}", start.elapsed());
        }
        watches.wait_for_unread().await;
        assert_eq!(start.elapsed().as_secs(), 5 * 50 + 60);
        drop(body);
        let unread = tokio::time::timeout(Duration::from_secs(500), watches.wait_for_unread()).await;
        assert!(unread.is_err(), "the watch has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn watch_without_changes_is_not_unread() {
        let watches = Arc::<UnreadWatches>::default();
        let mut response = Response::new(Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>()));
        response.extensions_mut().insert(WatchResponse);
        let mut body = watches.observe(response).into_body();
        let waits = async { tokio::join!(body.frame(), watches.wait_for_unread()) };
        assert!(tokio::time::timeout(Duration::from_secs(1000), waits).await.is_err());
    }
}
