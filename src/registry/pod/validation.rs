//! What a Pod must be to be stored (`pkg/apis/core/validation`), fields in Kubernetes' order.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec, ResourceRequirements, Volume, VolumeMount};

use super::fields::Faults;
use crate::control::Cause;
use crate::model::{names, pods, quantity};

/// Every fault of `pod`; none means that it may be stored.
pub fn causes(pod: &Pod) -> Vec<Cause> {
    let mut faults = Faults::default();
    match pod.metadata.name.as_deref().unwrap_or_default() {
        "" => faults.required("metadata.name", "name or generateName is required"),
        name => {
            if let Err(rule) = names::check_dns_subdomain(name) {
                faults.invalid("metadata.name", name, rule);
            }
        }
    }
    let namespace = pods::namespace(pod);
    if let Err(rule) = names::check_dns_label(namespace) {
        faults.invalid("metadata.namespace", namespace, rule);
    }
    match &pod.spec {
        Some(spec) => check_spec(&mut faults, spec),
        None => faults.required("spec.containers", ""),
    }
    faults.0
}

fn check_spec(faults: &mut Faults, spec: &PodSpec) {
    let volumes = check_volumes(faults, spec.volumes.as_deref().unwrap_or_default());
    if spec.containers.is_empty() {
        faults.required("spec.containers", "");
    }
    let mut names = BTreeSet::new();
    let apps = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c, false));
    for (path, container, _) in apps {
        check_container(faults, &path, container, &volumes, &mut names);
    }
    for (i, container) in pods::init_containers(spec).iter().enumerate() {
        let path = format!("spec.initContainers[{i}]");
        check_container(faults, &path, container, &volumes, &mut names);
        check_init(faults, &path, container);
    }
    faults.one_of("spec.restartPolicy", spec.restart_policy.as_deref(), &["Always", "Never", "OnFailure"]);
    let dns = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    faults.one_of("spec.dnsPolicy", spec.dns_policy.as_deref(), &dns);
    if let Some(seconds) = spec.active_deadline_seconds.filter(|s| !(1..=i64::from(i32::MAX)).contains(s)) {
        faults.invalid("spec.activeDeadlineSeconds", seconds, "must be between 1 and 2147483647, inclusive");
    }
    if let Some(seconds) = spec.termination_grace_period_seconds.filter(|s| *s < 0) {
        faults.invalid("spec.terminationGracePeriodSeconds", seconds, "must be greater than or equal to 0");
    }
    if let Some(hostname) = spec.hostname.as_deref().filter(|h| !h.is_empty())
        && let Err(rule) = names::check_dns_label(hostname)
    {
        faults.invalid("spec.hostname", hostname, rule);
    }
}

/// The names that mounts may use.
fn check_volumes<'s>(faults: &mut Faults, volumes: &'s [Volume]) -> BTreeSet<&'s str> {
    let mut known = BTreeSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let path = format!("spec.volumes[{i}]");
        check_name(faults, &format!("{path}.name"), &volume.name, &mut known);
        if let Some(host) = &volume.host_path {
            let field = format!("{path}.hostPath.path");
            if host.path.is_empty() {
                faults.required(&field, "");
            } else if host.path.split('/').any(|part| part == "..") {
                faults.invalid(&field, &host.path, "must not contain '..'");
            }
            let types =
                ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
            faults.one_of(format!("{path}.hostPath.type"), host.type_.as_deref(), &types);
        }
    }
    known
}

fn check_name<'s>(faults: &mut Faults, field: &str, name: &'s str, known: &mut BTreeSet<&'s str>) {
    if name.is_empty() {
        faults.required(field, "");
    } else if let Err(rule) = names::check_dns_label(name) {
        faults.invalid(field, name, rule);
    } else if !known.insert(name) {
        faults.duplicate(field, name);
    }
}

fn check_container<'s>(
    faults: &mut Faults,
    path: &str,
    container: &'s Container,
    volumes: &BTreeSet<&str>,
    names: &mut BTreeSet<&'s str>,
) {
    check_name(faults, &format!("{path}.name"), &container.name, names);
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        faults.required(format!("{path}.image"), "");
    } else if image.trim() != image {
        faults.invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace");
    }
    let pull = ["Always", "IfNotPresent", "Never"];
    faults.one_of(format!("{path}.imagePullPolicy"), container.image_pull_policy.as_deref(), &pull);
    check_ports(faults, path, container);
    check_env(faults, path, container.env.as_deref().unwrap_or_default());
    check_mounts(faults, path, container.volume_mounts.as_deref().unwrap_or_default(), volumes);
    check_resources(faults, path, container.resources.as_ref());
    let policies = ["File", "FallbackToLogsOnError"];
    faults.one_of(
        format!("{path}.terminationMessagePolicy"),
        container.termination_message_policy.as_deref(),
        &policies,
    );
}

fn check_ports(faults: &mut Faults, path: &str, container: &Container) {
    let mut known = BTreeSet::new();
    for (i, port) in container.ports.iter().flatten().enumerate() {
        let path = format!("{path}.ports[{i}]");
        if let Some(name) = port.name.as_deref()
            && !known.insert(name)
        {
            faults.duplicate(format!("{path}.name"), name);
        }
        if port.container_port == 0 {
            faults.required(format!("{path}.containerPort"), "");
        } else if !(1..=65535).contains(&port.container_port) {
            faults.invalid(
                format!("{path}.containerPort"),
                port.container_port,
                "must be between 1 and 65535, inclusive",
            );
        }
        faults.one_of(format!("{path}.protocol"), port.protocol.as_deref(), &["SCTP", "TCP", "UDP"]);
    }
}

fn check_env(faults: &mut Faults, path: &str, env: &[EnvVar]) {
    for (i, var) in env.iter().enumerate() {
        let path = format!("{path}.env[{i}]");
        if var.name.is_empty() {
            faults.required(format!("{path}.name"), "");
        } else if var.name.contains(['=', '\0']) {
            faults.invalid(
                format!("{path}.name"),
                &var.name,
                "environment variable names must be printable and hold no '='",
            );
        }
        if var.value.as_deref().is_some_and(|v| !v.is_empty()) && var.value_from.is_some() {
            faults.invalid(format!("{path}.valueFrom"), "", "may not be specified when `value` is not empty");
        }
    }
}

fn check_mounts(faults: &mut Faults, path: &str, mounts: &[VolumeMount], volumes: &BTreeSet<&str>) {
    let mut points = BTreeSet::new();
    for (i, mount) in mounts.iter().enumerate() {
        let path = format!("{path}.volumeMounts[{i}]");
        if mount.name.is_empty() {
            faults.required(format!("{path}.name"), "");
        } else if !volumes.contains(mount.name.as_str()) {
            faults.not_found(format!("{path}.name"), &mount.name);
        }
        if mount.mount_path.is_empty() {
            faults.required(format!("{path}.mountPath"), "");
        } else if !points.insert(mount.mount_path.as_str()) {
            faults.invalid(format!("{path}.mountPath"), &mount.mount_path, "must be unique");
        }
        if let Some(sub) = mount.sub_path.as_deref().filter(|sub| !sub.is_empty()) {
            if sub.starts_with('/') {
                faults.invalid(format!("{path}.subPath"), sub, "must be a relative path");
            }
            if sub.split('/').any(|part| part == "..") {
                faults.invalid(format!("{path}.subPath"), sub, "must not contain '..'");
            }
        }
    }
}

fn check_resources(faults: &mut Faults, path: &str, resources: Option<&ResourceRequirements>) {
    let Some(resources) = resources else { return };
    for (kind, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, amount) in amounts.iter().flatten() {
            let field = format!("{path}.resources.{kind}[{name}]");
            match quantity::milli(amount) {
                Err(error) => faults.invalid(field, &amount.0, error),
                Ok(value) if value < 0 => faults.invalid(field, &amount.0, "must be greater than or equal to 0"),
                Ok(_) => {}
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
        let (Some(limit), Ok(wanted)) = (limit, quantity::milli(request)) else { continue };
        if quantity::milli(limit).is_ok_and(|limit| wanted > limit) {
            let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
            faults.invalid(format!("{path}.resources.requests"), &request.0, detail);
        }
    }
}

/// K52: what a plain init container may not have.
fn check_init(faults: &mut Faults, path: &str, container: &Container) {
    if container.restart_policy.as_deref() == Some("Always") {
        return;
    }
    let detail = "may not be set for init containers without restartPolicy=Always";
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        faults.forbidden(format!("{path}.{field}"), detail);
    }
}
