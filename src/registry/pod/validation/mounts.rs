//! Where volumes stand in a container: mounts and devices.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::volumes::Volumes;
use super::{check_descending, text};
use crate::registry::fields::{Faults, Path};

/// `volumeMounts` and `volumeDevices`.
pub fn check(faults: &mut Faults, at: Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    check_mounts(faults, at.child("volumeMounts"), container, volumes);
    check_devices(faults, at.child("volumeDevices"), container, volumes);
}

fn check_mounts(faults: &mut Faults, list: Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mut points = BTreeSet::new();
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = list.index(i);
        faults.require_text(at.child("name"), &mount.name);
        if !volumes.contains_key(mount.name.as_str()) {
            faults.not_found(at.child("name"), &mount.name);
        }
        faults.require_text(at.child("mountPath"), &mount.mount_path);
        if !points.insert(mount.mount_path.as_str()) {
            faults.invalid(at.child("mountPath"), &mount.mount_path, "must be unique");
        }
        if devices.iter().any(|device| device.name == mount.name) {
            faults.invalid(at.child("name"), &mount.name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let why = "must not already exist as a path in volumeDevices";
            faults.invalid(at.child("mountPath"), &mount.mount_path, why);
        }
        check_sub_path(faults, list, at, mount);
        check_propagation(faults, list, container, mount);
    }
}

/// Kubernetes names some of these by the list, without the mount's index.
fn check_sub_path(faults: &mut Faults, list: Path<'_>, at: Path<'_>, mount: &VolumeMount) {
    let (path, expression) = (text(&mount.sub_path), text(&mount.sub_path_expr));
    if !path.is_empty() {
        check_descending(faults, list.child("subPath"), path);
    }
    if !expression.is_empty() {
        if !path.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            faults.invalid(at.child("subPathExpr"), expression, why);
        }
        check_descending(faults, list.child("subPathExpr"), expression);
    }
}

fn check_propagation(faults: &mut Faults, list: Path<'_>, container: &Container, mount: &VolumeMount) {
    if let Some(propagation) = mount.mount_propagation.as_deref() {
        let at = list.child("mountPropagation");
        faults.one_of(at, propagation, &["Bidirectional", "HostToContainer", "None"]);
        let privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
        if propagation == "Bidirectional" && !privileged {
            faults.forbidden(at, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    let Some(recursive) = mount.recursive_read_only.as_deref() else { return };
    let at = list.child("recursiveReadOnly");
    faults.one_of(at, recursive, &["Disabled", "Enabled", "IfPossible"]);
    if matches!(recursive, "Enabled" | "IfPossible") {
        if mount.read_only != Some(true) {
            faults.forbidden(at, "may only be specified when readOnly is true");
        }
        if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
            faults.forbidden(at, "may only be specified when mountPropagation is None or not specified");
        }
    }
}

fn check_devices(faults: &mut Faults, list: Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in container.volume_devices.iter().flatten().enumerate() {
        let at = list.index(i);
        let (name, path) = (device.name.as_str(), device.device_path.as_str());
        faults.require_text(at.child("name"), name);
        if !name.is_empty() && !names.insert(name) {
            faults.invalid(at.child("name"), name, "must be unique");
        }
        match volumes.get(name) {
            None => faults.not_found(at.child("name"), name),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                faults.invalid(at.child("name"), name, why);
            }
            Some(_) => {}
        }
        faults.require_text(at.child("devicePath"), path);
        if paths.contains(path) {
            faults.invalid(at.child("devicePath"), path, "must be unique");
        }
        if path.split('/').any(|part| part == "..") {
            faults.invalid(at.child("devicePath"), path, "can not contain backsteps ('..')");
        } else {
            paths.insert(path);
        }
        if mounts.iter().any(|mount| mount.name == name) {
            faults.invalid(at.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == path) {
            faults.invalid(at.child("devicePath"), path, "must not already exist as a path in volumeMounts");
        }
    }
}
