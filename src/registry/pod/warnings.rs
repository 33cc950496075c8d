//! Warnings about valid pods and templates of pods (`pkg/api/pod/warnings.go`, `pkg/registry/core/pod/strategy.go`):
//! deprecated fields and likely mistakes.
//!
//! As on a real server, creations are checked as a whole and updates only
//! for the addresses in a status.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, KeyToPath, NodeSelectorTerm, Pod, PodAffinityTerm, PodSpec, PodStatus,
    PodTemplateSpec, Volume, VolumeResourceRequirements, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::totals::Quantities;
use super::validation::{SECCOMP_CONTAINER, SECCOMP_POD, annotation};
use crate::model::{formats, pods, quantity};
use crate::registry::fields::FieldPath;

const DEPRECATED_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const SECCOMP_ANNOTATION_IGNORED: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

/// Labels of nodes that have new names, and the warnings about them.
pub const DEPRECATED_NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

const NULL_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// Collects warnings in order.
#[derive(Default)]
struct WarningList(Vec<String>);

impl WarningList {
    fn add(&mut self, path: FieldPath<'_>, warning: impl std::fmt::Display) {
        self.0.push(format!("{path}: {warning}"));
    }
}

/// Returns the warnings about values of a new pod that its defaults replace.
pub fn warnings_on_replaced_values(submitted: &Pod) -> Vec<String> {
    let mut warnings = WarningList::default();
    if let Some(spec) = &submitted.spec {
        warn_about_grace_period(&mut warnings, FieldPath::root("spec"), spec);
    }
    warnings.0
}

/// Returns the warnings about the template of pods at `path`, which has its defaults.
pub fn warnings_on_template(path: FieldPath<'_>, template: &PodTemplateSpec) -> Vec<String> {
    let mut warnings = WarningList::default();
    let no_meta = ObjectMeta::default();
    let meta = path.child("metadata");
    if let Some(spec) = &template.spec {
        let subject = Subject {
            path: path.child("spec"),
            spec,
            annotations_path: meta.child("annotations"),
            meta: template.metadata.as_ref().unwrap_or(&no_meta),
        };
        warn_about_spec(&mut warnings, &subject);
    }
    warnings.0
}

/// The spec of a pod or template, and its metadata.
struct Subject<'s> {
    path: FieldPath<'s>,
    spec: &'s PodSpec,
    annotations_path: FieldPath<'s>,
    meta: &'s ObjectMeta,
}

/// Returns the warnings about a new pod, which has its name and defaults.
pub fn warnings_on_create(pod: &Pod) -> Vec<String> {
    let mut warnings = WarningList::default();
    let messages = formats::dns_label(pods::name(pod));
    if !messages.is_empty() {
        let detail = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
                   recommended";
        warnings.add(FieldPath::root("metadata").child("name"), format!("{detail}: [{}]", messages.join(" ")));
    }
    if let Some(spec) = &pod.spec {
        let meta = FieldPath::root("metadata");
        let annotations_path = meta.child("annotations");
        let subject = Subject { path: FieldPath::root("spec"), spec, annotations_path, meta: &pod.metadata };
        warn_about_spec(&mut warnings, &subject);
    }
    warnings.0
}

/// Returns the warnings about an updated status.
pub fn warnings_on_status_update(status: &PodStatus) -> Vec<String> {
    let mut warnings = WarningList::default();
    let path = FieldPath::root("status");
    for (i, ip) in status.pod_ips.iter().flatten().enumerate() {
        warn_about_ip(&mut warnings, path.child("podIPs").index(i).child("ip"), &ip.ip);
    }
    for (i, ip) in status.host_ips.iter().flatten().enumerate() {
        warn_about_ip(&mut warnings, path.child("hostIPs").index(i).child("ip"), &ip.ip);
    }
    warnings.0
}

fn warn_about_spec(warnings: &mut WarningList, subject: &Subject<'_>) {
    let Subject { path, spec, annotations_path, meta } = *subject;
    warn_about_node_labels(warnings, path, spec);
    for (key, detail) in DEPRECATED_ANNOTATIONS {
        if annotation(meta, key).is_some() {
            warnings.add(annotations_path.key(key), detail);
        }
    }
    warn_about_volumes(warnings, path.child("volumes"), spec);
    warn_about_duplicates(warnings, path, spec);
    warn_about_byte_quantities(warnings, path.child("overhead"), spec.overhead.as_ref());
    let pod_profile = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    if pod_profile.is_none() && annotation(meta, SECCOMP_POD).is_some() {
        warnings.add(annotations_path.key(SECCOMP_POD), SECCOMP_ANNOTATION_IGNORED);
    }
    for_each_container(path, spec, |path, container| warn_about_container(warnings, subject, path, container));
    warn_about_ports(warnings, path, spec);
    warn_about_grace_period(warnings, path, spec);
    warn_about_pod_affinity(warnings, path.child("affinity"), spec);
    let config = path.child("dnsConfig");
    let servers = spec.dns_config.as_ref().and_then(|config| config.nameservers.as_ref());
    for (i, server) in servers.into_iter().flatten().enumerate() {
        warn_about_ip(warnings, config.child("nameservers").index(i), server);
    }
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        warn_about_ip(warnings, path.child("hostAliases").index(i).child("ip"), &alias.ip);
    }
}

/// Warns about a negative period. A pod stores 1 instead, a template the period itself.
fn warn_about_grace_period(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let detail = "must be >= 0; negative values are invalid and will be treated as 1";
        warnings.add(path.child("terminationGracePeriodSeconds"), detail);
    }
}

fn warn_about_container(warnings: &mut WarningList, subject: &Subject<'_>, path: FieldPath<'_>, container: &Container) {
    let container_profile = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    let key = format!("{SECCOMP_CONTAINER}{}", container.name);
    if container_profile.is_none() && annotation(subject.meta, &key).is_some() {
        warnings.add(subject.annotations_path.key(&key), SECCOMP_ANNOTATION_IGNORED);
    }
    if let Some(resources) = &container.resources {
        let path = path.child("resources");
        for name in BYTE_RESOURCES {
            warn_about_byte_quantity(warnings, path.child("limits"), resources.limits.as_ref(), name);
            warn_about_byte_quantity(warnings, path.child("requests"), resources.requests.as_ref(), name);
        }
    }
    warn_about_variables(warnings, path.child("env"), container.env.as_deref().unwrap_or_default());
}

fn for_each_container(path: FieldPath<'_>, spec: &PodSpec, mut visit: impl FnMut(FieldPath<'_>, &Container)) {
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        let list = path.child(list);
        containers.iter().enumerate().for_each(|(i, container)| visit(list.index(i), container));
    }
}

fn deprecation(label: &str) -> Option<&'static str> {
    DEPRECATED_NODE_LABELS.iter().find(|(known, _)| *known == label).map(|(_, detail)| *detail)
}

/// Warns about deprecated node labels and selectors that match nothing.
fn warn_about_node_labels(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    for key in spec.node_selector.iter().flat_map(BTreeMap::keys) {
        if let Some(detail) = deprecation(key) {
            warnings.add(path.child("nodeSelector").key(key), detail);
        }
    }
    if let Some(affinity) = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()) {
        let path = path.child("affinity");
        let path = path.child("nodeAffinity");
        let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
        let terms = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        let terms = terms.child("nodeSelectorTerms");
        for (i, term) in required.iter().flat_map(|selector| &selector.node_selector_terms).enumerate() {
            warn_about_node_selector_term(warnings, terms.index(i), term, false);
        }
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let list = path.child("preferredDuringSchedulingIgnoredDuringExecution");
        for (i, term) in preferred.enumerate() {
            warn_about_node_selector_term(warnings, list.index(i).child("preference"), &term.preference, true);
        }
    }
    let list = path.child("topologySpreadConstraints");
    for (i, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let path = list.index(i);
        if let Some(detail) = deprecation(&constraint.topology_key) {
            warnings.add(path.child("topologyKey"), format!("{} is {detail}", constraint.topology_key));
        }
        if constraint.label_selector.is_none() {
            warnings.add(path.child("labelSelector"), NULL_SELECTOR);
        }
    }
}

/// Warns about a term; about label values only with `check_values`, which is set for preferred terms: validation does
/// not check their values.
fn warn_about_node_selector_term(
    warnings: &mut WarningList,
    path: FieldPath<'_>,
    term: &NodeSelectorTerm,
    check_values: bool,
) {
    let list = path.child("matchExpressions");
    for (i, expression) in term.match_expressions.iter().flatten().enumerate() {
        let path = list.index(i);
        if let Some(detail) = deprecation(&expression.key) {
            warnings.add(path.child("key"), format!("{} is {detail}", expression.key));
        }
        for (j, value) in expression.values.iter().flatten().enumerate().filter(|_| check_values) {
            for message in formats::label_value(value) {
                warnings.add(path.child("values").index(j), format!("{value} is invalid, {message}"));
            }
        }
    }
}

fn warn_about_pod_affinity(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    let Some(affinity) = &spec.affinity else { return };
    let mut visit = |path: FieldPath<'_>, required: &[PodAffinityTerm], preferred: &[WeightedPodAffinityTerm]| {
        let list = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        for (i, _) in required.iter().enumerate().filter(|(_, term)| term.label_selector.is_none()) {
            warnings.add(list.index(i).child("labelSelector"), NULL_SELECTOR);
        }
        let list = path.child("preferredDuringSchedulingIgnoredDuringExecution");
        let selects = |term: &WeightedPodAffinityTerm| term.pod_affinity_term.label_selector.is_some();
        for (i, _) in preferred.iter().enumerate().filter(|(_, term)| !selects(term)) {
            warnings.add(list.index(i).child("podAffinityTerm").child("labelSelector"), NULL_SELECTOR);
        }
    };
    if let Some(terms) = &affinity.pod_affinity {
        let required = terms.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = terms.preferred_during_scheduling_ignored_during_execution.as_deref();
        visit(path.child("podAffinity"), required.unwrap_or_default(), preferred.unwrap_or_default());
    }
    if let Some(terms) = &affinity.pod_anti_affinity {
        let required = terms.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = terms.preferred_during_scheduling_ignored_during_execution.as_deref();
        visit(path.child("podAntiAffinity"), required.unwrap_or_default(), preferred.unwrap_or_default());
    }
}

/// A volume source that Kubernetes has removed or is about to remove.
struct DeprecatedSource {
    field: &'static str,
    is_set: fn(&Volume) -> bool,
    detail: &'static str,
}

macro_rules! deprecated {
    ($field:literal, $member:ident, $detail:literal) => {
        DeprecatedSource { field: $field, is_set: |volume| volume.$member.is_some(), detail: $detail }
    };
}

const DEPRECATED_SOURCES: &[DeprecatedSource] = &[
    deprecated!("photonPersistentDisk", photon_persistent_disk, "deprecated in v1.11, non-functional in v1.16+"),
    deprecated!("gitRepo", git_repo, "deprecated in v1.11, and disabled by default in v1.33+"),
    deprecated!("scaleIO", scale_io, "deprecated in v1.16, non-functional in v1.22+"),
    deprecated!("flocker", flocker, "deprecated in v1.22, non-functional in v1.25+"),
    deprecated!("storageOS", storageos, "deprecated in v1.22, non-functional in v1.25+"),
    deprecated!("quobyte", quobyte, "deprecated in v1.22, non-functional in v1.25+"),
    deprecated!("glusterfs", glusterfs, "deprecated in v1.25, non-functional in v1.26+"),
    deprecated!("cephfs", cephfs, "deprecated in v1.28, non-functional in v1.31+"),
    deprecated!("rbd", rbd, "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warns about deprecated volume sources, and about files of a volume whose paths are equal or nested.
fn warn_about_volumes(warnings: &mut WarningList, list: FieldPath<'_>, spec: &PodSpec) {
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        for source in DEPRECATED_SOURCES.iter().filter(|source| (source.is_set)(volume)) {
            warnings.add(list.index(i).child(source.field), source.detail);
        }
        if let Some(map) = &volume.config_map {
            warn_about_overlapping_paths(
                warnings,
                &volume.name,
                format!("ConfigMap {:?}", map.name),
                map.items.as_deref(),
            );
        }
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            warn_about_overlapping_paths(warnings, &volume.name, format!("Secret {name:?}"), secret.items.as_deref());
        }
    }
}

fn warn_about_overlapping_paths(warnings: &mut WarningList, volume: &str, source: String, items: Option<&[KeyToPath]>) {
    let is_within =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let mut earlier: Vec<&str> = Vec::new();
    for item in items.unwrap_or_default() {
        let path = item.path.trim_end_matches('/');
        let overlaps = |other: &&&str| !path.is_empty() && (is_within(path, other) || is_within(other, path));
        for other in earlier.iter().filter(overlaps) {
            warnings.0.push(format!("volume {volume:?} ({source}): overlapping paths: {path:?} with {other:?}"));
        }
        if !path.is_empty() {
            earlier.push(path);
        }
    }
}

/// Warns about duplicate addresses and names, and about empty names.
fn warn_about_duplicates(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    let mut seen = BTreeSet::new();
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !seen.insert(&alias.ip) {
            warnings.add(path.child("hostAliases").index(i).child("ip"), format!("duplicate ip {:?}", alias.ip));
        }
    }
    let list = path.child("imagePullSecrets");
    let mut seen = BTreeSet::new();
    for (i, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if !seen.insert(&secret.name) {
            warnings.add(list.index(i).child("name"), format!("duplicate name {:?}", secret.name));
        }
    }
    for (i, _) in spec.image_pull_secrets.iter().flatten().enumerate().filter(|(_, secret)| secret.name.is_empty()) {
        warnings.add(list.index(i).child("name"), "invalid empty name \"\"");
    }
}

/// Returns the warnings about the storage that a claim with the `resources` at `path` asks for.
pub fn warnings_on_storage(path: FieldPath<'_>, resources: &VolumeResourceRequirements) -> Vec<String> {
    let mut warnings = WarningList::default();
    warn_about_byte_quantity(&mut warnings, path.child("requests"), resources.requests.as_ref(), "storage");
    warn_about_byte_quantity(&mut warnings, path.child("limits"), resources.limits.as_ref(), "storage");
    warnings.0
}

const BYTE_RESOURCES: [&str; 2] = ["memory", "ephemeral-storage"];

fn warn_about_byte_quantities(warnings: &mut WarningList, path: FieldPath<'_>, quantities: Option<&Quantities>) {
    BYTE_RESOURCES.iter().for_each(|name| warn_about_byte_quantity(warnings, path, quantities, name));
}

/// Warns about fractions of a byte.
fn warn_about_byte_quantity(
    warnings: &mut WarningList,
    path: FieldPath<'_>,
    quantities: Option<&Quantities>,
    name: &str,
) {
    let Some(quantity) = quantities.and_then(|quantities| quantities.get(name)) else { return };
    if quantity::milli(quantity).is_ok_and(|milli| milli % 1000 != 0) {
        warnings.add(path.key(name), format!("fractional byte value {:?} is invalid, must be an integer", quantity.0));
    }
}

/// Warns about repeated variables, unless the later value refers to the earlier one.
fn warn_about_variables(warnings: &mut WarningList, path: FieldPath<'_>, variables: &[EnvVar]) {
    let mut seen = BTreeSet::new();
    for (i, variable) in variables.iter().enumerate() {
        if seen.insert(&variable.name) {
            continue;
        }
        let value = variable.value.as_deref().unwrap_or_default();
        let earlier = format!("$({})", variable.name);
        if variable.value_from.is_some() || value == earlier || !value.contains(&earlier) {
            let name = &variable.name;
            let detail = format!("hides previous definition of {name:?}, which may be dropped when using apply");
            warnings.add(path.index(i), detail);
        }
    }
}

/// Returns the host's IP and port that a container port requests; empty and zero if unset.
fn host_address(port: &ContainerPort) -> (&str, i32) {
    (port.host_ip.as_deref().unwrap_or_default(), port.host_port.unwrap_or(0))
}

fn warn_about_ports(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    let mut earlier: Vec<(String, ContainerPort)> = Vec::new();
    for_each_container(path, spec, |path, container| {
        let list = path.child("ports");
        for (i, port) in container.ports.iter().flatten().enumerate() {
            let path = list.index(i);
            warn_about_host_ip_without_port(warnings, path, port);
            for (other_path, other) in &earlier {
                if let Some(conflict) = port_conflict(port, other) {
                    warnings.add(path, format!("{conflict} port definition with {other_path}"));
                }
            }
            earlier.push((path.to_string(), port.clone()));
        }
    });
    warn_about_port_names(warnings, path, spec);
}

fn warn_about_host_ip_without_port(warnings: &mut WarningList, path: FieldPath<'_>, port: &ContainerPort) {
    let (ip, number) = host_address(port);
    if ip.is_empty() || number != 0 {
        return;
    }
    let name = port.name.as_deref().unwrap_or_default();
    let protocol = port.protocol.as_deref().unwrap_or_default();
    let container_port = port.container_port;
    let definition =
        format!("{{Name:{name} HostPort:{number} ContainerPort:{container_port} Protocol:{protocol} HostIP:{ip}}}");
    warnings.add(path, format!("hostIP set without hostPort: {definition}"));
}

/// Returns how two definitions of the same container port conflict.
fn port_conflict(port: &ContainerPort, other: &ContainerPort) -> Option<&'static str> {
    if other.container_port != port.container_port || other.protocol != port.protocol {
        return None;
    }
    let ((ip, number), (other_ip, other_number)) = (host_address(port), host_address(other));
    if (ip, number) == (other_ip, other_number) {
        Some("duplicate")
    } else if number == 0 || other_number == 0 {
        Some("overlapping")
    } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

/// Warns about port names that the pod uses twice.
fn warn_about_port_names(warnings: &mut WarningList, path: FieldPath<'_>, spec: &PodSpec) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for_each_container(path, spec, |path, container| {
        let list = path.child("ports");
        for (i, port) in container.ports.iter().flatten().enumerate() {
            let Some(name) = port.name.as_ref().filter(|name| !name.is_empty()) else { continue };
            match names.get(name) {
                Some(first) => {
                    let detail = format!("services and probes that select ports by name will use {first}");
                    warnings.add(list.index(i), format!("duplicate port name {name:?} with {first}, {detail}"));
                }
                None => drop(names.insert(name.clone(), list.index(i).to_string())),
            }
        }
    });
}

/// Warns about IP addresses in non-canonical notation.
fn warn_about_ip(warnings: &mut WarningList, path: FieldPath<'_>, text: &str) {
    let Ok(IpAddr::V6(ip)) = text.parse() else { return };
    if let Some(mapped) = ip.to_ipv4_mapped() {
        let detail = "will be considered invalid in a future Kubernetes release: use";
        warnings.add(path, format!("non-standard IP address {text:?} {detail} \"{mapped}\""));
    } else if ip.to_string() != text {
        warnings.add(path, format!("IPv6 address {text:?} should be in RFC 5952 canonical format (\"{ip}\")"));
    }
}

#[cfg(test)]
mod tests;
