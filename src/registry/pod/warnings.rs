//! What a client should know of a Pod that is taken as it is (`pkg/api/pod/warnings.go` and the strategies'
//! warnings): what is obsolete, and what is most likely not what was meant.
//!
//! Fields that are refused here have no warnings. Only who creates a pod is warned; an update is looked at for the
//! addresses of its status, as on a real server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, KeyToPath, NodeSelectorTerm, Pod, PodAffinityTerm, PodSpec, PodStatus,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::validation::{SECCOMP_CONTAINER, SECCOMP_POD};
use crate::model::{formats, pods, quantity};
use crate::registry::fields::Path;

const OBSOLETE_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const NO_SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

const OBSOLETE_NODE_LABELS: &[(&str, &str)] = &[
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

const MATCHES_NOTHING: &str = "a null labelSelector results in matching no pod";

/// Warnings in the order in which they are found.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn of(&mut self, at: Path<'_>, what: impl std::fmt::Display) {
        self.0.push(format!("{at}: {what}"));
    }
}

/// What is told to who created `pod`; it has its name and its defaults.
pub fn on_create(pod: &Pod) -> Vec<String> {
    let mut told = Told::default();
    let wrongs = formats::dns_label(pods::name(pod));
    if !wrongs.is_empty() {
        let why = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
                   recommended";
        told.of(Path::root("metadata").child("name"), format!("{why}: [{}]", wrongs.join(" ")));
    }
    if let Some(spec) = &pod.spec {
        of_spec(&mut told, pod, spec);
    }
    told.0
}

/// What is told to who wrote `status`.
pub fn on_status(status: &PodStatus) -> Vec<String> {
    let mut told = Told::default();
    let at = Path::root("status");
    for (i, ip) in status.pod_ips.iter().flatten().enumerate() {
        of_ip(&mut told, at.child("podIPs").index(i).child("ip"), &ip.ip);
    }
    for (i, ip) in status.host_ips.iter().flatten().enumerate() {
        of_ip(&mut told, at.child("hostIPs").index(i).child("ip"), &ip.ip);
    }
    told.0
}

fn of_spec(told: &mut Told, pod: &Pod, spec: &PodSpec) {
    let at = Path::root("spec");
    of_places(told, at, spec);
    let meta = Path::root("metadata");
    let annotations = meta.child("annotations");
    for (key, why) in OBSOLETE_ANNOTATIONS {
        if pods::annotation(pod, key).is_some() {
            told.of(annotations.key(key), why);
        }
    }
    of_volumes(told, spec);
    of_names(told, at, spec);
    of_amounts(told, at.child("overhead"), spec.overhead.as_ref());
    let whole = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    if whole.is_none() && pods::annotation(pod, SECCOMP_POD).is_some() {
        told.of(annotations.key(SECCOMP_POD), NO_SECCOMP);
    }
    each_container(spec, |at, container| {
        let own = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
        let key = format!("{SECCOMP_CONTAINER}{}", container.name);
        if own.is_none() && pods::annotation(pod, &key).is_some() {
            told.of(annotations.key(&key), NO_SECCOMP);
        }
        if let Some(resources) = &container.resources {
            let at = at.child("resources");
            for name in AMOUNTS_OF_BYTES {
                of_amount(told, at.child("limits"), resources.limits.as_ref(), name);
                of_amount(told, at.child("requests"), resources.requests.as_ref(), name);
            }
        }
        of_variables(told, at.child("env"), container.env.as_deref().unwrap_or_default());
    });
    of_ports(told, spec);
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let why = "must be >= 0; negative values are invalid and will be treated as 1";
        told.of(at.child("terminationGracePeriodSeconds"), why);
    }
    of_pod_affinity(told, at.child("affinity"), spec);
    let config = at.child("dnsConfig");
    let servers = spec.dns_config.as_ref().and_then(|config| config.nameservers.as_ref());
    for (i, server) in servers.into_iter().flatten().enumerate() {
        of_ip(told, config.child("nameservers").index(i), server);
    }
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        of_ip(told, at.child("hostAliases").index(i).child("ip"), &alias.ip);
    }
}

fn each_container(spec: &PodSpec, mut look: impl FnMut(Path<'_>, &Container)) {
    let at = Path::root("spec");
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        let list = at.child(list);
        containers.iter().enumerate().for_each(|(i, container)| look(list.index(i), container));
    }
}

fn obsolete(label: &str) -> Option<&'static str> {
    OBSOLETE_NODE_LABELS.iter().find(|(known, _)| *known == label).map(|(_, why)| *why)
}

/// Labels by which nodes are chosen.
fn of_places(told: &mut Told, at: Path<'_>, spec: &PodSpec) {
    for key in spec.node_selector.iter().flat_map(BTreeMap::keys) {
        if let Some(why) = obsolete(key) {
            told.of(at.child("nodeSelector").key(key), why);
        }
    }
    if let Some(affinity) = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()) {
        let at = at.child("affinity");
        let at = at.child("nodeAffinity");
        let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
        let terms = at.child("requiredDuringSchedulingIgnoredDuringExecution");
        let terms = terms.child("nodeSelectorTerms");
        for (i, term) in required.iter().flat_map(|selector| &selector.node_selector_terms).enumerate() {
            of_term(told, terms.index(i), term, false);
        }
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let list = at.child("preferredDuringSchedulingIgnoredDuringExecution");
        for (i, term) in preferred.enumerate() {
            of_term(told, list.index(i).child("preference"), &term.preference, true);
        }
    }
    let list = at.child("topologySpreadConstraints");
    for (i, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let at = list.index(i);
        if let Some(why) = obsolete(&constraint.topology_key) {
            told.of(at.child("topologyKey"), format!("{} is {why}", constraint.topology_key));
        }
        if constraint.label_selector.is_none() {
            told.of(at.child("labelSelector"), MATCHES_NOTHING);
        }
    }
}

/// Values are looked at where rules don't: in terms that are only preferred.
fn of_term(told: &mut Told, at: Path<'_>, term: &NodeSelectorTerm, values: bool) {
    let list = at.child("matchExpressions");
    for (i, expression) in term.match_expressions.iter().flatten().enumerate() {
        let at = list.index(i);
        if let Some(why) = obsolete(&expression.key) {
            told.of(at.child("key"), format!("{} is {why}", expression.key));
        }
        for (j, value) in expression.values.iter().flatten().enumerate().filter(|_| values) {
            for wrong in formats::label_value(value) {
                told.of(at.child("values").index(j), format!("{value} is invalid, {wrong}"));
            }
        }
    }
}

fn of_pod_affinity(told: &mut Told, at: Path<'_>, spec: &PodSpec) {
    let Some(affinity) = &spec.affinity else { return };
    let mut look = |at: Path<'_>, required: &[PodAffinityTerm], preferred: &[WeightedPodAffinityTerm]| {
        let list = at.child("requiredDuringSchedulingIgnoredDuringExecution");
        for (i, _) in required.iter().enumerate().filter(|(_, term)| term.label_selector.is_none()) {
            told.of(list.index(i).child("labelSelector"), MATCHES_NOTHING);
        }
        let list = at.child("preferredDuringSchedulingIgnoredDuringExecution");
        let selects = |term: &WeightedPodAffinityTerm| term.pod_affinity_term.label_selector.is_some();
        for (i, _) in preferred.iter().enumerate().filter(|(_, term)| !selects(term)) {
            told.of(list.index(i).child("podAffinityTerm").child("labelSelector"), MATCHES_NOTHING);
        }
    };
    if let Some(terms) = &affinity.pod_affinity {
        let required = terms.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = terms.preferred_during_scheduling_ignored_during_execution.as_deref();
        look(at.child("podAffinity"), required.unwrap_or_default(), preferred.unwrap_or_default());
    }
    if let Some(terms) = &affinity.pod_anti_affinity {
        let required = terms.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = terms.preferred_during_scheduling_ignored_during_execution.as_deref();
        look(at.child("podAntiAffinity"), required.unwrap_or_default(), preferred.unwrap_or_default());
    }
}

/// Files of a volume that lie where another one lies, or would have to be a folder.
fn of_volumes(told: &mut Told, spec: &PodSpec) {
    for volume in spec.volumes.iter().flatten() {
        if let Some(map) = &volume.config_map {
            of_files(told, &volume.name, format!("ConfigMap {:?}", map.name), map.items.as_deref());
        }
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            of_files(told, &volume.name, format!("Secret {name:?}"), secret.items.as_deref());
        }
    }
}

fn of_files(told: &mut Told, volume: &str, source: String, items: Option<&[KeyToPath]>) {
    let lies_in =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let mut before: Vec<&str> = Vec::new();
    for item in items.unwrap_or_default() {
        let path = item.path.trim_end_matches('/');
        let meets = |other: &&&str| !path.is_empty() && (lies_in(path, other) || lies_in(other, path));
        for other in before.iter().filter(meets) {
            told.0.push(format!("volume {volume:?} ({source}): overlapping paths: {path:?} with {other:?}"));
        }
        if !path.is_empty() {
            before.push(path);
        }
    }
}

/// Names and addresses that stand twice.
fn of_names(told: &mut Told, at: Path<'_>, spec: &PodSpec) {
    let mut known = BTreeSet::new();
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !known.insert(&alias.ip) {
            told.of(at.child("hostAliases").index(i).child("ip"), format!("duplicate ip {:?}", alias.ip));
        }
    }
    let list = at.child("imagePullSecrets");
    let mut known = BTreeSet::new();
    for (i, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if !known.insert(&secret.name) {
            told.of(list.index(i).child("name"), format!("duplicate name {:?}", secret.name));
        }
    }
    for (i, _) in spec.image_pull_secrets.iter().flatten().enumerate().filter(|(_, secret)| secret.name.is_empty()) {
        told.of(list.index(i).child("name"), "invalid empty name \"\"");
    }
}

const AMOUNTS_OF_BYTES: [&str; 2] = ["memory", "ephemeral-storage"];

type Amounts = BTreeMap<String, Quantity>;

fn of_amounts(told: &mut Told, at: Path<'_>, amounts: Option<&Amounts>) {
    AMOUNTS_OF_BYTES.iter().for_each(|name| of_amount(told, at, amounts, name));
}

/// Bytes come in whole numbers.
fn of_amount(told: &mut Told, at: Path<'_>, amounts: Option<&Amounts>, name: &str) {
    let Some(amount) = amounts.and_then(|amounts| amounts.get(name)) else { return };
    if quantity::milli(amount).is_ok_and(|milli| milli % 1000 != 0) {
        told.of(at.key(name), format!("fractional byte value {:?} is invalid, must be an integer", amount.0));
    }
}

/// A variable may build on its earlier value, and on nothing else may it be said twice.
fn of_variables(told: &mut Told, at: Path<'_>, variables: &[EnvVar]) {
    let mut known = BTreeSet::new();
    for (i, variable) in variables.iter().enumerate() {
        if known.insert(&variable.name) {
            continue;
        }
        let value = variable.value.as_deref().unwrap_or_default();
        let earlier = format!("$({})", variable.name);
        if variable.value_from.is_some() || value == earlier || !value.contains(&earlier) {
            let name = &variable.name;
            let why = format!("hides previous definition of {name:?}, which may be dropped when using apply");
            told.of(at.index(i), why);
        }
    }
}

fn of_ports(told: &mut Told, spec: &PodSpec) {
    let host = |port: &ContainerPort| (port.host_ip.clone().unwrap_or_default(), port.host_port.unwrap_or(0));
    let mut earlier: Vec<(String, ContainerPort)> = Vec::new();
    each_container(spec, |at, container| {
        let list = at.child("ports");
        for (i, port) in container.ports.iter().flatten().enumerate() {
            let at = list.index(i);
            let (ip, number) = host(port);
            let protocol = port.protocol.as_deref().unwrap_or_default();
            if !ip.is_empty() && number == 0 {
                let name = port.name.as_deref().unwrap_or_default();
                let shown = format!(
                    "{{Name:{name} HostPort:{number} ContainerPort:{} Protocol:{protocol} HostIP:{ip}}}",
                    port.container_port
                );
                told.of(at, format!("hostIP set without hostPort: {shown}"));
            }
            for (place, other) in &earlier {
                if other.container_port != port.container_port || other.protocol != port.protocol {
                    continue;
                }
                let (other_ip, other_number) = host(other);
                let how = if (&ip, number) == (&other_ip, other_number) {
                    "duplicate"
                } else if number == 0 || other_number == 0 {
                    "overlapping"
                } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                told.of(at, format!("{how} port definition with {place}"));
            }
            earlier.push((at.to_string(), port.clone()));
        }
    });
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    each_container(spec, |at, container| {
        let list = at.child("ports");
        for (i, port) in container.ports.iter().flatten().enumerate() {
            let Some(name) = port.name.as_ref().filter(|name| !name.is_empty()) else { continue };
            match names.get(name) {
                Some(first) => {
                    let why = format!("services and probes that select ports by name will use {first}");
                    told.of(list.index(i), format!("duplicate port name {name:?} with {first}, {why}"));
                }
                None => drop(names.insert(name.clone(), list.index(i).to_string())),
            }
        }
    });
}

/// Addresses in ways of writing that will not always be read.
fn of_ip(told: &mut Told, at: Path<'_>, text: &str) {
    let Ok(IpAddr::V6(ip)) = text.parse() else { return };
    if let Some(mapped) = ip.to_ipv4_mapped() {
        let why = "will be considered invalid in a future Kubernetes release: use";
        told.of(at, format!("non-standard IP address {text:?} {why} \"{mapped}\""));
    } else if ip.to_string() != text {
        told.of(at, format!("IPv6 address {text:?} should be in RFC 5952 canonical format (\"{ip}\")"));
    }
}

#[cfg(test)]
mod tests;
