//! How long a pod stays where its node does not answer.

use k8s_openapi::api::core::v1::{Pod, Toleration};

use super::AdmissionSettings;

const SECONDS: i64 = 300;

/// Five minutes on a node that is not ready or out of reach, unless the pod says otherwise.
pub fn admit(pod: &mut Pod, _: &AdmissionSettings) -> Result<(), String> {
    complete(pod);
    Ok(())
}

/// The same for a pod that is changed.
pub fn complete(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    let own = spec.tolerations.clone().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !own.iter().any(|toleration| covers(toleration, key)) {
            spec.tolerations.get_or_insert_default().push(Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some("NoExecute".into()),
                toleration_seconds: Some(SECONDS),
                value: None,
            });
        }
    }
}

/// No key, or no effect, means any.
fn covers(toleration: &Toleration, key: &str) -> bool {
    let is = |field: &Option<String>, value: &str| {
        let field = field.as_deref().unwrap_or_default();
        field.is_empty() || field == value
    };
    is(&toleration.key, key) && is(&toleration.effect, "NoExecute")
}
