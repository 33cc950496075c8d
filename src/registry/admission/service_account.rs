//! Plugin `ServiceAccount`: sets the service account and mounts its token.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod, PodSpec,
    ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::{AdmissionContext, AdmissionError};
use crate::model::pods;
use crate::registry::identity;

/// The service account that every namespace has.
const DEFAULT_ACCOUNT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Kubernetes' value: slightly above an hour, which distinguishes tokens that clients renew in time.
const TOKEN_LIFETIME_SECONDS: i64 = 3607;
const FILE_MODE: i32 = 0o644;

/// Sets the default account, and mounts its token unless the pod opts out.
pub fn admit(pod: &mut Pod, context: &AdmissionContext<'_>) -> Result<(), AdmissionError> {
    if pods::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let namespace = pods::namespace(pod).to_string();
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let account = spec.service_account_name.get_or_insert_with(|| DEFAULT_ACCOUNT.into()).clone();
    spec.service_account = Some(account.clone());
    let is_known = account == DEFAULT_ACCOUNT
        || context.accepts_unknown_names()
        || context.find::<ServiceAccount>(&namespace, &account).is_some();
    if !is_known {
        return Err(AdmissionError::UnknownServiceAccount { namespace, account });
    }
    if context.settings.mount_tokens && spec.automount_service_account_token != Some(false) {
        mount_token(spec);
    }
    Ok(())
}

fn mount_token(spec: &mut PodSpec) {
    let name = format!("kube-api-access-{}", identity::random_suffix());
    let mut is_mounted = false;
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let mounts = container.volume_mounts.get_or_insert_default();
        if mounts.iter().all(|mount| mount.mount_path != MOUNT_PATH) {
            is_mounted = true;
            mounts.push(VolumeMount {
                name: name.clone(),
                mount_path: MOUNT_PATH.into(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
        }
    }
    if is_mounted {
        spec.volumes.get_or_insert_default().push(Volume {
            name,
            projected: Some(ProjectedVolumeSource { sources: Some(token_sources()), default_mode: Some(FILE_MODE) }),
            ..Volume::default()
        });
    }
}

/// Returns the sources of the volume: the token, the API server's CA certificate and the pod's namespace.
fn token_sources() -> Vec<VolumeProjection> {
    let token = ServiceAccountTokenProjection {
        expiration_seconds: Some(TOKEN_LIFETIME_SECONDS),
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
