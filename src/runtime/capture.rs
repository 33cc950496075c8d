//! Captured output of an instance, such as a probe or a hook.

use parking_lot::Mutex;

/// Standard output and standard error combined in the order of writing, up to a limit.
pub struct Capture {
    limit: usize,
    /// Protects the captured bytes and their count.
    captured: Mutex<Captured>,
}

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Capture {
    /// Creates a capture that keeps the first `limit` bytes and counts the rest.
    pub fn new(limit: usize) -> Capture {
        Capture { limit, captured: Mutex::default() }
    }

    /// Returns the captured text, with invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.captured.lock().bytes).into_owned()
    }

    /// Returns the number of bytes that exceeded the limit.
    pub fn dropped(&self) -> u64 {
        self.captured.lock().dropped
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        let mut captured = self.captured.lock();
        let room = self.limit.saturating_sub(captured.bytes.len()).min(bytes.len());
        let (fits, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        captured.bytes.extend_from_slice(fits);
        captured.dropped += rest.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::Capture;

    #[test]
    fn first_bytes_are_captured_and_the_rest_counted() {
        let capture = Capture::new(8);
        for part in ["abc", "", "defgh", "ij", "klm"] {
            capture.write(part.as_bytes());
        }
        assert_eq!((capture.text().as_str(), capture.dropped()), ("abcdefgh", 5));
        let none = Capture::new(0);
        none.write(b"x");
        assert_eq!((none.text().as_str(), none.dropped()), ("", 1));
    }
}
