//! Containers of a pod's spec, by reference and by name.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::lifecycle::{ContainerRef, ContainerRole};
use crate::model::pods;

/// Returns the container at `container` in the pod's spec; `None` for ephemeral containers.
pub(super) fn container_at(pod: &Pod, container: ContainerRef) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    match container.role {
        ContainerRole::Init => pods::init_containers(spec).get(container.index),
        ContainerRole::App => spec.containers.get(container.index),
        ContainerRole::Ephemeral => None,
    }
}

/// Returns the reference of the init or app container with this name.
pub(super) fn container_ref(pod: &Pod, name: &str) -> Option<ContainerRef> {
    let spec = pod.spec.as_ref()?;
    let find = |role, containers: &[Container]| {
        let index = containers.iter().position(|container| container.name == name)?;
        Some(ContainerRef { role, index })
    };
    find(ContainerRole::Init, pods::init_containers(spec)).or_else(|| find(ContainerRole::App, &spec.containers))
}
