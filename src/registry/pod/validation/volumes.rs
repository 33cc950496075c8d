//! Volumes: names, exactly one source each, and the sources that need no further system.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Volume;

use super::{SpecOwner, disks, or_empty, projections, validate_path_no_backsteps};
use crate::model::{formats, quantity};
use crate::registry::fields::{ErrorList, FieldPath};

/// The valid volumes by name, which mounts may refer to.
pub type DeclaredVolumes<'v> = BTreeMap<&'v str, &'v Volume>;

type ValidateSource = fn(&mut ErrorList, FieldPath<'_>, &Volume);

struct Source {
    /// The field's name in the error about a second source.
    field: &'static str,
    /// The field's name in the errors of its own rules; Kubernetes is not always consistent.
    name: &'static str,
    is_set: fn(&Volume) -> bool,
    validate: ValidateSource,
}

macro_rules! source {
    ($field:literal, $member:ident, $rule:expr) => {
        source!($field as $field, $member, $rule)
    };
    ($field:literal as $name:literal, $member:ident, $rule:expr) => {
        Source { field: $field, name: $name, is_set: |volume| volume.$member.is_some(), validate: $rule }
    };
}

/// All volume sources, in the order in which Kubernetes checks them.
const SOURCES: &[Source] = &[
    source!("emptyDir", empty_dir, validate_empty_dir),
    source!("hostPath", host_path, validate_host_path),
    source!("gitRepo", git_repo, disks::validate_git_repo),
    source!("gcePersistentDisk" as "persistentDisk", gce_persistent_disk, disks::validate_gce_persistent_disk),
    source!("awsElasticBlockStore", aws_elastic_block_store, disks::validate_aws_elastic_block_store),
    source!("secret", secret, projections::validate_secret),
    source!("nfs", nfs, disks::validate_nfs),
    source!("iscsi", iscsi, disks::validate_iscsi),
    source!("glusterfs", glusterfs, disks::validate_glusterfs),
    source!("flocker", flocker, disks::validate_flocker),
    source!("persistentVolumeClaim", persistent_volume_claim, validate_claim),
    source!("rbd", rbd, disks::validate_rbd),
    source!("cinder", cinder, disks::validate_cinder),
    source!("cephFS" as "cephfs", cephfs, disks::validate_cephfs),
    source!("quobyte", quobyte, disks::validate_quobyte),
    source!("downwarAPI" as "downwardAPI", downward_api, projections::validate_downward_api),
    source!("fc", fc, disks::validate_fc),
    source!("flexVolume", flex_volume, disks::validate_flex_volume),
    source!("configMap", config_map, projections::validate_config_map),
    source!("azureFile", azure_file, disks::validate_azure_file),
    source!("vsphereVolume", vsphere_volume, disks::validate_vsphere_volume),
    source!("photonPersistentDisk", photon_persistent_disk, disks::validate_photon_persistent_disk),
    source!("portworxVolume", portworx_volume, disks::validate_portworx_volume),
    source!("azureDisk", azure_disk, disks::validate_azure_disk),
    source!("storageos", storageos, disks::validate_storageos),
    source!("projected", projected, projections::validate_projected),
    source!("scaleIO", scale_io, disks::validate_scale_io),
    source!("csi", csi, disks::validate_csi),
    source!("ephemeral", ephemeral, disks::validate_ephemeral),
    source!("image", image, validate_image),
];

/// Validates all volumes and returns the valid ones.
pub(super) fn validate<'v>(
    errors: &mut ErrorList,
    list: FieldPath<'_>,
    volumes: &'v [Volume],
    owner: &SpecOwner<'_>,
) -> DeclaredVolumes<'v> {
    // The claims of ephemeral volumes are named after the pod.
    let pod_name = match owner {
        SpecOwner::Pod { name, .. } => *name,
        SpecOwner::Template => "",
    };
    let mut names = BTreeSet::new();
    let mut valid = DeclaredVolumes::new();
    let claims: BTreeSet<String> =
        volumes.iter().filter(|v| v.ephemeral.is_some()).map(|v| format!("{pod_name}-{}", v.name)).collect();
    for (i, volume) in volumes.iter().enumerate() {
        let path = list.index(i);
        let count_before = errors.count();
        validate_source(errors, path, volume);
        if volume.ephemeral.is_some() && !pod_name.is_empty() && !volume.name.is_empty() {
            let claim = format!("{pod_name}-{}", volume.name);
            let messages =
                formats::dns_subdomain(&claim).into_iter().map(|message| format!("PVC name {claim:?}: {message}"));
            errors.invalid_each(path.child("name"), &volume.name, messages.collect());
        }
        if errors.require_non_empty(path.child("name"), &volume.name) {
            errors.invalid_each(path.child("name"), &volume.name, formats::dns_label(&volume.name));
        }
        if names.contains(volume.name.as_str()) {
            errors.duplicate(path.child("name"), &volume.name);
        }
        // As in Kubernetes, a mount of an invalid volume is a second error.
        if errors.count() == count_before {
            names.insert(volume.name.as_str());
            valid.insert(&volume.name, volume);
        }
        let claim = volume.persistent_volume_claim.as_ref().filter(|_| !pod_name.is_empty());
        if let Some(claim) = claim.filter(|claim| claims.contains(&claim.claim_name)) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            let path = path.child("persistentVolumeClaim");
            errors.invalid(path.child("claimName"), &claim.claim_name, detail);
        }
    }
    valid
}

fn validate_source(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let mut has_source = false;
    for source in SOURCES.iter().filter(|source| (source.is_set)(volume)) {
        if has_source {
            errors.forbidden(path.child(source.field), "may not specify more than 1 volume type");
        } else {
            (source.validate)(errors, path.child(source.name), volume);
        }
        has_source = true;
    }
    if !has_source {
        errors.required(path, "must specify a volume type");
    }
}

fn validate_empty_dir(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let limit = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
    if limit.is_some_and(|limit| quantity::nano(limit).map_or(true, |value| value < 0)) {
        errors.forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

/// Validates `hostPath`.
pub fn validate_host_path(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(host) = &volume.host_path else { return };
    if !errors.require_non_empty(path.child("path"), &host.path) {
        return;
    }
    validate_path_no_backsteps(errors, path.child("path"), &host.path);
    let types = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    errors.check_one_of(path.child("type"), or_empty(&host.type_), &types);
}

fn validate_claim(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(claim) = &volume.persistent_volume_claim else { return };
    errors.require_non_empty(path.child("claimName"), &claim.claim_name);
}

fn validate_image(errors: &mut ErrorList, path: FieldPath<'_>, volume: &Volume) {
    let Some(image) = &volume.image else { return };
    errors.require_non_empty(path.child("reference"), or_empty(&image.reference));
    let policies = ["Always", "IfNotPresent", "Never"];
    errors.require_one_of(path.child("pullPolicy"), or_empty(&image.pull_policy), &policies);
}
