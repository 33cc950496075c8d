//! ControllerRevisions: the history of StatefulSets and DaemonSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for ControllerRevision {
    const INFO: KindInfo = KindInfo::new("controllerrevision", "85nkx63pcBU=");
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Controller", "The controller whose revision the object holds."),
        Column::text("Revision", "Number of the revision."),
        Column::AGE,
    ];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(&self.metadata),
            controller(self).into(),
            self.revision.into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        if self.data.is_none() {
            errors.required(FieldPath::root("data"), "data is mandatory");
        }
        errors.check_non_negative(FieldPath::root("revision"), self.revision);
    }

    /// Validates that the data stay as they are; controllers renumber revisions to which they return.
    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        self.validate(errors);
        errors.check_immutable(FieldPath::root("data"), &self.data, &old.data);
    }
}

/// Returns the CONTROLLER cell: `statefulset.apps/db`.
fn controller(revision: &ControllerRevision) -> String {
    let mut owners = revision.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.find(|owner| owner.controller == Some(true)) else { return "<none>".into() };
    let kind = match owner.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", owner.kind),
        None => owner.kind.clone(),
    };
    format!("{}/{}", kind.to_lowercase(), owner.name)
}
