//! Keys that wait to be reconciled: each once, in the order of their times, and later after failures.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crate::lifecycle::MonoTime;

/// The delay after the first failure; it doubles with each further one (client-go's `DefaultItemBasedRateLimiter`).
const INITIAL_BACKOFF: Duration = Duration::from_millis(5);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Returns the delay after `failures` consecutive failures.
pub(super) fn backoff(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    INITIAL_BACKOFF.saturating_mul(factor).min(MAX_BACKOFF)
}

/// A queue of keys, without a clock of its own.
pub(super) struct WorkQueue<K> {
    /// The keys by the time at which they are due and the order in which they were added.
    due: BTreeMap<(MonoTime, u64), K>,
    /// The position of each key in `due`.
    positions: HashMap<K, (MonoTime, u64)>,
    /// The consecutive failures of each key that failed last.
    failures: HashMap<K, u32>,
    added: u64,
}

impl<K> Default for WorkQueue<K> {
    fn default() -> WorkQueue<K> {
        WorkQueue { due: BTreeMap::new(), positions: HashMap::new(), failures: HashMap::new(), added: 0 }
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// Adds a key that is due at `time`, or earlier if it is queued for an earlier time.
    pub fn add(&mut self, key: K, time: MonoTime) {
        if let Some(position) = self.positions.get(&key).copied() {
            if position.0 <= time {
                return;
            }
            self.due.remove(&position);
        }
        self.added += 1;
        self.positions.insert(key.clone(), (time, self.added));
        self.due.insert((time, self.added), key);
    }

    /// Adds a key whose reconciliation failed at `now`, after its back-off.
    pub fn retry(&mut self, key: K, now: MonoTime) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        let delay = backoff(*failures);
        self.add(key, now + delay);
    }

    /// Resets the back-off of a key whose reconciliation succeeded.
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// Removes and returns the next key that is due at `now`.
    pub fn pop(&mut self, now: MonoTime) -> Option<K> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = entry.remove();
        self.positions.remove(&key);
        Some(key)
    }

    /// Returns the time at which the next key is due.
    pub fn next_due(&self) -> Option<MonoTime> {
        self.due.first_key_value().map(|((time, _), _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn keys_are_popped_once_in_the_order_of_their_times() {
        let mut queue = WorkQueue::default();
        for (key, time) in [("c", 30), ("a", 10), ("b", 10), ("a", 20), ("c", 15), ("d", 99)] {
            queue.add(key, at(time));
        }
        assert_eq!(queue.next_due(), Some(at(10)));
        assert_eq!(queue.pop(at(9)), None);
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop(at(20))).collect();
        assert_eq!((popped, queue.next_due()), (vec!["a", "b", "c"], Some(at(99))));
    }

    #[test]
    fn failures_double_the_delay_until_forgotten() {
        let mut queue = WorkQueue::default();
        let mut delay = |forget: bool| {
            if forget {
                queue.forget(&"a");
            }
            queue.retry("a", at(0));
            let due = queue.next_due();
            queue.pop(at(u64::from(u32::MAX)));
            due
        };
        assert_eq!([delay(false), delay(false), delay(false)], [Some(at(5)), Some(at(10)), Some(at(20))]);
        assert_eq!(delay(true), Some(at(5)));
        assert_eq!([backoff(15), backoff(40), backoff(u32::MAX)], [MAX_BACKOFF; 3]);
    }
}
