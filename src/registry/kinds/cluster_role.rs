//! ClusterRoles: permissions in the cluster. They are stored but grant nothing yet.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::Value;

use super::role::validate_rules;
use crate::registry::columns;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for ClusterRole {
    const INFO: KindInfo = KindInfo::new("clusterrole", "bYE5ZWDrJ44=");
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, _now: Timestamp) -> Vec<Value> {
        columns::name_and_creation(&self.metadata)
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, metadata::path_segment_name);
        validate_rules(errors, self.rules.as_deref().unwrap_or_default(), false);
        let Some(rule) = &self.aggregation_rule else { return };
        let (path, selectors) = (FieldPath::root("aggregationRule"), rule.cluster_role_selectors.as_deref());
        let (list, selectors) = (path.child("clusterRoleSelectors"), selectors.unwrap_or_default());
        if selectors.is_empty() {
            errors.required(list, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (i, selector) in selectors.iter().enumerate() {
            let count_before = errors.count();
            metadata::validate_label_selector(errors, list.index(i), Some(selector));
            if errors.count() > count_before {
                errors.invalid(list.index(i), None::<()>, "invalid label selector");
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        self.validate(errors);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
    }
}
