//! Namespaces: scopes for names.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use serde_json::Value;
use std::borrow::Cow;

use crate::model::formats;
use crate::model::selector::SelectableField;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::ErrorList;
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

/// The label by which selectors match a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Strategy for Namespace {
    const INFO: KindInfo = KindInfo {
        short_names: &["ns"],
        verbs: &["create", "get", "list", "patch", "update", "watch"],
        is_acted_on: true,
        ..KindInfo::new("namespace", "Q3oi5N2YM8M=")
    };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Status", "Phase of the namespace: Active or Terminating."), Column::AGE];
    const FIELDS: &'static [SelectableField<Self>] =
        &[("status.phase", |n| n.status.as_ref()?.phase.as_deref().map(Cow::Borrowed))];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        vec![columns::name(&self.metadata), non_empty_or(phase, "").into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        let name = self.metadata.name.clone().unwrap_or_default();
        self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
    }

    fn prepare_for_create(&mut self) {
        let active = NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() };
        self.status.get_or_insert(active);
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, formats::dns_label);
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
    }
}
