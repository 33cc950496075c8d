//! Ends watches that nobody reads.
//!
//! A body is asked for its next chunk as soon as the connection can take it. A watch whose last chunk was taken a minute
//! ago, and that was not asked for another since, has a client that does not read; its connection is closed. Clients of
//! other responses may take their time: a person may page through a log.
//!
//! The chunk that a watch has handed over counts against the memory that the node retains. If watches take more than that,
//! a second without being read ends them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::{RetainedCharge, RetainedKind, RetainedMemory};

/// Time after which a watch that is not read ends.
const MAX_UNREAD: Duration = Duration::from_secs(60);

/// Time after which a watch that is not read ends while the memory for watches is scarce.
const MAX_UNREAD_WHEN_SCARCE: Duration = Duration::from_secs(1);
/// Interval in which unread watches are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Marks the response of a watch, in its extensions. Holds the account of its chunks.
#[derive(Clone)]
pub struct WatchResponse(pub Arc<RetainedMemory>);

/// The watches of a connection.
#[derive(Default)]
pub struct UnreadWatches {
    /// Protects the watches.
    watches: Mutex<WatchTable>,
    /// Signals that a watch has started, or that the memory for watches is scarce.
    changed: Notify,
    /// The account of the node; set with the first watch.
    memory: OnceLock<Arc<RetainedMemory>>,
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
        let Some(WatchResponse(memory)) = response.extensions().get() else { return response };
        let charge = memory.charge(RetainedKind::WatchBuffers);
        self.memory.get_or_init(|| memory.clone());
        let id = {
            let mut watches = self.watches.lock();
            watches.next_id += 1;
            let id = watches.next_id;
            watches.unread_since.insert(id, None);
            id
        };
        self.changed.notify_one();
        let watches = self.clone();
        response.map(|body| Body::new(ObservedBody { body, watches, id, charge }))
    }

    /// Returns once a watch has not been read for too long.
    pub async fn wait_for_unread(&self) {
        loop {
            let (is_watching, oldest) = {
                let watches = self.watches.lock();
                (!watches.unread_since.is_empty(), watches.unread_since.values().flatten().min().copied())
            };
            match oldest {
                Some(oldest) if oldest.elapsed() >= MAX_UNREAD => return,
                Some(oldest) if oldest.elapsed() >= MAX_UNREAD_WHEN_SCARCE && self.drop_if_scarce() => return,
                Some(_) => tokio::time::sleep(CHECK_INTERVAL).await,
                None if is_watching => drop(tokio::time::timeout(MAX_UNREAD, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Counts a watch as dropped if the memory for watches is scarce. Returns whether it is.
    fn drop_if_scarce(&self) -> bool {
        let scarce = self.memory.get().filter(|memory| memory.excess(RetainedKind::WatchBuffers) > 0);
        scarce.inspect(|memory| memory.count_dropped(RetainedKind::WatchBuffers, 1)).is_some()
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
    /// The chunk that was handed over last.
    charge: RetainedCharge,
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let bytes = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        self.charge.resize(bytes as u64);
        self.watches.set_unread_since(self.id, polled.is_ready().then(Instant::now));
        if bytes > 0 && self.charge.excess() > 0 {
            self.watches.changed.notify_one();
        }
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
            response.extensions_mut().insert(WatchResponse(RetainedMemory::unlimited()));
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
    async fn unread_watch_ends_soon_while_memory_is_scarce() {
        let watches = Arc::<UnreadWatches>::default();
        let chunks = stream::repeat_with(|| Ok::<_, axum::Error>(Bytes::from_static(b"{}\n")));
        let mut response = Response::new(Body::from_stream(chunks));
        let memory = RetainedMemory::new(0);
        response.extensions_mut().insert(WatchResponse(memory.clone()));
        let mut body = watches.observe(response).into_body();
        let start = Instant::now();
        let reads = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            body.frame().await.expect("a chunk").expect("no error");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = watches.wait_for_unread() => {}
            () = reads => {}
        }
        assert_eq!(start.elapsed().as_secs(), 6);
        assert_eq!(memory.usage()[0].dropped, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn watch_without_changes_is_not_unread() {
        let watches = Arc::<UnreadWatches>::default();
        let mut response = Response::new(Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>()));
        response.extensions_mut().insert(WatchResponse(RetainedMemory::unlimited()));
        let mut body = watches.observe(response).into_body();
        let waits = async { tokio::join!(body.frame(), watches.wait_for_unread()) };
        assert!(tokio::time::timeout(Duration::from_secs(1000), waits).await.is_err());
    }
}
