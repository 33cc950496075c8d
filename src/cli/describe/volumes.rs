//! The section of volumes.

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};
use serde_json::Value;

use super::prefix_writer::PrefixWriter;

/// Writes the volumes of a pod.
pub fn describe(out: &mut PrefixWriter, volumes: &[Volume]) {
    if volumes.is_empty() {
        out.field(0, "Volumes", "<none>");
        return;
    }
    out.line(0, "Volumes:");
    for volume in volumes {
        out.line(1, format_args!("{}:", volume.name));
        volume_source(out, volume);
    }
}

fn volume_source(out: &mut PrefixWriter, volume: &Volume) {
    let flag = |optional: Option<bool>| optional.unwrap_or_default();
    if let Some(host) = &volume.host_path {
        out.field(2, "Type", "HostPath (bare host directory volume)");
        out.field(2, "Path", &host.path);
        out.field(2, "HostPathType", host.type_.as_deref().unwrap_or("<none>"));
    } else if let Some(empty) = &volume.empty_dir {
        out.field(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
        out.field(2, "Medium", empty.medium.as_deref().unwrap_or_default());
        out.field(2, "SizeLimit", empty.size_limit.as_ref().map_or("<unset>", |limit| &limit.0));
    } else if let Some(map) = &volume.config_map {
        out.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
        out.field(2, "Name", &map.name);
        out.field(2, "Optional", flag(map.optional));
    } else if let Some(secret) = &volume.secret {
        out.field(2, "Type", "Secret (a volume populated by a Secret)");
        out.field(2, "SecretName", secret.secret_name.as_deref().unwrap_or_default());
        out.field(2, "Optional", flag(secret.optional));
    } else if let Some(claim) = &volume.persistent_volume_claim {
        let description = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
        out.field(2, "Type", description);
        out.field(2, "ClaimName", &claim.claim_name);
        out.field(2, "ReadOnly", flag(claim.read_only));
    } else if let Some(projected) = &volume.projected {
        out.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
        projected.sources.iter().flatten().for_each(|source| projected_source(out, source));
    } else {
        out.field(2, "Type", source_name(volume));
    }
}

fn projected_source(out: &mut PrefixWriter, source: &VolumeProjection) {
    if let Some(secret) = &source.secret {
        out.field(2, "SecretName", &secret.name);
        out.field(2, "Optional", secret.optional.unwrap_or_default());
    }
    if source.downward_api.is_some() {
        out.field(2, "DownwardAPI", true);
    }
    if let Some(map) = &source.config_map {
        out.field(2, "ConfigMapName", &map.name);
        out.field(2, "Optional", map.optional.unwrap_or_default());
    }
    if let Some(token) = &source.service_account_token {
        out.field(2, "TokenExpirationSeconds", token.expiration_seconds.unwrap_or(3600));
    }
}

/// Returns the name of the field that defines the volume's source.
fn source_name(volume: &Volume) -> String {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    let mut names = fields.as_object().into_iter().flat_map(serde_json::Map::iter);
    names
        .find(|(name, value): &(&String, &Value)| *name != "name" && value.is_object())
        .map_or_else(|| "<unknown>".into(), |(name, _)| name.clone())
}
