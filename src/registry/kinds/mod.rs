//! The table of kinds, and a file for each.
//!
//! Routing, discovery, OpenAPI, tables, request bodies, validation and storage read the table. To add a kind, write a file
//! with its [`Strategy`](super::strategy::Strategy) and add a line.

mod cluster_role;
mod cluster_role_binding;
pub mod config_map;
mod controller_revision;
mod cron_job;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod event_rules;
mod events_v1;
mod horizontal_pod_autoscaler;
mod ingress;
mod ingress_class;
mod job;
mod lease;
mod limit_range;
mod namespace;
mod network_policy;
mod node;
mod node_rules;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_template;
pub mod priority_class;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod role;
mod role_binding;
mod runtime_class;
pub mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;
mod tls_secret;

use std::sync::LazyLock;

use k8s_openapi::api::{
    apps, authentication, authorization, autoscaling, batch, coordination, core, discovery, networking,
    node as node_api, policy, rbac, scheduling, storage,
};

use super::kind::{Kind, KindOf};
use super::reviews::ReviewOf;
use crate::control::Resource;
use crate::model::{KindType, ManifestObject};

/// All kinds, sorted by group and plural name.
pub static KINDS: &[&dyn Kind] = &[
    &KindOf::<core::v1::ConfigMap>::NEW,
    &KindOf::<core::v1::Endpoints>::NEW,
    &KindOf::<core::v1::Event>::NEW,
    &KindOf::<core::v1::LimitRange>::NEW,
    &KindOf::<core::v1::Namespace>::NEW,
    &KindOf::<core::v1::Node>::NEW,
    &KindOf::<core::v1::PersistentVolumeClaim>::NEW,
    &KindOf::<core::v1::PersistentVolume>::NEW,
    &KindOf::<core::v1::Pod>::NEW,
    &KindOf::<core::v1::PodTemplate>::NEW,
    &KindOf::<core::v1::ReplicationController>::NEW,
    &KindOf::<core::v1::ResourceQuota>::NEW,
    &KindOf::<core::v1::Secret>::NEW,
    &KindOf::<core::v1::ServiceAccount>::NEW,
    &KindOf::<core::v1::Service>::NEW,
    &KindOf::<apps::v1::ControllerRevision>::NEW,
    &KindOf::<apps::v1::DaemonSet>::NEW,
    &KindOf::<apps::v1::Deployment>::NEW,
    &KindOf::<apps::v1::ReplicaSet>::NEW,
    &KindOf::<apps::v1::StatefulSet>::NEW,
    &ReviewOf::<authentication::v1::SelfSubjectReview>::NEW,
    &ReviewOf::<authentication::v1::TokenReview>::NEW,
    &ReviewOf::<authorization::v1::LocalSubjectAccessReview>::NEW,
    &ReviewOf::<authorization::v1::SelfSubjectAccessReview>::NEW,
    &ReviewOf::<authorization::v1::SelfSubjectRulesReview>::NEW,
    &ReviewOf::<authorization::v1::SubjectAccessReview>::NEW,
    &KindOf::<autoscaling::v2::HorizontalPodAutoscaler>::NEW,
    &KindOf::<batch::v1::CronJob>::NEW,
    &KindOf::<batch::v1::Job>::NEW,
    &KindOf::<coordination::v1::Lease>::NEW,
    &KindOf::<discovery::v1::EndpointSlice>::NEW,
    &KindOf::<networking::v1::IngressClass>::NEW,
    &KindOf::<networking::v1::Ingress>::NEW,
    &KindOf::<networking::v1::NetworkPolicy>::NEW,
    &KindOf::<node_api::v1::RuntimeClass>::NEW,
    &KindOf::<policy::v1::PodDisruptionBudget>::NEW,
    &KindOf::<rbac::v1::ClusterRoleBinding>::NEW,
    &KindOf::<rbac::v1::ClusterRole>::NEW,
    &KindOf::<rbac::v1::RoleBinding>::NEW,
    &KindOf::<rbac::v1::Role>::NEW,
    &KindOf::<scheduling::v1::PriorityClass>::NEW,
    &KindOf::<storage::v1::StorageClass>::NEW,
    #[cfg(test)]
    &KindOf::<storage::v1::VolumeAttributesClass>::NEW,
];

/// Returns the types of all kinds, for reading manifests.
pub fn types() -> &'static [KindType] {
    static TYPES: LazyLock<Vec<KindType>> = LazyLock::new(|| KINDS.iter().map(|kind| kind.kind_type()).collect());
    &TYPES
}

/// Returns the kind of this plural, singular or short name, or of this name as in `kind: Pod`, ignoring case.
pub fn resolve(name: &str) -> Option<&'static dyn Kind> {
    let name = name.to_lowercase();
    let is_named = |kind: &&&dyn Kind| {
        let (names, info) = (kind.names(), kind.info());
        [names.plural, info.singular].contains(&name.as_str()) || info.short_names.contains(&name.as_str())
    };
    KINDS.iter().find(is_named).copied()
}

/// Returns the kind of a resource's objects.
pub fn of(resource: &Resource) -> Option<&'static dyn Kind> {
    let identity = (resource.group(), resource.plural());
    let index = KINDS.binary_search_by_key(&identity, |kind| (kind.names().group, kind.names().plural)).ok()?;
    KINDS.get(index).copied()
}

/// Returns the kind of a manifest's object.
pub fn of_manifest(object: &ManifestObject) -> Option<&'static dyn Kind> {
    of(&Resource::built_in(object.kind().names()))
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod selector_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod test_kind;
#[cfg(test)]
mod workload_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_has_no_duplicates() {
        let keys: Vec<_> = KINDS.iter().map(|kind| (kind.names().group, kind.names().plural)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        for kind in KINDS {
            assert!(kind.info().verbs.is_sorted(), "{:?}", kind.names());
            assert!(kind.info().subresources.is_sorted_by_key(|subresource| subresource.name), "{:?}", kind.names());
        }
    }
}
