//! RoleBindings: grants of a role in a namespace. They are stored but grant nothing yet.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

/// The API group of roles.
const GROUP: &str = "rbac.authorization.k8s.io";

/// The columns of bindings.
pub const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Role", "Kind and name of the granted role."),
    Column::AGE,
    Column::wide("Users", "Users to whom the role is granted."),
    Column::wide("Groups", "Groups to which the role is granted."),
    Column::wide("ServiceAccounts", "Service accounts to which the role is granted."),
];

impl Strategy for RoleBinding {
    const INFO: KindInfo = KindInfo::new("rolebinding", "eGsCzGH6b1g=");
    const COLUMNS: &'static [Column] = COLUMNS;
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        cells(&self.metadata, &self.role_ref, self.subjects.as_deref().unwrap_or_default(), now)
    }

    fn set_defaults(&mut self) {
        set_defaults(&mut self.role_ref, self.subjects.as_deref_mut().unwrap_or_default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, metadata::path_segment_name);
        validate_role_ref(errors, &self.role_ref, &["Role", "ClusterRole"]);
        validate_subjects(errors, self.subjects.as_deref().unwrap_or_default(), true);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        self.validate(errors);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_role_ref_update(errors, &self.role_ref, &old.role_ref);
    }
}

/// Returns the cells of a binding.
pub fn cells(meta: &ObjectMeta, role: &RoleRef, subjects: &[Subject], now: Timestamp) -> Vec<Value> {
    let names = |kind: &str| {
        let of_kind = subjects.iter().filter(|subject| subject.kind == kind);
        let name = |subject: &Subject| match kind {
            "ServiceAccount" => format!("{}/{}", subject.namespace.as_deref().unwrap_or_default(), subject.name),
            _ => subject.name.clone(),
        };
        of_kind.map(name).collect::<Vec<_>>().join(", ")
    };
    vec![
        columns::name(meta),
        format!("{}/{}", role.kind, role.name).into(),
        age(meta, now).into(),
        names("User").into(),
        names("Group").into(),
        names("ServiceAccount").into(),
    ]
}

/// Sets the API groups of a binding's role, users and groups.
pub fn set_defaults(role: &mut RoleRef, subjects: &mut [Subject]) {
    let is_empty = |group: &Option<String>| group.as_ref().is_none_or(String::is_empty);
    if is_empty(&role.api_group) {
        role.api_group = Some(GROUP.into());
    }
    for subject in subjects.iter_mut().filter(|subject| is_empty(&subject.api_group)) {
        subject.api_group = matches!(subject.kind.as_str(), "User" | "Group").then(|| GROUP.into());
    }
}

/// Validates the role of a binding.
pub fn validate_role_ref(errors: &mut ErrorList, role: &RoleRef, kinds: &[&str]) {
    let path = FieldPath::root("roleRef");
    errors.check_one_of(path.child("apiGroup"), role.api_group.as_deref().unwrap_or_default(), &[GROUP]);
    errors.check_one_of(path.child("kind"), &role.kind, kinds);
    if errors.require_non_empty(path.child("name"), &role.name) {
        errors.invalid_each(path.child("name"), &role.name, metadata::path_segment_name(&role.name));
    }
}

/// Rejects another role.
pub fn validate_role_ref_update(errors: &mut ErrorList, new: &RoleRef, old: &RoleRef) {
    if new != old {
        errors.invalid(FieldPath::root("roleRef"), new, "cannot change roleRef");
    }
}

/// Validates the subjects of a binding.
pub fn validate_subjects(errors: &mut ErrorList, subjects: &[Subject], is_namespaced: bool) {
    let list = FieldPath::root("subjects");
    for (i, subject) in subjects.iter().enumerate() {
        validate_subject(errors, list.index(i), subject, is_namespaced);
    }
}

fn validate_subject(errors: &mut ErrorList, path: FieldPath<'_>, subject: &Subject, is_namespaced: bool) {
    let has_name = errors.require_non_empty(path.child("name"), &subject.name);
    let group = subject.api_group.as_deref().unwrap_or_default();
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if has_name {
                errors.invalid_each(path.child("name"), &subject.name, formats::dns_subdomain(&subject.name));
            }
            errors.check_one_of(path.child("apiGroup"), group, &[""]);
            if !is_namespaced && subject.namespace.as_deref().unwrap_or_default().is_empty() {
                errors.required(path.child("namespace"), "");
            }
        }
        kind @ ("User" | "Group") => {
            if !has_name {
                let detail = format!("{} name cannot be empty", kind.to_lowercase());
                errors.invalid(path.child("name"), &subject.name, detail);
            }
            errors.check_one_of(path.child("apiGroup"), group, &[GROUP]);
        }
        kind => errors.not_supported(path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}
