//! The pod and the container that a command is about, chosen as kubectl does.

use k8s_openapi::api::core::v1::Pod;

use super::client::{self, Client};
use super::exit::RequestFailed;
use crate::model::pods;

/// Returns the name of a pod, which may be given as `pod/NAME`.
pub fn pod_name(argument: &str) -> &str {
    match argument.split_once('/') {
        Some(("pod" | "pods" | "po", name)) => name,
        _ => argument,
    }
}

/// Returns a pod that has not completed. `action` is what the command does, such as `exec into`.
pub async fn active_pod(client: &Client, name: &str, action: &str) -> anyhow::Result<Pod> {
    let pod: Pod = client.get_json(&client.pods_path(Some(name)), client::JSON).await?;
    match pods::phase(&pod) {
        phase @ ("Succeeded" | "Failed") => {
            let message = format!("cannot {action} a container in a completed pod; current phase is {phase}");
            Err(RequestFailed(message).into())
        }
        _ => Ok(pod),
    }
}

/// Returns the container that is `requested`, or else the annotated or the first one, in which case the choice between
/// several is printed in kubectl's words. Empty if the pod has none.
///
/// # Errors
///
/// Fails if the pod has no container of that name.
pub fn choose_container(pod: &Pod, requested: Option<&str>) -> anyhow::Result<String> {
    let all = container_labels(pod);
    if let Some(name) = requested {
        if !pods::container_names(pod).any(|known| known == name) {
            let message =
                format!("container {name} is not valid for pod {} out of: {}", pods::name(pod), all.join(", "));
            return Err(RequestFailed(message).into());
        }
        return Ok(name.into());
    }
    let annotated = pods::annotation(pod, "kubectl.kubernetes.io/default-container").filter(|name| !name.is_empty());
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|container| container.name.as_str());
    let default = annotated.or(first).unwrap_or_default();
    if all.len() > 1 && annotated.is_none() {
        stderrln!("Defaulted container {default:?} out of: {}", all.join(", "));
    }
    Ok(default.into())
}

/// Returns the names of the pod's containers with their roles, as kubectl lists them.
fn container_labels(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let apps = spec.containers.iter().map(|container| container.name.clone());
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| format!("{} (ephem)", container.name));
    let init = pods::init_containers(spec).iter().map(|container| format!("{} (init)", container.name));
    apps.chain(ephemeral).chain(init).collect()
}
