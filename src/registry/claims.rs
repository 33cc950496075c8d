//! Rules of PersistentVolumeClaims that pods follow too, in templates of claims (`ValidatePersistentVolumeClaimSpec` in
//! Kubernetes' `pkg/apis/core/validation`).

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;

use super::fields::{ErrorList, FieldPath};
use super::metadata;
use crate::model::{formats, quantity};

/// The kind of claims.
pub const KIND: &str = "PersistentVolumeClaim";
/// The resource that a claim requests.
pub const STORAGE: &str = "storage";
/// The forms in which containers see a volume.
pub const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// How a volume can be mounted.
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Validates access modes.
pub fn validate_access_modes(errors: &mut ErrorList, path: FieldPath<'_>, modes: &[String]) {
    for mode in modes {
        errors.check_one_of(path, mode, ACCESS_MODES);
    }
    let is_for_one_pod = |mode: &String| mode == "ReadWriteOncePod";
    let is_other = |mode: &String| !is_for_one_pod(mode) && ACCESS_MODES.contains(&mode.as_str());
    if modes.iter().any(is_for_one_pod) && modes.iter().any(is_other) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Validates the spec of a claim, or of a template of claims; `old` is the one that it replaces.
pub fn validate_spec(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    spec: &PersistentVolumeClaimSpec,
    old: Option<&PersistentVolumeClaimSpec>,
) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.required(path.child("accessModes"), "at least 1 access mode is required");
    }
    metadata::validate_label_selector(errors, path.child("selector"), spec.selector.as_ref());
    validate_access_modes(errors, path.child("accessModes"), modes);
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let resources = path.child("resources");
    match requests.and_then(|requests| requests.get(STORAGE)) {
        None => errors.required(resources.key(STORAGE), ""),
        Some(size) if quantity::nano(size).unwrap_or_default() <= 0 => {
            errors.invalid(resources.key(STORAGE), &size.0, "must be greater than zero");
        }
        Some(_) => {}
    }
    if let Some(class) = spec.storage_class_name.as_deref().filter(|class| !class.is_empty()) {
        errors.invalid_each(path.child("storageClassName"), class, formats::dns_subdomain(class));
    }
    if let Some(mode) = spec.volume_mode.as_deref() {
        errors.check_one_of(path.child("volumeMode"), mode, VOLUME_MODES);
    }
    validate_sources(errors, path, spec, old);
    if let Some(class) = spec.volume_attributes_class_name.as_deref().filter(|class| !class.is_empty()) {
        errors.invalid_each(path.child("volumeAttributesClassName"), class, formats::dns_subdomain(class));
    }
}

fn validate_sources(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    spec: &PersistentVolumeClaimSpec,
    old: Option<&PersistentVolumeClaimSpec>,
) {
    let has_group = |source: Option<&String>| source.is_some();
    let allows_any_group = old.is_some_and(|old| {
        has_group(old.data_source.as_ref().and_then(|source| source.api_group.as_ref()))
            || has_group(old.data_source_ref.as_ref().and_then(|source| source.api_group.as_ref()))
    });
    let mut validate_source = |field: &str, group: Option<&str>, kind: &str, name: &str| {
        let path = path.child(field);
        errors.require_non_empty(path.child("name"), name);
        errors.require_non_empty(path.child("kind"), kind);
        match group.unwrap_or_default() {
            "" if kind != KIND => {
                let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
                errors.invalid(path, kind, detail);
            }
            "" => {}
            group if !allows_any_group => {
                errors.invalid_each(path.child("apiGroup"), group, formats::dns_subdomain(group));
            }
            _ => {}
        }
    };
    let (source, source_ref) = (spec.data_source.as_ref(), spec.data_source_ref.as_ref());
    if let Some(source) = source {
        validate_source("dataSource", source.api_group.as_deref(), &source.kind, &source.name);
    }
    if let Some(source) = source_ref {
        validate_source("dataSourceRef", source.api_group.as_deref(), &source.kind, &source.name);
    }
    let Some(source_ref) = source_ref else { return };
    let namespace = source_ref.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() {
        let path = path.child("dataSourceRef");
        errors.invalid_each(path.child("namespace"), namespace, formats::dns_label(namespace));
    }
    let Some(source) = source else { return };
    let is_same =
        source.api_group == source_ref.api_group && source.kind == source_ref.kind && source.name == source_ref.name;
    let shown = format!("{}", path.child("dataSource"));
    if !namespace.is_empty() {
        errors.invalid(path, shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if !is_same {
        errors.invalid(path, shown, "must match dataSourceRef");
    }
}
