//! One direction of a connection: an ordered, bounded queue of bytes that either end may close.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The maximum of bytes in a pipe; Linux' socket buffers begin at about the same size.
pub const PIPE_CAPACITY: usize = 256 * 1024;

struct PipeState {
    chunks: VecDeque<Bytes>,
    /// The space that `chunks` take: see [`space`].
    len: usize,
    /// The sender is gone or has finished: the queued bytes are the last ones.
    finished: bool,
    /// The receiver is gone or has closed: nothing more will be read.
    closed: bool,
    /// The sender has given up the connection instead of finishing it.
    reset: bool,
    /// The receiver has closed before it read everything.
    unread: bool,
    reader: Wakers,
    writer: Wakers,
    /// The time at which bytes were last transferred.
    last_used: Instant,
}

/// The space that a small chunk takes, since it costs memory beside its bytes.
const MIN_CHUNK_SPACE: usize = 64;

/// Returns the space that a chunk takes in a pipe.
fn space(chunk: &Bytes) -> usize {
    chunk.len().max(MIN_CHUNK_SPACE)
}

/// The tasks that wait for one end of a pipe, usually one.
#[derive(Default)]
struct Wakers(Vec<Waker>);

impl Wakers {
    fn park(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|w| w.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }
}

/// Wakes the tasks. Called after the lock is released, so that a woken thread does not block on it.
fn wake(wakers: Wakers) {
    wakers.0.into_iter().for_each(Waker::wake);
}

struct Shared(Mutex<PipeState>);

/// The reading end. Dropping it closes the pipe.
pub struct Receiver(Arc<Shared>);

/// The writing end. Dropping it finishes the pipe.
pub struct Sender(Arc<Shared>);

/// Observes a pipe without keeping it open.
#[derive(Clone)]
pub struct PipeMonitor(Arc<Shared>);

/// Creates a pipe.
pub fn pipe() -> (Sender, Receiver) {
    let (sender, receiver, _) = monitored_pipe();
    (sender, receiver)
}

/// Creates a pipe that can be observed.
pub(super) fn monitored_pipe() -> (Sender, Receiver, PipeMonitor) {
    let shared = Arc::new(Shared(Mutex::new(PipeState {
        chunks: VecDeque::new(),
        len: 0,
        finished: false,
        closed: false,
        reset: false,
        unread: false,
        reader: Wakers::default(),
        writer: Wakers::default(),
        last_used: Instant::now(),
    })));
    (Sender(shared.clone()), Receiver(shared.clone()), PipeMonitor(shared))
}

impl Receiver {
    /// Returns ready if [`Receiver::read`] has bytes or the end.
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if !state.chunks.is_empty() || state.finished || state.closed {
            return Poll::Ready(());
        }
        state.reader.park(cx);
        Poll::Pending
    }

    /// Reads up to `max` bytes: empty if none have arrived yet, `None` at the end.
    pub fn read(&self, max: usize) -> Option<Bytes> {
        let mut state = self.0.0.lock();
        if state.closed {
            return None;
        }
        let was_full = state.len >= PIPE_CAPACITY;
        let finished = state.finished;
        let (bytes, freed) = match state.chunks.front_mut() {
            None if finished => return None,
            None => return Some(Bytes::new()),
            Some(first) if first.len() > max => {
                let before = space(first);
                let bytes = first.split_to(max);
                (bytes, before - space(first))
            }
            Some(_) => {
                let first = state.chunks.pop_front().unwrap_or_default();
                let freed = space(&first);
                (first, freed)
            }
        };
        state.len -= freed;
        state.last_used = Instant::now();
        let woken = if was_full { std::mem::take(&mut state.writer) } else { Wakers::default() };
        drop(state);
        wake(woken);
        Some(bytes)
    }

    /// Whether the end that [`Receiver::read`] has reached is a reset.
    pub fn is_reset(&self) -> bool {
        self.0.0.lock().reset
    }

    /// Reads nothing more and discards the queued bytes; the sender sees a broken pipe.
    pub fn close(&self) {
        let mut state = self.0.0.lock();
        state.unread |= !state.chunks.is_empty();
        state.closed = true;
        state.chunks.clear();
        state.len = 0;
        let (reader, writer) = (std::mem::take(&mut state.reader), std::mem::take(&mut state.writer));
        drop(state);
        wake(reader);
        wake(writer);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Sender {
    /// Returns ready if [`Sender::capacity`] is not zero, or if the pipe is finished or broken.
    pub fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if state.len < PIPE_CAPACITY || state.finished || state.closed {
            return Poll::Ready(());
        }
        state.writer.park(cx);
        Poll::Pending
    }

    /// Returns how many bytes may be sent now; `None` if the pipe is finished or broken.
    pub fn capacity(&self) -> Option<usize> {
        let state = self.0.0.lock();
        (!state.finished && !state.closed).then(|| PIPE_CAPACITY.saturating_sub(state.len))
    }

    /// Queues `bytes`, at most [`Sender::capacity`] of them. Returns whether the pipe is open.
    pub fn send(&self, bytes: Bytes) -> bool {
        let mut state = self.0.0.lock();
        if state.finished || state.closed {
            return false;
        }
        if bytes.is_empty() {
            return true;
        }
        state.len += space(&bytes);
        state.chunks.push_back(bytes);
        state.last_used = Instant::now();
        let woken = std::mem::take(&mut state.reader);
        drop(state);
        wake(woken);
        true
    }

    /// Returns ready once the receiver reads nothing more.
    pub fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if state.closed {
            return Poll::Ready(());
        }
        state.writer.park(cx);
        Poll::Pending
    }

    /// Whether the receiver has closed without reading everything.
    pub fn has_unread(&self) -> bool {
        self.0.0.lock().unread
    }

    /// Gives up the connection: the receiver loses the queued bytes and sees a reset.
    pub fn reset(&self) {
        let mut state = self.0.0.lock();
        if !state.finished {
            state.reset = true;
            state.chunks.clear();
            state.len = 0;
        }
        drop(state);
        self.finish();
    }

    /// Sends nothing more; the receiver reads the queued bytes, then the end.
    pub fn finish(&self) {
        let mut state = self.0.0.lock();
        state.finished = true;
        let (reader, writer) = (std::mem::take(&mut state.reader), std::mem::take(&mut state.writer));
        drop(state);
        wake(reader);
        wake(writer);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.finish();
    }
}

impl PipeMonitor {
    /// Returns whether bytes may still be read from the pipe.
    pub fn is_open(&self) -> bool {
        let state = self.0.0.lock();
        !(state.closed || state.finished && state.chunks.is_empty())
    }

    /// Returns when bytes last moved.
    pub fn last_used(&self) -> Instant {
        self.0.0.lock().last_used
    }
}
