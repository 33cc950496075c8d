//! The memory of what a node keeps although nothing runs on it: history, events, logs of ended attempts, watch buffers.
//!
//! All of it shares one limit. If it is scarce, history is dropped first, then logs, then events: [`RetainedMemory::excess`]
//! tells each owner how much of its own it has to drop, and the owners drop their oldest. Watch buffers cannot be dropped;
//! they leave less to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// The default of a node's limit, in bytes.
pub const DEFAULT_RETAINED_MEMORY: u64 = 64 << 20;
/// The minimum of a node's limit, in bytes.
pub const MIN_RETAINED_MEMORY: u64 = 8 << 20;
/// The part of the limit that history, and events, may always use.
const FLOOR_PART: u64 = 8;

/// What a node keeps, from what is dropped last to what is dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetainedKind {
    /// Chunks of watches that their clients have not read.
    WatchBuffers,
    /// Stored events.
    Events,
    /// Lines of ended attempts that are in memory.
    Logs,
    /// States of objects that watches can still read.
    History,
}

impl RetainedKind {
    /// All kinds, from what is dropped last to what is dropped first.
    pub const ALL: [RetainedKind; 4] =
        [RetainedKind::WatchBuffers, RetainedKind::Events, RetainedKind::Logs, RetainedKind::History];

    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            RetainedKind::WatchBuffers => "unread changes of watches",
            RetainedKind::Events => "events",
            RetainedKind::Logs => "logs of ended containers",
            RetainedKind::History => "history",
        }
    }

    /// Returns the bytes that the kind may use however much the others do.
    fn floor(self, limit: u64) -> u64 {
        match self {
            RetainedKind::Events | RetainedKind::History => limit / FLOOR_PART,
            RetainedKind::WatchBuffers | RetainedKind::Logs => 0,
        }
    }
}

/// The use of memory by one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedUsage {
    /// The kind.
    pub kind: RetainedKind,
    /// Bytes in use.
    pub bytes: u64,
    /// The number of changes, logs, events or watches that were dropped because memory was scarce.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct KindMeter {
    bytes: AtomicU64,
    dropped: AtomicU64,
}

/// The account of the memory that a node retains. It takes no locks.
#[derive(Debug)]
pub struct RetainedMemory {
    limit: u64,
    /// In the order of [`RetainedKind::ALL`].
    meters: [KindMeter; 4],
}

impl RetainedMemory {
    /// Returns an account with a limit in bytes.
    pub fn new(limit: u64) -> Arc<RetainedMemory> {
        Arc::new(RetainedMemory { limit, meters: Default::default() })
    }

    /// Returns an account that is never exceeded.
    pub fn unlimited() -> Arc<RetainedMemory> {
        RetainedMemory::new(u64::MAX)
    }

    /// Returns the limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns a charge of nothing, which its owner resizes.
    pub fn charge(self: &Arc<RetainedMemory>, kind: RetainedKind) -> RetainedCharge {
        RetainedCharge { memory: self.clone(), kind, bytes: 0 }
    }

    /// Returns the bytes of `kind` that have to be dropped.
    pub fn excess(&self, kind: RetainedKind) -> u64 {
        let used = RetainedKind::ALL.map(|kind| self.meter(kind).bytes.load(Relaxed));
        excess(self.limit, kind, used)
    }

    /// Counts what was dropped because memory was scarce.
    pub fn count_dropped(&self, kind: RetainedKind, count: u64) {
        self.meter(kind).dropped.fetch_add(count, Relaxed);
    }

    /// Returns the use by each kind.
    pub fn usage(&self) -> [RetainedUsage; 4] {
        RetainedKind::ALL.map(|kind| {
            let KindMeter { bytes, dropped } = self.meter(kind);
            RetainedUsage { kind, bytes: bytes.load(Relaxed), dropped: dropped.load(Relaxed) }
        })
    }

    fn meter(&self, kind: RetainedKind) -> &KindMeter {
        let [watches, events, logs, history] = &self.meters;
        match kind {
            RetainedKind::WatchBuffers => watches,
            RetainedKind::Events => events,
            RetainedKind::Logs => logs,
            RetainedKind::History => history,
        }
    }
}

/// Returns the bytes of `kind` that have to be dropped: those that exceed both its floor and what the kinds that are dropped
/// later, and the floors of those that are dropped earlier, leave of the limit.
///
/// For the kind that is dropped first the others use what they use; so it yields before they have to.
fn excess(limit: u64, kind: RetainedKind, used: [u64; 4]) -> u64 {
    let mut left = limit;
    let mut own = 0;
    let mut is_later = true;
    for (other, used) in RetainedKind::ALL.into_iter().zip(used) {
        if other == kind {
            (own, is_later) = (used, false);
        } else {
            left = left.saturating_sub(if is_later { used } else { other.floor(limit) });
        }
    }
    own.saturating_sub(left.max(kind.floor(limit)))
}

/// Bytes of one owner. Dropping the charge releases them.
#[derive(Debug)]
pub struct RetainedCharge {
    memory: Arc<RetainedMemory>,
    kind: RetainedKind,
    bytes: u64,
}

impl RetainedCharge {
    /// Returns the charged bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the account.
    pub fn memory(&self) -> &Arc<RetainedMemory> {
        &self.memory
    }

    /// Changes the charged bytes. That never fails: the owner asks for the [`excess`](RetainedMemory::excess) afterwards.
    pub fn resize(&mut self, bytes: u64) {
        let used = &self.memory.meter(self.kind).bytes;
        if bytes >= self.bytes {
            used.fetch_add(bytes - self.bytes, Relaxed);
        } else {
            used.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }

    /// Returns the bytes of this kind that have to be dropped.
    pub fn excess(&self) -> u64 {
        self.memory.excess(self.kind)
    }

    /// Counts what the owner has dropped because memory was scarce.
    pub fn count_dropped(&self, count: u64) {
        self.memory.count_dropped(self.kind, count);
    }
}

impl Drop for RetainedCharge {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::RetainedKind::{Events, History, Logs, WatchBuffers};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn history_is_dropped_before_logs_and_logs_before_events() {
        // With a limit of 80, the floors of history and events are 10.
        for (used, [watches, events, logs, history]) in [
            ([0, 0, 0, 80], [0, 0, 0, 0]),
            ([0, 0, 0, 81], [0, 0, 0, 1]),
            ([0, 20, 30, 40], [0, 0, 0, 10]),
            ([0, 40, 50, 40], [0, 0, 20, 30]),
            ([0, 90, 50, 40], [0, 20, 50, 30]),
            ([10, 90, 0, 0], [0, 30, 0, 0]),
            // Of too many watches, those are ended that are not read.
            ([90, 20, 5, 20], [30, 10, 5, 10]),
            ([0, 10, 0, 0], [0, 0, 0, 0]),
        ] {
            let excess = |kind| excess(80, kind, used);
            assert_eq!(
                [excess(WatchBuffers), excess(Events), excess(Logs), excess(History)],
                [watches, events, logs, history],
                "{used:?}"
            );
        }
    }

    #[test]
    fn charges_are_released_and_drops_counted() {
        let memory = RetainedMemory::new(MIN_RETAINED_MEMORY);
        let mut charge = memory.charge(Logs);
        charge.resize(300);
        charge.resize(200);
        memory.count_dropped(Logs, 2);
        assert_eq!(memory.usage()[2], RetainedUsage { kind: Logs, bytes: 200, dropped: 2 });
        assert_eq!((charge.bytes(), charge.excess()), (200, 0));
        drop(charge);
        assert_eq!(memory.usage()[2].bytes, 0);
        assert_eq!(RetainedMemory::unlimited().excess(History), 0);
    }

    proptest! {
        #[test]
        fn limit_holds_once_every_owner_has_dropped_its_excess(
            limit in 0u64..1000, mut used in proptest::array::uniform4(0u64..2000),
        ) {
            // In any order: what one owner drops never makes another keep too much.
            for (index, kind) in RetainedKind::ALL.into_iter().enumerate().rev() {
                used[index] -= excess(limit, kind, used);
            }
            for (index, kind) in RetainedKind::ALL.into_iter().enumerate() {
                used[index] -= excess(limit, kind, used);
            }
            prop_assert!(used.iter().sum::<u64>() <= limit, "{used:?}");
        }
    }
}
