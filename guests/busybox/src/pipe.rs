//! Pipes in memory. A pipe ends when all of its writers are gone, and breaks when all of its readers are.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Read};
use std::rc::Rc;
use std::task::{Poll, Waker};

const PIPE_CAPACITY: usize = 64 * 1024;

#[derive(Default)]
struct Channel {
    bytes: VecDeque<u8>,
    no_writer: bool,
    no_reader: bool,
    waiting: Vec<Waker>,
}

impl Channel {
    /// Registers a waker once; a join polls a task more often than necessary.
    fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

pub struct ReadEnd(Rc<RefCell<Channel>>);
pub struct WriteEnd(Rc<RefCell<Channel>>);

/// Creates both ends of a pipe.
pub fn ends() -> (ReadEnd, WriteEnd) {
    let channel = Rc::new(RefCell::new(Channel::default()));
    (ReadEnd(channel.clone()), WriteEnd(channel))
}

impl ReadEnd {
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut channel = self.0.borrow_mut();
            if channel.bytes.is_empty() {
                if channel.no_writer || buf.is_empty() {
                    return Poll::Ready(Ok(0));
                }
                channel.wait(cx.waker());
                return Poll::Pending;
            }
            let n = channel.bytes.read(buf);
            channel.wake();
            Poll::Ready(n)
        })
        .await
    }
}

impl WriteEnd {
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        poll_fn(|cx| {
            let mut channel = self.0.borrow_mut();
            if channel.no_reader {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let free = PIPE_CAPACITY - channel.bytes.len();
            let (now, later) = bytes.split_at(free.min(bytes.len()));
            channel.bytes.extend(now);
            if !now.is_empty() {
                channel.wake();
            }
            bytes = later;
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            channel.wait(cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        let mut channel = self.0.borrow_mut();
        channel.no_reader = true;
        channel.wake();
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        let mut channel = self.0.borrow_mut();
        channel.no_writer = true;
        channel.wake();
    }
}
