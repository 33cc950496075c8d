//! The node's Lease: its renewal tells clients that the node works, as a kubelet's does.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};

use super::NodeContext;
use crate::control::{Reason, Status, Subresource};

/// The namespace of all nodes' Leases.
const NAMESPACE: &str = "kube-node-lease";
/// Seconds without a renewal after which a node counts as dead.
const DURATION_SECONDS: i32 = 40;
/// The time between renewals.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(10);

/// Renews the node's Lease, or creates it. A deleted node has none.
pub(super) async fn renew(context: &NodeContext) {
    match try_renew(context).await {
        Err(status) if status.reason == Reason::NotFound => tracing::debug!(%status, "the node has no Lease"),
        Err(error) => tracing::warn!(%error, "cannot renew the node's Lease"),
        Ok(()) => {}
    }
}

async fn try_renew(context: &NodeContext) -> Result<(), Status> {
    let name = &context.config.name;
    let leases = context.control.api::<Lease>(NAMESPACE);
    let spec = LeaseSpec {
        holder_identity: Some(name.clone()),
        lease_duration_seconds: Some(DURATION_SECONDS),
        renew_time: Some(MicroTime(context.clock.now().wall)),
        ..LeaseSpec::default()
    };
    if let Some(lease) = leases.get_opt(name).await? {
        return leases.replace(Lease { spec: Some(spec), ..Lease::clone(&lease) }, Subresource::Main).await.map(drop);
    }
    let node = context.control.api::<Node>("").get(name).await?;
    let mut lease = Lease { spec: Some(spec), ..Lease::default() };
    lease.metadata.name = Some(name.clone());
    lease.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.clone(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    leases.create(lease).await.map(drop)
}
