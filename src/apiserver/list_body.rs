//! The body of a list in JSON, produced while it is sent.
//!
//! A long list is never in memory as a whole, however slowly its client reads: only one chunk and the
//! shared stored objects are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::control::Object;

/// Maximum size of a chunk, unless a single object is larger.
const CHUNK_BYTES: usize = 64 * 1024;

/// End of the list.
const TAIL: &[u8] = b"]}\n";

/// Streams a list of stored objects.
pub struct ListBody {
    /// Text before the first object; empty once it is sent.
    head: Vec<u8>,
    items: std::iter::Peekable<std::vec::IntoIter<Arc<Object>>>,
    /// Whether an object has been sent.
    has_sent: bool,
    /// Number of bytes left to send.
    remaining: u64,
}

impl ListBody {
    /// Creates the list of `items` after `head`, which ends with the opening bracket.
    pub fn new(head: Vec<u8>, items: Vec<Arc<Object>>) -> ListBody {
        let objects: usize = items.iter().map(|object| object.json.len()).sum();
        let length = head.len() + objects + items.len().saturating_sub(1) + TAIL.len();
        ListBody { head, items: items.into_iter().peekable(), has_sent: false, remaining: length as u64 }
    }

    fn next_chunk(&mut self) -> Vec<u8> {
        let mut chunk = std::mem::take(&mut self.head);
        chunk.reserve(CHUNK_BYTES);
        while let Some(object) =
            self.items.next_if(|next| chunk.is_empty() || chunk.len() + next.json.len() < CHUNK_BYTES)
        {
            if self.has_sent {
                chunk.push(b',');
            }
            self.has_sent = true;
            chunk.extend_from_slice(&object.json);
        }
        if self.items.peek().is_none() {
            chunk.extend_from_slice(TAIL);
        }
        chunk
    }
}

impl Body for ListBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let chunk = self.next_chunk();
        self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::control::{Key, UnversionedObject};

    fn objects(count: usize, padding: usize) -> Vec<Arc<Object>> {
        let object = |i: usize| {
            let mut pod = Pod::default();
            pod.metadata.annotations = Some([("x".to_string(), "y".repeat(padding))].into());
            Arc::new(
                UnversionedObject::encode(&pod).expect("a pod").with_revision(Key::pod("ns", &i.to_string()), i as u64),
            )
        };
        (0..count).map(object).collect()
    }

    #[tokio::test]
    async fn list_is_complete_and_has_its_announced_length() {
        for (count, padding) in [(0, 0), (1, 0), (3, 10), (1000, 100), (3, 100_000), (5, CHUNK_BYTES)] {
            let mut body = ListBody::new(b"{\"items\":[".to_vec(), objects(count, padding));
            let announced = body.size_hint().exact().expect("a length");
            let mut text = Vec::new();
            while let Some(frame) = body.frame().await {
                let chunk = frame.expect("a frame").into_data().expect("data");
                assert!(!chunk.is_empty());
                text.extend_from_slice(&chunk);
            }
            assert_eq!(text.len() as u64, announced, "{count} of {padding}");
            let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(read["items"].as_array().map(Vec::len), Some(count));
        }
    }
}
