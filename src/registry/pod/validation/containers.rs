//! App, init and ephemeral containers: common and specific rules, ports, restart rules.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, EphemeralContainer, PodSpec};

use super::volumes::DeclaredVolumes;
use super::{environment, mounts, or_empty, probes, resources, security};
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};

/// The parts of the pod that the rules of its containers depend on.
pub struct PodContext<'s> {
    pub spec: &'s PodSpec,
    pub volumes: &'s DeclaredVolumes<'s>,
    pub claims: &'s BTreeSet<&'s str>,
}

/// Validates all containers of a pod.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, context: &PodContext<'_>) {
    validate_app_containers(errors, path.child("containers"), context);
    validate_init_containers(errors, path.child("initContainers"), context);
    validate_ephemeral_containers(errors, path.child("ephemeralContainers"), context);
}

/// Rejects whitespace around images, which pod templates may have.
pub fn validate_images(errors: &mut ErrorList, path: FieldPath<'_>, containers: &[Container]) {
    for (i, container) in containers.iter().enumerate() {
        validate_image(errors, path.index(i), or_empty(&container.image));
    }
}

fn validate_image(errors: &mut ErrorList, path: FieldPath<'_>, image: &str) {
    if image.trim() != image {
        errors.invalid(path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn validate_app_containers(errors: &mut ErrorList, path: FieldPath<'_>, context: &PodContext<'_>) {
    let containers = &context.spec.containers;
    if containers.is_empty() {
        errors.required(path, "");
    }
    let mut names = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let path = path.index(i);
        validate_container_common(errors, path, container, context);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(path.child("name"), &container.name);
        }
        probes::validate_hooks_and_probes(errors, path, container, context.spec);
        validate_container_restart_policy(errors, path, container);
    }
    validate_host_port_conflicts(errors, path, containers);
}

fn validate_init_containers(errors: &mut ErrorList, path: FieldPath<'_>, context: &PodContext<'_>) {
    let mut names: BTreeSet<&str> = context.spec.containers.iter().map(|c| c.name.as_str()).collect();
    for (i, container) in pods::init_containers(context.spec).iter().enumerate() {
        let list = path;
        let path = list.index(i);
        validate_container_common(errors, path, container, context);
        validate_container_restart_policy(errors, path, container);
        if !names.insert(&container.name) && !container.name.is_empty() {
            errors.duplicate(path.child("name"), &container.name);
        }
        validate_host_port_conflicts(errors, list, std::slice::from_ref(container));
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        if is_sidecar {
            probes::validate_hooks_and_probes(errors, path, container, context.spec);
        } else {
            forbid_in_non_sidecar_init(errors, path, container);
        }
    }
}

/// Rejects the fields that only long-running containers may have (K52).
fn forbid_in_non_sidecar_init(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container) {
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        errors.forbidden(path.child(field), "may not be set for init containers without restartPolicy=Always");
    }
    for (i, policy) in container.resize_policy.iter().flatten().enumerate() {
        if policy.restart_policy == "RestartContainer" {
            let list = path.child("resizePolicy");
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.invalid(list.index(i).child("restartPolicy"), &policy.restart_policy, detail);
        }
    }
}

fn validate_ephemeral_containers(errors: &mut ErrorList, path: FieldPath<'_>, context: &PodContext<'_>) {
    let spec = context.spec;
    let others: BTreeSet<&str> =
        spec.containers.iter().chain(pods::init_containers(spec)).map(|c| c.name.as_str()).collect();
    let mut names = others.clone();
    for (i, ephemeral) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let path = path.index(i);
        let container = as_container(ephemeral);
        validate_container_common(errors, path, &container, context);
        validate_image(errors, path, or_empty(&container.image));
        if !names.insert(&ephemeral.name) {
            errors.duplicate(path.child("name"), &ephemeral.name);
        }
        let target = or_empty(&ephemeral.target_container_name);
        if !target.is_empty() && !others.contains(target) {
            errors.not_found(path.child("targetContainerName"), target);
        }
        forbid_in_ephemeral(errors, path, &container);
    }
}

/// Rejects the fields that ephemeral containers may not have.
fn forbid_in_ephemeral(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container) {
    let detail = "cannot be set for an Ephemeral Container";
    let resources = container.resources.as_ref();
    let set = [
        ("ports", container.ports.as_ref().is_some_and(|ports| !ports.is_empty())),
        ("resources", resources.is_some_and(|r| r.limits.is_some() || r.requests.is_some() || r.claims.is_some())),
        ("resizePolicy", container.resize_policy.is_some()),
        ("restartPolicy", container.restart_policy.is_some()),
        ("restartPolicyRules", container.restart_policy_rules.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        errors.forbidden(path.child(field), detail);
    }
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            if !or_empty(value).is_empty() {
                let list = path.child("volumeMounts");
                errors.forbidden(list.index(i).child(field), detail);
            }
        }
    }
}

/// Converts an ephemeral container to a container, for the common rules.
pub fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let e = ephemeral.clone();
    Container {
        args: e.args,
        command: e.command,
        env: e.env,
        env_from: e.env_from,
        image: e.image,
        image_pull_policy: e.image_pull_policy,
        lifecycle: e.lifecycle,
        liveness_probe: e.liveness_probe,
        name: e.name,
        ports: e.ports,
        readiness_probe: e.readiness_probe,
        resize_policy: e.resize_policy,
        resources: e.resources,
        restart_policy: e.restart_policy,
        restart_policy_rules: e.restart_policy_rules,
        security_context: e.security_context,
        startup_probe: e.startup_probe,
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        termination_message_path: e.termination_message_path,
        termination_message_policy: e.termination_message_policy,
        tty: e.tty,
        volume_devices: e.volume_devices,
        volume_mounts: e.volume_mounts,
        working_dir: e.working_dir,
    }
}

/// Validates what all three kinds of containers have in common.
fn validate_container_common(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    container: &Container,
    context: &PodContext<'_>,
) {
    if errors.require_non_empty(path.child("name"), &container.name) {
        errors.invalid_each(path.child("name"), &container.name, formats::dns_label(&container.name));
    }
    errors.require_non_empty(path.child("image"), or_empty(&container.image));
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = or_empty(&container.termination_message_policy);
    errors.require_one_of(path.child("terminationMessagePolicy"), policy, &policies);
    validate_ports(errors, path.child("ports"), container.ports.as_deref().unwrap_or_default());
    environment::validate(errors, path, container);
    mounts::validate(errors, path, container, context.volumes);
    let pull = ["Always", "IfNotPresent", "Never"];
    errors.require_one_of(path.child("imagePullPolicy"), or_empty(&container.image_pull_policy), &pull);
    if let Some(resources) = &container.resources {
        resources::validate_container(errors, path.child("resources"), resources, context.claims);
    }
    resources::validate_resize_policy(errors, path.child("resizePolicy"), container, context.spec);
    security::validate_container(errors, path.child("securityContext"), container, context.spec);
}

fn validate_ports(errors: &mut ErrorList, path: FieldPath<'_>, ports: &[ContainerPort]) {
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = path.index(i);
        let name = or_empty(&port.name);
        if !name.is_empty() {
            let messages = formats::port_name(name);
            let is_duplicate = messages.is_empty() && !names.insert(name);
            errors.invalid_each(path.child("name"), name, messages);
            if is_duplicate {
                errors.duplicate(path.child("name"), name);
            }
        }
        if port.container_port == 0 {
            errors.required(path.child("containerPort"), "");
        } else {
            let messages = formats::port_number(port.container_port);
            errors.invalid_each(path.child("containerPort"), port.container_port, messages);
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            errors.invalid_each(path.child("hostPort"), number, formats::port_number(number));
        }
        errors.require_one_of(path.child("protocol"), or_empty(&port.protocol), &["SCTP", "TCP", "UDP"]);
    }
}

/// Rejects two ports of `containers` with the same host port.
fn validate_host_port_conflicts(errors: &mut ErrorList, path: FieldPath<'_>, containers: &[Container]) {
    let mut used = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let container_at = path.index(i);
        let ports = container_at.child("ports");
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let host_port = format!("{}/{}/{number}", or_empty(&port.protocol), or_empty(&port.host_ip));
            if used.contains(&host_port) {
                errors.duplicate(ports.index(j).child("hostPort"), &host_port);
            }
            used.insert(host_port);
        }
    }
}

const MAX_RESTART_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

/// Validates a container's own restart policy and restart rules (K53).
fn validate_container_restart_policy(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container) {
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    match container.restart_policy.as_deref() {
        None if rules.is_empty() => return,
        None => {
            errors.required(path.child("restartPolicy"), "must specify restartPolicy when restart rules are used");
        }
        Some(policy) => errors.check_one_of(path.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]),
    }
    let list = path.child("restartPolicyRules");
    if rules.len() > MAX_RESTART_RULES {
        errors.too_many(list, rules.len(), MAX_RESTART_RULES);
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = list.index(i);
        errors.check_one_of(path.child("action"), &rule.action, &["Restart", "RestartAllContainers"]);
        let Some(codes) = &rule.exit_codes else {
            errors.required(path.child("exitCodes"), "must be specified");
            continue;
        };
        let path = path.child("exitCodes");
        errors.check_one_of(path.child("operator"), &codes.operator, &["In", "NotIn"]);
        let values = codes.values.as_deref().unwrap_or_default();
        if values.len() > MAX_EXIT_CODES {
            errors.too_many(path.child("values"), values.len(), MAX_EXIT_CODES);
        }
    }
}
