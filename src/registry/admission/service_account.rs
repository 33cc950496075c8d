//! Whom a pod acts for, and the files that prove it.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod, PodSpec,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::AdmissionSettings;
use crate::model::pods;
use crate::registry::identity;

/// Every namespace has this one.
const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A little more than an hour, so that a token that is renewed in time is told from one that is not.
const TOKEN_LIFETIME: i64 = 3607;
const FILE_MODE: i32 = 0o644;

/// Names the account, and mounts its token where the pod does not decline.
pub fn admit(pod: &mut Pod, settings: &AdmissionSettings) -> Result<(), String> {
    if pods::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let namespace = pods::namespace(pod).to_string();
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let account = spec.service_account_name.get_or_insert_with(|| DEFAULT.into()).clone();
    spec.service_account = Some(account.clone());
    if account != DEFAULT {
        return Err(format!(
            "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
        ));
    }
    if settings.mount_tokens && spec.automount_service_account_token != Some(false) {
        mount_token(spec);
    }
    Ok(())
}

fn mount_token(spec: &mut PodSpec) {
    let name = format!("kube-api-access-{}", identity::random_suffix());
    let mut used = false;
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let mounts = container.volume_mounts.get_or_insert_default();
        if mounts.iter().all(|mount| mount.mount_path != MOUNT_PATH) {
            used = true;
            mounts.push(VolumeMount {
                name: name.clone(),
                mount_path: MOUNT_PATH.into(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
        }
    }
    if used {
        spec.volumes.get_or_insert_default().push(Volume {
            name,
            projected: Some(ProjectedVolumeSource { sources: Some(sources()), default_mode: Some(FILE_MODE) }),
            ..Volume::default()
        });
    }
}

/// The token, the certificate by which the API server is known, and the pod's namespace.
fn sources() -> Vec<VolumeProjection> {
    let token = ServiceAccountTokenProjection {
        expiration_seconds: Some(TOKEN_LIFETIME),
        path: "token".into(),
        ..ServiceAccountTokenProjection::default()
    };
    let certificate = KeyToPath { key: "ca.crt".into(), path: "ca.crt".into(), mode: None };
    let authority = ConfigMapProjection {
        name: "kube-root-ca.crt".into(),
        items: Some(vec![certificate]),
        ..ConfigMapProjection::default()
    };
    let field = ObjectFieldSelector { api_version: Some("v1".into()), field_path: "metadata.namespace".into() };
    let namespace =
        DownwardAPIVolumeFile { path: "namespace".into(), field_ref: Some(field), ..DownwardAPIVolumeFile::default() };
    vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ]
}
