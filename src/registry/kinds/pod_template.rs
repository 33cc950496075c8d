//! PodTemplates: templates of pods that stand alone.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodTemplate, PodTemplateSpec};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::format_labels;
use crate::registry::pod::template;
use crate::registry::strategy::{KindInfo, Strategy};
use crate::registry::{metadata, workload_rules};

impl Strategy for PodTemplate {
    const INFO: KindInfo = KindInfo::new("podtemplate", "LIXB2x4IFpk=");
    const RETURNS_DELETED_OBJECT: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Containers", "Names of the template's containers."),
        Column::text("Images", "Images of the template's containers."),
        Column::text("Pod Labels", "Labels of the template."),
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some("template");

    fn cells(&self, _now: Timestamp) -> Vec<Value> {
        let [containers, images] = workload_rules::container_cells(self);
        let labels = self.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
        vec![columns::name(&self.metadata), containers, images, format_labels(labels).into()]
    }

    fn set_defaults(&mut self) {
        template::set_defaults(self.template.get_or_insert_default());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        if let Some(template) = &self.template {
            template::validate(errors, FieldPath::root("template"), template);
        }
    }

    fn warnings_on_create(&self) -> Vec<String> {
        workload_rules::warnings_on_template(self)
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if let Some(template) = &self.template {
            template::validate(errors, FieldPath::root("template"), template);
        }
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        workload_rules::warnings_on_changed_template(self, old)
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.template != old.template
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.template.as_ref()
    }
}
