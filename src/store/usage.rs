//! What a store holds, for people who look after a node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ObjectStore;
use super::committer::Backlog;
use crate::budget::RetainedUsage;
use crate::control::Revision;

/// What a store holds. Bytes are those of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreUsage {
    /// The newest visible revision.
    pub revision: Revision,
    /// The oldest revision that watches can start from.
    pub oldest_watchable_revision: Revision,
    /// The objects, by resource: `deployments.apps`.
    pub objects: BTreeMap<String, Amount>,
    /// The changes that watches can still read.
    pub history: Amount,
    /// The limit of what the node keeps for its clients, in bytes.
    pub retained_limit: u64,
    /// What the node keeps for its clients, and what it dropped because of that limit.
    pub retained: Vec<RetainedUsage>,
    /// When the file of the database was last compacted, since the store was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_compaction: Option<Timestamp>,
    /// Why changes cannot be stored at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A number of things and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The number.
    pub count: usize,
    /// Bytes of JSON.
    pub bytes: usize,
}

impl Amount {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }
}

impl ObjectStore {
    /// Returns what the store holds.
    pub fn usage(&self) -> StoreUsage {
        let state = self.shared.state.lock();
        let mut objects: BTreeMap<String, Amount> = BTreeMap::new();
        for (key, object) in &state.objects {
            objects.entry(key.resource.qualified_name()).or_default().add(object.json.len());
        }
        let mut history = Amount::default();
        state.history.after(0).for_each(|change| history.add(change.object.json.len()));
        let backlog = state.backlog.as_ref();
        StoreUsage {
            revision: state.revision,
            oldest_watchable_revision: state.history.oldest(),
            objects,
            history,
            retained_limit: self.retained.limit(),
            retained: self.retained.usage().into(),
            last_compaction: backlog.and_then(Backlog::last_compaction),
            failure: backlog.and_then(Backlog::failure).map(|failure| failure.to_string()),
        }
    }
}
