//! Reads keys from the terminal, and notices changes of its size.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use wstd::time::Duration;

use super::keys::{Decoder, Key};
use crate::proc::Reader;

/// Milliseconds that the rest of a sequence may take; after them, Escape is a key of its own.
const ESCAPE_TIMEOUT: u64 = 100;

pub enum Event {
    Key(Key),
    /// The terminal's size may have changed.
    Resized,
    /// The terminal is gone.
    End,
}

/// The keys of the terminal. Dropping it returns the keys that were typed ahead.
pub struct Keyboard {
    reader: Reader,
    decoder: Decoder,
}

impl Keyboard {
    pub fn new(reader: Reader) -> Keyboard {
        Keyboard { reader, decoder: Decoder::default() }
    }

    /// Returns the next event; may be dropped while it waits without losing a key.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(key) = self.decoder.next_key() {
                return Event::Key(key);
            }
            let mut bytes = [0; 4096];
            match self.read(&mut bytes).await {
                Read::Bytes(0) => return Event::End,
                Read::Bytes(n) => self.decoder.push(bytes.get(..n).unwrap_or_default()),
                Read::Resized => return Event::Resized,
                Read::Timeout => {
                    if let Some(key) = self.decoder.flush() {
                        return Event::Key(key);
                    }
                }
            }
        }
    }

    /// Returns a key that has arrived completely; never waits.
    pub fn next_arrived(&mut self) -> Option<Key> {
        self.decoder.next_key()
    }

    async fn read(&self, bytes: &mut [u8]) -> Read {
        let mut read = pin!(self.reader.read(bytes));
        let mut resized = pin!(terminal::resized());
        let mut timeout = pin!(async {
            match self.decoder.is_incomplete() {
                true => _ = wstd::task::sleep(Duration::from_millis(ESCAPE_TIMEOUT)).await,
                false => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if let Poll::Ready(read) = read.as_mut().poll(cx) {
                return Poll::Ready(Read::Bytes(read.unwrap_or(0)));
            }
            if resized.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Read::Resized);
            }
            timeout.as_mut().poll(cx).map(|()| Read::Timeout)
        })
        .await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let mut rest = self.decoder.take_rest();
        // What a terminal in cooked mode would have made of it.
        rest.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        self.reader.unread(&rest);
    }
}

enum Read {
    Bytes(usize),
    Resized,
    Timeout,
}
