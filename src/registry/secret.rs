//! The rules of Secrets.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::config_map::MOST_DATA;
use super::fields::{Faults, Path};
use super::metadata;
use crate::control::Cause;
use crate::model::formats;

const OPAQUE: &str = "Opaque";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// Moves `stringData` to where it is stored, and names the type.
pub fn apply_defaults(secret: &mut Secret) {
    for (key, value) in secret.string_data.take().into_iter().flatten() {
        secret.data.get_or_insert_default().insert(key, ByteString(value.into_bytes()));
    }
    if type_of(secret).is_empty() {
        secret.type_ = Some(OPAQUE.into());
    }
}

/// Every fault of `secret`; none means that it may be stored.
pub fn causes(secret: &Secret) -> Vec<Cause> {
    let mut faults = Faults::default();
    check(&mut faults, secret);
    faults.into_causes()
}

/// Why `new` can't take the place of `old`; none means that it can.
pub fn causes_of_update(old: &Secret, new: &Secret) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check_before_update(&mut faults, &new.metadata, &old.metadata);
    metadata::check_update(&mut faults, &new.metadata, &old.metadata);
    if type_of(new) != type_of(old) {
        faults.invalid(Path::root("type"), type_of(new), "field is immutable");
    }
    metadata::check_immutable(&mut faults, old.immutable, new.immutable, &[("data", new.data != old.data)]);
    check(&mut faults, new);
    faults.into_causes()
}

fn type_of(secret: &Secret) -> &str {
    secret.type_.as_deref().unwrap_or_default()
}

fn check(faults: &mut Faults, secret: &Secret) {
    metadata::check(faults, &secret.metadata, formats::dns_subdomain);
    let data = Path::root("data");
    let mut size = 0;
    for (key, value) in secret.data.iter().flatten() {
        faults.invalid_for(data.key(key), key, formats::config_map_key(key));
        size += value.0.len();
    }
    if size > MOST_DATA {
        faults.too_long(data, MOST_DATA);
    }
    check_type(faults, secret);
}

/// Types of Kubernetes' own say which keys there are.
fn check_type(faults: &mut Faults, secret: &Secret) {
    let data = Path::root("data");
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let needs = |faults: &mut Faults, keys: &[&str]| {
        for key in keys.iter().filter(|key| value(key).is_none()) {
            faults.required(data.key(key), "");
        }
    };
    match type_of(secret) {
        "kubernetes.io/service-account-token" => {
            let annotations = secret.metadata.annotations.as_ref();
            if annotations.and_then(|all| all.get(ACCOUNT_NAME)).is_none_or(String::is_empty) {
                faults.required(Path::root("metadata").child("annotations").key(ACCOUNT_NAME), "");
            }
        }
        "kubernetes.io/dockercfg" => check_json(faults, data, ".dockercfg", value(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => {
            check_json(faults, data, ".dockerconfigjson", value(".dockerconfigjson"));
        }
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            needs(faults, &["username", "password"]);
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            faults.required(data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => needs(faults, &["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn check_json(faults: &mut Faults, data: Path<'_>, key: &str, value: Option<&ByteString>) {
    match value {
        None => faults.required(data.key(key), ""),
        Some(value) => {
            if let Err(error) = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(&value.0) {
                faults.invalid(data.key(key), "<secret contents redacted>", error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(yaml: &str) -> Secret {
        let mut secret: Secret = serde_yaml::from_str(yaml).expect("a Secret");
        secret.metadata.name = Some("s".into());
        secret.metadata.namespace = Some("default".into());
        apply_defaults(&mut secret);
        secret
    }

    fn words(causes: Vec<Cause>) -> Vec<String> {
        causes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn types_of_kubernetes_own_have_their_keys() {
        for (yaml, want) in [
            ("{stringData: {a: x}}", vec![]),
            ("{type: example.com/mine}", vec![]),
            ("{type: kubernetes.io/tls, stringData: {tls.crt: x}}", vec!["data[tls.key]: Required value"]),
            ("{type: kubernetes.io/ssh-auth}", vec!["data[ssh-privatekey]: Required value"]),
            ("{type: kubernetes.io/basic-auth, stringData: {username: a}}", vec![]),
            (
                "{type: kubernetes.io/basic-auth}",
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            ("{type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{}'}}", vec![]),
            ("{type: kubernetes.io/dockercfg}", vec!["data[.dockercfg]: Required value"]),
            (
                "{type: kubernetes.io/service-account-token}",
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
        ] {
            assert_eq!(words(causes(&secret(yaml))), want, "{yaml}");
        }
    }

    #[test]
    fn text_is_stored_as_data_and_no_contents_are_told() {
        let stored = secret("{data: {a: AA==}, stringData: {a: x}}");
        assert_eq!(stored.type_.as_deref(), Some("Opaque"));
        assert_eq!(stored.data.and_then(|data| data.get("a").cloned()), Some(ByteString(b"x".to_vec())));
        assert_eq!(stored.string_data, None);
        let bad = secret("{type: kubernetes.io/dockercfg, stringData: {.dockercfg: hunter2}}");
        let told = words(causes(&bad)).join("\n");
        assert!(told.contains("<secret contents redacted>") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_secret_keeps_its_type_and_what_is_immutable() {
        let why = "Forbidden: field is immutable when `immutable` is set";
        for (old, new, want) in [
            ("{stringData: {a: x}}", "{stringData: {a: y}}", vec![]),
            ("{}", "{type: a/b}", vec!["type: Invalid value: \"a/b\": field is immutable".to_string()]),
            ("{immutable: true}", "{immutable: true, stringData: {a: y}}", vec![format!("data: {why}")]),
            ("{immutable: true}", "{}", vec![format!("immutable: {why}")]),
        ] {
            assert_eq!(words(causes_of_update(&secret(old), &secret(new))), want, "{old} to {new}");
        }
    }
}
