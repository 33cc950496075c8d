//! Namespaces: scopes for names.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use serde_json::Value;
use std::borrow::Cow;

use crate::control::Status;
use crate::model::formats;
use crate::model::selector::SelectableField;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};

/// The label by which selectors match a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer that stays until the namespace's content is gone.
const KUBERNETES: &str = "kubernetes";
/// The namespaces that a cluster needs.
const UNDELETABLE: [&str; 3] = ["default", "kube-public", "kube-system"];
/// The prefix of the labels that choose Pod security standards.
const POD_SECURITY: &str = "pod-security.kubernetes.io";

impl Strategy for Namespace {
    const INFO: KindInfo = KindInfo {
        short_names: &["ns"],
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[
            SubresourceInfo::new("finalize", "Namespace", &["update"]),
            SubresourceInfo::status("Namespace"),
        ],
        is_acted_on: true,
        ..KindInfo::new("namespace", "Q3oi5N2YM8M=")
    };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Status", "Phase of the namespace: Active or Terminating."), Column::AGE];
    const FIELDS: &'static [SelectableField<Self>] =
        &[("status.phase", |n| n.status.as_ref()?.phase.as_deref().map(Cow::Borrowed))];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![columns::name(&self.metadata), phase(self).into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        let name = self.metadata.name.clone().unwrap_or_default();
        self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
        self.spec.get_or_insert_default();
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() });
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == KUBERNETES) {
            finalizers.push(KUBERNETES.into());
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_namespace(errors, self);
        if errors.count() == 0 {
            validate_pod_security(errors, self);
        }
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        validate_namespace(errors, self);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let mut old_errors = ErrorList::default();
        validate_pod_security(&mut old_errors, old);
        // Labels that were wrong already may stay so.
        if errors.count() == 0 && old_errors.count() == 0 {
            validate_pod_security(errors, self);
        }
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let (wanted, when) = match self.metadata.deletion_timestamp {
            None => ("Active", "empty"),
            Some(_) => ("Terminating", "not empty"),
        };
        if phase(self) != wanted {
            let detail = format!("may only be '{wanted}' if `deletionTimestamp` is {when}");
            // Kubernetes writes the field with a capital letter.
            errors.invalid(FieldPath::root("status").child("Phase"), phase(self), detail);
        }
    }

    fn prepare_for_finalize_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_finalize_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let path = FieldPath::root("spec");
        let list = path.child("finalizers");
        for (i, finalizer) in finalizers(self).iter().enumerate() {
            validate_finalizer(errors, list.index(i), finalizer);
        }
    }

    fn check_delete(&self) -> Result<(), Status> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        match UNDELETABLE.contains(&name) {
            true => Err(Status::forbidden("namespaces", name, "this namespace may not be deleted")),
            false => Ok(()),
        }
    }

    fn prepare_for_delete(&mut self) {
        self.status.get_or_insert_default().phase = Some("Terminating".into());
        // Namespaces end without a grace period.
        self.metadata.deletion_grace_period_seconds = None;
    }

    fn has_finalizers(&self) -> bool {
        !finalizers(self).is_empty() || self.metadata.finalizers.as_ref().is_some_and(|list| !list.is_empty())
    }
}

/// Returns the finalizers in the spec.
fn finalizers(namespace: &Namespace) -> &[String] {
    namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default()
}

fn phase(namespace: &Namespace) -> &str {
    non_empty_or(namespace.status.as_ref().and_then(|status| status.phase.as_deref()), "")
}

fn validate_namespace(errors: &mut ErrorList, namespace: &Namespace) {
    metadata::validate_cluster_scoped_object_meta(errors, &namespace.metadata, formats::dns_label);
    for finalizer in finalizers(namespace) {
        validate_finalizer(errors, FieldPath::root("spec").child("finalizers"), finalizer);
    }
}

fn validate_finalizer(errors: &mut ErrorList, path: FieldPath<'_>, finalizer: &str) {
    errors.invalid_each(path, finalizer, formats::qualified_name(finalizer));
    if !finalizer.contains('/') && !matches!(finalizer, KUBERNETES | "orphan" | "foregroundDeletion") {
        errors.invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// Validates the labels of Pod security standards (admission plugin `PodSecurity`).
fn validate_pod_security(errors: &mut ErrorList, namespace: &Namespace) {
    let metadata = FieldPath::root("metadata");
    let path = metadata.child("labels");
    let labels = namespace.metadata.labels.as_ref();
    for mode in ["enforce", "audit", "warn"] {
        let key = format!("{POD_SECURITY}/{mode}");
        if let Some(level) = labels.and_then(|labels| labels.get(&key))
            && !matches!(level.as_str(), "privileged" | "baseline" | "restricted")
        {
            errors.invalid(path.key(&key), level, "must be one of privileged, baseline, restricted");
        }
        let key = format!("{POD_SECURITY}/{mode}-version");
        if let Some(version) = labels.and_then(|labels| labels.get(&key))
            && !is_version(version)
        {
            errors.invalid(path.key(&key), version, "must be \"latest\" or \"v1.x\"");
        }
    }
}

/// Returns whether the text is `latest` or a minor version such as `v1.36`.
fn is_version(text: &str) -> bool {
    let is_number = |text: &str| {
        let has_zeros = text.len() > 1 && text.starts_with('0');
        !text.is_empty() && !has_zeros && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    text == "latest" || text.strip_prefix("v1.").is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::strategy::testing::{errors, update_errors};

    fn namespace(labels: Value) -> Namespace {
        let mut namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "team", "labels": labels}})).expect("a namespace");
        namespace.set_defaults();
        namespace.prepare_for_create();
        namespace
    }

    #[test]
    fn wrong_pod_security_labels_are_rejected_once() {
        let good = namespace(json!({"pod-security.kubernetes.io/enforce-version": "v1.36"}));
        assert_eq!(errors(&good), [""; 0]);
        let bad = namespace(json!({
            "pod-security.kubernetes.io/enforce-version": "1.36", "pod-security.kubernetes.io/warn": "some",
        }));
        let want = [
            "metadata.labels[pod-security.kubernetes.io/enforce-version]: Invalid value: \"1.36\": must be \"latest\" or \
             \"v1.x\"",
            "metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: \"some\": must be one of privileged, \
             baseline, restricted",
        ];
        assert_eq!(errors(&bad), want);
        assert_eq!(update_errors(&good, &bad), want);
        assert_eq!(update_errors(&bad, &bad), [""; 0]);
    }

    #[test]
    fn phase_follows_the_deletion() {
        let old = namespace(json!({}));
        let mut new = old.clone();
        new.status.get_or_insert_default().phase = Some("Terminating".into());
        let mut errors = ErrorList::default();
        new.validate_status_update(&old, &mut errors);
        let causes: Vec<String> = errors.into_causes().iter().map(ToString::to_string).collect();
        let want = "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty";
        assert_eq!(causes, [want]);
    }
}
