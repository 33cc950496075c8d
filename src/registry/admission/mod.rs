//! Admission: the plugins that complete or reject a new Pod beyond validation.
//!
//! The chain is ordered: each plugin sees the changes of the plugins before it. A rejection is 403 `Forbidden`, not 422
//! `Invalid`.

pub mod default_class;
pub mod object_in_use;
mod priority;
mod runtime_class;
mod service_account;
mod tolerations;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::control::{Key, Resource, Status};
use crate::model::object::ApiType;
use crate::model::pods;
use crate::store::ObjectStore;

/// Settings of the admission plugins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Whether containers get their service account's token as a volume, unless the pod opts out. Off by default,
    /// because wasmpod does not issue tokens yet.
    pub mount_tokens: bool,
}

/// What the plugins know beside the pod.
#[derive(Clone, Copy)]
pub struct AdmissionContext<'r> {
    /// The settings.
    pub settings: AdmissionSettings,
    /// The stored objects to which a pod may refer. `None` for a manifest that is only checked: it may name any service
    /// account, priority class or runtime class, because the table of fields reports these names with their positions.
    pub objects: Option<&'r ObjectStore>,
}

impl AdmissionContext<'_> {
    fn accepts_unknown_names(&self) -> bool {
        self.objects.is_none()
    }

    /// Returns the stored object; `None` if it does not exist.
    fn find<T: ApiType>(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.objects?.get(&Key::new(Resource::of::<T>(), namespace, name))?.decode().ok()
    }
}

/// The reason for which a plugin rejects a pod, in Kubernetes' words.
#[derive(Debug, thiserror::Error)]
enum AdmissionError {
    #[error("error looking up service account {namespace}/{account}: serviceaccount {account:?} not found")]
    UnknownServiceAccount { namespace: String, account: String },
    #[error("no PriorityClass with name {0} was found")]
    UnknownPriorityClass(String),
    #[error(
        "the integer value of priority ({requested}) must not be provided in pod spec; priority admission controller \
         computed {computed} from the given PriorityClass name"
    )]
    PriorityMismatch { requested: i32, computed: i32 },
    #[error(
        "the string value of PreemptionPolicy ({requested}) must not be provided in pod spec; priority admission \
         controller computed {computed} from the given PriorityClass name"
    )]
    PreemptionPolicyMismatch { requested: String, computed: String },
    #[error("pod rejected: RuntimeClass {0:?} not found")]
    UnknownRuntimeClass(String),
    #[error("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")]
    OverheadWithoutClass,
}

/// An admission plugin.
struct Plugin {
    /// The plugin's name in Kubernetes.
    name: &'static str,
    admit: fn(&mut Pod, &AdmissionContext<'_>) -> Result<(), AdmissionError>,
}

/// The plugins, in Kubernetes' order.
const PLUGINS: &[Plugin] = &[
    Plugin { name: "ServiceAccount", admit: service_account::admit },
    Plugin { name: "Priority", admit: priority::admit },
    Plugin { name: "DefaultTolerationSeconds", admit: tolerations::admit },
    Plugin { name: "RuntimeClass", admit: runtime_class::admit },
];

/// Runs all plugins on a new pod.
pub fn admit(pod: &mut Pod, context: &AdmissionContext<'_>) -> Result<(), Status> {
    for plugin in PLUGINS {
        (plugin.admit)(pod, context).map_err(|error| {
            tracing::debug!(plugin = plugin.name, pod = pods::name(pod), %error, "pod rejected by admission");
            Status::forbidden("pods", pods::name(pod), error)
        })?;
    }
    Ok(())
}

/// Rejects a new pod that is valid but contradicts what exists.
pub fn check(pod: &Pod, context: &AdmissionContext<'_>) -> Result<(), Status> {
    runtime_class::check(pod, context).map_err(|error| Status::forbidden("pods", pods::name(pod), error))
}

/// Restores in `new` what admission set in `old` and the update left out. The other plugins act on new pods only.
pub fn admit_update(old: &Pod, new: &mut Pod) {
    priority::restore_priority(old, new);
    tolerations::add_defaults(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_run_in_kubernetes_order() {
        let names: Vec<&str> = PLUGINS.iter().map(|plugin| plugin.name).collect();
        assert_eq!(names, ["ServiceAccount", "Priority", "DefaultTolerationSeconds", "RuntimeClass"]);
    }
}
