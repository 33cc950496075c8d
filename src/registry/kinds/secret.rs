//! Secrets: confidential data by key.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use std::borrow::Cow;

use crate::model::selector::SelectableField;
use crate::model::{formats, go_scanner};
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::kinds::config_map::{DATA, MAX_DATA_BYTES};
use crate::registry::kinds::tls_secret;
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

const OPAQUE: &str = "Opaque";
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

impl Strategy for Secret {
    const INFO: KindInfo = KindInfo { is_acted_on: true, ..KindInfo::new("secret", "S6u1pOWzb84=") };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Type", "Type of the secret, such as Opaque."), DATA, Column::AGE];
    const FIELDS: &'static [SelectableField<Self>] = &[("type", |s| s.type_.as_deref().map(Cow::Borrowed))];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(&self.metadata),
            non_empty_or(self.type_.as_deref(), "").into(),
            self.data.iter().flatten().count().into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        set_defaults(self);
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_secret(errors, self);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        if type_of(self) != "kubernetes.io/tls" {
            return Vec::new();
        }
        let value = |key: &str| self.data.iter().flatten().find(|(name, _)| *name == key).map(|(_, value)| &*value.0);
        let (certificate, key) = (value("tls.crt").unwrap_or_default(), value("tls.key").unwrap_or_default());
        tls_secret::warning(certificate, key).into_iter().collect()
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if type_of(self) != type_of(old) {
            errors.invalid(FieldPath::root("type"), type_of(self), "field is immutable");
        }
        metadata::validate_immutable(errors, old.immutable, self.immutable, &[("data", self.data != old.data)]);
        validate_secret(errors, self);
    }
}

/// Moves `stringData` into `data` and sets the default type.
fn set_defaults(secret: &mut Secret) {
    for (key, value) in secret.string_data.take().into_iter().flatten() {
        secret.data.get_or_insert_default().insert(key, ByteString(value.into_bytes()));
    }
    if type_of(secret).is_empty() {
        secret.type_ = Some(OPAQUE.into());
    }
}

fn type_of(secret: &Secret) -> &str {
    secret.type_.as_deref().unwrap_or_default()
}

fn validate_secret(errors: &mut ErrorList, secret: &Secret) {
    metadata::validate_object_meta(errors, &secret.metadata, formats::dns_subdomain);
    let data = FieldPath::root("data");
    let mut size = 0;
    for (key, value) in secret.data.iter().flatten() {
        errors.invalid_each(data.key(key), key, formats::config_map_key(key));
        size += value.0.len();
    }
    if size > MAX_DATA_BYTES {
        errors.too_long(data, MAX_DATA_BYTES);
    }
    validate_type(errors, secret);
}

/// Validates the keys that Kubernetes' own types require.
fn validate_type(errors: &mut ErrorList, secret: &Secret) {
    let data = FieldPath::root("data");
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let require_keys = |errors: &mut ErrorList, keys: &[&str]| {
        for key in keys.iter().filter(|key| value(key).is_none()) {
            errors.required(data.key(key), "");
        }
    };
    match type_of(secret) {
        "kubernetes.io/service-account-token" => {
            let annotations = secret.metadata.annotations.as_ref();
            if annotations.and_then(|all| all.get(SERVICE_ACCOUNT_NAME)).is_none_or(String::is_empty) {
                errors.required(FieldPath::root("metadata").child("annotations").key(SERVICE_ACCOUNT_NAME), "");
            }
        }
        "kubernetes.io/dockercfg" => validate_json(errors, data, ".dockercfg", value(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => {
            validate_json(errors, data, ".dockerconfigjson", value(".dockerconfigjson"));
        }
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            require_keys(errors, &["username", "password"]);
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            errors.required(data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => require_keys(errors, &["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn validate_json(errors: &mut ErrorList, data: FieldPath<'_>, key: &str, value: Option<&ByteString>) {
    match value {
        None => errors.required(data.key(key), ""),
        Some(value) => {
            if let Some(error) = object_error(&value.0) {
                errors.invalid(data.key(key), "<secret contents redacted>", error);
            }
        }
    }
}

/// Returns why the bytes are not a JSON object, in the words of Go.
fn object_error(json: &[u8]) -> Option<String> {
    if let Some(error) = go_scanner::syntax_error(json) {
        return Some(error);
    }
    let kind = match serde_json::from_slice::<Value>(json) {
        Ok(Value::Object(_) | Value::Null) => return None,
        Ok(Value::Array(_)) => "array",
        Ok(Value::String(_)) => "string",
        Ok(Value::Bool(_)) => "bool",
        Ok(Value::Number(_)) => "number",
        // Of the texts that Go reads, this parser rejects those that are nested deeply or not UTF-8.
        Err(_) => return None,
    };
    Some(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::strategy::testing::{errors, update_errors};

    fn secret(yaml: &str) -> Secret {
        let mut secret: Secret = serde_yaml::from_str(yaml).expect("a Secret");
        secret.metadata.name = Some("s".into());
        secret.metadata.namespace = Some("default".into());
        set_defaults(&mut secret);
        secret
    }

    #[test]
    fn built_in_types_require_their_keys() {
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
            assert_eq!(errors(&secret(yaml)), want, "{yaml}");
        }
    }

    #[test]
    fn string_data_is_stored_as_data_and_errors_redact_it() {
        let stored = secret("{data: {a: AA==}, stringData: {a: x}}");
        assert_eq!(stored.type_.as_deref(), Some("Opaque"));
        assert_eq!(stored.data.and_then(|data| data.get("a").cloned()), Some(ByteString(b"x".to_vec())));
        assert_eq!(stored.string_data, None);
        let bad = secret("{type: kubernetes.io/dockercfg, stringData: {.dockercfg: hunter2}}");
        let message = errors(&bad).join("\n");
        assert!(message.contains("<secret contents redacted>") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn type_and_immutable_secrets_reject_changes() {
        let detail = "Forbidden: field is immutable when `immutable` is set";
        for (old, new, want) in [
            ("{stringData: {a: x}}", "{stringData: {a: y}}", vec![]),
            ("{}", "{type: a/b}", vec!["type: Invalid value: \"a/b\": field is immutable".to_string()]),
            ("{immutable: true}", "{immutable: true, stringData: {a: y}}", vec![format!("data: {detail}")]),
            ("{immutable: true}", "{}", vec![format!("immutable: {detail}")]),
        ] {
            assert_eq!(update_errors(&secret(old), &secret(new)), want, "{old} to {new}");
        }
    }
}
