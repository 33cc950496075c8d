//! StorageClasses: how volumes are made for claims.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Serialize;
use serde_json::Value;

use crate::model::formats;
use crate::registry::admission::default_class;
use crate::registry::columns::{Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::pod::warnings::DEPRECATED_NODE_LABELS;
use crate::registry::strategy::{KindInfo, Strategy};

/// The annotations of the class that claims without one get.
pub const IS_DEFAULT: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;

impl Strategy for StorageClass {
    const INFO: KindInfo = KindInfo { short_names: &["sc"], ..KindInfo::new("storageclass", "K+m6uJwbjGY=") };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Provisioner", "What makes the volumes."),
        Column::text("ReclaimPolicy", "What happens to a volume when its claim is deleted."),
        Column::text("VolumeBindingMode", "When volumes are made and bound."),
        Column::text("AllowVolumeExpansion", "Whether claims may grow."),
        Column::AGE,
    ];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let mut name = self.metadata.name.clone().unwrap_or_default();
        if default_class::is_default(&self.metadata, IS_DEFAULT) {
            name += " (default)";
        }
        vec![
            name.into(),
            self.provisioner.as_str().into(),
            non_empty_or(self.reclaim_policy.as_deref(), "Delete").into(),
            non_empty_or(self.volume_binding_mode.as_deref(), "Immediate").into(),
            (self.allow_volume_expansion == Some(true)).into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        self.reclaim_policy.get_or_insert_with(|| "Delete".into());
        self.volume_binding_mode.get_or_insert_with(|| "Immediate".into());
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_class(errors, self);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let root = FieldPath::root("allowedTopologies");
        let mut warnings = Vec::new();
        for (i, term) in self.allowed_topologies.iter().flatten().enumerate() {
            let path = root.index(i);
            let list = path.child("matchLabelExpressions");
            for (j, rule) in term.match_label_expressions.iter().flatten().enumerate() {
                if let Some((key, detail)) = DEPRECATED_NODE_LABELS.iter().find(|(key, _)| *key == rule.key) {
                    warnings.push(format!("{}: {key} is {detail}", list.index(j).child("key")));
                }
            }
        }
        warnings
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        validate_class(errors, self);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        check_immutable(errors, "parameters", &self.parameters, &old.parameters);
        check_immutable(errors, "provisioner", &self.provisioner, &old.provisioner);
        check_immutable(errors, "reclaimPolicy", &self.reclaim_policy, &old.reclaim_policy);
        check_immutable(errors, "volumeBindingMode", &self.volume_binding_mode, &old.volume_binding_mode);
    }
}

fn check_immutable<T: PartialEq + Serialize>(errors: &mut ErrorList, field: &str, new: &T, old: &T) {
    if new != old {
        errors.invalid(FieldPath::root(field), new, "field is immutable");
    }
}

fn validate_class(errors: &mut ErrorList, class: &StorageClass) {
    metadata::validate_cluster_scoped_object_meta(errors, &class.metadata, formats::dns_subdomain);
    let path = FieldPath::root("provisioner");
    if errors.require_non_empty(path, &class.provisioner) {
        let provisioner = class.provisioner.to_lowercase();
        errors.invalid_each(path, &provisioner, formats::qualified_name(&provisioner));
    }
    validate_parameters(errors, FieldPath::root("parameters"), class.parameters.as_ref());
    let policy = class.reclaim_policy.as_deref().unwrap_or_default();
    if !policy.is_empty() {
        errors.check_one_of(FieldPath::root("reclaimPolicy"), policy, &["Delete", "Retain"]);
    }
    let mode = class.volume_binding_mode.as_deref().unwrap_or_default();
    errors.check_one_of(FieldPath::root("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]);
    // Kubernetes' list of known terms begins with an empty one for each term.
    let terms = class.allowed_topologies.as_deref().unwrap_or_default();
    let mut known = vec![BTreeMap::new(); terms.len()];
    for (i, term) in terms.iter().enumerate() {
        let list = FieldPath::root("allowedTopologies");
        let values = validate_topology(errors, list.index(i), term);
        for _ in known.iter().filter(|known| **known == values) {
            errors.duplicate(list.index(i).child("matchLabelExpressions"), "");
        }
        known.push(values);
    }
}

fn validate_parameters(errors: &mut ErrorList, path: FieldPath<'_>, parameters: Option<&BTreeMap<String, String>>) {
    let Some(parameters) = parameters else { return };
    if parameters.len() > MAX_PARAMETERS {
        errors.too_long(path, MAX_PARAMETERS);
        return;
    }
    if let Some((key, _)) = parameters.get_key_value("") {
        errors.invalid(path, key, "field can not be empty.");
    }
    let size: usize = parameters.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_PARAMETERS_BYTES {
        errors.too_long(path, MAX_PARAMETERS_BYTES);
    }
}

/// Validates a term and returns the values by key; keys must differ within a term, and terms must differ.
fn validate_topology<'t>(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    term: &'t TopologySelectorTerm,
) -> BTreeMap<&'t str, BTreeSet<&'t str>> {
    let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (i, rule) in term.match_label_expressions.iter().flatten().enumerate() {
        let list = path.child("matchLabelExpressions");
        let path = list.index(i);
        if rule.values.is_empty() {
            errors.required(path.child("values"), "");
        }
        let mut values = BTreeSet::new();
        for (j, value) in rule.values.iter().enumerate() {
            if !values.insert(value.as_str()) {
                errors.duplicate(path.child("values").index(j), value);
            }
        }
        errors.invalid_each(path.child("key"), &rule.key, formats::qualified_name(&rule.key));
        if by_key.insert(rule.key.as_str(), values).is_some() {
            errors.duplicate(path.child("key"), &rule.key);
        }
    }
    by_key
}
