//! The stored events: where they are, and the order of their last occurrences. Their content is in the store only.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::budget::RetainedCharge;
use crate::control::{Key, Object};
use crate::lifecycle::MonoTime;

use super::writer::{EVENT_TTL, EventKey, MAX_EVENTS};

/// Memory that an event takes beside its JSON: its keys in the store and here, and what wraps it.
const EVENT_OVERHEAD: u64 = 512;
/// Entries of the order that may be superseded before they are removed, beside as many as there are events.
const MAX_SUPERSEDED: usize = 1024;

/// Identifies an event by what its repetitions share: the hash of an [`EventKey`]. A caller that finds an event by it compares
/// the event's own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventId(u64);

struct StoredEvent {
    key: Key,
    /// The time of the last occurrence.
    last: MonoTime,
    bytes: u64,
}

/// The stored events.
pub(super) struct EventTable {
    events: HashMap<EventId, StoredEvent>,
    /// Occurrences in order. Of an event with several entries, only the last counts.
    order: VecDeque<(EventId, MonoTime)>,
    charge: RetainedCharge,
    hasher: RandomState,
}

impl EventTable {
    pub fn new(charge: RetainedCharge) -> EventTable {
        EventTable { events: HashMap::new(), order: VecDeque::new(), charge, hasher: RandomState::new() }
    }

    pub fn id(&self, key: &EventKey) -> EventId {
        EventId(self.hasher.hash_one(key))
    }

    /// Returns the key of an event in the store.
    pub fn find(&self, id: EventId) -> Option<&Key> {
        self.events.get(&id).map(|event| &event.key)
    }

    /// Adds an occurrence of the event that is stored as `object`.
    pub fn add(&mut self, id: EventId, object: &Object, last: MonoTime) {
        self.remove(id);
        let bytes = object.json.len() as u64 + EVENT_OVERHEAD;
        self.charge.resize(self.charge.bytes() + bytes);
        self.events.insert(id, StoredEvent { key: object.key.clone(), last, bytes });
        self.order.push_back((id, last));
        if self.order.len() > 2 * self.events.len() + MAX_SUPERSEDED {
            let is_last = |(id, at): &(EventId, MonoTime)| self.events.get(id).is_some_and(|event| event.last == *at);
            self.order.retain(is_last);
        }
    }

    /// Forgets an event that is no longer stored.
    pub fn remove(&mut self, id: EventId) -> Option<Key> {
        let StoredEvent { key, bytes, .. } = self.events.remove(&id)?;
        self.charge.resize(self.charge.bytes() - bytes);
        Some(key)
    }

    /// Forgets the events that are not in `stored`, and returns the objects there that are not in the table.
    pub fn reconcile<'o>(&mut self, stored: impl Iterator<Item = &'o Object> + Clone) -> Vec<&'o Object> {
        let keys: HashSet<&Key> = stored.clone().map(|object| &object.key).collect();
        let gone = self.events.iter().filter(|(_, event)| !keys.contains(&event.key)).map(|(id, _)| *id);
        for id in gone.collect::<Vec<_>>() {
            self.remove(id);
        }
        let known: HashSet<&Key> = self.events.values().map(|event| &event.key).collect();
        let unknown = stored.filter(|object| !known.contains(&object.key)).collect();
        if self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to_fit();
            self.order.shrink_to_fit();
        }
        unknown
    }

    /// Removes the event that occurred longest ago if it is to be removed from the store: because of its age, because there
    /// are too many, or because memory is scarce. Returns its key in the store.
    pub fn pop_surplus(&mut self, now: MonoTime) -> Option<Key> {
        let is_superseded = |(id, at): (EventId, MonoTime)| self.events.get(&id).is_none_or(|event| event.last != at);
        while self.order.pop_front_if(|occurrence| is_superseded(*occurrence)).is_some() {}
        let (oldest, last) = self.order.front().copied()?;
        let is_memory_scarce = self.charge.excess() > 0;
        if now - last <= EVENT_TTL && self.events.len() <= MAX_EVENTS && !is_memory_scarce {
            return None;
        }
        self.charge.count_dropped(is_memory_scarce.into());
        self.order.pop_front();
        self.remove(oldest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Event;

    use super::*;
    use crate::budget::{RetainedKind, RetainedMemory};
    use crate::control::{Resource, UnversionedObject};

    fn object(name: &str) -> Object {
        let event = UnversionedObject::encode(&Event::default()).expect("an event encodes");
        event.with_revision(Key::new(Resource::EVENTS, "ns", name), 1)
    }

    fn table(limit: u64) -> EventTable {
        EventTable::new(RetainedMemory::new(limit).charge(RetainedKind::Events))
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn oldest_events_are_dropped_while_memory_is_scarce() {
        let one = object("e0").json.len() as u64 + EVENT_OVERHEAD;
        // Events get seven eighths.
        let mut table = table(4 * one);
        (0..4).for_each(|i| table.add(EventId(i), &object(&format!("e{i}")), at(i)));
        table.add(EventId(0), &object("e0"), at(4));
        let dropped: Vec<Key> = std::iter::from_fn(|| table.pop_surplus(at(5))).collect();
        assert_eq!(dropped.iter().map(|key| &*key.name).collect::<Vec<_>>(), ["e1"]);
        assert_eq!((table.charge.bytes(), table.charge.memory().usage()[1].dropped), (3 * one, 1));
        assert!(table.pop_surplus(at(2 + 3600)).is_none());
        assert_eq!(table.pop_surplus(at(3 + 3600)).map(|key| key.name.to_string()), Some("e2".into()), "an hour old");
    }

    #[test]
    fn order_of_a_repeated_event_stays_short() {
        let mut table = table(u64::MAX);
        (0..10_000).for_each(|i| table.add(EventId(1), &object("e"), at(i)));
        assert!(table.order.len() <= MAX_SUPERSEDED + 2, "{} entries", table.order.len());
        assert_eq!(table.order.back(), Some(&(EventId(1), at(9_999))));
    }

    #[test]
    fn table_follows_what_clients_create_and_delete() {
        let mut table = table(u64::MAX);
        let [kept, deleted, created] = ["kept", "deleted", "created"].map(object);
        table.add(EventId(1), &kept, at(0));
        table.add(EventId(2), &deleted, at(0));
        let unknown = table.reconcile([&kept, &created].into_iter());
        assert_eq!(unknown.iter().map(|object| &*object.key.name).collect::<Vec<_>>(), ["created"]);
        assert_eq!((table.find(EventId(1)), table.find(EventId(2))), (Some(&kept.key), None));
        assert_eq!(table.charge.bytes(), kept.json.len() as u64 + EVENT_OVERHEAD);
    }
}
