//! Services: the names and cluster IPs that all pods of a node resolve (K80).
//!
//! `node` keeps the table current. Connections to a cluster IP are refused: nothing forwards them to pods yet.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::RwLock;

/// The name of a Service, displayed as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub name: Arc<str>,
}

impl ServiceName {
    /// Returns the first two labels of the Service's host name; neither a name nor a namespace contains a dot.
    fn labels(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Services of a cluster that have cluster IPs. One table serves all pods of a node.
#[derive(Debug, Default)]
pub struct ServiceTable {
    /// Protects the Services, which are looked up far more often than they change.
    services: RwLock<Services>,
}

#[derive(Debug, Default)]
struct Services {
    /// The cluster IPs by the first two labels of the host name: `name.namespace`.
    addresses: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, ServiceName>,
}

impl ServiceTable {
    /// Sets the cluster IPs of a Service. One without, such as a headless Service, is removed.
    pub fn set(&self, service: ServiceName, cluster_ips: Vec<IpAddr>) {
        let mut services = self.services.write();
        services.remove(&service);
        services.insert(service, cluster_ips);
    }

    /// Removes a Service.
    pub fn remove(&self, service: &ServiceName) {
        self.services.write().remove(service);
    }

    /// Replaces all Services.
    pub fn replace(&self, all: impl IntoIterator<Item = (ServiceName, Vec<IpAddr>)>) {
        let mut services = Services::default();
        all.into_iter().for_each(|(service, cluster_ips)| services.insert(service, cluster_ips));
        *self.services.write() = services;
    }

    /// Returns the Service that has the cluster IP.
    pub fn service_at(&self, ip: IpAddr) -> Option<ServiceName> {
        self.services.read().names.get(&ip).cloned()
    }

    /// Returns the cluster IPs of the Service that `name`, in lower case, means in a pod of `namespace`; empty if there is
    /// none.
    ///
    /// A pod completes names by the search domains `<namespace>.svc.cluster.local`, `svc.cluster.local` and
    /// `cluster.local`, since names of Services have fewer than five dots (`ndots:5`), but not a name that ends with a dot.
    fn resolve(&self, name: &str, namespace: &str) -> Vec<IpAddr> {
        let Some(labels) = service_labels(name, namespace) else { return Vec::new() };
        self.services.read().addresses.get(&labels).cloned().unwrap_or_default()
    }
}

impl Services {
    fn insert(&mut self, service: ServiceName, cluster_ips: Vec<IpAddr>) {
        if cluster_ips.is_empty() {
            return;
        }
        self.names.extend(cluster_ips.iter().map(|ip| (*ip, service.clone())));
        self.addresses.insert(service.labels(), cluster_ips);
    }

    fn remove(&mut self, service: &ServiceName) {
        for ip in self.addresses.remove(&service.labels()).unwrap_or_default() {
            // Another Service may have been given the address meanwhile.
            if self.names.get(&ip) == Some(service) {
                self.names.remove(&ip);
            }
        }
    }
}

/// Returns `name.namespace` of the Service that a host name means in a pod of `namespace`.
fn service_labels(name: &str, namespace: &str) -> Option<String> {
    let (name, is_absolute) = name.strip_suffix('.').map_or((name, false), |name| (name, true));
    let labels: Vec<&str> = name.splitn(6, '.').collect();
    match labels.as_slice() {
        [service] if !is_absolute => Some(format!("{service}.{namespace}")),
        [_, _] if !is_absolute => Some(name.into()),
        [service, namespace, "svc"] if !is_absolute => Some(format!("{service}.{namespace}")),
        [service, namespace, "svc", "cluster", "local"] => Some(format!("{service}.{namespace}")),
        _ => None,
    }
}

/// Called with each connection to a cluster IP, which is refused: the Service, and the address with its port.
pub type RefusalObserver = Arc<dyn Fn(&ServiceName, SocketAddr) + Send + Sync>;

/// The Services as one pod sees them.
#[derive(Clone)]
pub struct PodServices {
    /// The Services of the cluster.
    pub table: Arc<ServiceTable>,
    /// The pod's namespace, in which names without a dot are looked up.
    pub namespace: String,
    /// Called with each connection to a cluster IP.
    pub on_refused: RefusalObserver,
}

impl PodServices {
    /// Returns the cluster IPs of the Service that `name`, in lower case, means in the pod.
    pub(super) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.table.resolve(name, &self.namespace)
    }

    /// Refuses a connection to `peer` if it is the address of a Service. Returns whether it is.
    pub(super) fn refuse(&self, peer: SocketAddr) -> bool {
        let service = self.table.service_at(peer.ip());
        if let Some(service) = &service {
            (self.on_refused)(service, peer);
        }
        service.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 7));

    fn service(namespace: &str, name: &str) -> ServiceName {
        ServiceName { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn service_names_are_completed_by_the_search_domains() {
        let table = ServiceTable::default();
        table.set(service("default", "web"), vec![IP]);
        for (name, namespace, resolves) in [
            ("web", "default", true),
            ("web", "other", false),
            ("web.default", "other", true),
            ("web.other", "default", false),
            ("web.default.svc", "other", true),
            ("web.default.svc.cluster.local", "other", true),
            ("web.default.svc.cluster.local.", "other", true),
            ("web.", "default", false),
            ("web.default.", "default", false),
            ("web.default.svc.", "default", false),
            ("web.default.svc.cluster", "default", false),
            ("web.default.pod.cluster.local", "default", false),
            ("a.web.default.svc.cluster.local", "default", false),
            ("default.svc.cluster.local", "default", false),
            ("", "default", false),
            (".", "default", false),
        ] {
            let expected = if resolves { vec![IP] } else { vec![] };
            assert_eq!(table.resolve(name, namespace), expected, "{name:?} in {namespace}");
        }
    }

    #[test]
    fn services_without_cluster_ips_do_not_resolve() {
        let table = ServiceTable::default();
        let (web, other) = (service("default", "web"), service("default", "other"));
        table.set(web.clone(), vec![IP]);
        assert_eq!(table.service_at(IP).as_ref(), Some(&web));
        table.set(web.clone(), Vec::new());
        assert_eq!((table.resolve("web", "default"), table.service_at(IP)), (vec![], None), "it became headless");
        table.set(web.clone(), vec![IP]);
        table.remove(&web);
        assert_eq!((table.resolve("web", "default"), table.service_at(IP)), (vec![], None), "it was deleted");
        table.set(web.clone(), vec![IP]);
        table.set(other.clone(), vec![IP]);
        table.remove(&web);
        assert_eq!(table.service_at(IP), Some(other), "the address belongs to its newest Service");
        table.replace([(web, vec![IP])]);
        assert_eq!((table.resolve("web", "default"), table.resolve("other", "default")), (vec![IP], vec![]));
    }
}
