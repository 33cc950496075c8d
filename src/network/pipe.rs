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
    len: usize,
    /// The sender is gone or has finished: the queued bytes are the last ones.
    finished: bool,
    /// The receiver is gone or has closed: nothing more will be read.
    closed: bool,
    reader: Wakers,
    writer: Wakers,
    /// The time at which bytes were last transferred.
    last_used: Instant,
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
        if state.len > 0 || state.finished || state.closed {
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
        let bytes = match state.chunks.front_mut() {
            None if finished => return None,
            None => return Some(Bytes::new()),
            Some(first) if first.len() > max => first.split_to(max),
            Some(_) => state.chunks.pop_front().unwrap_or_default(),
        };
        state.len -= bytes.len();
        state.last_used = Instant::now();
        let woken = if was_full { std::mem::take(&mut state.writer) } else { Wakers::default() };
        drop(state);
        wake(woken);
        Some(bytes)
    }

    /// Reads nothing more and discards the queued bytes; the sender sees a broken pipe.
    pub fn close(&self) {
        let mut state = self.0.0.lock();
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
        state.len += bytes.len();
        state.chunks.push_back(bytes);
        state.last_used = Instant::now();
        let woken = std::mem::take(&mut state.reader);
        drop(state);
        wake(woken);
        true
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
        !(state.closed || state.finished && state.len == 0)
    }

    /// Returns when bytes last moved.
    pub fn last_used(&self) -> Instant {
        self.0.0.lock().last_used
    }
}
