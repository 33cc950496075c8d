//! Services: stable addresses and names for sets of pods.

mod allocation;
mod families;
mod transition;
mod validation;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ClientIPConfig, Endpoints, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
    SessionAffinityConfig,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::control::{DeleteOptions, DeleteResult, Key, Object, Preconditions, Resource, Status, Subresource, Update};
use crate::model::selector::SelectableField;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::format_labels;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{Registry, addresses, generic};

pub use validation::validate_hostname;

/// The cluster IP of Services without one.
const HEADLESS: &str = "None";
const CLUSTER_IP: &str = "ClusterIP";
const NODE_PORT: &str = "NodePort";
const LOAD_BALANCER: &str = "LoadBalancer";
const EXTERNAL_NAME: &str = "ExternalName";
/// Seconds for which a client stays with its pod.
const DEFAULT_AFFINITY_SECONDS: i32 = 10800;
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

impl Strategy for Service {
    const INFO: KindInfo = KindInfo {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[
            SubresourceInfo::new("proxy", "ServiceProxyOptions", &["create", "delete", "get", "patch", "update"]),
            SubresourceInfo::status("Service"),
        ],
        is_acted_on: true,
        limitation: Some(
            "only names of Services with a cluster IP resolve in pods, and connections to them are refused: \
             not supported yet",
        ),
        ..KindInfo::new("service", "0/CO1lhkEBI=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Type", "How the service is exposed."),
        Column::text("Cluster-IP", "Address within the cluster."),
        Column::text("External-IP", "Addresses outside the cluster."),
        Column::text("Port(s)", "Ports with their node ports and protocols."),
        Column::AGE,
        Column::wide("Selector", "Labels of the pods that receive the traffic."),
    ];
    const FIELDS: &'static [SelectableField<Self>] = &[
        ("spec.clusterIP", |service| service.spec.as_ref()?.cluster_ip.as_deref().map(Into::into)),
        ("spec.type", |service| service.spec.as_ref()?.type_.as_deref().map(Into::into)),
    ];
    const RETURNS_DELETED_OBJECT: bool = true;
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let empty = ServiceSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        vec![
            columns::name(&self.metadata),
            kind(spec).into(),
            cluster_ips(spec).first().map_or("<none>", String::as_str).into(),
            external_ips(self, spec).into(),
            non_empty_or(Some(&port_list(spec)), "<none>").into(),
            age(&self.metadata, now).into(),
            format_labels(spec.selector.as_ref()).into(),
        ]
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        unset_empty_fields(spec);
        set_affinity_defaults(spec);
        spec.type_.get_or_insert_with(|| CLUSTER_IP.into());
        for port in spec.ports.iter_mut().flatten() {
            set_port_defaults(port);
        }
        if is_externally_accessible(spec) {
            spec.external_traffic_policy.get_or_insert_with(|| "Cluster".into());
        }
        if matches!(kind(spec), CLUSTER_IP | NODE_PORT | LOAD_BALANCER) {
            spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".into());
        }
        if kind(spec) == LOAD_BALANCER {
            spec.allocate_load_balancer_node_ports.get_or_insert(true);
            let balancer = self.status.as_mut().and_then(|status| status.load_balancer.as_mut());
            for ingress in balancer.and_then(|balancer| balancer.ingress.as_mut()).into_iter().flatten() {
                if ingress.ip.as_deref().is_some_and(|ip| !ip.is_empty()) {
                    ingress.ip_mode.get_or_insert_with(|| "VIP".into());
                }
            }
        }
    }

    fn begin(&mut self, registry: &Registry, old: Option<&Self>, subresource: Subresource) -> Result<(), Status> {
        if subresource == Subresource::Main { allocation::allocate(registry, self, old) } else { Ok(()) }
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(empty_status());
    }

    fn validate(&self, errors: &mut ErrorList) {
        validation::validate(errors, self, None);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        warnings(self)
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        transition::drop_type_dependent_fields(self, old);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        validation::validate_update(errors, self, old);
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        validation::validate_status_update(errors, self, old);
    }

    fn create(self, registry: &Registry) -> Result<Arc<Object>, Status> {
        let _allocating = registry.service_allocation.lock();
        generic::create(registry, self)
    }

    fn update(
        registry: &Registry,
        key: &Key,
        update: Update,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status> {
        let _allocating = registry.service_allocation.lock();
        generic::update::<Self>(registry, key, &update, preconditions)
    }

    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        let deleted = generic::delete::<Self>(registry, key, options)?;
        if matches!(deleted, DeleteResult::Removed(_)) && !registry.storage.is_dry_run() {
            // A new Service of this name must not start with the old one's endpoints.
            let endpoints = Key::new(Resource::of::<Endpoints>(), &key.namespace, &key.name);
            drop(generic::delete::<Endpoints>(registry, &endpoints, &DeleteOptions::default()));
        }
        Ok(deleted)
    }
}

fn empty_status() -> ServiceStatus {
    ServiceStatus { load_balancer: Some(LoadBalancerStatus::default()), ..ServiceStatus::default() }
}

fn kind(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or_default()
}

fn ports(spec: &ServiceSpec) -> &[ServicePort] {
    spec.ports.as_deref().unwrap_or_default()
}

fn cluster_ips(spec: &ServiceSpec) -> &[String] {
    spec.cluster_ips.as_deref().unwrap_or_default()
}

fn ip_families(spec: &ServiceSpec) -> &[String] {
    spec.ip_families.as_deref().unwrap_or_default()
}

fn has_selector(spec: &ServiceSpec) -> bool {
    spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())
}

fn is_headless(spec: &ServiceSpec) -> bool {
    matches!(cluster_ips(spec), [only] if only == HEADLESS)
}

fn has_external_ips(spec: &ServiceSpec) -> bool {
    spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty())
}

fn is_externally_accessible(spec: &ServiceSpec) -> bool {
    needs_node_port(spec) || kind(spec) == CLUSTER_IP && has_external_ips(spec)
}

fn needs_cluster_ip(spec: &ServiceSpec) -> bool {
    kind(spec) != EXTERNAL_NAME
}

fn needs_node_port(spec: &ServiceSpec) -> bool {
    matches!(kind(spec), NODE_PORT | LOAD_BALANCER)
}

fn needs_health_check_node_port(spec: &ServiceSpec) -> bool {
    kind(spec) == LOAD_BALANCER && spec.external_traffic_policy.as_deref() == Some("Local")
}

/// Returns the node ports of the ports, without that of health checks.
fn node_ports(spec: &ServiceSpec) -> BTreeSet<i32> {
    ports(spec).iter().filter_map(|port| port.node_port).collect()
}

/// Unsets fields that are set to nothing: to Kubernetes' types this is the same.
fn unset_empty_fields(spec: &mut ServiceSpec) {
    fn unset<T>(field: &mut Option<T>, is_empty: impl Fn(&T) -> bool) {
        if field.as_ref().is_some_and(is_empty) {
            *field = None;
        }
    }
    let strings = [
        &mut spec.cluster_ip,
        &mut spec.external_name,
        &mut spec.external_traffic_policy,
        &mut spec.load_balancer_ip,
        &mut spec.session_affinity,
        &mut spec.type_,
    ];
    strings.into_iter().for_each(|field| unset(field, String::is_empty));
    let lists =
        [&mut spec.cluster_ips, &mut spec.external_ips, &mut spec.ip_families, &mut spec.load_balancer_source_ranges];
    lists.into_iter().for_each(|field| unset(field, Vec::is_empty));
    unset(&mut spec.ports, Vec::is_empty);
    unset(&mut spec.selector, std::collections::BTreeMap::is_empty);
    unset(&mut spec.health_check_node_port, |port| *port == 0);
    unset(&mut spec.publish_not_ready_addresses, |publish| !publish);
    for port in spec.ports.iter_mut().flatten() {
        unset(&mut port.name, String::is_empty);
        unset(&mut port.protocol, String::is_empty);
        unset(&mut port.node_port, |port| *port == 0);
    }
}

fn set_affinity_defaults(spec: &mut ServiceSpec) {
    match spec.session_affinity.get_or_insert_with(|| "None".into()).as_str() {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
            if client_ip.and_then(|client_ip| client_ip.timeout_seconds).is_none() {
                let client_ip = ClientIPConfig { timeout_seconds: Some(DEFAULT_AFFINITY_SECONDS) };
                spec.session_affinity_config = Some(SessionAffinityConfig { client_ip: Some(client_ip) });
            }
        }
        _ => {}
    }
}

fn set_port_defaults(port: &mut ServicePort) {
    port.protocol.get_or_insert_with(|| "TCP".into());
    let is_unset = match &port.target_port {
        None | Some(IntOrString::Int(0)) => true,
        Some(IntOrString::Int(_)) => false,
        Some(IntOrString::String(name)) => name.is_empty(),
    };
    if is_unset {
        port.target_port = Some(IntOrString::Int(port.port));
    }
}

/// Returns the PORT(S) cell: `80:30080/TCP,53/UDP`.
fn port_list(spec: &ServiceSpec) -> String {
    let format_port = |port: &ServicePort| {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        match port.node_port.filter(|port| *port > 0) {
            Some(node_port) => format!("{}:{node_port}/{protocol}", port.port),
            None => format!("{}/{protocol}", port.port),
        }
    };
    ports(spec).iter().map(format_port).collect::<Vec<_>>().join(",")
}

/// Returns the EXTERNAL-IP cell.
fn external_ips(service: &Service, spec: &ServiceSpec) -> String {
    let own = spec.external_ips.as_deref().unwrap_or_default();
    match kind(spec) {
        CLUSTER_IP | NODE_PORT if own.is_empty() => "<none>".into(),
        CLUSTER_IP | NODE_PORT => own.join(","),
        LOAD_BALANCER => {
            let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
            let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
            let address = |ip: &Option<String>| ip.clone().filter(|text| !text.is_empty());
            let points = ingress.iter().filter_map(|point| address(&point.ip).or_else(|| address(&point.hostname)));
            let mut all: Vec<String> = points.collect::<BTreeSet<_>>().into_iter().collect();
            all.extend_from_slice(own);
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        EXTERNAL_NAME => spec.external_name.clone().unwrap_or_default(),
        _ => "<unknown>".into(),
    }
}

fn warnings(service: &Service) -> Vec<String> {
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let path = FieldPath::root("spec");
    let mut warnings = Vec::new();
    if service.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(TOPOLOGY_HINTS)) {
        warnings.push(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"));
    }
    let is_headless = kind(spec) == CLUSTER_IP && spec.cluster_ip.as_deref() == Some(HEADLESS);
    if spec.cluster_ip.as_deref().is_some_and(|ip| ip != HEADLESS) {
        let list = path.child("clusterIPs");
        let ips = cluster_ips(spec).iter().enumerate();
        warnings.extend(ips.filter_map(|(i, ip)| addresses::ip_warning(list.index(i), ip)));
    }
    if is_headless {
        if spec.load_balancer_ip.is_some() {
            warnings.push("spec.loadBalancerIP is ignored for headless services".into());
        }
        if has_external_ips(spec) {
            warnings.push("spec.externalIPs is ignored for headless services".into());
        }
        if spec.session_affinity.as_deref() != Some("None") {
            warnings.push("spec.SessionAffinity is ignored for headless services".into());
        }
    }
    warn_about_external_addresses(&mut warnings, spec, is_headless);
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        warnings.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".into());
    }
    warnings
}

fn warn_about_external_addresses(warnings: &mut Vec<String>, spec: &ServiceSpec, is_headless: bool) {
    let path = FieldPath::root("spec");
    let external_ips = path.child("externalIPs");
    let ips = spec.external_ips.iter().flatten().enumerate();
    warnings.extend(ips.filter_map(|(i, ip)| addresses::ip_warning(external_ips.index(i), ip)));
    if has_external_ips(spec) && !is_headless && kind(spec) != EXTERNAL_NAME {
        warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
    }
    if let Some(ip) = &spec.load_balancer_ip {
        warnings.extend(addresses::ip_warning(path.child("loadBalancerIP"), ip));
    }
    let ranges = path.child("loadBalancerSourceRanges");
    for (i, range) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        warnings.extend(addresses::network_warnings(ranges.index(i), range));
    }
    if kind(spec) == EXTERNAL_NAME && has_external_ips(spec) {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if kind(spec) != EXTERNAL_NAME && spec.external_name.is_some() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
}

#[cfg(test)]
mod tests;
