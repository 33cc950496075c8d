//! PersistentVolumeClaims: requests for storage.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, TypedLocalObjectReference,
    TypedObjectReference,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use super::persistent_volume::{self, CLASS_ANNOTATION, access_modes_cell, class_annotation, phase_cell, storage_size};
use super::storage_class;
use crate::control::{DeleteOptions, DeleteResult, Key, Resource, Status, Subresource};
use crate::model::{formats, quantity};
use crate::registry::admission::{default_class, object_in_use};
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::pod::diff;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{Registry, claims, metadata};

const FINALIZER: &str = "kubernetes.io/pvc-protection";
const CLAIM: &str = claims::KIND;
const STORAGE: &str = claims::STORAGE;

type Quantities = BTreeMap<String, Quantity>;

impl Strategy for PersistentVolumeClaim {
    const INFO: KindInfo = KindInfo {
        short_names: &["pvc"],
        subresources: &[SubresourceInfo::status(CLAIM)],
        ..KindInfo::new("persistentvolumeclaim", "QWTyNDq0dC4=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Status", "Phase of the claim."),
        Column::text("Volume", "The volume that the claim is bound to."),
        Column::text("Capacity", "Size of the volume."),
        Column::text("Access Modes", "How the volume can be mounted."),
        Column::text("StorageClass", "Storage class of the claim."),
        Column::text("VolumeAttributesClass", "Volume attributes class of the claim."),
        Column::AGE,
        Column::wide("VolumeMode", "File system or block device."),
    ];
    const RETURNS_DELETED_OBJECT: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let empty = PersistentVolumeClaimSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let status = self.status.as_ref();
        let volume = non_empty_or(spec.volume_name.as_deref(), "");
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            let modes = status.and_then(|status| status.access_modes.as_deref());
            (storage_size(status.and_then(|status| status.capacity.as_ref())), access_modes_cell(modes))
        };
        let class = class_annotation(&self.metadata).or(spec.storage_class_name.as_deref());
        vec![
            columns::name(&self.metadata),
            phase_cell(&self.metadata, status.and_then(|status| status.phase.as_deref())).into(),
            volume.into(),
            capacity.into(),
            modes.into(),
            non_empty_or(class, "").into(),
            spec.volume_attributes_class_name.as_deref().unwrap_or("<unset>").into(),
            age(&self.metadata, now).into(),
            spec.volume_mode.as_deref().unwrap_or("<unset>").into(),
        ]
    }

    fn set_defaults(&mut self) {
        let status = self.status.get_or_insert_default();
        status.phase.get_or_insert_with(|| "Pending".into());
        persistent_volume::canonicalize(status.capacity.as_mut());
        persistent_volume::canonicalize(status.allocated_resources.as_mut());
        let spec = self.spec.get_or_insert_default();
        spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
        if spec.volume_name.as_deref() == Some("") {
            spec.volume_name = None;
        }
        let resources = spec.resources.get_or_insert_default();
        persistent_volume::canonicalize(resources.requests.as_mut());
        persistent_volume::canonicalize(resources.limits.as_mut());
    }

    fn begin(&mut self, registry: &Registry, old: Option<&Self>, subresource: Subresource) -> Result<(), Status> {
        match old {
            None => {
                object_in_use::protect(&mut self.metadata, FINALIZER);
                let has_class = class_annotation(&self.metadata).is_some();
                if let Some(spec) = self.spec.as_mut().filter(|spec| spec.storage_class_name.is_none() && !has_class) {
                    spec.storage_class_name = default_class::find::<StorageClass>(registry, storage_class::IS_DEFAULT);
                }
                Ok(())
            }
            Some(old) if subresource == Subresource::Main => check_resize(registry, self, old),
            Some(_) => Ok(()),
        }
    }

    fn prepare_for_create(&mut self) {
        let phase = Some("Pending".into());
        self.status = Some(PersistentVolumeClaimStatus { phase, ..PersistentVolumeClaimStatus::default() });
        let spec = self.spec.get_or_insert_default();
        drop_unsupported_sources(spec, None);
        align_sources(spec);
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_claim(errors, self, None);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if class_annotation(&self.metadata).is_some() {
            let detail = "deprecated since v1.8; use \"storageClassName\" attribute instead";
            warnings.push(format!("metadata.annotations[{CLASS_ANNOTATION}]: {detail}"));
        }
        let resources = self.spec.as_ref().and_then(|spec| spec.resources.as_ref());
        for (field, quantities) in [
            ("requests", resources.and_then(|resources| resources.requests.as_ref())),
            ("limits", resources.and_then(|resources| resources.limits.as_ref())),
        ] {
            let Some(size) = quantities.and_then(|quantities| quantities.get(STORAGE)) else { continue };
            if quantity::milli(size).is_ok_and(|milli| milli % 1000 != 0) {
                warnings.push(format!(
                    "spec.resources.{field}[{STORAGE}]: fractional byte value {:?} is invalid, must be an integer",
                    size.0
                ));
            }
        }
        warnings
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        let spec = self.spec.get_or_insert_default();
        drop_unsupported_sources(spec, old.spec.as_ref());
        align_sources(spec);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_claim(errors, self, Some(old));
        validate_changes(errors, self, old);
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if let Some(status) = &self.status {
            validate_status(errors, status);
        }
    }

    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        // Pods with claims are rejected, so none is in use.
        object_in_use::delete(registry, key, options, FINALIZER, |_: &Self| false)
    }
}

/// Returns the requested size.
fn requested_size(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get(STORAGE)
}

fn nano(size: Option<&Quantity>) -> i128 {
    size.and_then(|size| quantity::nano(size).ok()).unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"))
}

/// Rejects a larger request of a bound claim unless its class allows it (the admission plugin
/// PersistentVolumeClaimResize).
fn check_resize(registry: &Registry, claim: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> Result<(), Status> {
    if !is_bound(old) || nano(requested_size(claim)) <= nano(requested_size(old)) {
        return Ok(());
    }
    let class = old.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let class = class_annotation(&old.metadata).or(class).unwrap_or_default();
    let stored = registry.storage.objects().get(&Key::new(Resource::of::<StorageClass>(), "", class));
    let class = stored.and_then(|object| object.decode::<StorageClass>().ok());
    if class.is_some_and(|class| class.allow_volume_expansion == Some(true)) {
        return Ok(());
    }
    let reason = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                  support resize";
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    Err(Status::forbidden("persistentvolumeclaims", name, reason))
}

/// Drops sources that Kubernetes ignores: those in other namespaces, and of other kinds where old clients name them.
fn drop_unsupported_sources(spec: &mut PersistentVolumeClaimSpec, old: Option<&PersistentVolumeClaimSpec>) {
    let has_namespace = |source: &TypedObjectReference| source.namespace.as_ref().is_some_and(|name| !name.is_empty());
    if old.is_none_or(|old| old.data_source_ref.is_none()) && spec.data_source_ref.as_ref().is_some_and(has_namespace) {
        spec.data_source_ref = None;
    }
    let had_source = old.is_some_and(|old| old.data_source.is_some() || old.data_source_ref.is_some());
    if had_source || spec.data_source_ref.is_some() {
        return;
    }
    let is_supported = spec.data_source.as_ref().is_some_and(|source| {
        let group = source.api_group.as_deref().unwrap_or_default();
        matches!((group, source.kind.as_str()), ("", CLAIM) | ("snapshot.storage.k8s.io", "VolumeSnapshot"))
    });
    if !is_supported {
        spec.data_source = None;
    }
}

/// Copies the source between its old and its new field.
fn align_sources(spec: &mut PersistentVolumeClaimSpec) {
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(TypedLocalObjectReference { api_group, kind, name }), None) => {
            let (api_group, kind, name) = (api_group.clone(), kind.clone(), name.clone());
            spec.data_source_ref = Some(TypedObjectReference { api_group, kind, name, namespace: None });
        }
        (None, Some(TypedObjectReference { api_group, kind, name, namespace }))
            if namespace.as_deref().unwrap_or_default().is_empty() =>
        {
            let (api_group, kind, name) = (api_group.clone(), kind.clone(), name.clone());
            spec.data_source = Some(TypedLocalObjectReference { api_group, kind, name });
        }
        _ => {}
    }
}

fn validate_claim(errors: &mut ErrorList, claim: &PersistentVolumeClaim, old: Option<&PersistentVolumeClaim>) {
    metadata::validate_object_meta(errors, &claim.metadata, formats::dns_subdomain);
    let empty = PersistentVolumeClaimSpec::default();
    let old = old.and_then(|old| old.spec.as_ref());
    claims::validate_spec(errors, FieldPath::root("spec"), claim.spec.as_ref().unwrap_or(&empty), old);
}

/// Validates what changed: almost nothing may.
fn validate_changes(errors: &mut ErrorList, claim: &PersistentVolumeClaim, old: &PersistentVolumeClaim) {
    let mut new_spec = claim.spec.clone().unwrap_or_default();
    let mut old_spec = old.spec.clone().unwrap_or_default();
    align_sources(&mut old_spec);
    let path = FieldPath::root("spec");
    if old_spec.volume_name.is_none() {
        old_spec.volume_name.clone_from(&new_spec.volume_name);
    }
    allow_class_changes(errors, claim, old, &mut new_spec, &old_spec);
    if is_bound(claim) {
        let requests = new_spec.resources.as_mut().and_then(|resources| resources.requests.as_mut());
        if let (Some(requests), Some(size)) = (requests, requested_size(old)) {
            requests.insert(STORAGE.into(), size.clone());
        }
        if new_spec.volume_attributes_class_name.is_some() {
            new_spec.volume_attributes_class_name.clone_from(&old_spec.volume_attributes_class_name);
        }
    }
    if new_spec != old_spec {
        let changes = diff::diff_as("PersistentVolumeClaimSpec", &old_spec, &new_spec);
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        errors.forbidden(path, format!("{detail}\n{changes}"));
    }
    let capacity = old.status.as_ref().and_then(|status| status.capacity.as_ref());
    let new_size = nano(requested_size(claim));
    if new_size < nano(requested_size(old)) && new_size <= nano(capacity.and_then(|capacity| capacity.get(STORAGE))) {
        let resources = path.child("resources");
        let requests = resources.child("requests");
        errors.forbidden(requests.child(STORAGE), "field can not be less than status.capacity");
    }
    let mode = |claim: &PersistentVolumeClaim| claim.spec.as_ref().and_then(|spec| spec.volume_mode.clone());
    if mode(claim) != mode(old) {
        errors.invalid(FieldPath::root("volumeMode"), mode(claim), "field is immutable");
    }
    let class =
        |claim: &PersistentVolumeClaim| claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone());
    let class_path = path.child("volumeAttributesClassName");
    match (class(old), class(claim).as_deref()) {
        (Some(_), None) => errors.forbidden(class_path, "update from non-nil value to nil is forbidden"),
        (Some(old), Some("")) if !old.is_empty() => {
            errors.forbidden(class_path, "update from non-nil value to an empty string is forbidden");
        }
        _ => {}
    }
}

/// Lets a claim get a storage class, or get it in place of the annotation for it.
fn allow_class_changes(
    errors: &mut ErrorList,
    claim: &PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
    new_spec: &mut PersistentVolumeClaimSpec,
    old_spec: &PersistentVolumeClaimSpec,
) {
    let (new_annotation, old_annotation) = (class_annotation(&claim.metadata), class_annotation(&old.metadata));
    let new_class = new_spec.storage_class_name.as_deref();
    let gets_class = old_spec.storage_class_name.is_none() && new_class.is_some();
    let is_from_annotation = gets_class
        && old_annotation.is_some()
        && new_class == old_annotation
        && new_annotation.is_none_or(|new| Some(new) == old_annotation);
    if is_from_annotation {
        new_spec.storage_class_name = None;
        return;
    }
    if new_annotation.unwrap_or_default() != old_annotation.unwrap_or_default() {
        let root = FieldPath::root("metadata");
        let path = root.child("annotations");
        errors.invalid(path.child(CLASS_ANNOTATION), new_annotation.unwrap_or_default(), "field is immutable");
    }
    if gets_class && old_annotation.is_none_or(|old| Some(old) == new_class) {
        new_spec.storage_class_name.clone_from(&old_spec.storage_class_name);
    }
}

fn validate_status(errors: &mut ErrorList, status: &PersistentVolumeClaimStatus) {
    const RESIZE_STATUSES: &[&str] = &[
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let path = FieldPath::root("status");
    validate_quantities(errors, path.child("capacity"), status.capacity.as_ref());
    for (name, resize) in status.allocated_resource_statuses.iter().flatten() {
        let path = path.child("allocatedResourceStatus");
        validate_resource_name(errors, path, name);
        if !RESIZE_STATUSES.contains(&resize.as_str()) {
            errors.not_supported(path, name, RESIZE_STATUSES);
        }
    }
    for (name, value) in status.allocated_resources.iter().flatten() {
        let path = path.child("allocatedResources");
        if validate_resource_name(errors, path, name) && nano(Some(value)) < 0 {
            errors.invalid(path.key(name), &value.0, "must be a valid resource quantity");
        }
    }
}

fn validate_quantities(errors: &mut ErrorList, path: FieldPath<'_>, quantities: Option<&Quantities>) {
    for (name, value) in quantities.into_iter().flatten().filter(|(_, value)| nano(Some(value)) < 0) {
        errors.invalid(path.key(name), &value.0, "must be a valid resource quantity");
    }
}

/// Validates the name of a resource of a claim: `storage`, or one of another domain. Returns whether it is valid.
fn validate_resource_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) -> bool {
    let violations = formats::qualified_name(name);
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    let is_valid = violations.is_empty() && (!is_native || name == STORAGE);
    if violations.is_empty() && !is_valid {
        errors.not_supported(path, name, &[STORAGE]);
    }
    errors.invalid_each(path, name, violations);
    is_valid
}
