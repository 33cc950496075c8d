//! Accessors for fields of Pods.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Annotation of a mirror pod: the hash of its static pod's manifest (K74).
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Annotation of a static pod whose manifest is gone: its node ends it when its mirror object is deleted.
pub const REMOVED_ANNOTATION: &str = "wasmpod.dev/static-pod-removed";

/// Length of the hash of a static pod's manifest: 128 bits in hexadecimal.
const HASH_LENGTH: usize = 32;

/// Minimum priority of a critical pod (`SystemCriticalPriority`).
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Returns the pod's name, or an empty string.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Returns the pod's namespace, or an empty string.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Returns the pod's UID, or an empty string.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Returns the UID by which a node knows the pod. That of a static pod is the hash of its manifest, as in a kubelet: it
/// stays when the mirror object is made anew.
pub fn node_uid(pod: &Pod) -> &str {
    let is_hash = |hash: &&str| hash.len() == HASH_LENGTH && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    annotation(pod, MIRROR_ANNOTATION).filter(is_hash).unwrap_or_else(|| uid(pod))
}

/// Returns whether the pod is a static pod whose manifest still exists: its containers outlive its mirror object.
pub fn outlives_mirror(pod: &Pod) -> bool {
    node_uid(pod) != uid(pod) && annotation(pod, REMOVED_ANNOTATION).is_none()
}

/// Returns the pod's name as a kubelet writes it in messages: `name_namespace(uid)`.
pub fn display_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// Returns the names of the PersistentVolumeClaims whose volumes the pod mounts.
pub fn claim_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Returns the value of an annotation.
pub fn annotation<'p>(pod: &'p Pod, key: &str) -> Option<&'p str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Returns the pod's phase; defaults to `Pending`.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

/// Returns whether the pod has finished: it never runs again.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Returns whether the pod is critical: it is a static pod or has a system priority.
pub fn is_critical(pod: &Pod) -> bool {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    annotation(pod, MIRROR_ANNOTATION).is_some() || priority >= SYSTEM_CRITICAL
}

/// Returns whether the condition `kind` is `True`.
pub fn has_condition(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == kind && c.status == "True"))
}

/// Returns the init containers in order.
pub fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// Returns the names of all containers: init, regular, ephemeral.
pub fn container_names(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.spec.iter().flat_map(|spec| {
        let all = init_containers(spec).iter().chain(&spec.containers).map(|c| c.name.as_str());
        all.chain(spec.ephemeral_containers.iter().flatten().map(|c| c.name.as_str()))
    })
}

/// Returns the init or regular container with this name.
pub fn container<'p>(pod: &'p Pod, name: &str) -> Option<&'p Container> {
    let spec = pod.spec.as_ref()?;
    init_containers(spec).iter().chain(&spec.containers).find(|c| c.name == name)
}

/// Returns the ephemeral container with this name.
pub fn ephemeral_container<'p>(pod: &'p Pod, name: &str) -> Option<&'p EphemeralContainer> {
    pod.spec.as_ref()?.ephemeral_containers.iter().flatten().find(|c| c.name == name)
}

/// Converts an ephemeral container into a container; only the target container's name is lost.
pub fn container_from_ephemeral(container: &EphemeralContainer) -> Container {
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

/// Truncates a time to whole seconds, the API's precision, so that it survives a round trip.
pub fn api_time(at: jiff::Timestamp) -> Time {
    Time(jiff::Timestamp::from_second(at.as_second()).unwrap_or(at))
}
