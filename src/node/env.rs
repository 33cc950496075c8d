//! A container's environment: the image's variables, the manifest's, and what Kubernetes adds.

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::config::{ConfigError, Configs, Kind};
use crate::images::Image;
use crate::model::expansion::expand;
use crate::model::pods;

/// A variable that can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvError {
    #[error("environment variable {name:?}: field {path:?} is not supported")]
    Field { name: String, path: String },
    #[error("environment variable {name:?}: its source is not supported yet")]
    Source { name: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Where variables come from beside the manifest.
pub(super) struct Sources<'s> {
    pub(super) image: &'s Image,
    pub(super) configs: &'s Configs,
    pub(super) host_ip: &'s str,
    /// The pod's address.
    pub(super) ip: &'s str,
}

/// Variables in the order of the manifest; `$(NAME)` means those before.
pub(super) fn variables(
    pod: &Pod,
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Vec<(String, String)>, EnvError> {
    let mut all = sources.image.env.clone();
    set(&mut all, "HOSTNAME", host_name(pod));
    for from in container.env_from.iter().flatten() {
        let map = from.config_map_ref.as_ref().map(|from| (Kind::ConfigMap, &from.name, from.optional));
        let secret = from.secret_ref.as_ref().map(|from| (Kind::Secret, &from.name, from.optional));
        let Some((kind, name, optional)) = map.or(secret) else { continue };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in sources.configs.data(kind, name, optional == Some(true))?.into_iter().flatten() {
            set(&mut all, &format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned());
        }
    }
    for var in container.env.iter().flatten() {
        let value = match &var.value_from {
            Some(source) => from_source(pod, &var.name, source, sources)?,
            None => Some(expand(var.value.as_deref().unwrap_or_default(), |name| get(&all, name))),
        };
        if let Some(value) = value {
            set(&mut all, &var.name, value);
        }
    }
    if get(&all, "HOME").is_none() {
        set(&mut all, "HOME", "/root".into());
    }
    Ok(all)
}

/// The value of `name`.
pub(super) fn get<'v>(all: &'v [(String, String)], name: &str) -> Option<&'v str> {
    all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn set(all: &mut Vec<(String, String)>, name: &str, value: String) {
    all.retain(|(known, _)| known != name);
    all.push((name.into(), value));
}

/// The pod's host name: at most 63 characters (K76).
fn host_name(pod: &Pod) -> String {
    let asked = pod.spec.as_ref().and_then(|s| s.hostname.as_deref()).filter(|h| !h.is_empty());
    let name: String = asked.unwrap_or(pods::name(pod)).chars().take(63).collect();
    name.trim_end_matches(['-', '.']).to_string()
}

/// A variable's value; nothing for an optional one that is not there.
fn from_source(
    pod: &Pod,
    name: &str,
    source: &EnvVarSource,
    sources: &Sources<'_>,
) -> Result<Option<String>, EnvError> {
    let Sources { configs, host_ip, ip, .. } = sources;
    if let Some(from) = &source.config_map_key_ref {
        return Ok(configs.value(Kind::ConfigMap, &from.name, &from.key, from.optional == Some(true))?);
    }
    if let Some(from) = &source.secret_key_ref {
        return Ok(configs.value(Kind::Secret, &from.name, &from.key, from.optional == Some(true))?);
    }
    let field = source.field_ref.as_ref().ok_or_else(|| EnvError::Source { name: name.into() })?;
    let spec = pod.spec.as_ref();
    let path = field.field_path.as_str();
    let value = match path {
        "metadata.name" => Some(pods::name(pod).to_string()),
        "metadata.namespace" => Some(pods::namespace(pod).to_string()),
        "metadata.uid" => Some(pods::uid(pod).to_string()),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => {
            Some(spec.and_then(|s| s.service_account_name.clone()).unwrap_or("default".into()))
        }
        "status.hostIP" | "status.hostIPs" => Some(host_ip.to_string()),
        "status.podIP" | "status.podIPs" => Some(ip.to_string()),
        _ => keyed(pod, path),
    };
    value.map(Some).ok_or_else(|| EnvError::Field { name: name.into(), path: path.into() })
}

/// `metadata.labels['key']` and `metadata.annotations['key']`; empty where there is none.
fn keyed(pod: &Pod, path: &str) -> Option<String> {
    let (map, key) = path.split_once("['")?;
    let key = key.strip_suffix("']")?;
    let entries = match map {
        "metadata.labels" => &pod.metadata.labels,
        "metadata.annotations" => &pod.metadata.annotations,
        _ => return None,
    };
    Some(entries.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::images::Images;

    #[test]
    fn k76_a_host_name_is_the_one_that_is_asked_for_or_the_pods_cut_to_63() {
        let long = "a".repeat(62);
        for (name, spec, host) in [
            ("p", "{}", "p".to_string()),
            ("p", "{hostname: h, subdomain: s}", "h".into()),
            (&*format!("{long}bcd"), "{}", format!("{long}b")),
            (&*format!("{long}-cd"), "{}", long.clone()),
            (&*format!("{}.-cd", "a".repeat(61)), "{}", "a".repeat(61)),
        ] {
            let pod: Pod =
                serde_yaml::from_str(&format!("{{metadata: {{name: {name}}}, spec: {spec}}}")).expect("a pod");
            assert_eq!(host_name(&pod), host, "{name} {spec}");
        }
    }

    #[test]
    fn variables_see_those_before_them_and_the_pod() {
        let yaml = "{metadata: {name: p, labels: {tier: web}}, spec: {containers: [{name: c, env: [
            {name: A, value: x}, {name: B, value: '$(A)-$(C)-$$(A)'}, {name: C, value: y},
            {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
            {name: TIER, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''tier'']'}}}]}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let file = tempfile::NamedTempFile::with_suffix(".wasm").expect("a file");
        let images = Images::new(BTreeMap::new(), false);
        let image = images.find(&file.path().to_string_lossy(), Path::new("/")).expect("an image");
        let container = pods::container(&pod, "c").expect("the container");
        let configs = Configs::none();
        let sources = Sources { image: &image, configs: &configs, host_ip: "1.2.3.4", ip: "10.0.0.1" };
        let all = variables(&pod, container, &sources).expect("variables");
        for (name, value) in
            [("A", "x"), ("B", "x-$(C)-$(A)"), ("C", "y"), ("IP", "10.0.0.1"), ("TIER", "web"), ("HOSTNAME", "p")]
        {
            assert_eq!(get(&all, name), Some(value), "{name}");
        }
    }
}
