//! Plugin `DefaultTolerationSeconds`: how long a pod stays on a node that is not ready or unreachable.

use k8s_openapi::api::core::v1::{Pod, Toleration};

use super::{AdmissionContext, AdmissionError};

const DEFAULT_TOLERATION_SECONDS: i64 = 300;

/// Adds the default tolerations to a new pod.
pub fn admit(pod: &mut Pod, _: &AdmissionContext<'_>) -> Result<(), AdmissionError> {
    add_defaults(pod);
    Ok(())
}

/// Adds the default tolerations, unless the pod's own cover the taints.
pub fn add_defaults(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    let own = spec.tolerations.clone().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !own.iter().any(|toleration| covers(toleration, key)) {
            spec.tolerations.get_or_insert_default().push(Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some("NoExecute".into()),
                toleration_seconds: Some(DEFAULT_TOLERATION_SECONDS),
                value: None,
            });
        }
    }
}

/// Returns whether the toleration covers the taint; an empty key or effect matches any.
fn covers(toleration: &Toleration, key: &str) -> bool {
    let is_unset_or = |field: &Option<String>, value: &str| {
        let field = field.as_deref().unwrap_or_default();
        field.is_empty() || field == value
    };
    is_unset_or(&toleration.key, key) && is_unset_or(&toleration.effect, "NoExecute")
}
