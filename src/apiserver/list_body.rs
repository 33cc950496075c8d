//! A list's JSON, made while it is sent: stored bytes between brackets.
//!
//! A long list never stands in memory as a whole, however slowly its client reads: what waits to
//! be sent is one piece and the shared objects behind it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::control::Object;

/// Bytes of a piece, but for a single object that is larger. Small enough for allocators to have at hand.
const PIECE: usize = 64 * 1024;

/// Ends a list.
const TAIL: &[u8] = b"]}\n";

/// See the module's documentation.
pub struct ListBody {
    /// What comes before the first object; then nothing.
    head: Vec<u8>,
    items: std::iter::Peekable<std::vec::IntoIter<Arc<Object>>>,
    /// Whether an object has been sent already.
    begun: bool,
    /// Bytes that are still to come.
    left: u64,
}

impl ListBody {
    /// The list of `items` behind `head`, which ends with the opening bracket.
    pub fn new(head: Vec<u8>, items: Vec<Arc<Object>>) -> ListBody {
        let objects: usize = items.iter().map(|object| object.json.len()).sum();
        let length = head.len() + objects + items.len().saturating_sub(1) + TAIL.len();
        ListBody { head, items: items.into_iter().peekable(), begun: false, left: length as u64 }
    }

    fn piece(&mut self) -> Vec<u8> {
        let mut piece = std::mem::take(&mut self.head);
        piece.reserve(PIECE);
        while let Some(object) = self.items.next_if(|next| piece.is_empty() || piece.len() + next.json.len() < PIECE) {
            if self.begun {
                piece.push(b',');
            }
            self.begun = true;
            piece.extend_from_slice(&object.json);
        }
        if self.items.peek().is_none() {
            piece.extend_from_slice(TAIL);
        }
        piece
    }
}

impl Body for ListBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.piece();
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
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
    async fn a_list_is_whole_whatever_its_pieces_and_as_long_as_it_says() {
        for (count, padding) in [(0, 0), (1, 0), (3, 10), (1000, 100), (3, 100_000), (5, PIECE)] {
            let mut body = ListBody::new(b"{\"items\":[".to_vec(), objects(count, padding));
            let told = body.size_hint().exact().expect("a length");
            let mut text = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.expect("a piece").into_data().expect("data");
                assert!(!piece.is_empty());
                text.extend_from_slice(&piece);
            }
            assert_eq!(text.len() as u64, told, "{count} of {padding}");
            let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(read["items"].as_array().map(Vec::len), Some(count));
        }
    }
}
