//! A Pod as Kubernetes writes it back: what is empty and means nothing is left out, and so are fields behind
//! feature gates that 1.36 has closed.
//!
//! Kubernetes tells apart "not said" and "said to be empty" only where its own types do: a list, a map, most
//! texts, flags and numbers have one empty value, and that is not written.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod, PodSpec, Volume};

/// What is as good as not said.
trait Empty {
    fn is_empty(&self) -> bool;
}

impl Empty for String {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Empty for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Empty for BTreeMap<K, V> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for bool {
    fn is_empty(&self) -> bool {
        !self
    }
}

impl Empty for i32 {
    fn is_empty(&self) -> bool {
        *self == 0
    }
}

fn omit<T: Empty>(field: &mut Option<T>) {
    if field.as_ref().is_some_and(Empty::is_empty) {
        *field = None;
    }
}

/// Omits what is empty in each of these fields.
macro_rules! omit {
    ($of:expr; $($field:ident),+ $(,)?) => { $(omit(&mut $of.$field);)+ };
}

/// Leaves out of `pod` what Kubernetes would not write.
pub fn apply(pod: &mut Pod) {
    let meta = &mut pod.metadata;
    omit!(meta; annotations, finalizers, generate_name, labels, managed_fields, owner_references, self_link);
    if let Some(spec) = &mut pod.spec {
        apply_to_spec(spec);
    }
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
    for e in spec.ephemeral_containers.iter_mut().flatten() {
        omit!(e; args, command, env, env_from, image, ports, resize_policy, restart_policy_rules, stdin, stdin_once,
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
    // ContainerStopSignals is closed.
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
    if let Some(capabilities) = container.security_context.as_mut().and_then(|c| c.capabilities.as_mut()) {
        omit!(capabilities; add, drop);
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
