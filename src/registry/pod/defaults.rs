//! What a Pod means where it says nothing (`pkg/apis/core/v1/defaults.go`).

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, EmptyDirVolumeSource, EphemeralContainer, LifecycleHandler, ObjectFieldSelector,
    Pod, PodSecurityContext, PodSpec, Probe, ResourceFieldSelector, ResourceRequirements, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::totals::{self, Amounts, is_of_pods, may_be_overcommitted};
use crate::model::quantity;

/// Fills in every default.
pub fn apply(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    default(&mut spec.restart_policy, "Always");
    default(&mut spec.dns_policy, "ClusterFirst");
    default(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
    name_service_account(spec);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        apply_to_container(container);
        if let Some(resources) = &mut container.resources {
            request_limits(resources);
        }
    }
    spec.ephemeral_containers.iter_mut().flatten().for_each(apply_to_ephemeral);
    spec.volumes.iter_mut().flatten().for_each(apply_to_volume);
    canonical_amounts(spec.overhead.as_mut());
    apply_to_whole(spec);
    if spec.host_network == Some(true) {
        let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
        for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
            if port.host_port.unwrap_or(0) == 0 {
                port.host_port = Some(port.container_port);
            }
        }
    }
}

fn default(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_string());
    }
}

/// The service account has an older name, too; both are said.
fn name_service_account(spec: &mut PodSpec) {
    let named = |field: &Option<String>| field.clone().filter(|name| !name.is_empty());
    let name = named(&spec.service_account_name).or_else(|| named(&spec.service_account));
    spec.service_account_name.clone_from(&name);
    spec.service_account = name;
}

fn apply_to_container(container: &mut Container) {
    default(&mut container.termination_message_path, "/dev/termination-log");
    default(&mut container.termination_message_policy, "File");
    let policy = pull_policy(container.image.as_deref().unwrap_or_default());
    default(&mut container.image_pull_policy, policy);
    for port in container.ports.iter_mut().flatten() {
        default(&mut port.protocol, "TCP");
    }
    let resources = container.resources.get_or_insert_with(ResourceRequirements::default);
    canonical_amounts(resources.limits.as_mut());
    canonical_amounts(resources.requests.as_mut());
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

/// Ephemeral containers have no ports, probes, hooks nor resources that count; what they may have is a container's.
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

/// Amounts as Kubernetes writes them. What is no quantity stays for validation to refuse.
fn canonical_amounts(amounts: Option<&mut Amounts>) {
    for amount in amounts.into_iter().flat_map(|amounts| amounts.values_mut()) {
        if let Ok(canonical) = quantity::canonical_in_milli(amount) {
            *amount = canonical;
        }
    }
}

/// K71: limits default requests.
fn request_limits(resources: &mut ResourceRequirements) {
    let Some(limits) = resources.limits.clone().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// The resources of the pod as a whole, where it names some: what is not said follows from its containers.
fn apply_to_whole(spec: &mut PodSpec) {
    let Some(mut whole) = spec.resources.take() else { return };
    canonical_amounts(whole.limits.as_mut());
    canonical_amounts(whole.requests.as_mut());
    let is_set = |amounts: &Option<Amounts>| amounts.as_ref().is_some_and(|amounts| !amounts.is_empty());
    if is_set(&whole.limits) || is_set(&whole.requests) {
        let asked = whole.requests.clone().unwrap_or_default();
        let huge = totals::limits(spec).into_iter().filter(|(name, _)| name.starts_with("hugepages-"));
        for (name, limit) in huge.filter(|(name, _)| !asked.contains_key(name)) {
            whole.limits.get_or_insert_default().entry(name).or_insert(limit);
        }
    }
    if let Some(limits) = whole.limits.clone().filter(|limits| !limits.is_empty()) {
        let mut requests = whole.requests.take().unwrap_or_default();
        for (name, amount) in totals::requests(spec) {
            if is_of_pods(&name) && may_be_overcommitted(&name) {
                requests.entry(name).or_insert(amount);
            }
        }
        for (name, limit) in limits.into_iter().filter(|(name, _)| is_of_pods(name)) {
            requests.entry(name).or_insert(limit);
        }
        whole.requests = Some(requests).filter(|requests| !requests.is_empty());
    }
    spec.resources = Some(whole);
}

/// K40: the tag `latest`, or none, is pulled always.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let latest = !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn apply_to_probe(probe: &mut Probe) {
    let at_least = |field: &mut Option<i32>, value| {
        if field.unwrap_or(0) == 0 {
            *field = Some(value);
        }
    };
    at_least(&mut probe.timeout_seconds, 1);
    at_least(&mut probe.period_seconds, 10);
    at_least(&mut probe.success_threshold, 1);
    at_least(&mut probe.failure_threshold, 3);
    if let Some(http) = &mut probe.http_get {
        default(&mut http.path, "/");
        default(&mut http.scheme, "HTTP");
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn apply_to_hook(hook: &mut LifecycleHandler) {
    if let Some(http) = &mut hook.http_get {
        default(&mut http.path, "/");
        default(&mut http.scheme, "HTTP");
    }
}

fn apply_to_field(field: &mut ObjectFieldSelector) {
    default(&mut field.api_version, "v1");
}

/// A divisor that is not set is written as zero, and means one.
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

const FILE_MODE: i32 = 0o644;

fn apply_to_volume(volume: &mut Volume) {
    // A volume that says nothing of where it lies is an empty directory.
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
        map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        apply_to_files(&mut downward.items);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        projected.sources.iter_mut().flatten().for_each(apply_to_projection);
    }
    if let Some(image) = &mut volume.image {
        let policy = pull_policy(image.reference.as_deref().unwrap_or_default());
        default(&mut image.pull_policy, policy);
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|claim| claim.volume_claim_template.as_mut()) {
        default(&mut template.spec.volume_mode, "Filesystem");
    }
    if let Some(iscsi) = &mut volume.iscsi {
        default(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut volume.rbd {
        default(&mut rbd.pool, "rbd");
        default(&mut rbd.user, "admin");
        default(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(azure) = &mut volume.azure_disk {
        default(&mut azure.caching_mode, "ReadWrite");
        default(&mut azure.kind, "Shared");
        default(&mut azure.fs_type, "ext4");
        azure.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut volume.scale_io {
        default(&mut scale_io.storage_mode, "ThinProvisioned");
        default(&mut scale_io.fs_type, "xfs");
    }
}

const TOKEN_LIFETIME: i64 = 3600;

fn apply_to_projection(source: &mut VolumeProjection) {
    if let Some(token) = &mut source.service_account_token {
        token.expiration_seconds.get_or_insert(TOKEN_LIFETIME);
    }
    if let Some(downward) = &mut source.downward_api {
        apply_to_files(&mut downward.items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_and_untagged_images_are_pulled_always() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.14.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
