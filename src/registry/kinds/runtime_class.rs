//! RuntimeClasses: names of the runtimes of containers.

use jiff::Timestamp;
use k8s_openapi::api::node::v1::{RuntimeClass, Scheduling};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::pod::validation::{validate_overhead, validate_tolerations};
use crate::registry::pod::warnings::DEPRECATED_NODE_LABELS;
use crate::registry::resource_lists;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for RuntimeClass {
    const INFO: KindInfo = KindInfo::new("runtimeclass", "WQTu1GL3T2Q=");
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("Handler", "Name of the runtime's configuration on the nodes."), Column::AGE];
    const ALLOW_UNCONDITIONAL_UPDATE: bool = false;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![columns::name(&self.metadata), self.handler.as_str().into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        if let Some(overhead) = &mut self.overhead {
            resource_lists::canonicalize(&mut overhead.pod_fixed);
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, formats::dns_subdomain);
        errors.invalid_each(FieldPath::root("handler"), &self.handler, formats::dns_label(&self.handler));
        if let Some(fixed) = self.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref()) {
            validate_overhead(errors, FieldPath::root("overhead"), fixed);
        }
        if let Some(scheduling) = &self.scheduling {
            validate_scheduling(errors, scheduling);
        }
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let selector = self.scheduling.iter().flat_map(|scheduling| scheduling.node_selector.iter().flatten());
        let warning = |(key, _): (&String, &String)| {
            let (_, message) = DEPRECATED_NODE_LABELS.iter().find(|(label, _)| label == key)?;
            Some(format!("scheduling.nodeSelector: {message}"))
        };
        selector.filter_map(warning).collect()
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if self.handler != old.handler {
            errors.invalid(FieldPath::root("handler"), &self.handler, "field is immutable");
        }
    }
}

fn validate_scheduling(errors: &mut ErrorList, scheduling: &Scheduling) {
    let path = FieldPath::root("scheduling");
    metadata::validate_labels(errors, path.child("nodeSelector"), &scheduling.node_selector);
    let tolerations = scheduling.tolerations.as_deref().unwrap_or_default();
    validate_tolerations(errors, path.child("tolerations"), tolerations);
}
