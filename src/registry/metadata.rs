//! Validation of metadata, for all kinds (`apimachinery/pkg/api/validation/objectmeta.go`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::fields::{ErrorList, FieldPath};
use crate::model::formats::{self, Violations};

/// Upper bound of an object's annotations: keys and values, in bytes.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Kubernetes' own finalizers, which need no domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

type StringMap = Option<BTreeMap<String, String>>;

/// The rule for the names of a kind.
pub type NameFormat = fn(&str) -> Violations;

/// Validates the metadata of a namespaced object.
pub fn validate_object_meta(errors: &mut ErrorList, meta: &ObjectMeta, name_format: NameFormat) {
    validate_namespaced_meta(errors, meta, name_format);
    validate_finalizer_names(errors, meta);
}

/// Validates the metadata of a cluster-scoped object.
pub fn validate_cluster_scoped_object_meta(errors: &mut ErrorList, meta: &ObjectMeta, name_format: NameFormat) {
    validate_cluster_scoped_meta(errors, meta, name_format);
    validate_finalizer_names(errors, meta);
}

fn validate_cluster_scoped_meta(errors: &mut ErrorList, meta: &ObjectMeta, name_format: NameFormat) {
    validate_names(errors, meta, name_format);
    errors.check_non_negative(FieldPath::root("metadata").child("generation"), meta.generation.unwrap_or(0));
    validate_labels_owners_and_finalizers(errors, meta);
}

/// Validates updated metadata; the UID is immutable.
pub fn validate_object_meta_update(errors: &mut ErrorList, new: &ObjectMeta, old: &ObjectMeta) {
    validate_meta_update(errors, new, old);
    validate_finalizer_names(errors, new);
}

/// Validates what Kubernetes' `rest.BeforeCreate` validates after the kind's own rules.
pub fn validate_before_create(errors: &mut ErrorList, meta: &ObjectMeta, is_namespaced: bool) {
    if is_namespaced {
        validate_namespaced_meta(errors, meta, path_segment_name);
    } else {
        validate_cluster_scoped_meta(errors, meta, path_segment_name);
    }
}

/// Validates what Kubernetes' `rest.BeforeUpdate` validates before the kind's own rules. These validate metadata again, so
/// that an error in metadata is reported more than once.
pub fn validate_before_update(errors: &mut ErrorList, new: &ObjectMeta, old: &ObjectMeta, is_namespaced: bool) {
    validate_before_create(errors, new, is_namespaced);
    validate_meta_update(errors, new, old);
}

/// Checks a name that only has to fit into a URL.
pub fn path_segment_name(name: &str) -> Violations {
    let mut messages = Violations::new();
    if matches!(name, "." | "..") {
        messages.push(format!("may not be '{name}'"));
    }
    for part in ["/", "%"].iter().filter(|part| name.contains(**part)) {
        messages.push(format!("may not contain '{part}'"));
    }
    messages
}

fn validate_names(errors: &mut ErrorList, meta: &ObjectMeta, name_format: NameFormat) {
    let path = FieldPath::root("metadata");
    if let Some(base) = non_empty(&meta.generate_name) {
        // A trailing dash is valid, because a suffix follows it.
        let stem = base.strip_suffix('-').map_or_else(|| base.to_string(), |stem| format!("{stem}a"));
        errors.invalid_each(path.child("generateName"), base, name_format(&stem));
    }
    match non_empty(&meta.name) {
        None => errors.required(path.child("name"), "name or generateName is required"),
        Some(name) => errors.invalid_each(path.child("name"), name, name_format(name)),
    }
}

fn validate_namespaced_meta(errors: &mut ErrorList, meta: &ObjectMeta, name_format: NameFormat) {
    validate_names(errors, meta, name_format);
    let path = FieldPath::root("metadata");
    match non_empty(&meta.namespace) {
        None => errors.required(path.child("namespace"), ""),
        Some(namespace) => errors.invalid_each(path.child("namespace"), namespace, formats::dns_label(namespace)),
    }
    errors.check_non_negative(path.child("generation"), meta.generation.unwrap_or(0));
    validate_labels_owners_and_finalizers(errors, meta);
}

fn validate_meta_update(errors: &mut ErrorList, new: &ObjectMeta, old: &ObjectMeta) {
    let path = FieldPath::root("metadata");
    if old.deletion_timestamp.is_some() {
        let existing: Vec<&String> = old.finalizers.iter().flatten().collect();
        let mut added: Vec<&String> = new.finalizers.iter().flatten().filter(|f| !existing.contains(f)).collect();
        added.sort();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            let list = format!("[]string{{{}}}", list.join(", "));
            let detail = "no new finalizers can be added if the object is being deleted, found new finalizers";
            errors.forbidden(path.child("finalizers"), format!("{detail} {list}"));
        }
    }
    if new.uid != old.uid {
        errors.invalid(path.child("uid"), &new.uid, "field is immutable");
    }
    validate_labels_owners_and_finalizers(errors, new);
}

fn validate_finalizer_names(errors: &mut ErrorList, meta: &ObjectMeta) {
    for (i, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid(FieldPath::root("metadata").child("finalizers").index(i), finalizer, detail);
        }
    }
}

fn non_empty(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

fn validate_labels_owners_and_finalizers(errors: &mut ErrorList, meta: &ObjectMeta) {
    let path = FieldPath::root("metadata");
    validate_labels(errors, path.child("labels"), &meta.labels);
    validate_annotations(errors, path.child("annotations"), &meta.annotations);
    validate_owner_references(
        errors,
        path.child("ownerReferences"),
        meta.owner_references.as_deref().unwrap_or_default(),
    );
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    for finalizer in finalizers {
        errors.invalid_each(path.child("finalizers"), finalizer, formats::qualified_name(finalizer));
    }
    let has_finalizer = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has_finalizer("orphan") && has_finalizer("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(path.child("finalizers"), finalizers, detail);
    }
}

/// Validates labels, or the labels of a selector.
pub fn validate_labels(errors: &mut ErrorList, path: FieldPath<'_>, labels: &StringMap) {
    for (key, value) in labels.iter().flatten() {
        errors.invalid_each(path, key, formats::qualified_name(key));
        errors.invalid_each(path, value, formats::label_value(value));
    }
}

/// Validates annotations.
pub fn validate_annotations(errors: &mut ErrorList, path: FieldPath<'_>, annotations: &StringMap) {
    let mut size = 0;
    for (key, value) in annotations.iter().flatten() {
        size += key.len() + value.len();
        errors.invalid_each(path, key, formats::qualified_name(&key.to_lowercase()));
    }
    if size > MAX_ANNOTATIONS_BYTES {
        errors.too_long(path, MAX_ANNOTATIONS_BYTES);
    }
}

fn validate_owner_references(errors: &mut ErrorList, path: FieldPath<'_>, owners: &[OwnerReference]) {
    let mut controller: Option<String> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            errors.invalid(path.child("apiVersion"), &owner.api_version, "version must not be empty");
        }
        for (field, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.invalid(path.child(field), value, "must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.controller != Some(true) {
            continue;
        }
        let reference = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(reference),
            Some(first) => {
                let detail = "Only one reference can have Controller set to true. Found \"true\" in references for";
                errors.invalid(path, OrderedOwners(owners), format!("{detail} {first} and {reference}"));
            }
        }
    }
}

/// Owner references with their fields in Kubernetes' order.
struct OrderedOwners<'o>(&'o [OwnerReference]);

impl serde::Serialize for OrderedOwners<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Owner<'o> {
            api_version: &'o str,
            kind: &'o str,
            name: &'o str,
            uid: &'o str,
            #[serde(skip_serializing_if = "Option::is_none")]
            controller: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            block_owner_deletion: Option<bool>,
        }
        serializer.collect_seq(self.0.iter().map(|owner| Owner {
            api_version: &owner.api_version,
            kind: &owner.kind,
            name: &owner.name,
            uid: &owner.uid,
            controller: owner.controller,
            block_owner_deletion: owner.block_owner_deletion,
        }))
    }
}

/// Rejects changes to an immutable ConfigMap or Secret; `changed` says of each field whether it changed.
pub fn validate_immutable(errors: &mut ErrorList, old: Option<bool>, new: Option<bool>, changed: &[(&str, bool)]) {
    if old != Some(true) {
        return;
    }
    let immutable = [("immutable", new != Some(true))];
    for (field, _) in immutable.iter().chain(changed).filter(|(_, changed)| *changed) {
        errors.forbidden(FieldPath::root(field), "field is immutable when `immutable` is set");
    }
}

/// Validates that a selector requirement has values exactly if its operator needs them.
pub fn validate_selector_values(errors: &mut ErrorList, path: FieldPath<'_>, operator: &str, values: &[String]) {
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(path.child("values"), detail);
        }
        _ => {}
    }
}

/// Validates a label selector.
pub fn validate_label_selector(errors: &mut ErrorList, path: FieldPath<'_>, selector: Option<&LabelSelector>) {
    let Some(selector) = selector else { return };
    validate_labels(errors, path.child("matchLabels"), &selector.match_labels);
    for (i, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let list = path.child("matchExpressions");
        let path = list.index(i);
        let values = requirement.values.as_deref().unwrap_or_default();
        validate_selector_values(errors, path, &requirement.operator, values);
        match requirement.operator.as_str() {
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(path.child("operator"), other, "not a valid selector operator"),
        }
        errors.invalid_each(path.child("key"), &requirement.key, formats::qualified_name(&requirement.key));
        for (i, value) in values.iter().enumerate() {
            errors.invalid_each(path.child("values").index(i), value, formats::label_value(value));
        }
    }
}

/// Validates a reference to an object: API group, kind and name.
pub fn validate_reference(errors: &mut ErrorList, path: FieldPath<'_>, group: Option<&str>, kind: &str, name: &str) {
    if let Some(group) = group {
        errors.invalid_each(path.child("apiGroup"), group, formats::dns_subdomain(group));
    }
    for (field, value) in [("kind", kind), ("name", name)] {
        if errors.require_non_empty(path.child(field), value) {
            errors.invalid_each(path.child(field), value, path_segment_name(value));
        }
    }
}
