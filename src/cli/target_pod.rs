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

/// Returns the annotated or else the first container. Prints the choice between several, in kubectl's words.
pub fn default_container(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let annotated = pods::annotation(pod, "kubectl.kubernetes.io/default-container").filter(|name| !name.is_empty());
    let default = annotated.or(spec.containers.first().map(|container| container.name.as_str()))?;
    let apps = spec.containers.iter().map(|container| container.name.clone());
    let init = pods::init_containers(spec).iter().map(|container| format!("{} (init)", container.name));
    let all: Vec<String> = apps.chain(init).collect();
    if all.len() > 1 && annotated.is_none() {
        stderrln!("Defaulted container {default:?} out of: {}", all.join(", "));
    }
    Some(default.into())
}
