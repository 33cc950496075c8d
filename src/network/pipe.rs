//! One direction of a connection: bytes in order, a bound, an end on either side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Bytes under way in one direction; Linux starts its socket buffers at about the same.
pub const CAPACITY: usize = 256 * 1024;

struct State {
    chunks: VecDeque<Bytes>,
    len: usize,
    /// The sender is gone or has shut down: what is queued is the rest.
    finished: bool,
    /// The receiver is gone: nothing more will be read.
    abandoned: bool,
    reader: Wakers,
    writer: Wakers,
    /// When bytes last moved.
    used: Instant,
}

/// Few tasks wait for one end; usually one.
#[derive(Default)]
struct Wakers(Vec<Waker>);

impl Wakers {
    fn park(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|w| w.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }
}

/// Wakes after the lock is gone, so that a woken thread does not run into it.
fn wake(wakers: Wakers) {
    wakers.0.into_iter().for_each(Waker::wake);
}

struct Shared(Mutex<State>);

/// The reading end. Dropping it abandons the pipe.
pub struct Receiver(Arc<Shared>);

/// The writing end. Dropping it finishes the pipe.
pub struct Sender(Arc<Shared>);

/// Looks at a pipe without keeping it open.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

/// A new pipe.
pub fn pipe() -> (Sender, Receiver, Watch) {
    let shared = Arc::new(Shared(Mutex::new(State {
        chunks: VecDeque::new(),
        len: 0,
        finished: false,
        abandoned: false,
        reader: Wakers::default(),
        writer: Wakers::default(),
        used: Instant::now(),
    })));
    (Sender(shared.clone()), Receiver(shared.clone()), Watch(shared))
}

impl Receiver {
    /// Ready when [`Receiver::take`] has bytes or the end to tell.
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if state.len > 0 || state.finished || state.abandoned {
            return Poll::Ready(());
        }
        state.reader.park(cx);
        Poll::Pending
    }

    /// Up to `max` bytes; empty when there are none yet, `None` at the end.
    pub fn take(&self, max: usize) -> Option<Bytes> {
        let mut state = self.0.0.lock();
        if state.abandoned {
            return None;
        }
        let was_full = state.len >= CAPACITY;
        let finished = state.finished;
        let taken = match state.chunks.front_mut() {
            None if finished => return None,
            None => return Some(Bytes::new()),
            Some(first) if first.len() > max => first.split_to(max),
            Some(_) => state.chunks.pop_front().unwrap_or_default(),
        };
        state.len -= taken.len();
        state.used = Instant::now();
        let woken = if was_full { std::mem::take(&mut state.writer) } else { Wakers::default() };
        drop(state);
        wake(woken);
        Some(taken)
    }

    /// Reads nothing more; the sender learns that its pipe is broken.
    pub fn abandon(&self) {
        let mut state = self.0.0.lock();
        state.abandoned = true;
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
        self.abandon();
    }
}

impl Sender {
    /// Ready when [`Sender::room`] is not zero, or the pipe is broken.
    pub fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock();
        if state.len < CAPACITY || state.finished || state.abandoned {
            return Poll::Ready(());
        }
        state.writer.park(cx);
        Poll::Pending
    }

    /// How much may be sent now; `None` when the pipe is finished or broken.
    pub fn room(&self) -> Option<usize> {
        let state = self.0.0.lock();
        (!state.finished && !state.abandoned).then(|| CAPACITY.saturating_sub(state.len))
    }

    /// Queues `bytes`, at most [`Sender::room`] of them; false when the pipe is finished or broken.
    pub fn send(&self, bytes: Bytes) -> bool {
        let mut state = self.0.0.lock();
        if state.finished || state.abandoned {
            return false;
        }
        if bytes.is_empty() {
            return true;
        }
        state.len += bytes.len();
        state.chunks.push_back(bytes);
        state.used = Instant::now();
        let woken = std::mem::take(&mut state.reader);
        drop(state);
        wake(woken);
        true
    }

    /// Sends nothing more; the receiver reads what is queued, then the end.
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

impl Watch {
    /// Whether both ends still have a use for the pipe.
    pub fn is_open(&self) -> bool {
        let state = self.0.0.lock();
        !(state.abandoned || state.finished && state.len == 0)
    }

    /// When bytes last moved.
    pub fn used(&self) -> Instant {
        self.0.0.lock().used
    }
}
