//! A kind for tests: all that a kind needs, in one file.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for VolumeAttributesClass {
    const INFO: KindInfo = KindInfo { short_names: &["vac"], ..KindInfo::new("volumeattributesclass", "tIjydgKBC5w=") };
    const COLUMNS: &'static [Column] =
        &[Column::NAME, Column::text("DriverName", "The driver that changes volumes."), Column::AGE];

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![columns::name(&self.metadata), self.driver_name.as_str().into(), age(&self.metadata, now).into()]
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, formats::dns_subdomain);
        if self.driver_name.is_empty() {
            errors.required(FieldPath::root("driverName"), "");
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if self.driver_name != old.driver_name {
            errors.invalid(FieldPath::root("driverName"), &self.driver_name, "field is immutable");
        }
    }
}
