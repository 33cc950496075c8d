//! Admission: what the control plane adds to a Pod, or refuses, beyond the rules of its kind.
//!
//! An ordered chain: each plugin sees what those before it have made of the pod. What a plugin fills in stands in
//! the object like a default; what it refuses is forbidden (403), not invalid.

mod priority;
mod runtime_class;
mod service_account;
mod tolerations;

use k8s_openapi::api::core::v1::Pod;

use crate::control::Status;
use crate::model::pods;

/// What admission may rely on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Whether containers get their service account's token as a volume, unless they decline. Off until there
    /// is somebody who hands tokens out.
    pub mount_tokens: bool,
}

/// One member of the chain.
struct Plugin {
    /// Its name in Kubernetes.
    name: &'static str,
    admit: fn(&mut Pod, &AdmissionSettings) -> Result<(), String>,
}

/// The chain, in Kubernetes' order.
const CHAIN: &[Plugin] = &[
    Plugin { name: "ServiceAccount", admit: service_account::admit },
    Plugin { name: "Priority", admit: priority::admit },
    Plugin { name: "DefaultTolerationSeconds", admit: tolerations::admit },
    Plugin { name: "RuntimeClass", admit: runtime_class::admit },
];

/// Leads `pod`, which is to be created, through the chain.
pub fn admit(pod: &mut Pod, settings: &AdmissionSettings) -> Result<(), Status> {
    for plugin in CHAIN {
        (plugin.admit)(pod, settings).map_err(|why| {
            tracing::debug!(plugin = plugin.name, pod = pods::name(pod), %why, "refused");
            Status::forbidden("pods", pods::name(pod), why)
        })?;
    }
    Ok(())
}

/// Fills in what admission gave `old`, and what takes its place has lost. The other plugins look at new pods alone.
pub fn admit_update(old: &Pod, new: &mut Pod) {
    priority::keep(old, new);
    tolerations::complete(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_stand_in_kubernetes_order() {
        let names: Vec<&str> = CHAIN.iter().map(|plugin| plugin.name).collect();
        assert_eq!(names, ["ServiceAccount", "Priority", "DefaultTolerationSeconds", "RuntimeClass"]);
    }
}
