//! Which object depends on which. Only objects with owner references are kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::decision::{DependentState, FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use crate::control::{ChangeKind, Key};
use crate::controllers::object_metadata::ObjectMetadata;

/// An index of owner references by the UID of the owner.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The objects that have owner references.
    objects: HashMap<Key, Node>,
    dependents: HashMap<Arc<str>, BTreeSet<Key>>,
    /// The objects, by UID, that are marked for deletion in the foreground.
    awaiting: HashMap<String, Key>,
}

/// An object that has owner references.
#[derive(Debug)]
struct Node {
    /// The UIDs of the owners, each with whether its deletion in the foreground waits for this object.
    owners: Vec<(Arc<str>, bool)>,
    awaits_dependents: bool,
}

impl Graph {
    /// Takes in a change. Returns the objects to reconcile, in this order.
    pub fn observe(&mut self, kind: ChangeKind, key: &Key, object: &ObjectMetadata) -> Vec<Key> {
        let is_removed = kind == ChangeKind::Deleted;
        let mut affected = self.set_owners(key, if is_removed { None } else { Some(object) });
        let is_finalized_by = |finalizer| !is_removed && object.is_deleted() && object.has_finalizer(finalizer);
        let awaits = is_finalized_by(FOREGROUND_FINALIZER);
        let awaited = self.awaiting.contains_key(&object.uid);
        if awaits && !awaited {
            self.awaiting.insert(object.uid.clone(), key.clone());
            affected.extend(self.dependents_of(&object.uid).cloned());
            affected.push(key.clone());
        } else if awaited && !awaits {
            self.awaiting.remove(&object.uid);
        }
        if let Some(node) = self.objects.get_mut(key) {
            node.awaits_dependents = awaits;
        }
        if is_removed {
            affected.extend(self.dependents_of(&object.uid).cloned());
        } else if is_finalized_by(ORPHAN_FINALIZER) {
            affected.push(key.clone());
        }
        affected
    }

    /// Returns whether objects have owner references to the object with this UID.
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.contains_key(uid)
    }

    /// Returns the objects that have owner references to the object with this UID.
    pub fn dependents_of(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Returns the states of the dependents of the object with this UID.
    pub fn dependent_states(&self, uid: &str) -> Vec<DependentState> {
        let nodes = self.dependents_of(uid).filter_map(|key| self.objects.get(key));
        let state = |node: &Node| DependentState {
            blocks_owner: node.owners.iter().any(|(owner, blocks)| **owner == *uid && *blocks),
            awaits_dependents: node.awaits_dependents,
        };
        nodes.map(state).collect()
    }

    /// Replaces the owners of an object by those of its new state, if it has one. Returns the objects to reconcile: the
    /// object itself if it has a new owner, and owners that need not wait for it any longer.
    fn set_owners(&mut self, key: &Key, object: Option<&ObjectMetadata>) -> Vec<Key> {
        let references = object.map(|object| object.owner_references.as_slice()).unwrap_or_default();
        let old = self.objects.remove(key).map(|node| node.owners).unwrap_or_default();
        if references.is_empty() && old.is_empty() {
            return Vec::new();
        }
        let mut affected = Vec::new();
        let mut owners = Vec::with_capacity(references.len());
        for reference in references {
            let known = old.iter().map(|(uid, _)| uid).find(|uid| ***uid == *reference.uid);
            let uid = known.cloned().unwrap_or_else(|| self.add_dependent(&reference.uid, key));
            if known.is_none() && affected.is_empty() {
                affected.push(key.clone());
            }
            owners.push((uid, reference.block_owner_deletion == Some(true)));
        }
        for (uid, blocked) in &old {
            let new = owners.iter().find(|(owner, _)| owner == uid).map(|(_, blocks)| *blocks);
            if new.is_none() {
                self.remove_dependent(uid, key);
            }
            if *blocked && new != Some(true) {
                affected.extend(self.awaiting.get(&**uid).cloned());
            }
        }
        if !owners.is_empty() {
            self.objects.insert(key.clone(), Node { owners, awaits_dependents: false });
        }
        affected
    }

    /// Adds a dependent of an owner. Returns the owner's UID, of which there is one copy.
    fn add_dependent(&mut self, owner: &str, key: &Key) -> Arc<str> {
        let uid = match self.dependents.get_key_value(owner) {
            Some((uid, _)) => uid.clone(),
            None => owner.into(),
        };
        self.dependents.entry(uid.clone()).or_default().insert(key.clone());
        uid
    }

    fn remove_dependent(&mut self, owner: &Arc<str>, key: &Key) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(key);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ChangeKind::{Added, Deleted, Modified};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::control::Resource;

    /// Reads `NAME OWNER OWNER! … +FINALIZER -`: an object, its owners (`!`: blocks), its finalizers, whether deleted.
    fn object(words: &str) -> (Key, ObjectMetadata) {
        let mut words = words.split_whitespace();
        let uid = words.next().expect("a name").to_string();
        let key = Key::new(Resource::CONFIG_MAPS, "default", &uid);
        let mut object = ObjectMetadata { uid, ..ObjectMetadata::default() };
        for word in words {
            match (word, word.strip_prefix('+')) {
                ("-", _) => object.deletion_timestamp = Some("2026-01-01T00:00:00Z".into()),
                (_, Some(finalizer)) => object.finalizers.push(finalizer.into()),
                (owner, None) => object.owner_references.push(OwnerReference {
                    uid: owner.trim_end_matches('!').into(),
                    block_owner_deletion: owner.ends_with('!').then_some(true),
                    ..OwnerReference::default()
                }),
            }
        }
        (key, object)
    }

    fn observe(graph: &mut Graph, kind: ChangeKind, words: &str) -> String {
        let (key, object) = object(words);
        let affected = graph.observe(kind, &key, &object);
        affected.iter().map(|key| key.name.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn changes_affect_dependents_and_waiting_owners() {
        let mut graph = Graph::default();
        for (kind, words, want) in [
            (Added, "a", ""),
            (Added, "b a!", "b"),
            (Added, "c a b", "c"),
            (Modified, "c a b", ""),
            (Modified, "b a", ""),
            (Modified, "b a!", ""),
            (Modified, "a +foregroundDeletion -", "b c a"),
            (Modified, "a +foregroundDeletion -", ""),
            (Modified, "c b", ""),
            (Modified, "b a", "a"),
            (Modified, "b a!", ""),
            (Deleted, "b a!", "a c"),
            (Deleted, "a -", ""),
            (Deleted, "c b", ""),
            (Added, "d +orphan -", "d"),
            (Deleted, "d -", ""),
        ] {
            assert_eq!(observe(&mut graph, kind, words), want, "{kind:?} {words}");
        }
        assert!(graph.objects.is_empty() && graph.dependents.is_empty() && graph.awaiting.is_empty(), "{graph:?}");
    }

    #[test]
    fn objects_without_owners_take_no_memory() {
        let mut graph = Graph::default();
        for i in 0..100 {
            observe(&mut graph, Added, &format!("p{i}"));
        }
        assert_eq!(graph.objects.capacity() + graph.dependents.capacity() + graph.awaiting.capacity(), 0);
    }

    #[test]
    fn states_of_dependents_follow_their_metadata() {
        let mut graph = Graph::default();
        for words in ["b a!", "c a +foregroundDeletion -", "d x!"] {
            observe(&mut graph, Added, words);
        }
        let state = |blocks_owner, awaits_dependents| DependentState { blocks_owner, awaits_dependents };
        assert_eq!(graph.dependent_states("a"), [state(true, false), state(false, true)]);
        assert_eq!((graph.has_dependents("x"), graph.has_dependents("b")), (true, false));
    }
}
