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

use super::identity;
use super::kind::{Kind, KindOf};
use super::reviews::ReviewOf;
use super::strategy::OtherVersion;
use crate::control::{Body, Resource, Status};
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

/// Returns the types of all kinds in all served versions, the stored ones first, for reading manifests.
pub fn types() -> &'static [KindType] {
    static TYPES: LazyLock<Vec<KindType>> = LazyLock::new(|| {
        let others = KINDS.iter().flat_map(|kind| kind.other_versions()).map(|version| version.kind_type);
        KINDS.iter().map(|kind| kind.kind_type()).chain(others).collect()
    });
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
    of_names(resource.group(), resource.plural())
}

fn of_names(group: &str, plural: &str) -> Option<&'static dyn Kind> {
    let index = KINDS.binary_search_by_key(&(group, plural), |kind| (kind.names().group, kind.names().plural)).ok()?;
    KINDS.get(index).copied()
}

/// Returns the resource of a group and plural name.
pub fn resource_of_names(group: &str, plural: &str) -> Option<Resource> {
    of_names(group, plural).map(<dyn Kind>::resource)
}

/// Returns the kind of a manifest's object, whatever its version.
pub fn of_manifest(object: &ManifestObject) -> Option<&'static dyn Kind> {
    of_type(object.kind()).map(|(kind, _)| kind)
}

/// Returns the kind of a type, with the version that the type has unless it is the stored one.
fn of_type(kind_type: KindType) -> Option<(&'static dyn Kind, Option<&'static OtherVersion>)> {
    KINDS.iter().copied().find_map(|kind| {
        let version = kind.other_versions().iter().find(|version| version.kind_type == kind_type);
        (version.is_some() || kind.kind_type() == kind_type).then_some((kind, version))
    })
}

/// Returns a manifest's object in the stored version.
pub fn to_stored(object: &ManifestObject) -> Body {
    let version = of_type(object.kind()).and_then(|(_, version)| version);
    let converted = version.and_then(|version| (version.convert)(object.object()));
    converted.unwrap_or_else(|| Body::from_manifest(object))
}

/// Checks an object of a manifest as its creation in a cluster without objects would: returns its warnings.
///
/// # Errors
/// Returns why it cannot be created.
pub fn check_new(object: &ManifestObject) -> Result<Vec<String>, Status> {
    let Some((kind, version)) = of_type(object.kind()) else { return Ok(Vec::new()) };
    let mut body = to_stored(object);
    if let Some(validate) = version.and_then(|version| version.validate) {
        let metadata = body.metadata_mut();
        metadata.namespace.get_or_insert_with(|| "default".into());
        identity::generate_name(metadata, || identity::SAMPLE_SUFFIX.into());
        let causes = validate(&body, None);
        if !causes.is_empty() {
            let name = body.metadata().name.as_deref().unwrap_or_default();
            return Err(Status::invalid(kind.names().kind, name, causes));
        }
    }
    kind.check_new(body)
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
    use crate::model::Manifest;

    #[test]
    fn table_is_sorted_and_has_no_duplicates() {
        let keys: Vec<_> = KINDS.iter().map(|kind| (kind.names().group, kind.names().plural)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        for kind in KINDS {
            assert!(kind.info().verbs.is_sorted(), "{:?}", kind.names());
            assert!(kind.info().subresources.is_sorted_by_key(|subresource| subresource.name), "{:?}", kind.names());
        }
    }

    #[test]
    fn manifests_are_read_in_every_served_version() {
        let read = |text: &str| Manifest::read(types(), "m", text);
        let manifest = read(
            "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {generateName: web-}, spec: \
             {maxReplicas: 3, targetCPUUtilizationPercentage: 70, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, \
             name: web}}}",
        );
        let object = manifest.objects().next().expect("an object");
        assert_eq!(check_new(object), Ok(Vec::new()));
        assert_eq!(of_manifest(object).map(|kind| kind.names().version), Some("v2"));
        let body = to_stored(object);
        let stored: &autoscaling::v2::HorizontalPodAutoscaler = body.downcast_ref().expect("the stored version");
        let cpu = stored.spec.metrics.iter().flatten().find_map(|metric| metric.resource.as_ref());
        assert_eq!(cpu.and_then(|cpu| cpu.target.average_utilization), Some(70));
        assert_eq!((body.resource().group(), body.resource().version()), ("autoscaling", "v2"));

        let event = |fields: &str| {
            let start = "{apiVersion: events.k8s.io/v1, kind: Event, metadata: {name: e}, reportingController: a.b/c, \
                         reportingInstance: i, action: A, reason: R, ";
            read(&format!("{start}{fields}}}"))
        };
        let manifest = event("note: hello, type: Normal, eventTime: '2026-11-20T11:00:00.000000Z'");
        let object = manifest.objects().next().expect("an object");
        assert_eq!(check_new(object), Ok(Vec::new()));
        let body = to_stored(object);
        let stored: &core::v1::Event = body.downcast_ref().expect("the stored version");
        assert_eq!(stored.message.as_deref(), Some("hello"));
        let manifest = event("type: Normal");
        let error = check_new(manifest.objects().next().expect("an object")).expect_err("no time").message;
        assert_eq!(error, "Event \"e\" is invalid: eventTime: Required value");
        let diagnostics = event("message: hello").diagnostics().to_string();
        assert!(diagnostics.contains("message: unknown field \"message\""), "{diagnostics}");
    }
}
