//! Lists of resources that are not those of a container: of quotas, limit ranges and nodes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::fields::{ErrorList, FieldPath};
use super::pod::totals::is_native_resource;
use super::pod::validation::{is_extended, validate_resource_name};
use crate::model::quantity;

/// Quantities by resource name.
pub type Quantities = BTreeMap<String, Quantity>;

/// Resources of which only whole numbers exist.
const INTEGER_RESOURCES: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// Resources without a domain that a quota can limit, beside [`INTEGER_RESOURCES`].
const QUOTA_RESOURCES: &[&str] = &[
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
];

/// Writes quantities in canonical form. Values that do not parse stay for validation to reject.
pub fn canonicalize(quantities: &mut Option<Quantities>) {
    for value in quantities.iter_mut().flat_map(BTreeMap::values_mut) {
        if let Ok(canonical) = quantity::canonical_in_milli(value) {
            *value = canonical;
        }
    }
}

/// Validates the quantity of a resource (`ValidateResourceQuantityValue`).
pub fn validate_quantity(errors: &mut ErrorList, path: FieldPath<'_>, name: &str, quantity: &Quantity) {
    let milli = match quantity::milli(quantity) {
        Ok(milli) => milli,
        Err(error) => return errors.invalid(path, &quantity.0, error),
    };
    if milli < 0 {
        errors.invalid(path, &quantity.0, "must be greater than or equal to 0");
    }
    let is_integer = INTEGER_RESOURCES.contains(&name) || (!is_native_resource(name) && is_extended(name));
    if is_integer && milli % 1000 != 0 {
        errors.invalid(path, &quantity.0, "must be an integer");
    }
}

/// Returns whether the quota tracking of Kubernetes knows the resource.
pub fn is_standard_quota_resource(name: &str) -> bool {
    let is_huge_page = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    INTEGER_RESOURCES.contains(&name) || QUOTA_RESOURCES.contains(&name) || is_huge_page
}

/// Validates the resources of a quota.
pub fn validate_quota_resources(errors: &mut ErrorList, path: FieldPath<'_>, resources: Option<&Quantities>) {
    for (name, quantity) in resources.into_iter().flatten() {
        let path = path.key(name);
        validate_resource_name(errors, path, name);
        if !name.contains('/') && !is_standard_quota_resource(name) {
            errors.invalid(path, name, "must be a standard resource for quota");
        }
        validate_quantity(errors, path, name, quantity);
    }
}
