//! Looks up the owners that references name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::decision::{FOREGROUND_FINALIZER, OwnerState};
use crate::control::{ControlPlane, Key, Reason, Resource, Scope, Status};
use crate::controllers::object_metadata::ObjectMetadata;
use crate::events::{EventType, Recorder};
use crate::registry::kinds::KINDS;

/// Number of absent owners that are remembered, so that the dependents of one are deleted without looking for it again.
const MAX_ABSENT: usize = 500;

/// Tells whether owners exist.
pub(super) struct OwnerResolver {
    control: Arc<dyn ControlPlane>,
    recorder: Recorder,
    /// The resource of each API version and kind.
    resources: HashMap<(String, &'static str), Resource>,
    /// Owners that do not exist in any namespace: their resource and UID.
    absent: HashSet<(Resource, String)>,
    /// The same, oldest first.
    absent_order: VecDeque<(Resource, String)>,
}

impl OwnerResolver {
    pub fn new(control: Arc<dyn ControlPlane>, recorder: Recorder) -> OwnerResolver {
        let mut resources = HashMap::new();
        // Reviews are answered, but not stored.
        for kind in KINDS.iter().filter(|kind| kind.info().verbs.contains(&"get")) {
            let resource = kind.resource();
            let name = kind.names().kind;
            for version in kind.other_versions() {
                let api_version = match version.group {
                    "" => version.version.to_string(),
                    group => format!("{group}/{}", version.version),
                };
                resources.insert((api_version, name), resource.clone());
            }
            resources.insert((resource.api_version(), name), resource);
        }
        let (absent, absent_order) = (HashSet::new(), VecDeque::new());
        OwnerResolver { control, recorder, resources, absent, absent_order }
    }

    /// Remembers that the object with this UID does not exist.
    pub fn add_absent(&mut self, resource: &Resource, uid: &str) {
        let owner = (resource.clone(), uid.to_string());
        if self.absent.insert(owner.clone()) {
            self.absent_order.push_back(owner);
        }
        if self.absent_order.len() > MAX_ABSENT
            && let Some(oldest) = self.absent_order.pop_front()
        {
            self.absent.remove(&oldest);
        }
    }

    /// Returns the state of the owner to which the object `dependent`, with this UID, refers.
    pub async fn state(
        &mut self,
        dependent: &Key,
        dependent_uid: &str,
        reference: &OwnerReference,
    ) -> Result<OwnerState, Status> {
        let names = self
            .resources
            .iter()
            .find(|((api_version, kind), _)| *api_version == reference.api_version && **kind == *reference.kind);
        let Some(resource) = names.map(|(_, resource)| resource.clone()) else {
            tracing::debug!(%dependent, ?reference, "an owner reference names an unknown kind");
            return Ok(OwnerState::Unresolvable);
        };
        if self.absent.contains(&(resource.clone(), reference.uid.clone())) {
            return Ok(OwnerState::Absent);
        }
        let namespace = if resource.is_namespaced() { &*dependent.namespace } else { "" };
        let is_possible = !resource.is_namespaced() || !namespace.is_empty();
        if is_possible {
            match self.control.get(&Key::new(resource.clone(), namespace, &reference.name)).await {
                Ok(owner) => match ObjectMetadata::of(&owner).filter(|owner| owner.uid == reference.uid) {
                    Some(owner) if owner.is_deleted() && owner.has_finalizer(FOREGROUND_FINALIZER) => {
                        return Ok(OwnerState::AwaitsDependents);
                    }
                    Some(_) => return Ok(OwnerState::Present),
                    None => {}
                },
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(status),
            }
        }
        if resource.is_namespaced() && self.has_object(&resource, &reference.uid).await? {
            self.report_invalid_namespace(dependent, dependent_uid, reference);
        } else {
            self.add_absent(&resource, &reference.uid);
        }
        Ok(if is_possible { OwnerState::Absent } else { OwnerState::Unresolvable })
    }

    /// Returns whether an object with this UID exists in any namespace.
    async fn has_object(&self, resource: &Resource, uid: &str) -> Result<bool, Status> {
        let list = self.control.list(&Scope::all(resource.clone())).await?;
        Ok(list.items.iter().filter_map(|object| ObjectMetadata::of(object)).any(|object| object.uid == uid))
    }

    fn report_invalid_namespace(&self, dependent: &Key, uid: &str, owner: &OwnerReference) {
        let OwnerReference { api_version, kind, name, uid: owner_uid, .. } = owner;
        let namespace = &dependent.namespace;
        let owner = format!("[{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {owner_uid}]");
        let message = format!("ownerRef {owner} does not exist in namespace {:?}", &**namespace);
        let object = ObjectReference {
            api_version: Some(dependent.resource.api_version()),
            kind: Some(dependent.resource.kind().into()),
            namespace: Some(namespace.to_string()).filter(|namespace| !namespace.is_empty()),
            name: Some(dependent.name.to_string()),
            uid: Some(uid.into()),
            ..ObjectReference::default()
        };
        self.recorder.record_about(object, EventType::Warning, "OwnerRefInvalidNamespace", message);
    }
}
