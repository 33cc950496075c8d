//! The ConfigMaps and Secrets that a pod names, read when one of its parts needs them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, KeyToPath, Pod, Secret, Volume};

use crate::control::{ControlPlane, Key, Reason, Resource, Status};
use crate::model::pods;
use crate::volumes::Content;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

/// What an object holds, by key.
type Data = BTreeMap<String, Vec<u8>>;

/// Why a value can't be had, in a kubelet's words (K44).
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

/// What was read for one purpose: each object once.
pub(super) struct Configs {
    namespace: String,
    found: BTreeMap<(Kind, String), Result<Data, Status>>,
}

impl Kind {
    fn resource(self) -> Resource {
        match self {
            Kind::ConfigMap => Resource::CONFIG_MAPS,
            Kind::Secret => Resource::SECRETS,
        }
    }

    /// As in `configmap "x" not found`.
    fn lower(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }
}

impl Configs {
    /// What the environment of `container` names.
    pub(super) async fn of_environment(control: &dyn ControlPlane, pod: &Pod, container: &Container) -> Configs {
        let mut named = Vec::new();
        for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
            named.extend(source.config_map_key_ref.as_ref().map(|from| (Kind::ConfigMap, from.name.clone())));
            named.extend(source.secret_key_ref.as_ref().map(|from| (Kind::Secret, from.name.clone())));
        }
        for from in container.env_from.iter().flatten() {
            named.extend(from.config_map_ref.as_ref().map(|from| (Kind::ConfigMap, from.name.clone())));
            named.extend(from.secret_ref.as_ref().map(|from| (Kind::Secret, from.name.clone())));
        }
        Configs::read(control, pod, named).await
    }

    /// Nothing.
    #[cfg(test)]
    pub(super) fn none() -> Configs {
        Configs { namespace: String::new(), found: BTreeMap::new() }
    }

    async fn read(control: &dyn ControlPlane, pod: &Pod, named: Vec<(Kind, String)>) -> Configs {
        let namespace = pods::namespace(pod).to_string();
        let mut found = BTreeMap::new();
        for (kind, name) in named {
            if !found.contains_key(&(kind, name.clone())) {
                let data = read(control, kind, &namespace, &name).await;
                found.insert((kind, name), data);
            }
        }
        Configs { namespace, found }
    }

    /// All that object `name` holds; nothing where it is `optional` and not there.
    pub(super) fn data(&self, kind: Kind, name: &str, optional: bool) -> Result<Option<&Data>, ConfigError> {
        match self.found.get(&(kind, name.to_string())) {
            Some(Ok(data)) => Ok(Some(data)),
            Some(Err(status)) if status.reason != Reason::NotFound => {
                Err(ConfigError::Unreadable { kind: kind.lower(), name: name.into(), source: status.clone() })
            }
            Some(Err(_)) | None if optional => Ok(None),
            Some(Err(_)) | None => Err(ConfigError::Missing { kind: kind.lower(), name: name.into() }),
        }
    }

    /// One value as text; nothing where it is `optional` and not there.
    pub(super) fn value(
        &self,
        kind: Kind,
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
                Err(ConfigError::NoKey { key, kind: kind.resource().kind, namespace, name })
            }
        }
    }
}

async fn read(control: &dyn ControlPlane, kind: Kind, namespace: &str, name: &str) -> Result<Data, Status> {
    let key = Key::new(kind.resource(), namespace, name);
    let object = control.get(&key).await?;
    let of_bytes = |(key, value): (String, k8s_openapi::ByteString)| (key, value.0);
    let broken = |error: serde_json::Error| Status::internal(error);
    Ok(match kind {
        Kind::ConfigMap => {
            let map = object.decode::<ConfigMap>().map_err(broken)?;
            let text = map.data.clone().unwrap_or_default();
            let text = text.into_iter().map(|(key, value)| (key, value.into_bytes()));
            text.chain(map.binary_data.clone().unwrap_or_default().into_iter().map(of_bytes)).collect()
        }
        Kind::Secret => {
            let secret = object.decode::<Secret>().map_err(broken)?;
            secret.data.clone().unwrap_or_default().into_iter().map(of_bytes).collect()
        }
    })
}

/// The files of a volume of `pod`, where it shows a ConfigMap or Secret.
pub(super) async fn content(
    control: &dyn ControlPlane,
    pod: &Pod,
    volume: &Volume,
) -> Result<Option<Content>, ConfigError> {
    let Some(source) = Source::of(volume) else { return Ok(None) };
    let configs = Configs::read(control, pod, vec![(source.kind, source.name.into())]).await;
    source.content(&configs).map(Some)
}

/// What a volume shows.
struct Source<'v> {
    kind: Kind,
    name: &'v str,
    optional: bool,
    items: Option<&'v [KeyToPath]>,
    mode: Option<i32>,
}

impl Source<'_> {
    fn of(volume: &Volume) -> Option<Source<'_>> {
        if let Some(map) = &volume.config_map {
            let (optional, items) = (map.optional == Some(true), map.items.as_deref());
            return Some(Source { kind: Kind::ConfigMap, name: &map.name, optional, items, mode: map.default_mode });
        }
        let secret = volume.secret.as_ref()?;
        let (optional, items) = (secret.optional == Some(true), secret.items.as_deref());
        let name = secret.secret_name.as_deref().unwrap_or_default();
        Some(Source { kind: Kind::Secret, name, optional, items, mode: secret.default_mode })
    }

    fn content(&self, configs: &Configs) -> Result<Content, ConfigError> {
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
                    let kind = if self.kind == Kind::Secret { "secret" } else { "config" };
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
    async fn k44_what_is_missing_is_told_in_kubelets_words() {
        let registry = Registry::new(ObjectStore::new(100), Clock::system());
        let map = serde_yaml::from_str("{metadata: {name: m, namespace: default}, data: {a: x}}").expect("a map");
        registry.create(Body::ConfigMap(Box::new(map))).await.expect("stored");
        let secret =
            serde_yaml::from_str("{metadata: {name: s, namespace: default}, stringData: {a: x}}").expect("a secret");
        registry.create(Body::Secret(Box::new(secret))).await.expect("stored");
        let pod: Pod = serde_yaml::from_str("{metadata: {name: p, namespace: default}}").expect("a pod");
        for (kind, name, key, found) in [
            (Kind::ConfigMap, "m", "a", Ok(Some("x"))),
            (Kind::Secret, "s", "a", Ok(Some("x"))),
            (Kind::ConfigMap, "m", "k", Err("couldn't find key k in ConfigMap default/m")),
            (Kind::Secret, "s", "k", Err("couldn't find key k in Secret default/s")),
            (Kind::ConfigMap, "n", "k", Err("configmap \"n\" not found")),
            (Kind::Secret, "n", "k", Err("secret \"n\" not found")),
        ] {
            let configs = Configs::read(&registry, &pod, vec![(kind, name.into())]).await;
            let value = configs.value(kind, name, key, false).map_err(|error| error.to_string());
            assert_eq!(value, found.map(|text| text.map(String::from)).map_err(String::from), "{kind:?} {name} {key}");
            if found.is_err() {
                assert_eq!(configs.value(kind, name, key, true).expect("optional"), None);
            }
        }
    }
}
