//! Volumes that lie elsewhere: disks, file servers, drivers. No node of ours mounts them yet; their rules hold all the same.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, Volume};

use super::{check_descending, text};
use crate::model::formats;
use crate::registry::fields::{Faults, Path};
use crate::registry::metadata;

/// A clone of a repository.
pub fn git_repo(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(repo) = &volume.git_repo else { return };
    faults.require_text(at.child("repository"), &repo.repository);
    check_descending(faults, at.child("directory"), text(&repo.directory));
}

fn check_partition(faults: &mut Faults, at: Path<'_>, partition: Option<i32>) {
    if let Some(partition) = partition.filter(|partition| !(0..=255).contains(partition)) {
        faults.invalid(at.child("partition"), partition, "must be between 1 and 255, inclusive");
    }
}

/// A disk of Google's cloud.
pub fn gce(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(disk) = &volume.gce_persistent_disk else { return };
    faults.require_text(at.child("pdName"), &disk.pd_name);
    check_partition(faults, at, disk.partition);
}

/// A disk of Amazon's cloud.
pub fn aws(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(disk) = &volume.aws_elastic_block_store else { return };
    faults.require_text(at.child("volumeID"), &disk.volume_id);
    check_partition(faults, at, disk.partition);
}

/// A directory of an NFS server.
pub fn nfs(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(nfs) = &volume.nfs else { return };
    faults.require_text(at.child("server"), &nfs.server);
    faults.require_text(at.child("path"), &nfs.path);
    if !nfs.path.starts_with('/') {
        faults.invalid(at.child("path"), &nfs.path, "must be an absolute path");
    }
}

/// An iSCSI disk.
pub fn iscsi(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(iscsi) = &volume.iscsi else { return };
    faults.require_text(at.child("targetPortal"), &iscsi.target_portal);
    let known = |name: &str| ["iqn", "eui", "naa"].iter().any(|kind| name.starts_with(kind));
    let why = "must be valid format starting with iqn, eui, or naa";
    if faults.require_text(at.child("iqn"), &iscsi.iqn) && !known(&iscsi.iqn) {
        faults.invalid(at.child("iqn"), &iscsi.iqn, why);
    }
    faults.invalid_for(at.child("lun"), iscsi.lun, formats::between(0, 255, i64::from(iscsi.lun)));
    let chap = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    if chap && iscsi.secret_ref.is_none() {
        faults.required(at.child("secretRef"), "");
    }
    if let Some(initiator) = iscsi.initiator_name.as_deref().filter(|name| !known(name)) {
        faults.invalid(at.child("initiatorname"), initiator, why);
    }
}

/// A GlusterFS volume.
pub fn glusterfs(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(gluster) = &volume.glusterfs else { return };
    faults.require_text(at.child("endpoints"), &gluster.endpoints);
    faults.require_text(at.child("path"), &gluster.path);
}

/// A Flocker dataset.
pub fn flocker(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(flocker) = &volume.flocker else { return };
    let (name, uuid) = (text(&flocker.dataset_name), text(&flocker.dataset_uuid));
    match (name, uuid) {
        ("", "") => faults.required(at, "one of datasetName and datasetUUID is required"),
        ("", _) | (_, "") => {}
        _ => faults.invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously"),
    }
    if name.contains('/') {
        faults.invalid(at.child("datasetName"), name, "must not contain '/'");
    }
}

/// A Ceph block device.
pub fn rbd(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(rbd) = &volume.rbd else { return };
    if rbd.monitors.is_empty() {
        faults.required(at.child("monitors"), "");
    }
    faults.require_text(at.child("image"), &rbd.image);
}

/// A disk of OpenStack's.
pub fn cinder(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(cinder) = &volume.cinder else { return };
    faults.require_text(at.child("volumeID"), &cinder.volume_id);
    if let Some(secret) = &cinder.secret_ref {
        faults.require_text(at.child("secretRef").child("name"), &secret.name);
    }
}

/// A Ceph file system.
pub fn cephfs(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    if volume.cephfs.as_ref().is_some_and(|ceph| ceph.monitors.is_empty()) {
        faults.required(at.child("monitors"), "");
    }
}

/// A Quobyte volume.
pub fn quobyte(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(quobyte) = &volume.quobyte else { return };
    let why = "must be a host:port pair or multiple pairs separated by commas";
    if quobyte.registry.is_empty() {
        faults.required(at.child("registry"), why);
    } else if text(&quobyte.tenant).len() > 64 {
        faults.required(at.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in quobyte.registry.split(',').filter(|pair| !pair.contains(':')) {
            faults.invalid(at.child("registry"), &quobyte.registry, why);
        }
    }
    faults.require_text(at.child("volume"), &quobyte.volume);
}

/// A Fibre Channel disk.
pub fn fc(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(fc) = &volume.fc else { return };
    let targets = fc.target_wwns.as_deref().unwrap_or_default();
    let ids = fc.wwids.as_deref().unwrap_or_default();
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => {
            faults.required(at.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
        }
        (false, false) => {
            let why = "targetWWNs and wwids can not be specified simultaneously";
            faults.invalid(at.child("targetWWNs"), targets, why);
        }
        _ => {}
    }
    if !targets.is_empty() {
        match fc.lun {
            None => faults.required(at.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) => faults.invalid_for(at.child("lun"), lun, formats::between(0, 255, i64::from(lun))),
        }
    }
}

/// A volume of a driver in the kubelet's folder.
pub fn flex(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(flex) = &volume.flex_volume else { return };
    faults.require_text(at.child("driver"), &flex.driver);
    for key in flex.options.iter().flatten().map(|(key, _)| key) {
        let namespace = key.split_once('/').map_or(key.as_str(), |(namespace, _)| namespace);
        let dotted = format!(".{}", namespace.to_lowercase());
        if dotted.ends_with(".kubernetes.io") || dotted.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            faults.invalid(at.child("options").key(key), key, why);
        }
    }
}

/// A share of Azure's.
pub fn azure_file(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(azure) = &volume.azure_file else { return };
    faults.require_text(at.child("secretName"), &azure.secret_name);
    faults.require_text(at.child("shareName"), &azure.share_name);
}

/// A disk of Azure's.
pub fn azure_disk(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(azure) = &volume.azure_disk else { return };
    faults.require_text(at.child("diskName"), &azure.disk_name);
    faults.require_text(at.child("diskURI"), &azure.disk_uri);
    if let Some(mode) = azure.caching_mode.as_deref() {
        faults.one_of(at.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = azure.kind.as_deref() else { return };
    faults.one_of(at.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (start, form) = if kind == "Managed" {
        let form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        ("/subscriptions/", form)
    } else {
        ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
    };
    if !azure.disk_uri.starts_with(start) {
        faults.one_of(at.child("diskURI"), &azure.disk_uri, &[form]);
    }
}

/// A disk of vSphere's.
pub fn vsphere(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(vsphere) = &volume.vsphere_volume else { return };
    faults.require_text(at.child("volumePath"), &vsphere.volume_path);
}

/// A Photon disk.
pub fn photon(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(photon) = &volume.photon_persistent_disk else { return };
    faults.require_text(at.child("pdID"), &photon.pd_id);
}

/// A Portworx volume.
pub fn portworx(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(portworx) = &volume.portworx_volume else { return };
    faults.require_text(at.child("volumeID"), &portworx.volume_id);
}

/// A ScaleIO volume.
pub fn scale_io(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(scale_io) = &volume.scale_io else { return };
    faults.require_text(at.child("gateway"), &scale_io.gateway);
    faults.require_text(at.child("system"), &scale_io.system);
    faults.require_text(at.child("volumeName"), text(&scale_io.volume_name));
}

/// A StorageOS volume.
pub fn storageos(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(storageos) = &volume.storageos else { return };
    let (name, namespace) = (text(&storageos.volume_name), text(&storageos.volume_namespace));
    if faults.require_text(at.child("volumeName"), name) {
        faults.invalid_for(at.child("volumeName"), name, formats::dns_label(name));
    }
    if !namespace.is_empty() {
        faults.invalid_for(at.child("volumeNamespace"), namespace, formats::dns_label(namespace));
    }
    if let Some(secret) = &storageos.secret_ref {
        faults.require_text(at.child("secretRef").child("name"), &secret.name);
    }
}

/// A volume of a CSI driver.
pub fn csi(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(csi) = &volume.csi else { return };
    if faults.require_text(at.child("driver"), &csi.driver) {
        if csi.driver.len() > 63 {
            faults.too_long(at.child("driver"), 63);
        }
        faults.invalid_for(at.child("driver"), &csi.driver, formats::dns_subdomain(&csi.driver.to_lowercase()));
    }
    if let Some(secret) = &csi.node_publish_secret_ref {
        faults.require_text(at.child("nodePublishSecretRef").child("name"), &secret.name);
    }
}

/// A claim that lives as long as the pod.
pub fn ephemeral(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(ephemeral) = &volume.ephemeral else { return };
    let at = at.child("volumeClaimTemplate");
    let Some(template) = &ephemeral.volume_claim_template else {
        faults.required(at, "");
        return;
    };
    if let Some(meta) = &template.metadata {
        metadata::check_labels(faults, at.child("metadata").child("labels"), &meta.labels);
    }
    check_claim(faults, at.child("spec"), &template.spec);
}

fn check_claim(faults: &mut Faults, at: Path<'_>, claim: &PersistentVolumeClaimSpec) {
    let modes = claim.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        faults.required(at.child("accessModes"), "at least 1 access mode is required");
    }
    metadata::check_selector(faults, at.child("selector"), claim.selector.as_ref());
    for mode in modes {
        let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
        faults.one_of(at.child("accessModes"), mode, &known);
    }
    let requests = claim.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    if requests.is_none_or(|requests| !requests.contains_key("storage")) {
        faults.required(at.child("resources").key("storage"), "");
    }
    if let Some(mode) = claim.volume_mode.as_deref() {
        faults.one_of(at.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
}
