//! ConfigMaps and Secrets that a pod refers to, read when an attempt or a volume needs them.

use std::collections::BTreeMap;

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ConfigMap, Container, KeyToPath, Pod, Secret, Volume};

use crate::control::{ControlPlane, Reason, Status};
use crate::model::pods;
use crate::volumes::Content;

/// The kind of a config object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ConfigKind {
    ConfigMap,
    Secret,
}

/// The data of an object, by key.
type ConfigData = BTreeMap<String, Vec<u8>>;

/// An object or key that cannot be read, in kubelet's words (K44).
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("{kind} {name:?} not found")]
    Missing { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { key: String, kind: &'static str, namespace: String, name: String },
    #[error("references non-existent {kind} key: {key}")]
    NoItem { kind: &'static str, key: String },
    #[error("cannot read {kind} {name:?}")]
    Unreadable { kind: &'static str, name: String, source: Status },
}

/// The objects that were read for one purpose, each once.
pub(super) struct ConfigObjects {
    namespace: String,
    objects: BTreeMap<(ConfigKind, String), Result<ConfigData, Status>>,
}

impl ConfigKind {
    /// Returns the kind in objects.
    fn name(self) -> &'static str {
        match self {
            ConfigKind::ConfigMap => ConfigMap::KIND,
            ConfigKind::Secret => Secret::KIND,
        }
    }

    /// Returns the word in messages such as `configmap "x" not found`.
    fn lowercase(self) -> &'static str {
        match self {
            ConfigKind::ConfigMap => "configmap",
            ConfigKind::Secret => "secret",
        }
    }
}

impl ConfigObjects {
    /// Reads the objects that the environment of `container` refers to.
    pub(super) async fn read_for_environment(
        control: &dyn ControlPlane,
        pod: &Pod,
        container: &Container,
    ) -> ConfigObjects {
        let mut references = Vec::new();
        for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
            references
                .extend(source.config_map_key_ref.as_ref().map(|from| (ConfigKind::ConfigMap, from.name.clone())));
            references.extend(source.secret_key_ref.as_ref().map(|from| (ConfigKind::Secret, from.name.clone())));
        }
        for from in container.env_from.iter().flatten() {
            references.extend(from.config_map_ref.as_ref().map(|from| (ConfigKind::ConfigMap, from.name.clone())));
            references.extend(from.secret_ref.as_ref().map(|from| (ConfigKind::Secret, from.name.clone())));
        }
        ConfigObjects::read(control, pod, references).await
    }

    #[cfg(test)]
    pub(super) fn empty() -> ConfigObjects {
        ConfigObjects { namespace: String::new(), objects: BTreeMap::new() }
    }

    async fn read(control: &dyn ControlPlane, pod: &Pod, references: Vec<(ConfigKind, String)>) -> ConfigObjects {
        let namespace = pods::namespace(pod).to_string();
        let mut objects = BTreeMap::new();
        for (kind, name) in references {
            if !objects.contains_key(&(kind, name.clone())) {
                let data = read_data(control, kind, &namespace, &name).await;
                objects.insert((kind, name), data);
            }
        }
        ConfigObjects { namespace, objects }
    }

    /// Returns the data of object `name`; `None` if it is missing and `optional`.
    pub(super) fn data(
        &self,
        kind: ConfigKind,
        name: &str,
        optional: bool,
    ) -> Result<Option<&ConfigData>, ConfigError> {
        match self.objects.get(&(kind, name.to_string())) {
            Some(Ok(data)) => Ok(Some(data)),
            Some(Err(status)) if status.reason != Reason::NotFound => {
                Err(ConfigError::Unreadable { kind: kind.lowercase(), name: name.into(), source: status.clone() })
            }
            Some(Err(_)) | None if optional => Ok(None),
            Some(Err(_)) | None => Err(ConfigError::Missing { kind: kind.lowercase(), name: name.into() }),
        }
    }

    /// Returns one value as text; `None` if it is missing and `optional`.
    pub(super) fn value(
        &self,
        kind: ConfigKind,
        name: &str,
        key: &str,
        optional: bool,
    ) -> Result<Option<String>, ConfigError> {
        let Some(data) = self.data(kind, name, optional)? else { return Ok(None) };
        match data.get(key) {
            Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
            None if optional => Ok(None),
            None => {
                let (key, namespace, name) = (key.into(), self.namespace.clone(), name.into());
                Err(ConfigError::NoKey { key, kind: kind.name(), namespace, name })
            }
        }
    }
}

async fn read_data(
    control: &dyn ControlPlane,
    kind: ConfigKind,
    namespace: &str,
    name: &str,
) -> Result<ConfigData, Status> {
    let decoded = |(key, value): (String, k8s_openapi::ByteString)| (key, value.0);
    Ok(match kind {
        ConfigKind::ConfigMap => {
            let map = control.api::<ConfigMap>(namespace).get(name).await?;
            let text = map.data.clone().unwrap_or_default();
            let text = text.into_iter().map(|(key, value)| (key, value.into_bytes()));
            text.chain(map.binary_data.clone().unwrap_or_default().into_iter().map(decoded)).collect()
        }
        ConfigKind::Secret => {
            let secret = control.api::<Secret>(namespace).get(name).await?;
            secret.data.clone().unwrap_or_default().into_iter().map(decoded).collect()
        }
    })
}

/// Returns the files of a volume of `pod` that projects a ConfigMap or Secret; `None` for other volumes.
pub(super) async fn volume_content(
    control: &dyn ControlPlane,
    pod: &Pod,
    volume: &Volume,
) -> Result<Option<Content>, ConfigError> {
    let Some(source) = ConfigVolumeSource::from_volume(volume) else { return Ok(None) };
    let configs = ConfigObjects::read(control, pod, vec![(source.kind, source.name.into())]).await;
    source.content(&configs).map(Some)
}

/// The ConfigMap or Secret that a volume projects.
struct ConfigVolumeSource<'v> {
    kind: ConfigKind,
    name: &'v str,
    optional: bool,
    items: Option<&'v [KeyToPath]>,
    mode: Option<i32>,
}

impl ConfigVolumeSource<'_> {
    fn from_volume(volume: &Volume) -> Option<ConfigVolumeSource<'_>> {
        if let Some(map) = &volume.config_map {
            let (optional, items) = (map.optional == Some(true), map.items.as_deref());
            let (kind, name, mode) = (ConfigKind::ConfigMap, &map.name, map.default_mode);
            return Some(ConfigVolumeSource { kind, name, optional, items, mode });
        }
        let secret = volume.secret.as_ref()?;
        let (optional, items) = (secret.optional == Some(true), secret.items.as_deref());
        let name = secret.secret_name.as_deref().unwrap_or_default();
        Some(ConfigVolumeSource { kind: ConfigKind::Secret, name, optional, items, mode: secret.default_mode })
    }

    fn content(&self, configs: &ConfigObjects) -> Result<Content, ConfigError> {
        let bits = |mode: Option<i32>| mode.or(self.mode).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
        let Some(data) = configs.data(self.kind, self.name, self.optional)? else { return Ok(Content::default()) };
        let Some(items) = self.items.filter(|items| !items.is_empty()) else {
            return Ok(data.iter().map(|(key, value)| (key.clone(), (value.clone(), bits(None)))).collect());
        };
        let mut content = Content::new();
        for item in items {
            match data.get(&item.key) {
                Some(value) => _ = content.insert(item.path.clone(), (value.clone(), bits(item.mode))),
                None if self.optional => {}
                None => {
                    let kind = if self.kind == ConfigKind::Secret { "secret" } else { "config" };
                    return Err(ConfigError::NoItem { kind, key: item.key.clone() });
                }
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::Body;
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    #[tokio::test(start_paused = true)]
    async fn missing_objects_and_keys_are_reported_in_kubelets_words() {
        let registry = Registry::new(ObjectStore::new(100), Clock::system());
        let map: ConfigMap =
            serde_yaml::from_str("{metadata: {name: m, namespace: default}, data: {a: x}}").expect("a map");
        registry.create(Body::from(map)).await.expect("stored");
        let secret: Secret =
            serde_yaml::from_str("{metadata: {name: s, namespace: default}, stringData: {a: x}}").expect("a secret");
        registry.create(Body::from(secret)).await.expect("stored");
        let pod: Pod = serde_yaml::from_str("{metadata: {name: p, namespace: default}}").expect("a pod");
        for (kind, name, key, expected) in [
            (ConfigKind::ConfigMap, "m", "a", Ok(Some("x"))),
            (ConfigKind::Secret, "s", "a", Ok(Some("x"))),
            (ConfigKind::ConfigMap, "m", "k", Err("couldn't find key k in ConfigMap default/m")),
            (ConfigKind::Secret, "s", "k", Err("couldn't find key k in Secret default/s")),
            (ConfigKind::ConfigMap, "n", "k", Err("configmap \"n\" not found")),
            (ConfigKind::Secret, "n", "k", Err("secret \"n\" not found")),
        ] {
            let configs = ConfigObjects::read(&registry, &pod, vec![(kind, name.into())]).await;
            let value = configs.value(kind, name, key, false).map_err(|error| error.to_string());
            assert_eq!(
                value,
                expected.map(|text| text.map(String::from)).map_err(String::from),
                "{kind:?} {name} {key}"
            );
            if expected.is_err() {
                assert_eq!(configs.value(kind, name, key, true).expect("optional"), None);
            }
        }
    }
}
