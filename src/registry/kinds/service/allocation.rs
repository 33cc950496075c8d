//! Cluster IPs and node ports, which are allocated from ranges that all Services share
//! (`pkg/registry/core/service/storage/alloc.go` in Kubernetes).
//!
//! The stored Services say what is taken; nothing else records it, so nothing can be lost or leak. The caller holds
//! `Registry::service_allocation` from here until it has stored the Service. As on a real server, a dry run accepts
//! addresses and ports that are taken.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use uuid::Uuid;

use super::{
    HEADLESS, LOAD_BALANCER, NODE_PORT, cluster_ips, families, kind, needs_cluster_ip, needs_health_check_node_port,
    needs_node_port, node_ports, ports,
};
use crate::control::{Resource, Scope, Status};
use crate::registry::Registry;
use crate::registry::addresses;
use crate::registry::fields::{ErrorList, FieldPath};

/// The range of cluster IPs.
const CLUSTER_IP_RANGE: &str = "10.96.0.0/16";
/// The network and the first host of the range; the latter belongs to the Service `kubernetes`.
const RANGE_BASE: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const KUBERNETES_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The hosts of the range, as offsets: those that clients may choose, and those that are tried first for all others.
const STATIC_HOSTS: RangeInclusive<u32> = 1..=256;
const DYNAMIC_HOSTS: RangeInclusive<u32> = 257..=65534;
const STATIC_PORTS: RangeInclusive<u32> = 30000..=30085;
const DYNAMIC_PORTS: RangeInclusive<u32> = 30086..=32767;

/// An address or port cannot be allocated; the messages are Kubernetes'.
#[derive(Debug, thiserror::Error)]
enum AllocationError {
    #[error("range is full")]
    Full,
    #[error("provided IP is already allocated")]
    IpTaken,
    #[error("the provided network does not match the current range")]
    OtherNetwork,
    #[error("the provided IP ({0}) is not in the valid range. The range of valid IPs is {CLUSTER_IP_RANGE}")]
    IpOutOfRange(String),
    #[error("provided port is already allocated")]
    PortTaken,
    #[error("provided port is not in the valid range. The range of valid ports is 30000-32767")]
    PortOutOfRange,
}

/// Allocates what `service` needs, and does not have from `old`, which it replaces.
pub fn allocate(registry: &Registry, service: &mut Service, old: Option<&Service>) -> Result<(), Status> {
    let mut errors = ErrorList::default();
    let mut allocator = Allocator::new(registry, service);
    let spec = service.spec.get_or_insert_default();
    let old = old.and_then(|old| old.spec.as_ref());
    if let Some(old) = old {
        keep_allocated_values(spec, old);
    }
    families::normalize_cluster_ips(spec, old);
    families::initialize(&mut errors, spec, old);
    if errors.count() == 0 && needs_new_cluster_ip(spec, old) {
        allocate_cluster_ip(&mut errors, spec, &allocator)?;
    }
    if errors.count() == 0 && needs_node_port(spec) {
        match old {
            None => allocate_node_ports(&mut errors, spec, &mut allocator)?,
            Some(old) => update_node_ports(&mut errors, spec, old, &mut allocator)?,
        }
    }
    let is_new = !old.is_some_and(needs_health_check_node_port);
    if errors.count() == 0 && is_new && needs_health_check_node_port(spec) {
        allocate_health_check_node_port(&mut errors, spec, &mut allocator)?;
    }
    if errors.count() == 0 {
        return Ok(());
    }
    let name = service.metadata.name.as_deref().unwrap_or_default();
    Err(Status::invalid("Service", name, errors.into_causes()))
}

/// Fills in the addresses and ports of `old` that the client left out.
fn keep_allocated_values(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(spec) && needs_cluster_ip(old) {
        if spec.cluster_ip.is_none() {
            spec.cluster_ip.clone_from(&old.cluster_ip);
        }
        if cluster_ips(spec).is_empty() {
            spec.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if needs_node_port(spec) && needs_node_port(old) {
        let new_ports = node_ports(spec);
        let used: HashSet<i32> = node_ports(old).intersection(&new_ports).copied().collect();
        let by_name: BTreeMap<&str, Option<i32>> = ports(old).iter().map(|port| (name(port), port.node_port)).collect();
        for port in spec.ports.iter_mut().flatten().filter(|port| port.node_port.is_none()) {
            let old_port = by_name.get(name(port)).copied().flatten();
            port.node_port = old_port.filter(|port| !used.contains(port));
        }
    }
    if needs_health_check_node_port(spec) && needs_health_check_node_port(old) {
        spec.health_check_node_port = spec.health_check_node_port.or(old.health_check_node_port);
    }
}

fn name(port: &ServicePort) -> &str {
    port.name.as_deref().unwrap_or_default()
}

fn needs_new_cluster_ip(spec: &ServiceSpec, old: Option<&ServiceSpec>) -> bool {
    let is_headless = cluster_ips(spec).first().is_some_and(|ip| ip == HEADLESS);
    needs_cluster_ip(spec) && !is_headless && !old.is_some_and(needs_cluster_ip)
}

fn allocate_cluster_ip(
    errors: &mut ErrorList,
    spec: &mut ServiceSpec,
    allocator: &Allocator<'_>,
) -> Result<(), Status> {
    if let Some(ip) = cluster_ips(spec).first() {
        if let Err(error) = allocator.check_ip(ip) {
            let detail = format!("failed to allocate IP {ip}: {error}");
            errors.invalid(FieldPath::root("spec").child("clusterIPs"), cluster_ips(spec), detail);
        }
        return Ok(());
    }
    let full = |error: AllocationError| Status::internal(format!("failed to allocate a serviceIP: {error}"));
    let ip = allocator.next_ip().map_err(full)?.to_string();
    spec.cluster_ips = Some(vec![ip.clone()]);
    spec.cluster_ip = Some(ip);
    Ok(())
}

/// Returns whether ports without a node port get one.
fn allocates_node_ports(spec: &ServiceSpec) -> bool {
    match kind(spec) {
        NODE_PORT => true,
        LOAD_BALANCER => spec.allocate_load_balancer_node_ports != Some(false),
        _ => false,
    }
}

/// Allocates the node ports of a new Service. Ports of the same number and different protocols share one.
fn allocate_node_ports(
    errors: &mut ErrorList,
    spec: &mut ServiceSpec,
    allocator: &mut Allocator<'_>,
) -> Result<(), Status> {
    let allocates = allocates_node_ports(spec);
    let mut requested: BTreeMap<i32, i32> = BTreeMap::new();
    for port in ports(spec) {
        if let Some(node_port) = port.node_port {
            requested.entry(port.port).or_insert(node_port);
        }
    }
    let mut by_port: BTreeMap<i32, i32> = BTreeMap::new();
    for (i, port) in spec.ports.iter_mut().flatten().enumerate() {
        if port.node_port.is_none() && !allocates {
            continue;
        }
        let shared = by_port.get(&port.port).copied();
        let wanted = match shared {
            None => requested.get(&port.port).copied(),
            Some(shared) => port.node_port.filter(|own| *own != shared),
        };
        match (shared, wanted) {
            (_, Some(wanted)) => {
                if let Err(error) = allocator.reserve_port(wanted) {
                    reject_node_port(errors, i, wanted, &error);
                    return Ok(());
                }
                if shared.is_none() {
                    port.node_port = Some(wanted);
                    by_port.insert(port.port, wanted);
                }
            }
            (Some(shared), None) => port.node_port = Some(shared),
            (None, None) => {
                let node_port = allocator.next_port().map_err(no_node_port)?;
                port.node_port = Some(node_port);
                by_port.insert(port.port, node_port);
            }
        }
    }
    Ok(())
}

/// Allocates the node ports that a Service did not have. Duplicates are left to validation.
fn update_node_ports(
    errors: &mut ErrorList,
    spec: &mut ServiceSpec,
    old: &ServiceSpec,
    allocator: &mut Allocator<'_>,
) -> Result<(), Status> {
    let allocates = allocates_node_ports(spec);
    let mut known = node_ports(old);
    for (i, port) in spec.ports.iter_mut().flatten().enumerate() {
        match port.node_port {
            Some(node_port) if known.contains(&node_port) => {}
            Some(node_port) => {
                if let Err(error) = allocator.reserve_port(node_port) {
                    reject_node_port(errors, i, node_port, &error);
                    return Ok(());
                }
                known.insert(node_port);
            }
            None if allocates => port.node_port = Some(allocator.next_port().map_err(no_node_port)?),
            None => {}
        }
    }
    Ok(())
}

fn reject_node_port(errors: &mut ErrorList, index: usize, node_port: i32, error: &AllocationError) {
    let spec = FieldPath::root("spec");
    let list = spec.child("ports");
    errors.invalid(list.index(index).child("nodePort"), node_port, error);
}

fn no_node_port(error: AllocationError) -> Status {
    Status::internal(format!("failed to allocate a nodePort: {error}"))
}

/// Allocates the port for health checks. Kubernetes answers 500 to a port that it cannot allocate.
fn allocate_health_check_node_port(
    errors: &mut ErrorList,
    spec: &mut ServiceSpec,
    allocator: &mut Allocator<'_>,
) -> Result<(), Status> {
    match spec.health_check_node_port {
        None => spec.health_check_node_port = Some(allocator.next_port().map_err(no_node_port)?),
        Some(port) => {
            if let Err(error) = allocator.reserve_port(port) {
                errors.invalid(FieldPath::root("spec").child("healthCheckNodePort"), port, error);
            }
        }
    }
    Ok(())
}

/// What the stored Services have.
#[derive(Default)]
struct Taken {
    ips: HashSet<Ipv4Addr>,
    ports: HashSet<i32>,
}

/// Allocates for one Service.
struct Allocator<'r> {
    registry: &'r Registry,
    /// Read when it is needed first: most updates allocate nothing.
    taken: OnceCell<Taken>,
    /// The node ports that were allocated for this Service just now.
    own_ports: HashSet<i32>,
    /// Whether the Service is `kubernetes` in namespace `default`.
    is_kubernetes: bool,
}

impl<'r> Allocator<'r> {
    fn new(registry: &'r Registry, service: &Service) -> Allocator<'r> {
        let meta = &service.metadata;
        let is_kubernetes = meta.name.as_deref() == Some("kubernetes") && meta.namespace.as_deref() == Some("default");
        Allocator { registry, taken: OnceCell::new(), own_ports: HashSet::new(), is_kubernetes }
    }

    fn taken(&self) -> &Taken {
        self.taken.get_or_init(|| {
            let mut taken = Taken::default();
            if !self.is_kubernetes {
                taken.ips.insert(KUBERNETES_IP);
            }
            let services = self.registry.storage.objects().list_for_update(&Scope::all(Resource::of::<Service>()));
            for service in services.iter().filter_map(|object| object.decode::<Service>().ok()) {
                let Some(spec) = &service.spec else { continue };
                taken.ips.extend(cluster_ips(spec).iter().filter_map(|ip| parse_ipv4(ip)));
                taken.ports.extend(node_ports(spec));
                taken.ports.extend(spec.health_check_node_port);
            }
            taken
        })
    }

    fn check_ip(&self, ip: &str) -> Result<(), AllocationError> {
        let address = parse_ipv4(ip);
        let offset = address.and_then(|address| u32::from(address).checked_sub(RANGE_BASE));
        let is_in_range =
            offset.is_some_and(|offset| STATIC_HOSTS.contains(&offset) || DYNAMIC_HOSTS.contains(&offset));
        match (self.registry.storage.is_dry_run(), is_in_range) {
            (true, true) => Ok(()),
            (true, false) => Err(AllocationError::IpOutOfRange(ip.into())),
            (false, false) => Err(AllocationError::OtherNetwork),
            (false, true) if address.is_some_and(|address| self.taken().ips.contains(&address)) => {
                Err(AllocationError::IpTaken)
            }
            (false, true) => Ok(()),
        }
    }

    fn next_ip(&self) -> Result<Ipv4Addr, AllocationError> {
        let taken = &self.taken().ips;
        let host = |offset: u32| Ipv4Addr::from(RANGE_BASE + offset);
        let is_free = |offset: u32| !taken.contains(&host(offset));
        let offset = pick(DYNAMIC_HOSTS, is_free).or_else(|| pick(STATIC_HOSTS, is_free));
        offset.map(host).ok_or(AllocationError::Full)
    }

    fn reserve_port(&mut self, port: i32) -> Result<(), AllocationError> {
        let is_dry_run = self.registry.storage.is_dry_run();
        let is_in_range =
            u32::try_from(port).is_ok_and(|port| STATIC_PORTS.contains(&port) || DYNAMIC_PORTS.contains(&port));
        if !is_dry_run && !is_in_range {
            return Err(AllocationError::PortOutOfRange);
        }
        let is_taken = !is_dry_run && self.taken().ports.contains(&port);
        if is_taken || !self.own_ports.insert(port) { Err(AllocationError::PortTaken) } else { Ok(()) }
    }

    fn next_port(&mut self) -> Result<i32, AllocationError> {
        let taken = &self.taken().ports;
        let as_port = |number: u32| i32::try_from(number).ok();
        let is_free =
            |number: u32| as_port(number).is_some_and(|port| !taken.contains(&port) && !self.own_ports.contains(&port));
        let number = pick(DYNAMIC_PORTS, is_free).or_else(|| pick(STATIC_PORTS, is_free));
        let port = number.and_then(as_port).ok_or(AllocationError::Full)?;
        self.own_ports.insert(port);
        Ok(port)
    }
}

fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    match addresses::parse_ip(text)?.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Returns a free number of the range, the first one from a random number on.
fn pick(range: RangeInclusive<u32>, is_free: impl Fn(u32) -> bool) -> Option<u32> {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    let (first, last) = range.into_inner();
    let start = first + u32::from_be_bytes([a, b, c, d]) % (last - first + 1);
    (start..=last).chain(first..start).find(|number| is_free(*number))
}
