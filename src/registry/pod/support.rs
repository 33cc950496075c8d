//! What of a Pod wasmpod does not do, so that nothing is silently ignored.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

use crate::model::pods;

/// What becomes of a field that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// The pod runs; this part of it has no effect.
    Inert {
        /// Its path in the manifest: `spec.containers[0].tty`.
        field: String,
        /// Why, as a clause: `it is not enforced yet`.
        why: &'static str,
    },
    /// The pod can't run as it is meant.
    Refused {
        /// Its path in the manifest: `spec.hostNetwork`.
        field: String,
        /// Why, as a clause: `guests see no host processes`.
        why: &'static str,
    },
}

/// Every field of `pod` that is set and not enforced.
pub fn judge(pod: &Pod) -> Vec<Support> {
    let mut found = Vec::new();
    let Some(spec) = &pod.spec else { return found };
    judge_pod(&mut found, spec);
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        judge_volume(&mut found, &format!("spec.volumes[{i}]"), volume);
    }
    for (i, container) in pods::init_containers(spec).iter().enumerate() {
        judge_container(&mut found, &format!("spec.initContainers[{i}]"), container);
    }
    for (i, container) in spec.containers.iter().enumerate() {
        judge_container(&mut found, &format!("spec.containers[{i}]"), container);
    }
    found
}

fn inert(found: &mut Vec<Support>, set: bool, field: impl Into<String>, why: &'static str) {
    if set {
        found.push(Support::Inert { field: field.into(), why });
    }
}

fn refuse(found: &mut Vec<Support>, set: bool, field: impl Into<String>, why: &'static str) {
    if set {
        found.push(Support::Refused { field: field.into(), why });
    }
}

const NO_LINUX: &str = "it has no meaning without Linux";
const NOT_YET: &str = "it is not supported yet";
const NOT_ENFORCED: &str = "it is not enforced yet";

fn judge_pod(found: &mut Vec<Support>, spec: &PodSpec) {
    let on = |flag: Option<bool>| flag == Some(true);
    refuse(found, on(spec.host_network), "spec.hostNetwork", "a pod's network is in memory and never the host's");
    refuse(found, on(spec.host_pid), "spec.hostPID", "guests see no host processes");
    refuse(found, on(spec.host_ipc), "spec.hostIPC", "guests have no shared memory");
    inert(found, spec.active_deadline_seconds.is_some(), "spec.activeDeadlineSeconds", NOT_ENFORCED);
    inert(found, spec.readiness_gates.as_ref().is_some_and(|g| !g.is_empty()), "spec.readinessGates", NOT_ENFORCED);
    inert(found, on(spec.share_process_namespace), "spec.shareProcessNamespace", NO_LINUX);
    inert(found, spec.runtime_class_name.is_some(), "spec.runtimeClassName", "wasmpod has one runtime");
    inert(found, spec.host_aliases.as_ref().is_some_and(|a| !a.is_empty()), "spec.hostAliases", NOT_ENFORCED);
    inert(found, spec.dns_config.is_some(), "spec.dnsConfig", NOT_ENFORCED);
    let one_node = "there is one node";
    inert(found, spec.affinity.is_some(), "spec.affinity", one_node);
    let spread = spec.topology_spread_constraints.as_ref().is_some_and(|t| !t.is_empty());
    inert(found, spread, "spec.topologySpreadConstraints", one_node);
    inert(found, spec.node_selector.as_ref().is_some_and(|s| !s.is_empty()), "spec.nodeSelector", one_node);
    let security = spec.security_context.as_ref().is_some_and(|s| *s != Default::default());
    inert(found, security, "spec.securityContext", NO_LINUX);
}

fn judge_volume(found: &mut Vec<Support>, path: &str, volume: &Volume) {
    if let Some(empty) = &volume.empty_dir {
        let memory = empty.medium.as_deref().is_some_and(|medium| !medium.is_empty());
        inert(found, memory, format!("{path}.emptyDir.medium"), "emptyDir volumes lie on disk so far");
        inert(found, empty.size_limit.is_some(), format!("{path}.emptyDir.sizeLimit"), NOT_ENFORCED);
        return;
    }
    if volume.host_path.is_some() {
        return;
    }
    let kind = [
        ("configMap", volume.config_map.is_some()),
        ("secret", volume.secret.is_some()),
        ("projected", volume.projected.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("image", volume.image.is_some()),
    ];
    let set = kind.iter().find(|(_, set)| *set).map(|(name, _)| name);
    if let Some(name) = set {
        refuse(found, true, format!("{path}.{name}"), "only emptyDir and hostPath volumes are supported yet");
    } else if *volume != (Volume { name: volume.name.clone(), ..Volume::default() }) {
        refuse(found, true, path, "only emptyDir and hostPath volumes are supported yet");
    }
}

fn judge_container(found: &mut Vec<Support>, path: &str, container: &Container) {
    let at = |field: &str| format!("{path}.{field}");
    refuse(found, container.env_from.as_ref().is_some_and(|e| !e.is_empty()), at("envFrom"), NOT_YET);
    for (i, var) in container.env.iter().flatten().enumerate() {
        let from = var.value_from.as_ref();
        refuse(found, from.is_some_and(|from| from.field_ref.is_none()), format!("{path}.env[{i}].valueFrom"), NOT_YET);
    }
    refuse(found, container.restart_policy.is_some(), at("restartPolicy"), NOT_YET);
    refuse(found, container.volume_devices.as_ref().is_some_and(|d| !d.is_empty()), at("volumeDevices"), NO_LINUX);
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        refuse(found, mount.sub_path_expr.is_some(), format!("{path}.volumeMounts[{i}].subPathExpr"), NOT_YET);
        let propagation = mount.mount_propagation.as_deref().is_some_and(|p| p != "None");
        inert(found, propagation, format!("{path}.volumeMounts[{i}].mountPropagation"), NO_LINUX);
    }
    let privileged = container.security_context.as_ref().and_then(|s| s.privileged) == Some(true);
    refuse(found, privileged, at("securityContext.privileged"), "guests have no privileges to be given");
    inert(found, container.security_context.is_some() && !privileged, at("securityContext"), NO_LINUX);
    inert(found, container.liveness_probe.is_some(), at("livenessProbe"), NOT_ENFORCED);
    inert(found, container.readiness_probe.is_some(), at("readinessProbe"), NOT_ENFORCED);
    inert(found, container.startup_probe.is_some(), at("startupProbe"), NOT_ENFORCED);
    inert(found, container.lifecycle.is_some(), at("lifecycle"), NOT_ENFORCED);
    let limits = container.resources.as_ref().and_then(|r| r.limits.as_ref());
    for name in limits.into_iter().flatten().map(|(name, _)| name).filter(|name| *name != "memory") {
        inert(found, true, format!("{path}.resources.limits.{name}"), NOT_ENFORCED);
    }
    let fallback = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    inert(found, fallback, at("terminationMessagePolicy"), NOT_ENFORCED);
    inert(found, container.tty == Some(true), at("tty"), NOT_ENFORCED);
    inert(found, container.stdin == Some(true), at("stdin"), NOT_ENFORCED);
    for (i, port) in container.ports.iter().flatten().enumerate() {
        inert(found, port.host_port.is_some(), format!("{path}.ports[{i}].hostPort"), NOT_ENFORCED);
    }
}
