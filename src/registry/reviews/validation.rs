//! Validation of access reviews (`pkg/apis/authorization/validation`).

use k8s_openapi::api::authorization::v1::{NonResourceAttributes, ResourceAttributes, SubjectAccessReviewSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;

const SPEC: FieldPath<'static> = FieldPath::root("spec");

/// Validates the question about a user or groups.
pub fn validate_subject(errors: &mut ErrorList, spec: &SubjectAccessReviewSpec) {
    validate_attributes(errors, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
    let user = spec.user.as_deref().unwrap_or_default();
    if user.is_empty() && spec.groups.as_ref().is_none_or(Vec::is_empty) {
        errors.invalid(SPEC.child("user"), user, "at least one of user or group must be specified");
    }
    validate_selectors(errors, spec.resource_attributes.as_ref());
}

/// Requires either a resource or a path.
pub fn validate_attributes(
    errors: &mut ErrorList,
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) {
    match (resource, path) {
        (Some(_), Some(path)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.invalid(SPEC.child("nonResourceAttributes"), path, detail);
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid(SPEC.child("resourceAttributes"), None::<()>, detail);
        }
        _ => {}
    }
}

/// Validates the selectors of the objects in question.
pub fn validate_selectors(errors: &mut ErrorList, resource: Option<&ResourceAttributes>) {
    let Some(resource) = resource else { return };
    let path = SPEC.child("resourceAttributes");
    if let Some(selector) = &resource.field_selector {
        let path = path.child("fieldSelector");
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        validate_selector(errors, path, selector.raw_selector.as_deref(), requirements.len());
        for (i, requirement) in requirements.iter().enumerate() {
            let list = path.child("requirements");
            let path = list.index(i);
            if requirement.key.is_empty() {
                errors.required(path.child("key"), "must be specified");
            }
            let values = requirement.values.as_deref().unwrap_or_default();
            metadata::validate_selector_values(errors, path, &requirement.operator, values);
        }
    }
    if let Some(selector) = &resource.label_selector {
        let path = path.child("labelSelector");
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        validate_selector(errors, path, selector.raw_selector.as_deref(), requirements.len());
        for (i, requirement) in requirements.iter().enumerate() {
            let list = path.child("requirements");
            let path = list.index(i);
            let values = requirement.values.as_deref().unwrap_or_default();
            metadata::validate_selector_values(errors, path, &requirement.operator, values);
            errors.invalid_each(path.child("key"), &requirement.key, formats::qualified_name(&requirement.key));
            for (i, value) in values.iter().enumerate() {
                errors.invalid_each(path.child("values").index(i), value, formats::label_value(value));
            }
        }
    }
}

/// Requires either the text of a selector or its requirements.
fn validate_selector(errors: &mut ErrorList, path: FieldPath<'_>, text: Option<&str>, requirements: usize) {
    let text = text.unwrap_or_default();
    if !text.is_empty() && requirements > 0 {
        errors.invalid(path.child("rawSelector"), text, "may not specified at the same time as requirements");
    }
    if text.is_empty() && requirements == 0 {
        let detail = format!("when {path} is specified, requirements or rawSelector is required");
        errors.required(path.child("requirements"), &detail);
    }
}

/// Rejects metadata.
pub fn validate_no_metadata(errors: &mut ErrorList, metadata: &ObjectMeta) {
    if ObjectMeta::default() != (ObjectMeta { managed_fields: None, ..metadata.clone() }) {
        errors.invalid(FieldPath::root("metadata"), metadata, "must be empty");
    }
}

/// Validates the question about a namespace, which is that of the review.
pub fn validate_local(errors: &mut ErrorList, metadata: &ObjectMeta, spec: &SubjectAccessReviewSpec) {
    if ObjectMeta::default() != (ObjectMeta { managed_fields: None, namespace: None, ..metadata.clone() }) {
        errors.invalid(FieldPath::root("metadata"), metadata, "must be empty except for namespace");
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    if let Some(resource) = &spec.resource_attributes
        && resource.namespace.as_deref().unwrap_or_default() != namespace
    {
        let value = resource.namespace.as_deref().unwrap_or_default();
        errors.invalid(SPEC.child("resourceAttributes.namespace"), value, "must match metadata.namespace");
    }
    if let Some(path) = &spec.non_resource_attributes {
        errors.invalid(SPEC.child("nonResourceAttributes"), path, "disallowed on this kind of request");
    }
}
