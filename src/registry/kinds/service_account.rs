//! ServiceAccounts: identities of the programs in pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, ServiceAccount};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::ErrorList;
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

const ENFORCE_MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

impl Strategy for ServiceAccount {
    const INFO: KindInfo =
        KindInfo { short_names: &["sa"], is_acted_on: true, ..KindInfo::new("serviceaccount", "pbx9ZvyFpBE=") };
    const RETURNS_DELETED_OBJECT: bool = true;
    const COLUMNS: &'static [Column] = &[Column::NAME, Column::AGE];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![columns::name(&self.metadata), age(&self.metadata, now).into()]
    }

    fn prepare_for_create(&mut self) {
        keep_secret_names(self);
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        if !enforces_mountable_secrets(self) {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{ENFORCE_MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to \
             isolate access to mounted secrets"
        )]
    }

    fn prepare_for_update(&mut self, _old: &Self) {
        keep_secret_names(self);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        self.validate(errors);
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        if enforces_mountable_secrets(old) { Vec::new() } else { self.warnings_on_create() }
    }
}

/// Removes everything but the names from the references to secrets, which are in the account's namespace.
fn keep_secret_names(account: &mut ServiceAccount) {
    for secret in account.secrets.iter_mut().flatten() {
        *secret = ObjectReference { name: secret.name.take(), ..ObjectReference::default() };
    }
}

fn enforces_mountable_secrets(account: &ServiceAccount) -> bool {
    account.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(ENFORCE_MOUNTABLE_SECRETS))
}
