//! A container's environment: variables of the image, of the manifest, and those that Kubernetes adds.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::config_objects::{ConfigError, ConfigKind, ConfigObjects};
use super::hosts;
use crate::images::Image;
use crate::model::expansion::{MAX_EXPANDED_BYTES, TooLong, expand};
use crate::model::pods;

/// A variable that has no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvError {
    #[error("environment variable {name:?}: field {path:?} is not supported")]
    Field { name: String, path: String },
    #[error("environment variable {name:?}: its source is not supported yet")]
    Source { name: String },
    #[error("environment variable {name:?} {source}")]
    TooLong { name: String, source: TooLong },
    #[error("environment variable {name:?}: the environment exceeds {} KiB", MAX_ENVIRONMENT_BYTES / 1024)]
    TooLarge { name: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Maximum size of an environment: that of arguments and environment together on Linux, with its default stack.
pub(super) const MAX_ENVIRONMENT_BYTES: usize = 2 * 1024 * 1024;

/// The variables of a container, each set once, in the order in which they were set last.
#[derive(Default)]
pub(super) struct Environment {
    entries: Vec<Option<(String, String)>>,
    /// The position of each variable in `entries`.
    positions: HashMap<String, usize>,
    bytes: usize,
}

impl Environment {
    /// Returns the value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let entry = self.entries.get(*self.positions.get(name)?)?;
        entry.as_ref().map(|(_, value)| value.as_str())
    }

    /// Returns the variables as names and values.
    pub(super) fn into_variables(self) -> Vec<(String, String)> {
        self.entries.into_iter().flatten().collect()
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), EnvError> {
        if value.len() > MAX_EXPANDED_BYTES {
            return Err(EnvError::TooLong { name: name.into(), source: TooLong });
        }
        self.bytes += name.len() + value.len();
        if self.bytes > MAX_ENVIRONMENT_BYTES {
            return Err(EnvError::TooLarge { name: name.into() });
        }
        let replaced = self.positions.insert(name.into(), self.entries.len());
        if let Some(entry) = replaced.and_then(|position| self.entries.get_mut(position)) {
            *entry = None;
        }
        self.entries.push(Some((name.into(), value)));
        Ok(())
    }
}

/// The sources of variables beside the manifest.
pub(super) struct EnvSources<'s> {
    pub(super) image: &'s Image,
    pub(super) configs: &'s ConfigObjects,
    pub(super) host_ip: &'s str,
    pub(super) pod_ip: &'s str,
}

/// Returns the variables in the manifest's order; `$(NAME)` refers to those before.
pub(super) fn variables(pod: &Pod, container: &Container, sources: &EnvSources<'_>) -> Result<Environment, EnvError> {
    let mut env = Environment::default();
    for (name, value) in &sources.image.env {
        env.set(name, value.clone())?;
    }
    env.set("HOSTNAME", hosts::hostname(pod))?;
    for from in container.env_from.iter().flatten() {
        let config_map = from.config_map_ref.as_ref().map(|from| (ConfigKind::ConfigMap, &from.name, from.optional));
        let secret = from.secret_ref.as_ref().map(|from| (ConfigKind::Secret, &from.name, from.optional));
        let Some((kind, name, optional)) = config_map.or(secret) else { continue };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in sources.configs.data(kind, name, optional == Some(true))?.into_iter().flatten() {
            env.set(&format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned())?;
        }
    }
    for var in container.env.iter().flatten() {
        let value = match &var.value_from {
            Some(source) => resolve_source(pod, &var.name, source, sources)?,
            None => {
                let text = var.value.as_deref().unwrap_or_default();
                let value = expand(text, |name| env.get(name));
                Some(value.map_err(|source| EnvError::TooLong { name: var.name.clone(), source })?)
            }
        };
        if let Some(value) = value {
            env.set(&var.name, value)?;
        }
    }
    if env.get("HOME").is_none() {
        env.set("HOME", "/root".into())?;
    }
    Ok(env)
}

/// Returns a variable's value; `None` if its source is missing and optional.
fn resolve_source(
    pod: &Pod,
    name: &str,
    source: &EnvVarSource,
    sources: &EnvSources<'_>,
) -> Result<Option<String>, EnvError> {
    let EnvSources { configs, host_ip, pod_ip, .. } = sources;
    if let Some(from) = &source.config_map_key_ref {
        return Ok(configs.value(ConfigKind::ConfigMap, &from.name, &from.key, from.optional == Some(true))?);
    }
    if let Some(from) = &source.secret_key_ref {
        return Ok(configs.value(ConfigKind::Secret, &from.name, &from.key, from.optional == Some(true))?);
    }
    let field = source.field_ref.as_ref().ok_or_else(|| EnvError::Source { name: name.into() })?;
    let spec = pod.spec.as_ref();
    let path = field.field_path.as_str();
    let value = match path {
        "metadata.name" => Some(pods::name(pod).to_string()),
        "metadata.namespace" => Some(pods::namespace(pod).to_string()),
        "metadata.uid" => Some(pods::node_uid(pod).to_string()),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => {
            Some(spec.and_then(|s| s.service_account_name.clone()).unwrap_or("default".into()))
        }
        "status.hostIP" | "status.hostIPs" => Some(host_ip.to_string()),
        "status.podIP" | "status.podIPs" => Some(pod_ip.to_string()),
        _ => map_entry(pod, path),
    };
    value.map(Some).ok_or_else(|| EnvError::Field { name: name.into(), path: path.into() })
}

/// Returns `metadata.labels['key']` or `metadata.annotations['key']`; empty if there is no such key.
fn map_entry(pod: &Pod, path: &str) -> Option<String> {
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
    fn hostname_defaults_to_pod_name_cut_to_63_characters() {
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
            assert_eq!(hosts::hostname(&pod), host, "{name} {spec}");
        }
    }

    #[test]
    fn variables_expand_earlier_variables_and_pod_fields() {
        let yaml = "{metadata: {name: p, labels: {tier: web}}, spec: {containers: [{name: c, env: [
            {name: A, value: x}, {name: B, value: '$(A)-$(C)-$$(A)'}, {name: C, value: y},
            {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
            {name: TIER, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''tier'']'}}}]}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let file = tempfile::NamedTempFile::with_suffix(".wasm").expect("a file");
        let images = Images::new(BTreeMap::new(), false);
        let image = images.find(&file.path().to_string_lossy(), Path::new("/")).expect("an image");
        let container = pods::container(&pod, "c").expect("the container");
        let configs = ConfigObjects::empty();
        let sources = EnvSources { image: &image, configs: &configs, host_ip: "1.2.3.4", pod_ip: "10.0.0.1" };
        let env = variables(&pod, container, &sources).expect("variables");
        for (name, value) in
            [("A", "x"), ("B", "x-$(C)-$(A)"), ("C", "y"), ("IP", "10.0.0.1"), ("TIER", "web"), ("HOSTNAME", "p")]
        {
            assert_eq!(env.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn environments_are_bounded() {
        let mut env = Environment::default();
        for round in 0..3 {
            for name in ["A", "B"] {
                env.set(name, format!("{name}{round}")).expect("set");
            }
        }
        env.set("A", "last".into()).expect("set");
        assert_eq!(env.into_variables(), [("B".into(), "B2".into()), ("A".into(), "last".to_string())]);
        let mut env = Environment::default();
        let value = "x".repeat(MAX_EXPANDED_BYTES);
        assert!(matches!(env.set("A", format!("{value}.")), Err(EnvError::TooLong { .. })));
        let failed = (0..).find(|i| env.set(&format!("V{i}"), value.clone()).is_err());
        assert_eq!(failed, Some(MAX_ENVIRONMENT_BYTES / MAX_EXPANDED_BYTES - 1));
    }
}
