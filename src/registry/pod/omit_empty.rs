//! Removes from pods and their templates what Kubernetes does not write back: empty fields, and fields behind feature gates that are off
//! in 1.36.
//!
//! Kubernetes' types do not distinguish an unset field from an empty one in most lists, maps, strings, flags and
//! numbers (Go's `omitempty`); neither does the stored object.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A value that Go's `omitempty` may leave out.
pub trait ZeroValue {
    /// Returns whether the value is zero, or empty.
    fn is_zero(&self) -> bool;
}

impl ZeroValue for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T> ZeroValue for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> ZeroValue for BTreeMap<K, V> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl ZeroValue for bool {
    fn is_zero(&self) -> bool {
        !self
    }
}

impl ZeroValue for i32 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

/// Unsets a field that is zero, or empty.
pub fn unset_if_zero<T: ZeroValue>(field: &mut Option<T>) {
    if field.as_ref().is_some_and(ZeroValue::is_zero) {
        *field = None;
    }
}

/// Unsets each of these fields if it is empty.
macro_rules! omit {
    ($object:expr; $($field:ident),+ $(,)?) => { $(unset_if_zero(&mut $object.$field);)+ };
}

/// Unsets the fields of `pod` that Kubernetes would not write.
pub fn apply(pod: &mut Pod) {
    apply_to_metadata(&mut pod.metadata);
    if let Some(spec) = &mut pod.spec {
        apply_to_spec(spec);
    }
}

/// Unsets the fields of `template` that Kubernetes would not write.
pub fn apply_to_template(template: &mut PodTemplateSpec) {
    if let Some(meta) = &mut template.metadata {
        apply_to_metadata(meta);
    }
    if let Some(spec) = &mut template.spec {
        apply_to_spec(spec);
    }
}

fn apply_to_metadata(meta: &mut ObjectMeta) {
    omit!(meta; annotations, finalizers, generate_name, labels, managed_fields, owner_references, self_link);
}

fn apply_to_spec(spec: &mut PodSpec) {
    omit!(spec; ephemeral_containers, host_aliases, host_ipc, host_network, host_pid, hostname, image_pull_secrets,
        init_containers, node_name, node_selector, overhead, priority_class_name, readiness_gates, resource_claims,
        scheduling_gates, subdomain, tolerations, topology_spread_constraints, volumes);
    spec.scheduling_group = None;
    if let Some(context) = &mut spec.security_context {
        omit!(context; supplemental_groups, sysctls);
    }
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        apply_to_container(container);
    }
    for ephemeral in spec.ephemeral_containers.iter_mut().flatten() {
        omit!(ephemeral; args, command, env, env_from, image, ports, resize_policy, restart_policy_rules, stdin, stdin_once,
            target_container_name, tty, volume_devices, volume_mounts, working_dir);
    }
    spec.volumes.iter_mut().flatten().for_each(apply_to_volume);
    for toleration in spec.tolerations.iter_mut().flatten() {
        omit!(toleration; effect, key, operator, value);
    }
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        omit!(constraint; match_label_keys);
    }
    if let Some(config) = &mut spec.dns_config {
        omit!(config; nameservers, options, searches);
    }
}

fn apply_to_container(container: &mut Container) {
    omit!(container; args, command, env, env_from, image, ports, resize_policy, restart_policy_rules, stdin,
        stdin_once, tty, volume_devices, volume_mounts, working_dir);
    // The feature gate ContainerStopSignals is off.
    if let Some(lifecycle) = &mut container.lifecycle {
        lifecycle.stop_signal = None;
        if *lifecycle == Lifecycle::default() {
            container.lifecycle = None;
        }
    }
    for variable in container.env.iter_mut().flatten() {
        omit!(variable; value);
        if let Some(resource) = variable.value_from.as_mut().and_then(|from| from.resource_field_ref.as_mut()) {
            omit!(resource; container_name);
        }
    }
    for source in container.env_from.iter_mut().flatten() {
        omit!(source; prefix);
    }
    for port in container.ports.iter_mut().flatten() {
        omit!(port; host_ip, host_port, name);
    }
    for mount in container.volume_mounts.iter_mut().flatten() {
        omit!(mount; read_only, sub_path, sub_path_expr);
    }
    for rule in container.restart_policy_rules.iter_mut().flatten() {
        if let Some(codes) = &mut rule.exit_codes {
            omit!(codes; values);
        }
    }
    if let Some(resources) = &mut container.resources {
        omit!(resources; claims, limits, requests);
    }
    apply_to_probes(container);
    if let Some(capabilities) = container.security_context.as_mut().and_then(|c| c.capabilities.as_mut()) {
        omit!(capabilities; add, drop);
    }
}

fn apply_to_probes(container: &mut Container) {
    let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    for probe in probes.into_iter().flatten() {
        omit!(probe; initial_delay_seconds);
        if let Some(http) = &mut probe.http_get {
            omit!(http; host, http_headers);
        }
        if let Some(tcp) = &mut probe.tcp_socket {
            omit!(tcp; host);
        }
        if let Some(exec) = &mut probe.exec {
            omit!(exec; command);
        }
    }
}

fn apply_to_volume(volume: &mut Volume) {
    if let Some(dir) = &mut volume.empty_dir {
        omit!(dir; medium);
    }
    if let Some(map) = &mut volume.config_map {
        omit!(map; items);
    }
    if let Some(secret) = &mut volume.secret {
        omit!(secret; items, secret_name);
    }
    if let Some(downward) = &mut volume.downward_api {
        omit!(downward; items);
    }
    if let Some(claim) = &mut volume.persistent_volume_claim {
        omit!(claim; read_only);
    }
    if let Some(nfs) = &mut volume.nfs {
        omit!(nfs; read_only);
    }
}
