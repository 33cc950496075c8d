//! Volumes: their names, that each has one source, and the sources that a node has by itself.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, Volume};

use super::{check_no_backsteps, disks, projections, text};
use crate::model::{formats, pods, quantity};
use crate::registry::fields::{Faults, Path};

/// The volumes that mounts may name.
pub type Volumes<'v> = BTreeMap<&'v str, &'v Volume>;

type Rule = fn(&mut Faults, Path<'_>, &Volume);

struct Source {
    /// The field, as a fault that is about having two sources says it.
    field: &'static str,
    /// The field, as the rule's own faults say it; Kubernetes is not always of one mind.
    name: &'static str,
    is_set: fn(&Volume) -> bool,
    rule: Rule,
}

macro_rules! source {
    ($field:literal, $member:ident, $rule:expr) => {
        source!($field as $field, $member, $rule)
    };
    ($field:literal as $name:literal, $member:ident, $rule:expr) => {
        Source { field: $field, name: $name, is_set: |volume| volume.$member.is_some(), rule: $rule }
    };
}

/// All kinds of volumes, in the order in which Kubernetes looks at them.
const SOURCES: &[Source] = &[
    source!("emptyDir", empty_dir, check_empty_dir),
    source!("hostPath", host_path, check_host_path),
    source!("gitRepo", git_repo, disks::git_repo),
    source!("gcePersistentDisk" as "persistentDisk", gce_persistent_disk, disks::gce),
    source!("awsElasticBlockStore", aws_elastic_block_store, disks::aws),
    source!("secret", secret, projections::secret),
    source!("nfs", nfs, disks::nfs),
    source!("iscsi", iscsi, disks::iscsi),
    source!("glusterfs", glusterfs, disks::glusterfs),
    source!("flocker", flocker, disks::flocker),
    source!("persistentVolumeClaim", persistent_volume_claim, check_claim),
    source!("rbd", rbd, disks::rbd),
    source!("cinder", cinder, disks::cinder),
    source!("cephFS" as "cephfs", cephfs, disks::cephfs),
    source!("quobyte", quobyte, disks::quobyte),
    source!("downwarAPI" as "downwardAPI", downward_api, projections::downward_api),
    source!("fc", fc, disks::fc),
    source!("flexVolume", flex_volume, disks::flex),
    source!("configMap", config_map, projections::config_map),
    source!("azureFile", azure_file, disks::azure_file),
    source!("vsphereVolume", vsphere_volume, disks::vsphere),
    source!("photonPersistentDisk", photon_persistent_disk, disks::photon),
    source!("portworxVolume", portworx_volume, disks::portworx),
    source!("azureDisk", azure_disk, disks::azure_disk),
    source!("storageos", storageos, disks::storageos),
    source!("projected", projected, projections::projected),
    source!("scaleIO", scale_io, disks::scale_io),
    source!("csi", csi, disks::csi),
    source!("ephemeral", ephemeral, disks::ephemeral),
    source!("image", image, check_image),
];

/// Checks all volumes and returns those that may be mounted.
pub fn check<'v>(faults: &mut Faults, list: Path<'_>, volumes: &'v [Volume], pod: &Pod) -> Volumes<'v> {
    let mut names = BTreeSet::new();
    let mut known = Volumes::new();
    let claims: BTreeSet<String> =
        volumes.iter().filter(|v| v.ephemeral.is_some()).map(|v| format!("{}-{}", pods::name(pod), v.name)).collect();
    for (i, volume) in volumes.iter().enumerate() {
        let at = list.index(i);
        let before = faults.count();
        check_source(faults, at, volume);
        if volume.ephemeral.is_some() && !pods::name(pod).is_empty() && !volume.name.is_empty() {
            let claim = format!("{}-{}", pods::name(pod), volume.name);
            let wrongs = formats::dns_subdomain(&claim).into_iter().map(|w| format!("PVC name {claim:?}: {w}"));
            faults.invalid_for(at.child("name"), &volume.name, wrongs.collect());
        }
        if faults.require_text(at.child("name"), &volume.name) {
            faults.invalid_for(at.child("name"), &volume.name, formats::dns_label(&volume.name));
        }
        if names.contains(volume.name.as_str()) {
            faults.duplicate(at.child("name"), &volume.name);
        }
        // Who mounts a volume that is at fault is told of a second fault, as by Kubernetes.
        if faults.count() == before {
            names.insert(volume.name.as_str());
            known.insert(&volume.name, volume);
        }
        if let Some(claim) = volume.persistent_volume_claim.as_ref().filter(|claim| claims.contains(&claim.claim_name))
        {
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            let at = at.child("persistentVolumeClaim");
            faults.invalid(at.child("claimName"), &claim.claim_name, why);
        }
    }
    known
}

fn check_source(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let mut found = false;
    for source in SOURCES.iter().filter(|source| (source.is_set)(volume)) {
        if found {
            faults.forbidden(at.child(source.field), "may not specify more than 1 volume type");
        } else {
            (source.rule)(faults, at.child(source.name), volume);
        }
        found = true;
    }
    if !found {
        faults.required(at, "must specify a volume type");
    }
}

fn check_empty_dir(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let limit = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref());
    if limit.is_some_and(|limit| quantity::nano(limit).map_or(true, |value| value < 0)) {
        faults.forbidden(at.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

fn check_host_path(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(host) = &volume.host_path else { return };
    if !faults.require_text(at.child("path"), &host.path) {
        return;
    }
    check_no_backsteps(faults, at.child("path"), &host.path);
    let types = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    faults.one_of(at.child("type"), text(&host.type_), &types);
}

fn check_claim(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(claim) = &volume.persistent_volume_claim else { return };
    faults.require_text(at.child("claimName"), &claim.claim_name);
}

fn check_image(faults: &mut Faults, at: Path<'_>, volume: &Volume) {
    let Some(image) = &volume.image else { return };
    faults.require_text(at.child("reference"), text(&image.reference));
    let policies = ["Always", "IfNotPresent", "Never"];
    faults.require_one_of(at.child("pullPolicy"), text(&image.pull_policy), &policies);
}
