//! Volumes from disks, file servers and drivers. wasmpod mounts none of them, but validates them as Kubernetes does.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Volume;

use super::{or_empty, validate_local_descending_path};
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::{claims, metadata};

/// Validates `gitRepo`.
pub fn validate_git_repo(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(repo) = &volume.git_repo else { return };
    errors.require_non_empty(path.child("repository"), &repo.repository);
    validate_local_descending_path(errors, path.child("directory"), or_empty(&repo.directory));
}

fn validate_partition(errors: &mut ErrorList, path: FieldPath<'_>, partition: Option<i32>) {
    if let Some(partition) = partition.filter(|partition| !(0..=255).contains(partition)) {
        errors.invalid(path.child("partition"), partition, "must be between 1 and 255, inclusive");
    }
}

/// Validates `gcePersistentDisk`.
pub fn validate_gce_persistent_disk(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(disk) = &volume.gce_persistent_disk else { return };
    errors.require_non_empty(path.child("pdName"), &disk.pd_name);
    validate_partition(errors, path, disk.partition);
}

/// Validates `awsElasticBlockStore`.
pub fn validate_aws_elastic_block_store(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(disk) = &volume.aws_elastic_block_store else { return };
    errors.require_non_empty(path.child("volumeID"), &disk.volume_id);
    validate_partition(errors, path, disk.partition);
}

/// Validates `nfs`.
pub fn validate_nfs(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(nfs) = &volume.nfs else { return };
    errors.require_non_empty(path.child("server"), &nfs.server);
    errors.require_non_empty(path.child("path"), &nfs.path);
    if !nfs.path.starts_with('/') {
        errors.invalid(path.child("path"), &nfs.path, "must be an absolute path");
    }
}

/// Validates `iscsi`.
pub fn validate_iscsi(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(iscsi) = &volume.iscsi else { return };
    errors.require_non_empty(path.child("targetPortal"), &iscsi.target_portal);
    let is_known = |name: &str| ["iqn", "eui", "naa"].iter().any(|kind| name.starts_with(kind));
    let detail = "must be valid format starting with iqn, eui, or naa";
    if errors.require_non_empty(path.child("iqn"), &iscsi.iqn) && !is_known(&iscsi.iqn) {
        errors.invalid(path.child("iqn"), &iscsi.iqn, detail);
    }
    errors.invalid_each(path.child("lun"), iscsi.lun, formats::between(0, 255, i64::from(iscsi.lun)));
    let uses_chap = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    if uses_chap && iscsi.secret_ref.is_none() {
        errors.required(path.child("secretRef"), "");
    }
    if let Some(initiator) = iscsi.initiator_name.as_deref().filter(|name| !is_known(name)) {
        errors.invalid(path.child("initiatorname"), initiator, detail);
    }
}

/// Validates `glusterfs`.
pub fn validate_glusterfs(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(gluster) = &volume.glusterfs else { return };
    errors.require_non_empty(path.child("endpoints"), &gluster.endpoints);
    errors.require_non_empty(path.child("path"), &gluster.path);
}

/// Validates `flocker`.
pub fn validate_flocker(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(flocker) = &volume.flocker else { return };
    let (name, uuid) = (or_empty(&flocker.dataset_name), or_empty(&flocker.dataset_uuid));
    match (name, uuid) {
        ("", "") => errors.required(path, "one of datasetName and datasetUUID is required"),
        ("", _) | (_, "") => {}
        _ => errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"),
    }
    if name.contains('/') {
        errors.invalid(path.child("datasetName"), name, "must not contain '/'");
    }
}

/// Validates `rbd`.
pub fn validate_rbd(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(rbd) = &volume.rbd else { return };
    if rbd.monitors.is_empty() {
        errors.required(path.child("monitors"), "");
    }
    errors.require_non_empty(path.child("image"), &rbd.image);
}

/// Validates `cinder`.
pub fn validate_cinder(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(cinder) = &volume.cinder else { return };
    errors.require_non_empty(path.child("volumeID"), &cinder.volume_id);
    if let Some(secret) = &cinder.secret_ref {
        errors.require_non_empty(path.child("secretRef").child("name"), &secret.name);
    }
}

/// Validates `cephfs`.
pub fn validate_cephfs(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    if volume.cephfs.as_ref().is_some_and(|ceph| ceph.monitors.is_empty()) {
        errors.required(path.child("monitors"), "");
    }
}

/// Validates `quobyte`.
pub fn validate_quobyte(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(quobyte) = &volume.quobyte else { return };
    let detail = "must be a host:port pair or multiple pairs separated by commas";
    if quobyte.registry.is_empty() {
        errors.required(path.child("registry"), detail);
    } else if or_empty(&quobyte.tenant).len() > 64 {
        errors.required(path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in quobyte.registry.split(',').filter(|pair| !pair.contains(':')) {
            errors.invalid(path.child("registry"), &quobyte.registry, detail);
        }
    }
    errors.require_non_empty(path.child("volume"), &quobyte.volume);
}

/// Validates `fc`.
pub fn validate_fc(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(fc) = &volume.fc else { return };
    let targets = fc.target_wwns.as_deref().unwrap_or_default();
    let ids = fc.wwids.as_deref().unwrap_or_default();
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => {
            errors.required(path.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
        }
        (false, false) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.invalid(path.child("targetWWNs"), targets, detail);
        }
        _ => {}
    }
    if !targets.is_empty() {
        match fc.lun {
            None => errors.required(path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) => errors.invalid_each(path.child("lun"), lun, formats::between(0, 255, i64::from(lun))),
        }
    }
}

/// Validates `flexVolume`.
pub fn validate_flex_volume(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(flex) = &volume.flex_volume else { return };
    validate_flex_driver(errors, path, &flex.driver, flex.options.as_ref());
}

/// Validates the driver of a Flex volume and its options.
pub fn validate_flex_driver(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    driver: &str,
    options: Option<&BTreeMap<String, String>>,
) {
    errors.require_non_empty(path.child("driver"), driver);
    for key in options.into_iter().flat_map(BTreeMap::keys) {
        let namespace = key.split_once('/').map_or(key.as_str(), |(namespace, _)| namespace);
        let dotted = format!(".{}", namespace.to_lowercase());
        if dotted.ends_with(".kubernetes.io") || dotted.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.invalid(path.child("options").key(key), key, detail);
        }
    }
}

/// Validates `azureFile`.
pub fn validate_azure_file(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(azure) = &volume.azure_file else { return };
    errors.require_non_empty(path.child("secretName"), &azure.secret_name);
    errors.require_non_empty(path.child("shareName"), &azure.share_name);
}

/// Validates `azureDisk`.
pub fn validate_azure_disk(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(azure) = &volume.azure_disk else { return };
    errors.require_non_empty(path.child("diskName"), &azure.disk_name);
    errors.require_non_empty(path.child("diskURI"), &azure.disk_uri);
    if let Some(mode) = azure.caching_mode.as_deref() {
        errors.check_one_of(path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = azure.kind.as_deref() else { return };
    errors.check_one_of(path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (prefix, form) = if kind == "Managed" {
        let form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        ("/subscriptions/", form)
    } else {
        ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
    };
    if !azure.disk_uri.starts_with(prefix) {
        errors.check_one_of(path.child("diskURI"), &azure.disk_uri, &[form]);
    }
}

/// Validates `vsphereVolume`.
pub fn validate_vsphere_volume(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(vsphere) = &volume.vsphere_volume else { return };
    errors.require_non_empty(path.child("volumePath"), &vsphere.volume_path);
}

/// Validates `photonPersistentDisk`.
pub fn validate_photon_persistent_disk(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(photon) = &volume.photon_persistent_disk else { return };
    errors.require_non_empty(path.child("pdID"), &photon.pd_id);
}

/// Validates `portworxVolume`.
pub fn validate_portworx_volume(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(portworx) = &volume.portworx_volume else { return };
    errors.require_non_empty(path.child("volumeID"), &portworx.volume_id);
}

/// Validates `scaleIO`.
pub fn validate_scale_io(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(scale_io) = &volume.scale_io else { return };
    errors.require_non_empty(path.child("gateway"), &scale_io.gateway);
    errors.require_non_empty(path.child("system"), &scale_io.system);
    errors.require_non_empty(path.child("volumeName"), or_empty(&scale_io.volume_name));
}

/// Validates `storageos`.
pub fn validate_storageos(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(storageos) = &volume.storageos else { return };
    let (name, namespace) = (or_empty(&storageos.volume_name), or_empty(&storageos.volume_namespace));
    if errors.require_non_empty(path.child("volumeName"), name) {
        errors.invalid_each(path.child("volumeName"), name, formats::dns_label(name));
    }
    if !namespace.is_empty() {
        errors.invalid_each(path.child("volumeNamespace"), namespace, formats::dns_label(namespace));
    }
    if let Some(secret) = &storageos.secret_ref {
        errors.require_non_empty(path.child("secretRef").child("name"), &secret.name);
    }
}

/// Validates `csi`.
pub fn validate_csi(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(csi) = &volume.csi else { return };
    if errors.require_non_empty(path.child("driver"), &csi.driver) {
        if csi.driver.len() > 63 {
            errors.too_long(path.child("driver"), 63);
        }
        errors.invalid_each(path.child("driver"), &csi.driver, formats::dns_subdomain(&csi.driver.to_lowercase()));
    }
    if let Some(secret) = &csi.node_publish_secret_ref {
        errors.require_non_empty(path.child("nodePublishSecretRef").child("name"), &secret.name);
    }
}

/// Validates `ephemeral`.
pub fn validate_ephemeral(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(ephemeral) = &volume.ephemeral else { return };
    let path = path.child("volumeClaimTemplate");
    let Some(template) = &ephemeral.volume_claim_template else {
        errors.required(path, "");
        return;
    };
    if let Some(meta) = &template.metadata {
        metadata::validate_labels(errors, path.child("metadata").child("labels"), &meta.labels);
    }
    claims::validate_spec(errors, path.child("spec"), &template.spec, None);
}
