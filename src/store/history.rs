//! The changes that watches can still read, bounded by number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::RevisionExpired;
use crate::control::{ChangeKind, Object, Revision};

/// Memory that an entry takes beside the JSON of its object.
const ENTRY_OVERHEAD: usize = 256;

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

    fn bytes(&self) -> usize {
        self.object.json.len() + ENTRY_OVERHEAD
    }
}

/// The bounds of a history; it keeps at least one change.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimits {
    /// Maximum number of changes.
    pub changes: usize,
    /// Maximum bytes of the changed objects.
    pub bytes: usize,
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
    bytes: usize,
    limits: HistoryLimits,
    /// The history contains all changes after this revision, but for the lost ones.
    oldest: Revision,
    lost: Vec<LostRevisions>,
}

impl History {
    /// Returns the history that starts after `oldest`.
    pub fn new(limits: HistoryLimits, oldest: Revision) -> History {
        History { changes: VecDeque::new(), bytes: 0, limits, oldest, lost: Vec::new() }
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
        self.bytes += change.bytes();
        self.changes.push_back(change);
        let mut dropped = Vec::new();
        let limits = self.limits;
        while self.changes.len() > 1 && (self.changes.len() > limits.changes || self.bytes > limits.bytes) {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.bytes();
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

    #[test]
    fn history_is_bounded_by_number_and_bytes() {
        let one = change(2).bytes();
        for limits in [HistoryLimits { changes: 3, bytes: usize::MAX }, HistoryLimits { changes: 9, bytes: 3 * one }] {
            let mut history = History::new(limits, 1);
            let dropped: Vec<Revision> =
                (2..7).flat_map(|revision| history.push(change(revision))).map(|change| change.revision()).collect();
            assert_eq!((dropped, history.oldest()), (vec![2, 3], 3));
            assert!(history.after(4).map(ObjectChange::revision).eq([5, 6]));
        }
        let mut history = History::new(HistoryLimits { changes: 0, bytes: 0 }, 1);
        history.push(change(2));
        assert!(history.push(change(3)).len() == 1 && history.check_reaches(2).is_ok(), "one change stays");
    }

    #[test]
    fn lost_revisions_are_expired_until_the_history_drops_them() {
        let lost = vec![LostRevisions { after: 4, until: 100 }];
        let mut history = History::new(HistoryLimits { changes: 2, bytes: usize::MAX }, 1).with_lost(lost);
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
