//! What one asks of a Pod again and again.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Marks a static pod, whose truth is a file, with the hash of its manifest (K74).
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The least priority of what a node can't do without.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// The pod's name, empty where it has none.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The pod's namespace, empty where it has none.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The pod's UID, empty where it has none yet.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The pod as a kubelet names it in messages: `name_namespace(uid)`.
pub fn place(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// An annotation's value.
pub fn annotation<'p>(pod: &'p Pod, key: &str) -> Option<&'p str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The pod's phase as its status says, `Pending` where it says nothing.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

/// Whether the pod will run no more.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the node can't do without the pod: it comes from a file of the node's, or its priority says so.
pub fn is_critical(pod: &Pod) -> bool {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    annotation(pod, MIRROR_ANNOTATION).is_some() || priority >= SYSTEM_CRITICAL
}

/// Whether condition `kind` is True.
pub fn has_condition(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == kind && c.status == "True"))
}

/// Init containers, in their order.
pub fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// The names of all containers: init, others, ephemeral.
pub fn container_names(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.spec.iter().flat_map(|spec| {
        let all = init_containers(spec).iter().chain(&spec.containers).map(|c| c.name.as_str());
        all.chain(spec.ephemeral_containers.iter().flatten().map(|c| c.name.as_str()))
    })
}

/// Finds a container, init or not, by name.
pub fn container<'p>(pod: &'p Pod, name: &str) -> Option<&'p Container> {
    let spec = pod.spec.as_ref()?;
    init_containers(spec).iter().chain(&spec.containers).find(|c| c.name == name)
}

/// Finds an ephemeral container by name.
pub fn ephemeral<'p>(pod: &'p Pod, name: &str) -> Option<&'p EphemeralContainer> {
    pod.spec.as_ref()?.ephemeral_containers.iter().flatten().find(|c| c.name == name)
}

/// An ephemeral container as the container that it is, but for what it is there for.
pub fn of_ephemeral(container: &EphemeralContainer) -> Container {
    let c = container.clone();
    Container {
        name: c.name,
        image: c.image,
        image_pull_policy: c.image_pull_policy,
        command: c.command,
        args: c.args,
        working_dir: c.working_dir,
        env: c.env,
        env_from: c.env_from,
        volume_mounts: c.volume_mounts,
        volume_devices: c.volume_devices,
        resources: c.resources,
        security_context: c.security_context,
        stdin: c.stdin,
        stdin_once: c.stdin_once,
        tty: c.tty,
        termination_message_path: c.termination_message_path,
        termination_message_policy: c.termination_message_policy,
        ..Container::default()
    }
}

/// A time as the API writes it: whole seconds, so that what is read back is what was written.
pub fn time(at: jiff::Timestamp) -> Time {
    Time(jiff::Timestamp::from_second(at.as_second()).unwrap_or(at))
}
