//! The changes that watches can still read, bounded by number and by the memory that the node retains.

use std::collections::VecDeque;
use std::sync::Arc;

use super::RevisionExpired;
use crate::budget::{RetainedCharge, RetainedKind, RetainedMemory};
use crate::control::{ChangeKind, Object, Revision};

/// Memory that an entry takes beside the JSON of its objects.
const ENTRY_OVERHEAD: usize = 256;
/// The number of changes that a node's history keeps.
const MAX_CHANGES: usize = 4096;

/// An entry of the history: what one operation did.
#[derive(Debug, Clone)]
pub struct ObjectChange {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// State after the change, at the revision of the change; for a deletion, the last state.
    pub object: Arc<Object>,
    /// State before the change, with which a filtered watch decides whether the object entered or left its scope.
    pub previous: Option<Arc<Object>>,
}

impl ObjectChange {
    pub(super) fn revision(&self) -> Revision {
        self.object.revision
    }

    /// Returns the memory that the history keeps for the change: the state that the change replaced or removed. The
    /// current state of an object does not count, which the store has anyway.
    fn bytes(&self) -> u64 {
        let previous = self.previous.as_ref().map_or(0, |previous| previous.json.len());
        let last = if self.kind == ChangeKind::Deleted { self.object.json.len() } else { 0 };
        (previous + last + ENTRY_OVERHEAD) as u64
    }
}

/// The bounds of a history; it keeps at least one change.
#[derive(Debug, Clone)]
pub struct HistoryLimits {
    /// Maximum number of changes.
    pub changes: usize,
    /// The account of the states that only the history keeps.
    pub memory: Arc<RetainedMemory>,
}

impl HistoryLimits {
    /// Returns the bounds of a node that retains as much as `memory` permits.
    pub fn within(memory: Arc<RetainedMemory>) -> HistoryLimits {
        HistoryLimits { changes: MAX_CHANGES, memory }
    }
}

/// Revisions whose changes are lost: a node that did not end in order may have answered them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct LostRevisions {
    /// The last revision whose changes are known.
    pub after: Revision,
    /// The first revision whose successors are known.
    pub until: Revision,
}

/// The changes after a revision, in order.
pub(super) struct History {
    changes: VecDeque<ObjectChange>,
    max_changes: usize,
    charge: RetainedCharge,
    /// The history contains all changes after this revision, but for the lost ones.
    oldest: Revision,
    lost: Vec<LostRevisions>,
}

impl History {
    /// Returns the history that starts after `oldest`.
    pub fn new(limits: HistoryLimits, oldest: Revision) -> History {
        let HistoryLimits { changes: max_changes, memory } = limits;
        let charge = memory.charge(RetainedKind::History);
        History { changes: VecDeque::new(), max_changes, charge, oldest, lost: Vec::new() }
    }

    pub fn with_lost(self, lost: Vec<LostRevisions>) -> History {
        History { lost, ..self }
    }

    /// Returns the oldest revision from which a watch can start.
    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    /// Returns the ranges of lost revisions that are newer than the oldest revision.
    pub fn lost(&self) -> &[LostRevisions] {
        &self.lost
    }

    /// Appends a change, and returns those that leave the history for it.
    pub fn push(&mut self, change: ObjectChange) -> Vec<ObjectChange> {
        self.charge.resize(self.charge.bytes() + change.bytes());
        self.changes.push_back(change);
        let mut dropped = Vec::new();
        while self.changes.len() > 1 {
            let is_memory_scarce = self.charge.excess() > 0;
            if self.changes.len() <= self.max_changes && !is_memory_scarce {
                break;
            }
            let Some(oldest) = self.changes.pop_front() else { break };
            self.charge.resize(self.charge.bytes() - oldest.bytes());
            self.charge.count_dropped(is_memory_scarce.into());
            self.oldest = oldest.revision();
            dropped.push(oldest);
        }
        if !dropped.is_empty() {
            let oldest = self.oldest;
            self.lost.retain(|lost| lost.until > oldest);
        }
        dropped
    }

    /// Returns the changes after `revision`.
    pub fn after(&self, revision: Revision) -> impl DoubleEndedIterator<Item = &ObjectChange> {
        let first = self.changes.partition_point(|change| change.revision() <= revision);
        self.changes.range(first..)
    }

    /// Returns an error unless the history contains all changes after `requested`.
    pub fn check_reaches(&self, requested: Revision) -> Result<(), RevisionExpired> {
        if requested < self.oldest {
            return Err(RevisionExpired { requested, oldest: self.oldest });
        }
        match self.lost.iter().find(|lost| lost.after < requested && requested < lost.until) {
            Some(lost) => Err(RevisionExpired { requested, oldest: lost.until }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Key, UnversionedObject};
    use k8s_openapi::api::core::v1::Pod;

    fn change(revision: Revision) -> ObjectChange {
        let object = UnversionedObject::encode(&Pod::default()).expect("a pod encodes");
        let object = Arc::new(object.with_revision(Key::pod("ns", "a"), revision));
        ObjectChange { kind: ChangeKind::Added, object, previous: None }
    }

    fn changes(changes: usize) -> HistoryLimits {
        HistoryLimits { changes, memory: RetainedMemory::unlimited() }
    }

    #[test]
    fn history_is_bounded_by_number_and_retained_memory() {
        let one = change(2).bytes();
        let scarce = HistoryLimits { changes: 9, memory: RetainedMemory::new(3 * one) };
        let memory = scarce.memory.clone();
        for limits in [changes(3), scarce] {
            let mut history = History::new(limits, 1);
            let dropped: Vec<Revision> =
                (2..7).flat_map(|revision| history.push(change(revision))).map(|change| change.revision()).collect();
            assert_eq!((dropped, history.oldest()), (vec![2, 3], 3));
            assert!(history.after(4).map(ObjectChange::revision).eq([5, 6]));
        }
        assert_eq!(memory.usage()[3].dropped, 2);
        assert_eq!(memory.usage()[3].bytes, 0, "the history is dropped");
        let mut history = History::new(changes(0), 1);
        history.push(change(2));
        assert!(history.push(change(3)).len() == 1 && history.check_reaches(2).is_ok(), "one change stays");
    }

    #[test]
    fn history_counts_states_that_only_it_keeps() {
        let added = change(2);
        let json = added.object.json.len() as u64;
        let previous = Some(added.object.clone());
        let modified = ObjectChange { kind: ChangeKind::Modified, previous: previous.clone(), ..change(3) };
        let deleted = ObjectChange { kind: ChangeKind::Deleted, previous, ..change(4) };
        let kept = [added, modified, deleted].map(|change| change.bytes() - ENTRY_OVERHEAD as u64);
        assert_eq!(kept, [0, json, 2 * json]);
    }

    #[test]
    fn other_retained_memory_shortens_the_history() {
        let memory = RetainedMemory::new(80 * ENTRY_OVERHEAD as u64);
        let mut history = History::new(HistoryLimits { changes: 100, memory: memory.clone() }, 1);
        (2..62).for_each(|revision| drop(history.push(change(revision))));
        let mut events = memory.charge(RetainedKind::Events);
        events.resize(60 * ENTRY_OVERHEAD as u64);
        history.push(change(62));
        assert_eq!(history.changes.len(), 20);
        events.resize(80 * ENTRY_OVERHEAD as u64);
        history.push(change(63));
        assert_eq!(history.changes.len(), 10, "its floor");
        assert!(history.check_reaches(52).is_err() && history.check_reaches(53).is_ok());
    }

    #[test]
    fn lost_revisions_are_expired_until_the_history_drops_them() {
        let lost = vec![LostRevisions { after: 4, until: 100 }];
        let mut history = History::new(changes(2), 1).with_lost(lost);
        let reaches = |history: &History, revision| history.check_reaches(revision).map_err(|error| error.oldest);
        assert_eq!(
            [0, 1, 4, 5, 99, 100].map(|r| reaches(&history, r)),
            [Err(1), Ok(()), Ok(()), Err(100), Err(100), Ok(())]
        );
        for revision in 101..104 {
            history.push(change(revision));
        }
        assert_eq!((reaches(&history, 50), history.lost()), (Err(101), &[][..]));
    }
}
