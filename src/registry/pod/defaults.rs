//! Defaults of the fields of pods and of their templates (`pkg/apis/core/v1/defaults.go`).

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, EmptyDirVolumeSource, EphemeralContainer, LifecycleHandler, ObjectFieldSelector,
    Pod, PodSecurityContext, PodSpec, Probe, ResourceFieldSelector, ResourceRequirements, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::totals::{self, Quantities, is_overcommit_allowed, is_pod_level_resource};
use crate::model::quantity;

/// Sets every default of a pod.
pub fn apply(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    apply_to_spec(spec);
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        spec.termination_grace_period_seconds = Some(1);
    }
    spec.enable_service_links.get_or_insert(true);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if let Some(resources) = &mut container.resources {
            default_requests_to_limits(resources);
        }
    }
    complete_pod_level_resources(spec);
    if spec.host_network == Some(true) {
        let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
        for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
            if port.host_port.unwrap_or(0) == 0 {
                port.host_port = Some(port.container_port);
            }
        }
    }
}

/// Sets the defaults that templates have in common with pods (`SetDefaults_PodSpec`). Pods get theirs of requests, host
/// ports and service links only when they are created.
pub fn apply_to_spec(spec: &mut PodSpec) {
    set_default(&mut spec.restart_policy, "Always");
    set_default(&mut spec.dns_policy, "ClusterFirst");
    set_default(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
    sync_service_account_names(spec);
    spec.init_containers.iter_mut().flatten().chain(&mut spec.containers).for_each(apply_to_container);
    spec.ephemeral_containers.iter_mut().flatten().for_each(apply_to_ephemeral);
    spec.volumes.iter_mut().flatten().for_each(apply_to_volume);
    canonicalize(spec.overhead.as_mut());
    if let Some(resources) = &mut spec.resources {
        canonicalize(resources.limits.as_mut());
        canonicalize(resources.requests.as_mut());
    }
}

/// Sets a field that is unset or empty.
pub fn set_default(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_string());
    }
}

/// Writes the service account's name to both of its fields; `serviceAccount` is the deprecated one.
fn sync_service_account_names(spec: &mut PodSpec) {
    let non_empty = |field: &Option<String>| field.clone().filter(|name| !name.is_empty());
    let name = non_empty(&spec.service_account_name).or_else(|| non_empty(&spec.service_account));
    spec.service_account_name.clone_from(&name);
    spec.service_account = name;
}

fn apply_to_container(container: &mut Container) {
    set_default(&mut container.termination_message_path, "/dev/termination-log");
    set_default(&mut container.termination_message_policy, "File");
    let policy = default_pull_policy(container.image.as_deref().unwrap_or_default());
    set_default(&mut container.image_pull_policy, policy);
    for port in container.ports.iter_mut().flatten() {
        set_default(&mut port.protocol, "TCP");
    }
    let resources = container.resources.get_or_insert_with(ResourceRequirements::default);
    canonicalize(resources.limits.as_mut());
    canonicalize(resources.requests.as_mut());
    for probe in [&mut container.startup_probe, &mut container.liveness_probe, &mut container.readiness_probe] {
        probe.iter_mut().for_each(apply_to_probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        lifecycle.post_start.iter_mut().chain(&mut lifecycle.pre_stop).for_each(apply_to_hook);
    }
    for from in container.env.iter_mut().flatten().filter_map(|variable| variable.value_from.as_mut()) {
        from.field_ref.iter_mut().for_each(apply_to_field);
        from.resource_field_ref.iter_mut().for_each(apply_to_resource_field);
        if let Some(file) = &mut from.file_key_ref {
            file.optional.get_or_insert(false);
        }
    }
}

/// Applies the defaults of containers. Ports, probes, hooks and resources, which ephemeral containers may not have, get
/// them too: validation reports them as Kubernetes does.
fn apply_to_ephemeral(ephemeral: &mut EphemeralContainer) {
    let mut container = super::validation::as_container(ephemeral);
    apply_to_container(&mut container);
    ephemeral.termination_message_path = container.termination_message_path;
    ephemeral.termination_message_policy = container.termination_message_policy;
    ephemeral.image_pull_policy = container.image_pull_policy;
    ephemeral.ports = container.ports;
    ephemeral.resources = container.resources;
    ephemeral.startup_probe = container.startup_probe;
    ephemeral.liveness_probe = container.liveness_probe;
    ephemeral.readiness_probe = container.readiness_probe;
    ephemeral.lifecycle = container.lifecycle;
    ephemeral.env = container.env;
}

/// Writes quantities in canonical form. Values that do not parse stay for validation to reject.
pub fn canonicalize(quantities: Option<&mut Quantities>) {
    for value in quantities.into_iter().flat_map(|quantities| quantities.values_mut()) {
        if let Ok(canonical) = quantity::canonical_in_milli(value) {
            *value = canonical;
        }
    }
}

/// Sets missing requests to the limits (K71).
fn default_requests_to_limits(resources: &mut ResourceRequirements) {
    let Some(limits) = resources.limits.clone().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// Completes the pod-level resources, if there are any, from the containers' resources.
fn complete_pod_level_resources(spec: &mut PodSpec) {
    let Some(mut pod_level) = spec.resources.take() else { return };
    let is_set = |list: &Option<Quantities>| list.as_ref().is_some_and(|list| !list.is_empty());
    if is_set(&pod_level.limits) || is_set(&pod_level.requests) {
        let requested = pod_level.requests.clone().unwrap_or_default();
        let huge_pages = totals::aggregate_limits(spec).into_iter().filter(|(name, _)| name.starts_with("hugepages-"));
        for (name, limit) in huge_pages.filter(|(name, _)| !requested.contains_key(name)) {
            pod_level.limits.get_or_insert_default().entry(name).or_insert(limit);
        }
    }
    if let Some(limits) = pod_level.limits.clone().filter(|limits| !limits.is_empty()) {
        let mut requests = pod_level.requests.take().unwrap_or_default();
        for (name, request) in totals::aggregate_requests(spec) {
            if is_pod_level_resource(&name) && is_overcommit_allowed(&name) {
                requests.entry(name).or_insert(request);
            }
        }
        for (name, limit) in limits.into_iter().filter(|(name, _)| is_pod_level_resource(name)) {
            requests.entry(name).or_insert(limit);
        }
        pod_level.requests = Some(requests).filter(|requests| !requests.is_empty());
    }
    spec.resources = Some(pod_level);
}

/// Returns `Always` for the tag `latest` and for images without tag or digest (K40).
fn default_pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let latest = !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn apply_to_probe(probe: &mut Probe) {
    let replace_zero = |field: &mut Option<i32>, value| {
        if field.unwrap_or(0) == 0 {
            *field = Some(value);
        }
    };
    replace_zero(&mut probe.timeout_seconds, 1);
    replace_zero(&mut probe.period_seconds, 10);
    replace_zero(&mut probe.success_threshold, 1);
    replace_zero(&mut probe.failure_threshold, 3);
    if let Some(http) = &mut probe.http_get {
        set_default(&mut http.path, "/");
        set_default(&mut http.scheme, "HTTP");
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn apply_to_hook(hook: &mut LifecycleHandler) {
    if let Some(http) = &mut hook.http_get {
        set_default(&mut http.path, "/");
        set_default(&mut http.scheme, "HTTP");
    }
}

fn apply_to_field(field: &mut ObjectFieldSelector) {
    set_default(&mut field.api_version, "v1");
}

/// Writes an unset divisor as zero, which means one.
fn apply_to_resource_field(field: &mut ResourceFieldSelector) {
    let divisor = field.divisor.take().unwrap_or_else(|| Quantity("0".into()));
    field.divisor = Some(quantity::canonical(&divisor).unwrap_or(divisor));
}

fn apply_to_files(files: &mut Option<Vec<DownwardAPIVolumeFile>>) {
    for file in files.iter_mut().flatten() {
        file.field_ref.iter_mut().for_each(apply_to_field);
        file.resource_field_ref.iter_mut().for_each(apply_to_resource_field);
    }
}

const DEFAULT_FILE_MODE: i32 = 0o644;

fn apply_to_volume(volume: &mut Volume) {
    // A volume without a source is an emptyDir.
    if *volume == (Volume { name: volume.name.clone(), ..Volume::default() }) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(limit) = volume.empty_dir.as_mut().and_then(|dir| dir.size_limit.as_mut())
        && let Ok(canonical) = quantity::canonical(limit)
    {
        *limit = canonical;
    }
    if let Some(host) = &mut volume.host_path {
        host.type_.get_or_insert_default();
    }
    if let Some(map) = &mut volume.config_map {
        map.default_mode.get_or_insert(DEFAULT_FILE_MODE);
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(DEFAULT_FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(DEFAULT_FILE_MODE);
        apply_to_files(&mut downward.items);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(DEFAULT_FILE_MODE);
        projected.sources.iter_mut().flatten().for_each(apply_to_projection);
    }
    if let Some(image) = &mut volume.image {
        let policy = default_pull_policy(image.reference.as_deref().unwrap_or_default());
        set_default(&mut image.pull_policy, policy);
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|claim| claim.volume_claim_template.as_mut()) {
        set_default(&mut template.spec.volume_mode, "Filesystem");
    }
    apply_to_remote_volume(volume);
}

fn apply_to_remote_volume(volume: &mut Volume) {
    if let Some(iscsi) = &mut volume.iscsi {
        set_default(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut volume.rbd {
        set_default(&mut rbd.pool, "rbd");
        set_default(&mut rbd.user, "admin");
        set_default(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(azure) = &mut volume.azure_disk {
        set_default(&mut azure.caching_mode, "ReadWrite");
        set_default(&mut azure.kind, "Shared");
        set_default(&mut azure.fs_type, "ext4");
        azure.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut volume.scale_io {
        set_default(&mut scale_io.storage_mode, "ThinProvisioned");
        set_default(&mut scale_io.fs_type, "xfs");
    }
}

const DEFAULT_TOKEN_SECONDS: i64 = 3600;

fn apply_to_projection(source: &mut VolumeProjection) {
    if let Some(token) = &mut source.service_account_token {
        token.expiration_seconds.get_or_insert(DEFAULT_TOKEN_SECONDS);
    }
    if let Some(downward) = &mut source.downward_api {
        apply_to_files(&mut downward.items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_and_untagged_images_default_to_always() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.14.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(default_pull_policy(image), policy, "{image}");
        }
    }
}
