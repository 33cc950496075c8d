//! Volume mounts and volume devices of a container.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::volumes::DeclaredVolumes;
use super::{or_empty, validate_local_descending_path};
use crate::registry::fields::{ErrorList, FieldPath};

/// Validates `volumeMounts` and `volumeDevices`.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container, volumes: &DeclaredVolumes<'_>) {
    validate_mounts(errors, path.child("volumeMounts"), container, volumes);
    validate_devices(errors, path.child("volumeDevices"), container, volumes);
}

fn validate_mounts(errors: &mut ErrorList, list: FieldPath<'_>, container: &Container, volumes: &DeclaredVolumes<'_>) {
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mut mount_paths = BTreeSet::new();
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = list.index(i);
        errors.require_non_empty(path.child("name"), &mount.name);
        if !volumes.contains_key(mount.name.as_str()) {
            errors.not_found(path.child("name"), &mount.name);
        }
        errors.require_non_empty(path.child("mountPath"), &mount.mount_path);
        if !mount_paths.insert(mount.mount_path.as_str()) {
            errors.invalid(path.child("mountPath"), &mount.mount_path, "must be unique");
        }
        if devices.iter().any(|device| device.name == mount.name) {
            errors.invalid(path.child("name"), &mount.name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(path.child("mountPath"), &mount.mount_path, detail);
        }
        validate_sub_path(errors, list, path, mount);
        validate_propagation(errors, list, container, mount);
    }
}

/// Validates the sub path of a mount. Some of Kubernetes' errors name the list without the mount's index.
fn validate_sub_path(errors: &mut ErrorList, list: FieldPath<'_>, path: FieldPath<'_>, mount: &VolumeMount) {
    let (sub_path, expression) = (or_empty(&mount.sub_path), or_empty(&mount.sub_path_expr));
    if !sub_path.is_empty() {
        validate_local_descending_path(errors, list.child("subPath"), sub_path);
    }
    if !expression.is_empty() {
        if !sub_path.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(path.child("subPathExpr"), expression, detail);
        }
        validate_local_descending_path(errors, list.child("subPathExpr"), expression);
    }
}

fn validate_propagation(errors: &mut ErrorList, list: FieldPath<'_>, container: &Container, mount: &VolumeMount) {
    if let Some(propagation) = mount.mount_propagation.as_deref() {
        let path = list.child("mountPropagation");
        errors.check_one_of(path, propagation, &["Bidirectional", "HostToContainer", "None"]);
        let is_privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
        if propagation == "Bidirectional" && !is_privileged {
            errors.forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    let Some(recursive) = mount.recursive_read_only.as_deref() else { return };
    let path = list.child("recursiveReadOnly");
    errors.check_one_of(path, recursive, &["Disabled", "Enabled", "IfPossible"]);
    if matches!(recursive, "Enabled" | "IfPossible") {
        if mount.read_only != Some(true) {
            errors.forbidden(path, "may only be specified when readOnly is true");
        }
        if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
            errors.forbidden(path, "may only be specified when mountPropagation is None or not specified");
        }
    }
}

fn validate_devices(errors: &mut ErrorList, list: FieldPath<'_>, container: &Container, volumes: &DeclaredVolumes<'_>) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in container.volume_devices.iter().flatten().enumerate() {
        let path = list.index(i);
        let (name, device_path) = (device.name.as_str(), device.device_path.as_str());
        errors.require_non_empty(path.child("name"), name);
        if !name.is_empty() && !names.insert(name) {
            errors.invalid(path.child("name"), name, "must be unique");
        }
        match volumes.get(name) {
            None => errors.not_found(path.child("name"), name),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(path.child("name"), name, detail);
            }
            Some(_) => {}
        }
        errors.require_non_empty(path.child("devicePath"), device_path);
        if paths.contains(device_path) {
            errors.invalid(path.child("devicePath"), device_path, "must be unique");
        }
        if device_path.split('/').any(|part| part == "..") {
            errors.invalid(path.child("devicePath"), device_path, "can not contain backsteps ('..')");
        } else {
            paths.insert(device_path);
        }
        if mounts.iter().any(|mount| mount.name == name) {
            errors.invalid(path.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == device_path) {
            errors.invalid(path.child("devicePath"), device_path, "must not already exist as a path in volumeMounts");
        }
    }
}
