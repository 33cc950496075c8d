//! The Pod fields that wasmpod supports, so that it ignores none silently.
//!
//! One table lists every field and how wasmpod treats it. `run`, `validate`, `explain` and the list in the documentation
//! use this table. Whether a pod is valid is up to `validation`.

mod list;
mod table;
mod tree;

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Pod;

use self::tree::FieldTree;
use crate::model::host_ports::HostPort;
use crate::model::pods;

pub use list::markdown;
pub use table::{FieldRow, FieldSupport, PODS};

/// A field that a pod sets and wasmpod does not enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedField {
    /// The field's path in the manifest: `spec.containers[0].tty`.
    pub field: String,
    /// The treatment of the field.
    pub support: FieldSupport,
}

impl FieldSupport {
    /// Returns why the field is not enforced, as a clause: `containers cannot see host processes`. Empty if it is enforced.
    pub fn reason(self) -> &'static str {
        match self {
            FieldSupport::Enforced => "",
            FieldSupport::Ignored(reason)
            | FieldSupport::NotEnforcedYet(reason)
            | FieldSupport::KeepsPending(reason)
            | FieldSupport::NotSupportedYet(reason)
            | FieldSupport::Rejected(reason) => reason,
        }
    }

    /// Returns whether the API rejects a pod that sets the field.
    pub fn rejects_pod(self) -> bool {
        matches!(self, FieldSupport::NotSupportedYet(_) | FieldSupport::Rejected(_))
    }

    /// Returns whether a pod that sets the field never runs, so that it is useless to start it.
    pub fn prevents_start(self) -> bool {
        self.rejects_pod() || matches!(self, FieldSupport::KeepsPending(_))
    }
}

impl std::fmt::Display for FieldSupport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FieldSupport::Enforced => f.write_str("works as in Kubernetes"),
            FieldSupport::Ignored(reason) | FieldSupport::NotEnforcedYet(reason) => {
                write!(f, "no effect: {reason}")
            }
            FieldSupport::KeepsPending(reason) | FieldSupport::NotSupportedYet(reason) => {
                write!(f, "not supported yet: {reason}")
            }
            FieldSupport::Rejected(reason) => write!(f, "not supported: {reason}"),
        }
    }
}

static TREE: LazyLock<FieldTree> = LazyLock::new(|| FieldTree::new(PODS));

/// Returns every field of `pod` that is set but not enforced, in the API's order.
pub fn check(pod: &Pod) -> Vec<UnsupportedField> {
    // Encoding a Pod does not fail.
    let value = serde_json::to_value(pod).unwrap_or_default();
    let unsupported = TREE.find_unsupported(&value);
    let unsupported = unsupported.into_iter().map(|(field, support)| UnsupportedField { field, support });
    unsupported.chain(unusable_host_ports(pod)).chain(mirror_annotation(pod)).collect()
}

/// Returns the annotation of mirror pods, if the pod has it: its author could take over another pod's containers.
fn mirror_annotation(pod: &Pod) -> Option<UnsupportedField> {
    pods::annotation(pod, pods::MIRROR_ANNOTATION)?;
    let support = FieldSupport::Rejected("only a node creates the mirrors of its static pods");
    Some(UnsupportedField { field: format!("metadata.annotations[{}]", pods::MIRROR_ANNOTATION), support })
}

/// Returns the host ports that cannot be offered: those that are not TCP, and those whose `hostIP` is not an address, which
/// Kubernetes leaves to the runtime. The support depends on other fields and on values, so the table cannot say it.
fn unusable_host_ports(pod: &Pod) -> Vec<UnsupportedField> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let lists = [("initContainers", pods::init_containers(spec)), ("containers", spec.containers.as_slice())];
    let mut found = Vec::new();
    for (list, containers) in lists {
        for (i, container) in containers.iter().enumerate() {
            for (j, port) in container.ports.iter().flatten().enumerate() {
                let Some(port) = HostPort::new(port) else { continue };
                let mut report = |field, support| {
                    found.push(UnsupportedField { field: format!("spec.{list}[{i}].ports[{j}].{field}"), support });
                };
                if !port.is_tcp() {
                    report("hostPort", FieldSupport::NotEnforcedYet("only TCP ports can be published"));
                }
                if !port.host_ip.is_empty() && port.ip().is_none() {
                    report("hostIP", FieldSupport::Rejected("not an IP address"));
                }
            }
        }
    }
    found
}

/// Returns how wasmpod treats `field` of a Pod (`spec.containers[].tty`), independent of its value.
pub fn find(field: &str) -> Option<FieldSupport> {
    TREE.find(field)
}

#[cfg(test)]
mod tests;
