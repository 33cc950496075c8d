//! Containers of all three kinds: what they share, what sets them apart, their ports and restart rules.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, EphemeralContainer, PodSpec};

use super::volumes::Volumes;
use super::{environment, mounts, probes, resources, security, text};
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};

/// What of the pod a container's rules look at.
pub struct Surroundings<'s> {
    pub spec: &'s PodSpec,
    pub volumes: &'s Volumes<'s>,
    pub claims: &'s BTreeSet<&'s str>,
}

/// All containers of a pod.
pub fn check(faults: &mut Faults, at: Path<'_>, around: &Surroundings<'_>) {
    check_apps(faults, at.child("containers"), around);
    check_init(faults, at.child("initContainers"), around);
    check_ephemeral(faults, at.child("ephemeralContainers"), around);
}

/// Images without spaces around them; templates may have some.
pub fn check_images(faults: &mut Faults, at: Path<'_>, containers: &[Container]) {
    for (i, container) in containers.iter().enumerate() {
        check_image(faults, at.index(i), text(&container.image));
    }
}

fn check_image(faults: &mut Faults, at: Path<'_>, image: &str) {
    if image.trim() != image {
        faults.invalid(at.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn check_apps(faults: &mut Faults, at: Path<'_>, around: &Surroundings<'_>) {
    let containers = &around.spec.containers;
    if containers.is_empty() {
        faults.required(at, "");
    }
    let mut names = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let at = at.index(i);
        check_common(faults, at, container, around);
        if !names.insert(container.name.as_str()) {
            faults.duplicate(at.child("name"), &container.name);
        }
        probes::check_all(faults, at, container, around.spec);
        check_restarts(faults, at, container);
    }
    check_host_ports(faults, at, containers);
}

fn check_init(faults: &mut Faults, at: Path<'_>, around: &Surroundings<'_>) {
    let mut names: BTreeSet<&str> = around.spec.containers.iter().map(|c| c.name.as_str()).collect();
    for (i, container) in pods::init_containers(around.spec).iter().enumerate() {
        let list = at;
        let at = list.index(i);
        check_common(faults, at, container, around);
        check_restarts(faults, at, container);
        if !names.insert(&container.name) && !container.name.is_empty() {
            faults.duplicate(at.child("name"), &container.name);
        }
        check_host_ports(faults, list, std::slice::from_ref(container));
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        if sidecar {
            probes::check_all(faults, at, container, around.spec);
        } else {
            forbid_in_plain_init(faults, at, container);
        }
    }
}

/// K52: what only containers have that go on running.
fn forbid_in_plain_init(faults: &mut Faults, at: Path<'_>, container: &Container) {
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        faults.forbidden(at.child(field), "may not be set for init containers without restartPolicy=Always");
    }
    for (i, policy) in container.resize_policy.iter().flatten().enumerate() {
        if policy.restart_policy == "RestartContainer" {
            let list = at.child("resizePolicy");
            let why = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            faults.invalid(list.index(i).child("restartPolicy"), &policy.restart_policy, why);
        }
    }
}

fn check_ephemeral(faults: &mut Faults, at: Path<'_>, around: &Surroundings<'_>) {
    let spec = around.spec;
    let others: BTreeSet<&str> =
        spec.containers.iter().chain(pods::init_containers(spec)).map(|c| c.name.as_str()).collect();
    let mut names = others.clone();
    for (i, ephemeral) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let at = at.index(i);
        let container = as_container(ephemeral);
        check_common(faults, at, &container, around);
        check_image(faults, at, text(&container.image));
        if !names.insert(&ephemeral.name) {
            faults.duplicate(at.child("name"), &ephemeral.name);
        }
        let target = text(&ephemeral.target_container_name);
        if !target.is_empty() && !others.contains(target) {
            faults.not_found(at.child("targetContainerName"), target);
        }
        forbid_in_ephemeral(faults, at, &container);
    }
}

/// A guest in the pod gives no service: nothing that others could rely on.
fn forbid_in_ephemeral(faults: &mut Faults, at: Path<'_>, container: &Container) {
    let why = "cannot be set for an Ephemeral Container";
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
        faults.forbidden(at.child(field), why);
    }
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        for (field, path) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            if !text(path).is_empty() {
                let list = at.child("volumeMounts");
                faults.forbidden(list.index(i).child(field), why);
            }
        }
    }
}

/// An ephemeral container as the container that it is for most rules.
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

/// What all three kinds of containers must be.
fn check_common(faults: &mut Faults, at: Path<'_>, container: &Container, around: &Surroundings<'_>) {
    if faults.require_text(at.child("name"), &container.name) {
        faults.invalid_for(at.child("name"), &container.name, formats::dns_label(&container.name));
    }
    faults.require_text(at.child("image"), text(&container.image));
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = text(&container.termination_message_policy);
    faults.require_one_of(at.child("terminationMessagePolicy"), policy, &policies);
    check_ports(faults, at.child("ports"), container.ports.as_deref().unwrap_or_default());
    environment::check(faults, at, container);
    mounts::check(faults, at, container, around.volumes);
    let pull = ["Always", "IfNotPresent", "Never"];
    faults.require_one_of(at.child("imagePullPolicy"), text(&container.image_pull_policy), &pull);
    if let Some(resources) = &container.resources {
        resources::check_container(faults, at.child("resources"), resources, around.claims);
    }
    resources::check_resize_policy(faults, at.child("resizePolicy"), container, around.spec);
    security::check_container(faults, at.child("securityContext"), container, around.spec);
}

fn check_ports(faults: &mut Faults, at: Path<'_>, ports: &[ContainerPort]) {
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        let name = text(&port.name);
        if !name.is_empty() {
            let wrongs = formats::port_name(name);
            let known = wrongs.is_empty() && !names.insert(name);
            faults.invalid_for(at.child("name"), name, wrongs);
            if known {
                faults.duplicate(at.child("name"), name);
            }
        }
        if port.container_port == 0 {
            faults.required(at.child("containerPort"), "");
        } else {
            let wrongs = formats::port_number(port.container_port);
            faults.invalid_for(at.child("containerPort"), port.container_port, wrongs);
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            faults.invalid_for(at.child("hostPort"), number, formats::port_number(number));
        }
        faults.require_one_of(at.child("protocol"), text(&port.protocol), &["SCTP", "TCP", "UDP"]);
    }
}

/// No two ports of `containers` ask for the same port of the host.
fn check_host_ports(faults: &mut Faults, at: Path<'_>, containers: &[Container]) {
    let mut taken = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let container_at = at.index(i);
        let ports = container_at.child("ports");
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let door = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
            if taken.contains(&door) {
                faults.duplicate(ports.index(j).child("hostPort"), &door);
            }
            taken.insert(door);
        }
    }
}

const MOST_RESTART_RULES: usize = 20;
const MOST_EXIT_CODES: usize = 255;

/// A container's own restart policy and rules (K53).
fn check_restarts(faults: &mut Faults, at: Path<'_>, container: &Container) {
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    match container.restart_policy.as_deref() {
        None if rules.is_empty() => return,
        None => {
            faults.required(at.child("restartPolicy"), "must specify restartPolicy when restart rules are used");
        }
        Some(policy) => faults.one_of(at.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]),
    }
    let list = at.child("restartPolicyRules");
    if rules.len() > MOST_RESTART_RULES {
        faults.too_many(list, rules.len(), MOST_RESTART_RULES);
    }
    for (i, rule) in rules.iter().enumerate() {
        let at = list.index(i);
        faults.one_of(at.child("action"), &rule.action, &["Restart", "RestartAllContainers"]);
        let Some(codes) = &rule.exit_codes else {
            faults.required(at.child("exitCodes"), "must be specified");
            continue;
        };
        let at = at.child("exitCodes");
        faults.one_of(at.child("operator"), &codes.operator, &["In", "NotIn"]);
        let values = codes.values.as_deref().unwrap_or_default();
        if values.len() > MOST_EXIT_CODES {
            faults.too_many(at.child("values"), values.len(), MOST_EXIT_CODES);
        }
    }
}
