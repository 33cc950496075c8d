//! Keeps the node's table of Services current, and records connections to them, which are refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use parking_lot::Mutex;

use super::NodeContext;
use crate::control::{ChangeKind, ControlPlane, Object, Resource, Scope, Status, WatchEvent};
use crate::events::EventType;
use crate::lifecycle::MonoTime;
use crate::model::pods;
use crate::network::{PodServices, ServiceName, ServiceTable};

/// The time after which a refused connection to the same address is recorded again.
const RECORD_INTERVAL: Duration = Duration::from_secs(60);
/// The addresses of Services for which refused connections of one pod are recorded.
const MAX_RECORDED_ADDRESSES: usize = 16;

/// Keeps `table` current until cancelled.
pub(super) async fn watch(control: Arc<dyn ControlPlane>, table: Arc<ServiceTable>) {
    loop {
        if let Err(error) = list_and_watch(&*control, &table).await {
            tracing::debug!(%error, "the watch of Services ended; listing again");
        }
    }
}

async fn list_and_watch(control: &dyn ControlPlane, table: &ServiceTable) -> Result<(), Status> {
    let scope = Scope::all(Resource::of::<Service>());
    let list = control.list(&scope).await?;
    table.replace(list.items.iter().map(|object| (service_name(object), cluster_ips(object))));
    let mut watch = control.watch(&scope, list.revision).await?;
    while let Some(event) = watch.next().await {
        match event? {
            WatchEvent::Change(ChangeKind::Deleted, object) => table.remove(&service_name(&object)),
            WatchEvent::Change(_, object) => table.set(service_name(&object), cluster_ips(&object)),
            WatchEvent::Bookmark(_) => {}
        }
    }
    Ok(())
}

fn service_name(object: &Object) -> ServiceName {
    ServiceName { namespace: object.key.namespace.clone(), name: object.key.name.clone() }
}

/// Returns the cluster IPs of a Service; none if it is headless or the name of another host.
fn cluster_ips(object: &Object) -> Vec<IpAddr> {
    let service = match object.decode::<Service>() {
        Ok(service) => service,
        Err(error) => {
            tracing::error!(service = %object.key, %error, "cannot decode a stored Service");
            return Vec::new();
        }
    };
    let Some(spec) = &service.spec else { return Vec::new() };
    let is_alias = spec.type_.as_deref() == Some("ExternalName");
    // A headless Service has the address `None`.
    spec.cluster_ips.iter().flatten().filter(|_| !is_alias).filter_map(|ip| ip.parse().ok()).collect()
}

/// Returns the Services as `pod` sees them.
pub(super) fn pod_services(node: &NodeContext, pod: &Arc<Pod>) -> PodServices {
    let (recorder, clock, about) = (node.recorder.clone(), node.clock, pod.clone());
    // Protects the addresses that were recorded.
    let limit = Mutex::new(RecordLimit::default());
    let on_refused = move |service: &ServiceName, address: SocketAddr| {
        if limit.lock().permit(address, clock.mono()) {
            recorder.record(&about, None, EventType::Warning, "ServiceNotReachable", refusal(service, address));
        }
    };
    let namespace = pods::namespace(pod).to_string();
    PodServices { table: node.services.clone(), namespace, on_refused: Arc::new(on_refused) }
}

/// Returns the message about a refused connection.
fn refusal(service: &ServiceName, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!("connection to Service {service} at {ip} port {port} refused; wasmpod does not forward to Services yet")
}

/// Limits the events about one pod's refused connections, so that a client that retries in a loop floods nothing.
#[derive(Default)]
struct RecordLimit {
    recorded: Vec<(SocketAddr, MonoTime)>,
}

impl RecordLimit {
    /// Returns whether a connection to `address` is recorded at `now`.
    fn permit(&mut self, address: SocketAddr, now: MonoTime) -> bool {
        if let Some((_, last)) = self.recorded.iter_mut().find(|(known, _)| *known == address) {
            let is_due = now - *last >= RECORD_INTERVAL;
            *last = if is_due { now } else { *last };
            return is_due;
        }
        let has_space = self.recorded.len() < MAX_RECORDED_ADDRESSES;
        if has_space {
            self.recorded.push((address, now));
        }
        has_space
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::{Body, DeleteOptions, Key};
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    #[test]
    fn refusals_are_recorded_once_a_minute_for_few_addresses() {
        let mut limit = RecordLimit::default();
        let address = |port: u16| SocketAddr::from(([10, 96, 0, 7], port));
        let start = Clock::system().mono();
        let permitted =
            |limit: &mut RecordLimit, port, seconds| limit.permit(address(port), start + Duration::from_secs(seconds));
        let times: Vec<u64> = (0..=120).filter(|seconds| permitted(&mut limit, 80, *seconds)).collect();
        assert_eq!(times, [0, 60, 120]);
        let ports = (1000..2000).filter(|port| permitted(&mut limit, *port, 120)).count();
        assert_eq!(ports, MAX_RECORDED_ADDRESSES - 1);
    }

    #[test]
    fn refusals_name_the_service_its_address_and_port() {
        let service = ServiceName { namespace: "default".into(), name: "web".into() };
        let message = refusal(&service, SocketAddr::from(([10, 96, 0, 7], 80)));
        let expected = "connection to Service default/web at 10.96.0.7 port 80 refused; \
                        wasmpod does not forward to Services yet";
        assert_eq!(message, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn table_follows_the_stored_services() {
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(100), Clock::system()));
        let create = async |yaml: &str| {
            let service: Service = serde_yaml::from_str(yaml).expect("a Service");
            control.create(Body::from(service)).await.expect("stored");
        };
        create("{metadata: {name: old, namespace: default}, spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}}").await;
        let table = Arc::new(ServiceTable::default());
        let task = tokio::spawn(watch(control.clone(), table.clone()));
        // Paused time passes when the watcher has nothing to do.
        let settle = || tokio::time::sleep(Duration::from_millis(1));
        let names = || {
            let named = |last: u8| table.service_at(IpAddr::from([10, 96, 0, last])).map(|service| service.to_string());
            (named(7), named(8))
        };
        settle().await;
        assert_eq!(names(), (Some("default/old".into()), None));
        create("{metadata: {name: new, namespace: default}, spec: {clusterIP: 10.96.0.8, ports: [{port: 80}]}}").await;
        create("{metadata: {name: none, namespace: default}, spec: {clusterIP: None, ports: [{port: 80}]}}").await;
        let alias = "{metadata: {name: alias, namespace: default}, spec: {type: ExternalName, externalName: a.b}}";
        create(alias).await;
        settle().await;
        assert_eq!(names(), (Some("default/old".into()), Some("default/new".into())));
        let key = Key::new(Resource::of::<Service>(), "default", "old");
        control.delete(&key, DeleteOptions::default()).await.expect("deleted");
        settle().await;
        assert_eq!(names(), (None, Some("default/new".into())));
        task.abort();
    }
}
