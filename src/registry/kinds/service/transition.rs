//! Changes of a Service's type (`pkg/registry/core/service/strategy.go` in Kubernetes).

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServiceSpec};

use super::{
    LOAD_BALANCER, cluster_ips, is_externally_accessible, kind, needs_cluster_ip, needs_health_check_node_port,
    needs_node_port, node_ports,
};

/// Unsets the fields that the new type does not have, if the client did not change them too: then it only forgot them.
pub fn drop_type_dependent_fields(service: &mut Service, old: &Service) {
    let (Some(spec), Some(old)) = (service.spec.as_mut(), old.spec.as_ref()) else { return };
    if needs_cluster_ip(old) && !needs_cluster_ip(spec) {
        drop_cluster_ips(spec, old);
    }
    let has_new_node_ports = !node_ports(spec).is_subset(&node_ports(old));
    if needs_node_port(old) && !needs_node_port(spec) && !has_new_node_ports {
        spec.ports.iter_mut().flatten().for_each(|port| port.node_port = None);
    }
    let is_same_port = spec.health_check_node_port == old.health_check_node_port;
    if needs_health_check_node_port(old) && !needs_health_check_node_port(spec) && is_same_port {
        spec.health_check_node_port = None;
    }
    if kind(old) == LOAD_BALANCER && kind(spec) != LOAD_BALANCER {
        if spec.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            spec.allocate_load_balancer_node_ports = None;
        }
        if spec.load_balancer_class == old.load_balancer_class {
            spec.load_balancer_class = None;
        }
    }
    let is_same_policy = spec.external_traffic_policy == old.external_traffic_policy;
    if is_externally_accessible(old) && !is_externally_accessible(spec) && is_same_policy {
        spec.external_traffic_policy = None;
    }
    let is_load_balancer = kind(spec) == LOAD_BALANCER;
    if let Some(status) = service.status.as_mut().filter(|_| !is_load_balancer) {
        status.load_balancer = Some(LoadBalancerStatus::default());
    }
}

fn drop_cluster_ips(spec: &mut ServiceSpec, old: &ServiceSpec) {
    if spec.cluster_ip == old.cluster_ip && cluster_ips(spec) == cluster_ips(old) {
        spec.cluster_ip = None;
        spec.cluster_ips = None;
    }
    if spec.ip_families == old.ip_families {
        spec.ip_families = None;
    }
    if spec.ip_family_policy == old.ip_family_policy {
        spec.ip_family_policy = None;
    }
}
