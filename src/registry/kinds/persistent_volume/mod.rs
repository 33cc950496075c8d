//! PersistentVolumes: storage that claims are bound to.

mod sources;
mod validation;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeSelectorTerm, PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::control::{DeleteOptions, DeleteResult, Key, Status, Subresource};
use crate::model::{pods, quantity};
use crate::registry::admission::object_in_use;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::pod::warnings::DEPRECATED_NODE_LABELS;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{Registry, metadata};

const FINALIZER: &str = "kubernetes.io/pv-protection";
/// The annotation that named the storage class before `spec.storageClassName` did.
pub const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const MOUNT_OPTIONS_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";

impl Strategy for PersistentVolume {
    const INFO: KindInfo = KindInfo {
        short_names: &["pv"],
        subresources: &[SubresourceInfo::status("PersistentVolume")],
        ..KindInfo::new("persistentvolume", "HN/zwEC+JgM=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Capacity", "Size of the volume."),
        Column::text("Access Modes", "How the volume can be mounted."),
        Column::text("Reclaim Policy", "What happens to the volume when its claim is deleted."),
        Column::text("Status", "Phase of the volume."),
        Column::text("Claim", "The claim that the volume is bound to."),
        Column::text("StorageClass", "Storage class of the volume."),
        Column::text("VolumeAttributesClass", "Volume attributes class of the volume."),
        Column::text("Reason", "Why the volume failed."),
        Column::AGE,
        Column::wide("VolumeMode", "File system or block device."),
    ];
    const RETURNS_DELETED_OBJECT: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let empty = PersistentVolumeSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let status = self.status.as_ref();
        let claim = spec.claim_ref.as_ref().map_or_else(String::new, |claim| {
            format!("{}/{}", non_empty_or(claim.namespace.as_deref(), ""), non_empty_or(claim.name.as_deref(), ""))
        });
        let class = class_annotation(&self.metadata).or(spec.storage_class_name.as_deref());
        vec![
            columns::name(&self.metadata),
            storage_size(spec.capacity.as_ref()).into(),
            access_modes_cell(spec.access_modes.as_deref()).into(),
            non_empty_or(spec.persistent_volume_reclaim_policy.as_deref(), "").into(),
            phase_cell(&self.metadata, status.and_then(|status| status.phase.as_deref())).into(),
            claim.into(),
            non_empty_or(class, "").into(),
            spec.volume_attributes_class_name.as_deref().unwrap_or("<unset>").into(),
            non_empty_or(status.and_then(|status| status.reason.as_deref()), "").into(),
            age(&self.metadata, now).into(),
            spec.volume_mode.as_deref().unwrap_or("<unset>").into(),
        ]
    }

    fn set_defaults(&mut self) {
        let status = self.status.get_or_insert_default();
        status.phase.get_or_insert_with(|| "Pending".into());
        let spec = self.spec.get_or_insert_default();
        spec.persistent_volume_reclaim_policy.get_or_insert_with(|| "Retain".into());
        spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
        canonicalize(spec.capacity.as_mut());
        sources::set_defaults(spec);
    }

    fn begin(&mut self, registry: &Registry, old: Option<&Self>, subresource: Subresource) -> Result<(), Status> {
        let now = || Some(pods::api_time(registry.clock.now().wall));
        let status = self.status.get_or_insert_default();
        match old {
            None => {
                *status = PersistentVolumeStatus { last_phase_transition_time: now(), ..pending() };
                object_in_use::protect(&mut self.metadata, FINALIZER);
            }
            Some(old) if subresource == Subresource::Status => {
                let old = old.status.as_ref();
                let old_time = old.and_then(|old| old.last_phase_transition_time.as_ref());
                let is_client_time = status.last_phase_transition_time.is_some()
                    && status.last_phase_transition_time.as_ref() != old_time;
                if status.phase.as_ref() != old.and_then(|old| old.phase.as_ref()) && !is_client_time {
                    status.last_phase_transition_time = now();
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn validate(&self, errors: &mut ErrorList) {
        validation::validate(errors, self);
        validation::validate_mount_options(errors, self);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        warnings(self)
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        validation::validate(errors, self);
        validation::validate_mount_options(errors, self);
        validation::validate_update(errors, self, old);
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
    }

    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        let is_bound =
            |volume: &Self| volume.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
        object_in_use::delete(registry, key, options, FINALIZER, is_bound)
    }
}

fn pending() -> PersistentVolumeStatus {
    PersistentVolumeStatus { phase: Some("Pending".into()), ..PersistentVolumeStatus::default() }
}

/// Returns the storage class that an annotation names.
pub fn class_annotation(meta: &ObjectMeta) -> Option<&str> {
    meta.annotations.as_ref()?.get(CLASS_ANNOTATION).map(String::as_str)
}

/// Returns the cell with the phase of a volume or claim.
pub fn phase_cell<'o>(meta: &ObjectMeta, phase: Option<&'o str>) -> &'o str {
    if meta.deletion_timestamp.is_some() { "Terminating" } else { non_empty_or(phase, "") }
}

/// Returns the cell with the access modes: `RWO,ROX`.
pub fn access_modes_cell(modes: Option<&[String]>) -> String {
    let has = |mode: &str| modes.unwrap_or_default().iter().any(|known| known == mode);
    let names =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let short: Vec<&str> = names.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",")
}

/// Returns the size of a volume; 0 if it is not known.
pub fn storage_size(capacity: Option<&BTreeMap<String, Quantity>>) -> String {
    let size = capacity.and_then(|capacity| capacity.get("storage"));
    size.map_or_else(|| "0".into(), |Quantity(size)| size.clone())
}

/// Writes quantities as Kubernetes does, rounded up to thousandths.
pub fn canonicalize(quantities: Option<&mut BTreeMap<String, Quantity>>) {
    for value in quantities.into_iter().flat_map(BTreeMap::values_mut) {
        if let Ok(canonical) = quantity::canonical_in_milli(value) {
            *value = canonical;
        }
    }
}

fn warnings(volume: &PersistentVolume) -> Vec<String> {
    let mut warnings = Vec::new();
    let root = FieldPath::root("metadata");
    let annotations = root.child("annotations");
    for (key, detail) in [
        (CLASS_ANNOTATION, "deprecated since v1.8; use \"storageClassName\" attribute instead"),
        (MOUNT_OPTIONS_ANNOTATION, "deprecated since v1.31; use \"mountOptions\" attribute instead"),
    ] {
        if volume.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(key)) {
            warnings.push(format!("{}: {detail}", annotations.key(key)));
        }
    }
    let Some(spec) = &volume.spec else { return warnings };
    let path = FieldPath::root("spec");
    if spec.persistent_volume_reclaim_policy.as_deref() == Some("Recycle") {
        let detail = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic \
                      provisioning.";
        warnings.push(format!("{}: {detail}", path.child("persistentVolumeReclaimPolicy")));
    }
    let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    let affinity = path.child("nodeAffinity");
    let affinity = affinity.child("required");
    let terms = affinity.child("nodeSelectorTerms");
    for (i, term) in required.iter().flat_map(|selector| &selector.node_selector_terms).enumerate() {
        warn_about_node_labels(&mut warnings, terms.index(i), term);
    }
    warnings.extend(sources::deprecations(spec).map(|(field, detail)| format!("{}: {detail}", path.child(field))));
    warnings
}

fn warn_about_node_labels(warnings: &mut Vec<String>, path: FieldPath<'_>, term: &NodeSelectorTerm) {
    let list = path.child("matchExpressions");
    for (i, rule) in term.match_expressions.iter().flatten().enumerate() {
        if let Some((key, detail)) = DEPRECATED_NODE_LABELS.iter().find(|(key, _)| *key == rule.key) {
            warnings.push(format!("{}: {key} is {detail}", list.index(i).child("key")));
        }
    }
}
