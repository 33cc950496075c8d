//! What a Pod means where it says nothing (`pkg/apis/core/v1/defaults.go`).

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, Probe, ResourceRequirements, Volume};

/// Fills in every default.
pub fn apply(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    default(&mut spec.restart_policy, "Always");
    default(&mut spec.dns_policy, "ClusterFirst");
    default(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        apply_to_container(container);
    }
    spec.volumes.iter_mut().flatten().for_each(apply_to_volume);
}

fn default(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_string());
    }
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
    if let Some(limits) = resources.limits.clone() {
        let requests = resources.requests.get_or_insert_default();
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
    for probe in [&mut container.startup_probe, &mut container.liveness_probe, &mut container.readiness_probe] {
        probe.iter_mut().for_each(apply_to_probe);
    }
    for env in container.env.iter_mut().flatten() {
        if let Some(field) = env.value_from.as_mut().and_then(|from| from.field_ref.as_mut()) {
            default(&mut field.api_version, "v1");
        }
    }
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

fn apply_to_volume(volume: &mut Volume) {
    if let Some(host) = &mut volume.host_path {
        host.type_.get_or_insert_default();
    }
    if let Some(map) = &mut volume.config_map {
        map.default_mode.get_or_insert(0o644);
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(0o644);
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
