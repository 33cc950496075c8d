//! Sources of PersistentVolumes: where the storage comes from. Those that pods have too follow the pods' rules.

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ISCSIPersistentVolumeSource, PersistentVolumeSpec, SecretReference, Volume,
};

use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::pod::validation::{disks, validate_host_path, validate_path_no_backsteps};

/// Returns whether a volume is of one type.
type IsSet = fn(&PersistentVolumeSpec) -> bool;

/// A type of volume.
struct VolumeType {
    /// The field, as errors about several sources name it.
    field: &'static str,
    is_set: IsSet,
    /// Validates the source; gets the path of the spec and the name of the volume.
    validate: fn(&mut ErrorList, FieldPath<'_>, &PersistentVolumeSpec, &str),
}

/// Validates a source by the rule for pods, which takes a volume of a pod.
macro_rules! as_in_pods {
    ($field:ident, $path:literal, $validate:path) => {
        |errors, path, spec, _| {
            let volume = Volume { $field: spec.$field.clone(), ..Volume::default() };
            $validate(errors, path.child($path), &volume);
        }
    };
}

/// Declares a source by its field and its rule.
macro_rules! source {
    ($name:literal, $field:ident, $validate:expr) => {
        VolumeType { field: $name, is_set: |spec| spec.$field.is_some(), validate: $validate }
    };
}

/// All sources, in the order in which Kubernetes validates them.
const VOLUME_TYPES: &[VolumeType] = &[
    source!("hostPath", host_path, as_in_pods!(host_path, "hostPath", validate_host_path)),
    source!(
        "gcePersistentDisk",
        gce_persistent_disk,
        as_in_pods!(gce_persistent_disk, "persistentDisk", disks::validate_gce_persistent_disk)
    ),
    source!(
        "awsElasticBlockStore",
        aws_elastic_block_store,
        as_in_pods!(aws_elastic_block_store, "awsElasticBlockStore", disks::validate_aws_elastic_block_store)
    ),
    source!("glusterfs", glusterfs, validate_glusterfs),
    source!("flocker", flocker, as_in_pods!(flocker, "flocker", disks::validate_flocker)),
    source!("nfs", nfs, as_in_pods!(nfs, "nfs", disks::validate_nfs)),
    source!("rbd", rbd, validate_rbd),
    source!("quobyte", quobyte, as_in_pods!(quobyte, "quobyte", disks::validate_quobyte)),
    source!("cephFS", cephfs, validate_cephfs),
    source!("iscsi", iscsi, validate_iscsi),
    source!("cinder", cinder, validate_cinder),
    source!("fc", fc, as_in_pods!(fc, "fc", disks::validate_fc)),
    source!("flexVolume", flex_volume, validate_flex_volume),
    source!("azureFile", azure_file, validate_azure_file),
    source!(
        "vsphereVolume",
        vsphere_volume,
        as_in_pods!(vsphere_volume, "vsphereVolume", disks::validate_vsphere_volume)
    ),
    source!(
        "photonPersistentDisk",
        photon_persistent_disk,
        as_in_pods!(photon_persistent_disk, "photonPersistentDisk", disks::validate_photon_persistent_disk)
    ),
    source!(
        "portworxVolume",
        portworx_volume,
        as_in_pods!(portworx_volume, "portworxVolume", disks::validate_portworx_volume)
    ),
    source!("azureDisk", azure_disk, as_in_pods!(azure_disk, "azureDisk", disks::validate_azure_disk)),
    source!("scaleIO", scale_io, validate_scale_io),
    source!("local", local, validate_local),
    source!("storageos", storageos, validate_storageos),
    source!("csi", csi, validate_csi),
];

/// The sources that no longer work, with their warnings.
const DEPRECATED: &[(&str, IsSet, &str)] = &[
    ("cephfs", |spec| spec.cephfs.is_some(), "deprecated in v1.28, non-functional in v1.31+"),
    (
        "photonPersistentDisk",
        |spec| spec.photon_persistent_disk.is_some(),
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("rbd", |spec| spec.rbd.is_some(), "deprecated in v1.28, non-functional in v1.31+"),
    ("scaleIO", |spec| spec.scale_io.is_some(), "deprecated in v1.16, non-functional in v1.22+"),
    ("storageOS", |spec| spec.storageos.is_some(), "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", |spec| spec.glusterfs.is_some(), "deprecated in v1.25, non-functional in v1.26+"),
];

/// Returns the fields of sources that no longer work, with their warnings.
pub fn deprecations(spec: &PersistentVolumeSpec) -> impl Iterator<Item = (&'static str, &'static str)> {
    DEPRECATED.iter().filter(|(_, is_set, _)| is_set(spec)).map(|(field, _, detail)| (*field, *detail))
}

/// Returns a spec with nothing but its sources.
pub fn only_sources(spec: &PersistentVolumeSpec) -> PersistentVolumeSpec {
    PersistentVolumeSpec {
        access_modes: None,
        capacity: None,
        claim_ref: None,
        mount_options: None,
        node_affinity: None,
        persistent_volume_reclaim_policy: None,
        storage_class_name: None,
        volume_attributes_class_name: None,
        volume_mode: None,
        ..spec.clone()
    }
}

/// Sets the defaults of the sources.
pub fn set_defaults(spec: &mut PersistentVolumeSpec) {
    if let Some(path) = &mut spec.host_path {
        path.type_.get_or_insert_default();
    }
    if let Some(iscsi) = &mut spec.iscsi {
        iscsi.iscsi_interface.get_or_insert_with(|| "default".into());
    }
    if let Some(rbd) = &mut spec.rbd {
        rbd.pool.get_or_insert_with(|| "rbd".into());
        rbd.user.get_or_insert_with(|| "admin".into());
        rbd.keyring.get_or_insert_with(|| "/etc/ceph/keyring".into());
    }
    if let Some(disk) = &mut spec.azure_disk {
        disk.caching_mode.get_or_insert_with(|| "ReadWrite".into());
        disk.kind.get_or_insert_with(|| "Shared".into());
        disk.fs_type.get_or_insert_with(|| "ext4".into());
        disk.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut spec.scale_io {
        scale_io.storage_mode.get_or_insert_with(|| "ThinProvisioned".into());
        scale_io.fs_type.get_or_insert_with(|| "xfs".into());
    }
}

/// Requires exactly one source, and validates it.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, name: &str) {
    let mut has_source = false;
    for source in VOLUME_TYPES.iter().filter(|source| (source.is_set)(spec)) {
        // As in Kubernetes, a Flex volume may be a second source.
        if has_source && source.field != "flexVolume" {
            errors.forbidden(path.child(source.field), "may not specify more than 1 volume type");
        } else {
            (source.validate)(errors, path, spec, name);
        }
        has_source = true;
    }
    if !has_source {
        errors.required(path, "must specify a volume type");
    }
}

fn or_empty(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// Requires the name of a secret, and its namespace.
fn require_secret(errors: &mut ErrorList, path: FieldPath<'_>, secret: Option<&SecretReference>) {
    if let Some(secret) = secret {
        errors.require_non_empty(path.child("name"), or_empty(&secret.name));
        errors.require_non_empty(path.child("namespace"), or_empty(&secret.namespace));
    }
}

fn validate_glusterfs(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(gluster) = &spec.glusterfs else { return };
    let path = path.child("glusterfs");
    errors.require_non_empty(path.child("endpoints"), &gluster.endpoints);
    errors.require_non_empty(path.child("path"), &gluster.path);
    match gluster.endpoints_namespace.as_deref() {
        None => {}
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.invalid(path.child("endpointsNamespace"), "", detail);
        }
        Some(namespace) => {
            errors.invalid_each(path.child("endpointsNamespace"), namespace, formats::dns_label(namespace));
        }
    }
}

fn validate_rbd(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(rbd) = &spec.rbd else { return };
    let path = path.child("rbd");
    if rbd.monitors.is_empty() {
        errors.required(path.child("monitors"), "");
    }
    errors.require_non_empty(path.child("image"), &rbd.image);
}

fn validate_cephfs(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    if spec.cephfs.as_ref().is_some_and(|ceph| ceph.monitors.is_empty()) {
        errors.required(path.child("cephfs").child("monitors"), "");
    }
}

fn validate_iscsi(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, name: &str) {
    let Some(iscsi) = &spec.iscsi else { return };
    let path = path.child("iscsi");
    errors.require_non_empty(path.child("targetPortal"), &iscsi.target_portal);
    if iscsi.initiator_name.is_some() && name.len() + 1 + iscsi.target_portal.len() > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                      iscsi.initiatorName is specified.";
        errors.invalid(path.child("targetportal"), &iscsi.target_portal, detail);
    }
    let detail = "must be valid format";
    if errors.require_non_empty(path.child("iqn"), &iscsi.iqn) && !is_iscsi_name(&iscsi.iqn) {
        errors.invalid(path.child("iqn"), &iscsi.iqn, detail);
    }
    errors.invalid_each(path.child("lun"), iscsi.lun, formats::between(0, 255, i64::from(iscsi.lun)));
    validate_chap_secret(errors, path.child("secretRef"), iscsi);
    if let Some(initiator) = iscsi.initiator_name.as_deref() {
        let is_of_known_kind = ["iqn", "eui", "naa"].iter().any(|kind| initiator.starts_with(kind));
        if !is_of_known_kind || !is_iscsi_name(initiator) {
            errors.invalid(path.child("initiatorname"), initiator, detail);
        }
    }
}

fn validate_chap_secret(errors: &mut ErrorList, path: FieldPath<'_>, iscsi: &ISCSIPersistentVolumeSource) {
    let uses_chap = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    match &iscsi.secret_ref {
        None if uses_chap => errors.required(path, ""),
        None => {}
        Some(secret) => {
            errors.require_non_empty(path.child("name"), or_empty(&secret.name));
        }
    }
}

/// Returns whether the text names an iSCSI node: `iqn.2016-04.test.com:storage.target00`, `eui.` or `naa.` and digits.
fn is_iscsi_name(text: &str) -> bool {
    let is_alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let has_digits = |digits: Option<&str>, count: usize| {
        digits.is_some_and(|digits| digits.len() == count && is_alphanumeric(digits))
    };
    match text.get(..3) {
        Some("iqn") => is_qualified_iscsi_name(text),
        Some("eui") => has_digits(text.get(4..), 16),
        Some("naa") => has_digits(text.get(4..), 32),
        _ => false,
    }
}

fn is_qualified_iscsi_name(text: &str) -> bool {
    let is_date = |date: &str| {
        let is_digit_or_dash = |(i, byte): (usize, u8)| if i == 4 { byte == b'-' } else { byte.is_ascii_digit() };
        date.len() == 7 && date.bytes().enumerate().all(is_digit_or_dash)
    };
    let Some((head, target)) = text.strip_prefix("iqn.").and_then(|rest| rest.split_once(':')) else { return false };
    let Some((date, authority)) = head.split_once('.') else { return false };
    let is_target_char = |c: char| !c.is_whitespace() && !",;*&$|".contains(c);
    is_date(date)
        && !authority.is_empty()
        && authority.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        && !target.is_empty()
        && target.chars().all(is_target_char)
}

fn validate_cinder(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(cinder) = &spec.cinder else { return };
    let path = path.child("cinder");
    errors.require_non_empty(path.child("volumeID"), &cinder.volume_id);
    require_secret(errors, path.child("secretRef"), cinder.secret_ref.as_ref());
}

fn validate_flex_volume(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(flex) = &spec.flex_volume else { return };
    disks::validate_flex_driver(errors, path.child("flexVolume"), &flex.driver, flex.options.as_ref());
}

fn validate_azure_file(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(azure) = &spec.azure_file else { return };
    let path = path.child("azureFile");
    errors.require_non_empty(path.child("secretName"), &azure.secret_name);
    errors.require_non_empty(path.child("shareName"), &azure.share_name);
    if azure.secret_namespace.as_deref() == Some("") {
        errors.required(path.child("secretNamespace"), "");
    }
}

fn validate_scale_io(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(scale_io) = &spec.scale_io else { return };
    let path = path.child("scaleIO");
    errors.require_non_empty(path.child("gateway"), &scale_io.gateway);
    errors.require_non_empty(path.child("system"), &scale_io.system);
    errors.require_non_empty(path.child("volumeName"), or_empty(&scale_io.volume_name));
}

fn validate_local(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(local) = &spec.local else { return };
    if errors.require_non_empty(path.child("local").child("path"), &local.path) {
        validate_path_no_backsteps(errors, path.child("local").child("path"), &local.path);
    }
    if spec.node_affinity.is_none() {
        errors.required(path.child("nodeAffinity"), "Local volume requires node affinity");
    }
}

fn validate_storageos(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(storageos) = &spec.storageos else { return };
    let path = path.child("storageos");
    let (name, namespace) = (or_empty(&storageos.volume_name), or_empty(&storageos.volume_namespace));
    if errors.require_non_empty(path.child("volumeName"), name) {
        errors.invalid_each(path.child("volumeName"), name, formats::dns_label(name));
    }
    if !namespace.is_empty() {
        errors.invalid_each(path.child("volumeNamespace"), namespace, formats::dns_label(namespace));
    }
    if let Some(secret) = &storageos.secret_ref {
        errors.require_non_empty(path.child("secretRef").child("name"), or_empty(&secret.name));
        errors.require_non_empty(path.child("secretRef").child("namespace"), or_empty(&secret.namespace));
    }
}

fn validate_csi(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PersistentVolumeSpec, _: &str) {
    let Some(csi) = &spec.csi else { return };
    let path = path.child("csi");
    errors.require_non_empty(path.child("driver"), &csi.driver);
    if csi.driver.len() > 63 {
        errors.too_long(path.child("driver"), 63);
    }
    errors.invalid_each(path.child("driver"), &csi.driver, formats::dns_subdomain(&csi.driver.to_lowercase()));
    errors.require_non_empty(path.child("volumeHandle"), &csi.volume_handle);
    let CSIPersistentVolumeSource {
        controller_publish_secret_ref,
        controller_expand_secret_ref,
        node_publish_secret_ref,
        node_expand_secret_ref,
        ..
    } = csi;
    for (field, secret) in [
        ("controllerPublishSecretRef", controller_publish_secret_ref),
        ("controllerExpandSecretRef", controller_expand_secret_ref),
        ("nodePublishSecretRef", node_publish_secret_ref),
        ("nodeExpandSecretRef", node_expand_secret_ref),
    ] {
        let Some(secret) = secret else { continue };
        let path = path.child(field);
        let (name, namespace) = (or_empty(&secret.name), or_empty(&secret.namespace));
        if errors.require_non_empty(path.child("name"), name) {
            errors.invalid_each(path.child("name"), name, formats::dns_subdomain(name));
        }
        if errors.require_non_empty(path.child("namespace"), namespace) {
            errors.invalid_each(path.child("namespace"), namespace, formats::dns_label(namespace));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iscsi_names_follow_their_formats() {
        for (name, is_valid) in [
            ("iqn.2016-04.test.com:storage.target00", true),
            ("iqn.2016-04.test.com", false),
            ("iqn.16-04.test.com:x", false),
            ("iqn.2016-04.test.com:a,b", false),
            ("eui.0123456789ABCDEF", true),
            ("eui.0123456789ABCDE", false),
            ("naa.62004567BA64678D0123456789ABCDEF", true),
            ("naa.1", false),
            ("x", false),
        ] {
            assert_eq!(is_iscsi_name(name), is_valid, "{name}");
        }
    }
}
