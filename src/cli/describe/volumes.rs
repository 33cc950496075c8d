//! The volumes: what each is made of.

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};
use serde_json::Value;

use super::sheet::Sheet;

/// All volumes of a pod.
pub fn describe(sheet: &mut Sheet, volumes: &[Volume]) {
    if volumes.is_empty() {
        sheet.field(0, "Volumes", "<none>");
        return;
    }
    sheet.line(0, "Volumes:");
    for volume in volumes {
        sheet.line(1, format_args!("{}:", volume.name));
        source(sheet, volume);
    }
}

fn source(sheet: &mut Sheet, volume: &Volume) {
    let flag = |optional: Option<bool>| optional.unwrap_or_default();
    if let Some(host) = &volume.host_path {
        sheet.field(2, "Type", "HostPath (bare host directory volume)");
        sheet.field(2, "Path", &host.path);
        sheet.field(2, "HostPathType", host.type_.as_deref().unwrap_or("<none>"));
    } else if let Some(empty) = &volume.empty_dir {
        sheet.field(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
        sheet.field(2, "Medium", empty.medium.as_deref().unwrap_or_default());
        sheet.field(2, "SizeLimit", empty.size_limit.as_ref().map_or("<unset>", |limit| &limit.0));
    } else if let Some(map) = &volume.config_map {
        sheet.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
        sheet.field(2, "Name", &map.name);
        sheet.field(2, "Optional", flag(map.optional));
    } else if let Some(secret) = &volume.secret {
        sheet.field(2, "Type", "Secret (a volume populated by a Secret)");
        sheet.field(2, "SecretName", secret.secret_name.as_deref().unwrap_or_default());
        sheet.field(2, "Optional", flag(secret.optional));
    } else if let Some(claim) = &volume.persistent_volume_claim {
        let words = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
        sheet.field(2, "Type", words);
        sheet.field(2, "ClaimName", &claim.claim_name);
        sheet.field(2, "ReadOnly", flag(claim.read_only));
    } else if let Some(projected) = &volume.projected {
        sheet.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
        projected.sources.iter().flatten().for_each(|source| projection(sheet, source));
    } else {
        sheet.field(2, "Type", kind(volume));
    }
}

fn projection(sheet: &mut Sheet, source: &VolumeProjection) {
    if let Some(secret) = &source.secret {
        sheet.field(2, "SecretName", &secret.name);
        sheet.field(2, "Optional", secret.optional.unwrap_or_default());
    }
    if source.downward_api.is_some() {
        sheet.field(2, "DownwardAPI", true);
    }
    if let Some(map) = &source.config_map {
        sheet.field(2, "ConfigMapName", &map.name);
        sheet.field(2, "Optional", map.optional.unwrap_or_default());
    }
    if let Some(token) = &source.service_account_token {
        sheet.field(2, "TokenExpirationSeconds", token.expiration_seconds.unwrap_or(3600));
    }
}

/// The field that says what any other volume is.
fn kind(volume: &Volume) -> String {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    let mut names = fields.as_object().into_iter().flat_map(serde_json::Map::iter);
    names
        .find(|(name, value): &(&String, &Value)| *name != "name" && value.is_object())
        .map_or_else(|| "<unknown>".into(), |(name, _)| name.clone())
}
