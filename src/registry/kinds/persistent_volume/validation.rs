//! Validation of PersistentVolumes (`ValidatePersistentVolume` in Kubernetes' `pkg/apis/core/validation`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{MOUNT_OPTIONS_ANNOTATION, sources};
use crate::model::{formats, quantity};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::pod::{diff, validation as pod_validation};
use crate::registry::{claims, metadata};

/// Labels of nodes that got other names.
const RENAMED_LABELS: &[(&str, &str)] = &[
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Validates a volume.
pub fn validate(errors: &mut ErrorList, volume: &PersistentVolume) {
    metadata::validate_cluster_scoped_object_meta(errors, &volume.metadata, formats::dns_subdomain);
    let empty = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&empty);
    let path = FieldPath::root("spec");
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.required(path.child("accessModes"), "");
    }
    claims::validate_access_modes(errors, path.child("accessModes"), modes);
    validate_capacity(errors, path.child("capacity"), spec.capacity.as_ref());
    let policy = spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default();
    if !policy.is_empty() {
        let known = ["Delete", "Recycle", "Retain"];
        errors.check_one_of(path.child("persistentVolumeReclaimPolicy"), policy, &known);
    }
    validate_node_affinity(errors, path.child("nodeAffinity"), spec.node_affinity.as_ref());
    sources::validate(errors, path, spec, volume.metadata.name.as_deref().unwrap_or_default());
    let is_root = spec.host_path.as_ref().is_some_and(|host| is_root(&host.path));
    if is_root && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(path.child("persistentVolumeReclaimPolicy"), detail);
    }
    if let Some(class) = spec.storage_class_name.as_deref().filter(|class| !class.is_empty()) {
        errors.invalid_each(path.child("storageClassName"), class, formats::dns_subdomain(class));
    }
    if let Some(mode) = spec.volume_mode.as_deref() {
        errors.check_one_of(path.child("volumeMode"), mode, claims::VOLUME_MODES);
    }
    if let Some(class) = spec.volume_attributes_class_name.as_deref() {
        let class_path = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.required(class_path, "an empty string is disallowed");
        } else {
            errors.invalid_each(class_path, class, formats::dns_subdomain(class));
        }
        if spec.csi.is_none() {
            errors.required(path.child("csi"), "has to be specified when using volumeAttributesClassName");
        }
    }
}

/// Validates the replacement of `old`, beyond what holds for new volumes.
pub fn validate_update(errors: &mut ErrorList, volume: &PersistentVolume, old: &PersistentVolume) {
    validate(errors, volume);
    let (Some(spec), Some(old_spec)) = (&volume.spec, &old.spec) else { return };
    let path = FieldPath::root("spec");
    let mut new_sources = sources::only_sources(spec);
    let old_sources = sources::only_sources(old_spec);
    // A secret for expansion may be added.
    if let (Some(new), Some(old)) = (&mut new_sources.csi, &old_sources.csi)
        && old.controller_expand_secret_ref.is_none()
    {
        new.controller_expand_secret_ref = None;
    }
    if new_sources != old_sources {
        let changes = diff::diff_as("PersistentVolumeSource", &old_sources, &new_sources);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        errors.forbidden(path.child("persistentvolumesource"), detail);
    }
    if spec.volume_mode != old_spec.volume_mode {
        errors.invalid(FieldPath::root("volumeMode"), &spec.volume_mode, "field is immutable");
    }
    if let Some(old_affinity) = &old_spec.node_affinity
        && !is_same_affinity(spec.node_affinity.as_ref(), old_affinity)
    {
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.invalid(FieldPath::root("nodeAffinity"), &spec.node_affinity, detail);
    }
    if spec.volume_attributes_class_name.is_none() && old_spec.volume_attributes_class_name.is_some() {
        errors.forbidden(path.child("volumeAttributesClassName"), "update from non-nil value to nil is forbidden");
    }
}

fn validate_capacity(errors: &mut ErrorList, path: FieldPath<'_>, capacity: Option<&BTreeMap<String, Quantity>>) {
    if capacity.is_none_or(BTreeMap::is_empty) {
        errors.required(path, "");
    }
    if capacity.is_none_or(|capacity| capacity.len() > 1 || !capacity.contains_key("storage")) {
        errors.not_supported(path, capacity, &["storage"]);
    }
    for (name, value) in capacity.into_iter().flatten() {
        let nano = quantity::nano(value).unwrap_or_default();
        if nano < 0 {
            errors.invalid(path.key(name), &value.0, "must be a valid resource quantity");
        }
        if nano <= 0 {
            errors.invalid(path.key(name), &value.0, "must be greater than zero");
        }
    }
}

fn validate_node_affinity(errors: &mut ErrorList, path: FieldPath<'_>, affinity: Option<&VolumeNodeAffinity>) {
    match affinity.map(|affinity| &affinity.required) {
        None => {}
        Some(None) => errors.required(path.child("required"), "must specify required node constraints"),
        Some(Some(required)) => {
            pod_validation::validate_node_selector(errors, path.child("required"), required);
        }
    }
}

/// Returns whether a path is the root, however it is written.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        depth = if part == ".." { depth.saturating_sub(1) } else { depth + 1 };
    }
    path.starts_with('/') && depth == 0
}

/// Returns whether both select the same nodes, where `new` may use the present names of renamed labels.
fn is_same_affinity(new: Option<&VolumeNodeAffinity>, old: &VolumeNodeAffinity) -> bool {
    let Some(new) = new else { return false };
    let mut renamed = old.clone();
    let terms = |affinity: &VolumeNodeAffinity| affinity.required.clone().unwrap_or_default().node_selector_terms;
    let new_terms = terms(new);
    let old_terms = renamed.required.iter_mut().flat_map(|selector| &mut selector.node_selector_terms);
    for (new, old) in new_terms.iter().zip(old_terms) {
        let rules = new.match_expressions.iter().flatten().zip(old.match_expressions.iter_mut().flatten());
        for (new, old) in rules {
            if RENAMED_LABELS.contains(&(old.key.as_str(), new.key.as_str())) {
                old.key.clone_from(&new.key);
            }
        }
    }
    *new == renamed
}

/// Rejects mount options in an annotation for volumes that are not mounted as file systems.
pub fn validate_mount_options(errors: &mut ErrorList, volume: &PersistentVolume) {
    let annotations = volume.metadata.annotations.as_ref();
    let Some(spec) = volume.spec.as_ref() else { return };
    let is_unsupported = spec.host_path.is_some()
        || spec.local.is_some()
        || spec.fc.is_some()
        || spec.flex_volume.is_some()
        || spec.flocker.is_some()
        || spec.portworx_volume.is_some()
        || spec.scale_io.is_some()
        || spec.storageos.is_some();
    if is_unsupported && annotations.is_some_and(|annotations| annotations.contains_key(MOUNT_OPTIONS_ANNOTATION)) {
        let root = FieldPath::root("metadata");
        let path = root.child("annotations");
        errors.forbidden(path.child(MOUNT_OPTIONS_ANNOTATION), "may not specify mount options for this volume type");
    }
}
