//! ClusterRoleBindings: grants of a role in the cluster. They are stored but grant nothing yet.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use serde_json::Value;

use super::role_binding;
use crate::registry::columns::Column;
use crate::registry::fields::ErrorList;
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for ClusterRoleBinding {
    const INFO: KindInfo = KindInfo::new("clusterrolebinding", "48tpQ8gZHFc=");
    const COLUMNS: &'static [Column] = role_binding::COLUMNS;
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        role_binding::cells(&self.metadata, &self.role_ref, self.subjects.as_deref().unwrap_or_default(), now)
    }

    fn set_defaults(&mut self) {
        role_binding::set_defaults(&mut self.role_ref, self.subjects.as_deref_mut().unwrap_or_default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, metadata::path_segment_name);
        role_binding::validate_role_ref(errors, &self.role_ref, &["ClusterRole"]);
        role_binding::validate_subjects(errors, self.subjects.as_deref().unwrap_or_default(), false);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        self.validate(errors);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        role_binding::validate_role_ref_update(errors, &self.role_ref, &old.role_ref);
    }
}
