//! Volumes that show objects as files: ConfigMaps, Secrets, fields of the pod, tokens, and several in one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, DownwardAPIVolumeFile, KeyToPath, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};

use super::{check_projected_path, environment, text};
use crate::model::formats;
use crate::registry::fields::{Faults, Path};
use crate::registry::metadata;

const MODES: std::ops::RangeInclusive<i32> = 0..=0o777;

fn check_mode(faults: &mut Faults, at: Path<'_>, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !MODES.contains(mode)) {
        faults.invalid(at, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn check_items(faults: &mut Faults, list: Path<'_>, items: Option<&Vec<KeyToPath>>) {
    for (i, item) in items.into_iter().flatten().enumerate() {
        check_item(faults, list.index(i), item);
    }
}

fn check_item(faults: &mut Faults, at: Path<'_>, item: &KeyToPath) {
    faults.require_text(at.child("key"), &item.key);
    faults.require_text(at.child("path"), &item.path);
    check_projected_path(faults, at.child("path"), &item.path);
    check_mode(faults, at.child("mode"), item.mode);
}

/// A Secret's keys.
pub fn secret(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(secret) = &volume.secret else { return };
    faults.require_text(at.child("secretName"), text(&secret.secret_name));
    check_mode(faults, at.child("defaultMode"), secret.default_mode);
    check_items(faults, at.child("items"), secret.items.as_ref());
}

/// A ConfigMap's keys.
pub fn config_map(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(map) = &volume.config_map else { return };
    faults.require_text(at.child("name"), &map.name);
    check_mode(faults, at.child("defaultMode"), map.default_mode);
    check_items(faults, at.child("items"), map.items.as_ref());
}

/// Fields of the pod.
pub fn downward_api(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(downward) = &volume.downward_api else { return };
    check_mode(faults, at.child("defaultMode"), downward.default_mode);
    for file in downward.items.iter().flatten() {
        check_field_file(faults, at, file);
    }
}

/// Kubernetes names these by the volume, without the file's index.
fn check_field_file(faults: &mut Faults, at: Path<'_>, file: &DownwardAPIVolumeFile) {
    faults.require_text(at.child("path"), &file.path);
    check_projected_path(faults, at.child("path"), &file.path);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            environment::check_field(faults, at.child("fieldRef"), field, environment::FILE_FIELDS);
            if resource.is_some() {
                faults.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(resource)) => environment::check_resource(faults, at.child("resourceFieldRef"), resource, true),
        (None, None) => faults.required(at, "one of fieldRef and resourceFieldRef is required"),
    }
    check_mode(faults, at.child("mode"), file.mode);
}

/// Several sources in one volume.
pub fn projected(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(projected) = &volume.projected else { return };
    check_mode(faults, at.child("defaultMode"), projected.default_mode);
    let mut files = Files { at, paths: BTreeSet::new() };
    for (i, source) in projected.sources.iter().flatten().enumerate() {
        let sources = at.child("sources");
        check_projection(faults, sources.index(i), source, &mut files);
    }
}

/// The files of a projected volume: no two at one path.
struct Files<'f> {
    at: Path<'f>,
    paths: BTreeSet<String>,
}

impl Files<'_> {
    fn add(&mut self, faults: &mut Faults, path: &str, whose: &str) {
        if !path.is_empty() && !self.paths.insert(path.to_string()) {
            faults.invalid(self.at, whose, "conflicting duplicate paths");
        }
    }
}

fn check_projection(faults: &mut Faults, at: Path<'_>, source: &VolumeProjection, files: &mut Files<'_>) {
    let objects = [
        ("secret", source.secret.as_ref().map(|secret| (&secret.name, &secret.items))),
        ("configMap", source.config_map.as_ref().map(|map| (&map.name, &map.items))),
    ];
    for (field, (name, items)) in objects.into_iter().filter_map(|(field, object)| Some((field, object?))) {
        let at = at.child(field);
        faults.require_text(at.child("name"), name);
        for (i, item) in items.iter().flatten().enumerate() {
            let list = at.child("items");
            check_item(faults, list.index(i), item);
            files.add(faults, &item.path, name);
        }
    }
    for file in source.downward_api.iter().flat_map(|downward| downward.items.iter().flatten()) {
        check_field_file(faults, at.child("downwardAPI"), file);
        files.add(faults, &file.path, &file.path);
    }
    if let Some(token) = &source.service_account_token {
        check_token(faults, at.child("serviceAccountToken"), files.at, token);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        check_trust_bundle(faults, at.child("clusterTrustBundle"), bundle);
        files.add(faults, &bundle.path, &bundle.path);
    }
    let kinds = [
        source.secret.is_some(),
        source.config_map.is_some(),
        source.downward_api.is_some(),
        source.service_account_token.is_some(),
        source.cluster_trust_bundle.is_some(),
        source.pod_certificate.is_some(),
    ];
    if kinds.into_iter().filter(|set| *set).count() > 1 {
        faults.forbidden(at, "may not specify more than 1 volume type per source");
    }
}

fn check_token(faults: &mut Faults, at: Path<'_>, volume: Path<'_>, token: &ServiceAccountTokenProjection) {
    let seconds = token.expiration_seconds.unwrap_or(3600);
    if seconds < 600 {
        faults.invalid(at.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        faults.invalid(at.child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds");
    }
    // Kubernetes says these of the volume.
    if faults.require_text(volume.child("path"), &token.path) {
        check_projected_path(faults, volume.child("path"), &token.path);
    }
}

fn check_trust_bundle(faults: &mut Faults, at: Path<'_>, bundle: &ClusterTrustBundleProjection) {
    match (bundle.name.as_deref(), bundle.signer_name.as_deref()) {
        (Some(_), Some(_)) => faults.invalid(at, bundle, "only one of name and signerName may be used"),
        (Some(name), None) => {
            if name.is_empty() {
                faults.required(at.child("name"), "must be a valid object name");
            }
            let wrongs = formats::dns_subdomain(name.rsplit(':').next().unwrap_or_default());
            let wrongs = wrongs.into_iter().map(|wrong| format!("not a valid clustertrustbundlename: {wrong}"));
            faults.invalid_for(at.child("name"), name, wrongs.collect());
            if bundle.label_selector.is_some() {
                let why = "labelSelector must be unset if name is specified";
                faults.invalid(at.child("labelSelector"), &bundle.label_selector, why);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                faults.required(at.child("signerName"), "must be a valid signer name");
            }
            metadata::check_selector(faults, at.child("labelSelector"), bundle.label_selector.as_ref());
        }
        (None, None) => faults.required(at, "either name or signerName must be specified"),
    }
    faults.require_text(at.child("path"), &bundle.path);
    check_projected_path(faults, at.child("path"), &bundle.path);
}

/// A pod without a service account has no tokens.
pub fn forbid_tokens(faults: &mut Faults, list: Path<'_>, volumes: &[Volume]) {
    for (i, volume) in volumes.iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for (j, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
            let volume = list.index(i);
            let projected = volume.child("projected");
            let sources = projected.child("sources");
            let source = sources.index(j);
            let why = "must not be specified when serviceAccountName is not set";
            faults.forbidden(source.child("serviceAccountToken"), why);
        }
    }
}
