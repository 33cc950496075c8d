//! Which pods hold host ports of the node, and which pods wait for them.
//!
//! Pure: the scheduler feeds it with what it observes.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::scheduler::is_bound;
use crate::control::{Key, Object};
use crate::model::host_ports::{HostPort, host_ports};
use crate::model::pods;

/// The host ports of a node's pods.
#[derive(Debug, Default)]
pub(super) struct HostPortAllocations {
    /// The ports of bound pods that have not finished; pods without host ports have no entry.
    held: HashMap<Key, Vec<HostPort>>,
    /// The pods that wait for ports, in the order of their arrival.
    unschedulable: Vec<(Arc<Object>, Vec<HostPort>)>,
}

impl HostPortAllocations {
    /// Adds the ports of `pod`, if it is bound and has not finished.
    pub(super) fn add_bound(&mut self, pod: &Pod) {
        if is_bound(pod) && !pods::is_terminal(pod) {
            self.add(&Key::pod(pods::namespace(pod), pods::name(pod)), host_ports(pod));
        }
    }

    /// Adds the ports of the pod at `key`, which is bound.
    pub(super) fn add(&mut self, key: &Key, ports: Vec<HostPort>) {
        if !ports.is_empty() {
            self.held.insert(key.clone(), ports);
        }
    }

    /// Adds a pod that waits until `ports` are free.
    pub(super) fn add_unschedulable(&mut self, object: Arc<Object>, ports: Vec<HostPort>) {
        self.unschedulable.push((object, ports));
    }

    /// Whether the pod at `key` holds ports or waits for them.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.held.contains_key(key) || self.unschedulable.iter().any(|(object, _)| object.key == *key)
    }

    /// Whether a bound pod holds one of `wanted`.
    pub(super) fn has_conflict(&self, wanted: &[HostPort]) -> bool {
        self.held.values().any(|held| conflict(held, wanted))
    }

    /// Takes in a change of a pod. Returns the pods to schedule again: they waited for ports that the pod has freed.
    pub(super) fn observe(&mut self, object: &Arc<Object>, pod: &Pod, is_deleted: bool) -> Vec<Arc<Object>> {
        self.unschedulable.retain_mut(|(waiting, _)| {
            let is_same = waiting.key == object.key;
            if is_same {
                *waiting = object.clone();
            }
            !is_same || !(is_deleted || is_bound(pod))
        });
        if !is_deleted && !pods::is_terminal(pod) {
            self.add_bound(pod);
            return Vec::new();
        }
        let freed = self.held.remove(&object.key).unwrap_or_default();
        let waited = self.unschedulable.extract_if(.., |(_, wanted)| conflict(&freed, wanted));
        waited.map(|(object, _)| object).collect()
    }
}

fn conflict(held: &[HostPort], wanted: &[HostPort]) -> bool {
    held.iter().any(|held| wanted.iter().any(|port| port.conflicts_with(held)))
}
