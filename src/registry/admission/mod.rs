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

use k8s_openapi::api::core::v1::Pod;

use crate::control::Status;
use crate::model::pods;

/// Settings of the admission plugins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Whether containers get their service account's token as a volume, unless the pod opts out. Off by default,
    /// because wasmpod does not issue tokens yet.
    pub mount_tokens: bool,
    /// Whether a pod may name a service account, a priority class or a runtime class that does not exist. A manifest is
    /// checked this way, because the table of fields reports these names with their positions.
    pub accept_unknown_names: bool,
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
    PreemptionPolicyMismatch { requested: String, computed: &'static str },
    #[error("pod rejected: RuntimeClass {0:?} not found")]
    UnknownRuntimeClass(String),
    #[error("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")]
    OverheadWithoutClass,
}

/// An admission plugin.
struct Plugin {
    /// The plugin's name in Kubernetes.
    name: &'static str,
    admit: fn(&mut Pod, &AdmissionSettings) -> Result<(), AdmissionError>,
}

/// The plugins, in Kubernetes' order.
const PLUGINS: &[Plugin] = &[
    Plugin { name: "ServiceAccount", admit: service_account::admit },
    Plugin { name: "Priority", admit: priority::admit },
    Plugin { name: "DefaultTolerationSeconds", admit: tolerations::admit },
    Plugin { name: "RuntimeClass", admit: runtime_class::admit },
];

/// Runs all plugins on a new pod.
pub fn admit(pod: &mut Pod, settings: &AdmissionSettings) -> Result<(), Status> {
    for plugin in PLUGINS {
        (plugin.admit)(pod, settings).map_err(|error| {
            tracing::debug!(plugin = plugin.name, pod = pods::name(pod), %error, "pod rejected by admission");
            Status::forbidden("pods", pods::name(pod), error)
        })?;
    }
    Ok(())
}

/// Rejects a new pod that is valid but contradicts what exists.
pub fn check(pod: &Pod, settings: &AdmissionSettings) -> Result<(), Status> {
    runtime_class::check(pod, settings).map_err(|error| Status::forbidden("pods", pods::name(pod), error))
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
