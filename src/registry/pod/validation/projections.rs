//! Volumes that project objects as files: ConfigMaps, Secrets, pod fields, tokens, and combinations of them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, DownwardAPIVolumeFile, KeyToPath, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};

use super::{environment, or_empty, validate_local_non_reserved_path};
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;

const MODES: std::ops::RangeInclusive<i32> = 0..=0o777;

fn validate_mode(errors: &mut ErrorList, path: FieldPath<'_>, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !MODES.contains(mode)) {
        errors.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn validate_key_to_paths(errors: &mut ErrorList, list: FieldPath<'_>, items: Option<&Vec<KeyToPath>>) {
    for (i, item) in items.into_iter().flatten().enumerate() {
        validate_key_to_path(errors, list.index(i), item);
    }
}

fn validate_key_to_path(errors: &mut ErrorList, path: FieldPath<'_>, item: &KeyToPath) {
    errors.require_non_empty(path.child("key"), &item.key);
    errors.require_non_empty(path.child("path"), &item.path);
    validate_local_non_reserved_path(errors, path.child("path"), &item.path);
    validate_mode(errors, path.child("mode"), item.mode);
}

/// Validates `secret`.
pub fn validate_secret(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(secret) = &volume.secret else { return };
    errors.require_non_empty(path.child("secretName"), or_empty(&secret.secret_name));
    validate_mode(errors, path.child("defaultMode"), secret.default_mode);
    validate_key_to_paths(errors, path.child("items"), secret.items.as_ref());
}

/// Validates `configMap`.
pub fn validate_config_map(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(map) = &volume.config_map else { return };
    errors.require_non_empty(path.child("name"), &map.name);
    validate_mode(errors, path.child("defaultMode"), map.default_mode);
    validate_key_to_paths(errors, path.child("items"), map.items.as_ref());
}

/// Validates `downwardAPI`.
pub fn validate_downward_api(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(downward) = &volume.downward_api else { return };
    validate_mode(errors, path.child("defaultMode"), downward.default_mode);
    for file in downward.items.iter().flatten() {
        validate_downward_api_file(errors, path, file);
    }
}

/// Validates a file of a downward API volume. Kubernetes' errors name the volume without the file's index.
fn validate_downward_api_file(errors: &mut ErrorList, path: FieldPath<'_>, file: &DownwardAPIVolumeFile) {
    errors.require_non_empty(path.child("path"), &file.path);
    validate_local_non_reserved_path(errors, path.child("path"), &file.path);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            environment::validate_object_field_selector(
                errors,
                path.child("fieldRef"),
                field,
                environment::FILE_FIELDS,
            );
            if resource.is_some() {
                errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(resource)) => {
            environment::validate_resource_field_selector(errors, path.child("resourceFieldRef"), resource, true)
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    validate_mode(errors, path.child("mode"), file.mode);
}

/// Validates `projected`.
pub fn validate_projected(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(projected) = &volume.projected else { return };
    validate_mode(errors, path.child("defaultMode"), projected.default_mode);
    let mut files = ProjectedFiles { path, paths: BTreeSet::new() };
    for (i, source) in projected.sources.iter().flatten().enumerate() {
        let sources = path.child("sources");
        validate_projection(errors, sources.index(i), source, &mut files);
    }
}

/// The paths of a projected volume's files, which must be unique.
struct ProjectedFiles<'f> {
    path: FieldPath<'f>,
    paths: BTreeSet<String>,
}

impl ProjectedFiles<'_> {
    fn add(&mut self, errors: &mut ErrorList, path: &str, reported_value: &str) {
        if !path.is_empty() && !self.paths.insert(path.to_string()) {
            errors.invalid(self.path, reported_value, "conflicting duplicate paths");
        }
    }
}

fn validate_projection(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    source: &VolumeProjection,
    files: &mut ProjectedFiles<'_>,
) {
    let objects = [
        ("secret", source.secret.as_ref().map(|secret| (&secret.name, &secret.items))),
        ("configMap", source.config_map.as_ref().map(|map| (&map.name, &map.items))),
    ];
    for (field, (name, items)) in objects.into_iter().filter_map(|(field, object)| Some((field, object?))) {
        let path = path.child(field);
        errors.require_non_empty(path.child("name"), name);
        for (i, item) in items.iter().flatten().enumerate() {
            let list = path.child("items");
            validate_key_to_path(errors, list.index(i), item);
            files.add(errors, &item.path, name);
        }
    }
    for file in source.downward_api.iter().flat_map(|downward| downward.items.iter().flatten()) {
        validate_downward_api_file(errors, path.child("downwardAPI"), file);
        files.add(errors, &file.path, &file.path);
    }
    if let Some(token) = &source.service_account_token {
        validate_token(errors, path.child("serviceAccountToken"), files.path, token);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        validate_trust_bundle(errors, path.child("clusterTrustBundle"), bundle);
        files.add(errors, &bundle.path, &bundle.path);
    }
    let sources = [
        source.secret.is_some(),
        source.config_map.is_some(),
        source.downward_api.is_some(),
        source.service_account_token.is_some(),
        source.cluster_trust_bundle.is_some(),
        source.pod_certificate.is_some(),
    ];
    if sources.into_iter().filter(|set| *set).count() > 1 {
        errors.forbidden(path, "may not specify more than 1 volume type per source");
    }
}

fn validate_token(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    volume: FieldPath<'_>,
    token: &ServiceAccountTokenProjection,
) {
    let seconds = token.expiration_seconds.unwrap_or(3600);
    if seconds < 600 {
        errors.invalid(path.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(path.child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds");
    }
    // Kubernetes reports these for the volume.
    if errors.require_non_empty(volume.child("path"), &token.path) {
        validate_local_non_reserved_path(errors, volume.child("path"), &token.path);
    }
}

fn validate_trust_bundle(errors: &mut ErrorList, path: FieldPath<'_>, bundle: &ClusterTrustBundleProjection) {
    match (bundle.name.as_deref(), bundle.signer_name.as_deref()) {
        (Some(_), Some(_)) => errors.invalid(path, bundle, "only one of name and signerName may be used"),
        (Some(name), None) => {
            if name.is_empty() {
                errors.required(path.child("name"), "must be a valid object name");
            }
            let messages = formats::dns_subdomain(name.rsplit(':').next().unwrap_or_default());
            let messages = messages.into_iter().map(|message| format!("not a valid clustertrustbundlename: {message}"));
            errors.invalid_each(path.child("name"), name, messages.collect());
            if bundle.label_selector.is_some() {
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid(path.child("labelSelector"), &bundle.label_selector, detail);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.required(path.child("signerName"), "must be a valid signer name");
            }
            metadata::validate_label_selector(errors, path.child("labelSelector"), bundle.label_selector.as_ref());
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
    errors.require_non_empty(path.child("path"), &bundle.path);
    validate_local_non_reserved_path(errors, path.child("path"), &bundle.path);
}

/// Rejects token projections of a pod without a service account.
pub fn forbid_tokens(errors: &mut ErrorList, list: FieldPath<'_>, volumes: &[Volume]) {
    for (i, volume) in volumes.iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for (j, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
            let volume = list.index(i);
            let projected = volume.child("projected");
            let sources = projected.child("sources");
            let source = sources.index(j);
            let detail = "must not be specified when serviceAccountName is not set";
            errors.forbidden(source.child("serviceAccountToken"), detail);
        }
    }
}
