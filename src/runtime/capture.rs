//! What an instance writes, kept for whoever started it: the output of a probe or a hook.

use parking_lot::Mutex;

/// Standard output and standard error together, in the order in which they were written; bounded.
pub struct Capture {
    limit: usize,
    /// Protects what was written so far.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    lost: u64,
}

impl Capture {
    /// Keeps the first `limit` bytes and counts the rest.
    pub fn new(limit: usize) -> Capture {
        Capture { limit, kept: Mutex::default() }
    }

    /// What was written and kept; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.lock().bytes).into_owned()
    }

    /// Bytes that were written and not kept.
    pub fn lost(&self) -> u64 {
        self.kept.lock().lost
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock();
        let room = self.limit.saturating_sub(kept.bytes.len()).min(bytes.len());
        let (fits, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        kept.bytes.extend_from_slice(fits);
        kept.lost += rest.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::Capture;

    #[test]
    fn the_first_bytes_are_kept_and_the_rest_counted() {
        let capture = Capture::new(8);
        for part in ["abc", "", "defgh", "ij", "klm"] {
            capture.write(part.as_bytes());
        }
        assert_eq!((capture.text().as_str(), capture.lost()), ("abcdefgh", 5));
        let none = Capture::new(0);
        none.write(b"x");
        assert_eq!((none.text().as_str(), none.lost()), ("", 1));
    }
}
