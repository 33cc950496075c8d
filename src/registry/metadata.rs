//! What metadata must be, of whatever kind the object is (`apimachinery/pkg/api/validation/objectmeta.go`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::fields::{Faults, Path};
use crate::model::formats::{self, Wrongs};

/// All annotations of an object, keys and values, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Finalizers of Kubernetes' own, which need no domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

type Map = Option<BTreeMap<String, String>>;

/// What a kind asks of its objects' names.
pub type NameFormat = fn(&str) -> Wrongs;

/// The metadata of a namespaced object, on creation and after.
pub fn check(faults: &mut Faults, meta: &ObjectMeta, name_format: NameFormat) {
    check_of_any(faults, meta, name_format);
    check_finalizer_domains(faults, meta);
}

/// The same of an object that lies in no namespace.
pub fn check_outside_namespaces(faults: &mut Faults, meta: &ObjectMeta, name_format: NameFormat) {
    check_names(faults, meta, name_format);
    faults.not_negative(Path::root("metadata").child("generation"), meta.generation.unwrap_or(0));
    check_maps(faults, meta);
    check_finalizer_domains(faults, meta);
}

/// What metadata may become: beside what it must always be, who the object is stays.
pub fn check_update(faults: &mut Faults, new: &ObjectMeta, old: &ObjectMeta) {
    check_update_of_any(faults, new, old);
    check_finalizer_domains(faults, new);
}

/// What Kubernetes looks at in every update before it asks the rules of the kind, which look again: a fault of
/// metadata counts as often.
pub fn check_before_update(faults: &mut Faults, new: &ObjectMeta, old: &ObjectMeta) {
    check_of_any(faults, new, path_segment);
    check_update_of_any(faults, new, old);
}

fn path_segment(name: &str) -> Wrongs {
    let mut wrongs = Wrongs::new();
    if matches!(name, "." | "..") {
        wrongs.push(format!("may not be '{name}'"));
    }
    for part in ["/", "%"].iter().filter(|part| name.contains(**part)) {
        wrongs.push(format!("may not contain '{part}'"));
    }
    wrongs
}

fn check_names(faults: &mut Faults, meta: &ObjectMeta, name_format: NameFormat) {
    let at = Path::root("metadata");
    if let Some(base) = text(&meta.generate_name) {
        // A dash at its end will be followed by letters.
        let stem = base.strip_suffix('-').map_or_else(|| base.to_string(), |stem| format!("{stem}a"));
        faults.invalid_for(at.child("generateName"), base, name_format(&stem));
    }
    match text(&meta.name) {
        None => faults.required(at.child("name"), "name or generateName is required"),
        Some(name) => faults.invalid_for(at.child("name"), name, name_format(name)),
    }
}

fn check_of_any(faults: &mut Faults, meta: &ObjectMeta, name_format: NameFormat) {
    check_names(faults, meta, name_format);
    let at = Path::root("metadata");
    match text(&meta.namespace) {
        None => faults.required(at.child("namespace"), ""),
        Some(namespace) => faults.invalid_for(at.child("namespace"), namespace, formats::dns_label(namespace)),
    }
    faults.not_negative(at.child("generation"), meta.generation.unwrap_or(0));
    check_maps(faults, meta);
}

fn check_update_of_any(faults: &mut Faults, new: &ObjectMeta, old: &ObjectMeta) {
    let at = Path::root("metadata");
    if old.deletion_timestamp.is_some() {
        let known: Vec<&String> = old.finalizers.iter().flatten().collect();
        let mut added: Vec<&String> = new.finalizers.iter().flatten().filter(|f| !known.contains(f)).collect();
        added.sort();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            let list = format!("[]string{{{}}}", list.join(", "));
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            faults.forbidden(at.child("finalizers"), format!("{why} {list}"));
        }
    }
    if new.uid != old.uid {
        faults.invalid(at.child("uid"), &new.uid, "field is immutable");
    }
    check_maps(faults, new);
}

fn check_finalizer_domains(faults: &mut Faults, meta: &ObjectMeta) {
    for (i, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            faults.invalid(Path::root("metadata").child("finalizers").index(i), finalizer, why);
        }
    }
}

fn text(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

/// Labels, annotations, owners and finalizers.
fn check_maps(faults: &mut Faults, meta: &ObjectMeta) {
    let at = Path::root("metadata");
    check_labels(faults, at.child("labels"), &meta.labels);
    check_annotations(faults, at.child("annotations"), &meta.annotations);
    check_owners(faults, at.child("ownerReferences"), meta.owner_references.as_deref().unwrap_or_default());
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    for finalizer in finalizers {
        faults.invalid_for(at.child("finalizers"), finalizer, formats::qualified_name(finalizer));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.invalid(at.child("finalizers"), finalizers, why);
    }
}

/// Labels, or what selects by them.
pub fn check_labels(faults: &mut Faults, at: Path<'_>, labels: &Map) {
    for (key, value) in labels.iter().flatten() {
        faults.invalid_for(at, key, formats::qualified_name(key));
        faults.invalid_for(at, value, formats::label_value(value));
    }
}

fn check_annotations(faults: &mut Faults, at: Path<'_>, annotations: &Map) {
    let mut size = 0;
    for (key, value) in annotations.iter().flatten() {
        size += key.len() + value.len();
        faults.invalid_for(at, key, formats::qualified_name(&key.to_lowercase()));
    }
    if size > MAX_ANNOTATIONS {
        faults.too_long(at, MAX_ANNOTATIONS);
    }
}

fn check_owners(faults: &mut Faults, at: Path<'_>, owners: &[OwnerReference]) {
    let mut controller: Option<String> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            faults.invalid(at.child("apiVersion"), &owner.api_version, "version must not be empty");
        }
        for (field, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                faults.invalid(at.child(field), value, "must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            faults.invalid(at, owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.controller != Some(true) {
            continue;
        }
        let this = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let why = "Only one reference can have Controller set to true. Found \"true\" in references for";
                faults.invalid(at, Owners(owners), format!("{why} {first} and {this}"));
            }
        }
    }
}

/// Owner references with their fields in Kubernetes' order.
struct Owners<'o>(&'o [OwnerReference]);

impl serde::Serialize for Owners<'_> {
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

/// What an object that is all data may not change once it is immutable; `changed` names what would.
pub fn check_immutable(faults: &mut Faults, old: Option<bool>, new: Option<bool>, changed: &[(&str, bool)]) {
    if old != Some(true) {
        return;
    }
    let unlocked = [("immutable", new != Some(true))];
    for (field, _) in unlocked.iter().chain(changed).filter(|(_, changed)| *changed) {
        faults.forbidden(Path::root(field), "field is immutable when `immutable` is set");
    }
}

/// Which operators of a selector's rule go with values, and which without.
pub fn check_values(faults: &mut Faults, at: Path<'_>, operator: &str, values: &[String]) {
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            faults.required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            faults.forbidden(at.child("values"), why);
        }
        _ => {}
    }
}

/// A selector of labels, where there is one.
pub fn check_selector(faults: &mut Faults, at: Path<'_>, selector: Option<&LabelSelector>) {
    let Some(selector) = selector else { return };
    check_labels(faults, at.child("matchLabels"), &selector.match_labels);
    for (i, rule) in selector.match_expressions.iter().flatten().enumerate() {
        let rules = at.child("matchExpressions");
        let at = rules.index(i);
        let values = rule.values.as_deref().unwrap_or_default();
        check_values(faults, at, &rule.operator, values);
        match rule.operator.as_str() {
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => faults.invalid(at.child("operator"), other, "not a valid selector operator"),
        }
        faults.invalid_for(at.child("key"), &rule.key, formats::qualified_name(&rule.key));
        for (i, value) in values.iter().enumerate() {
            faults.invalid_for(at.child("values").index(i), value, formats::label_value(value));
        }
    }
}
