//! Leases: claims that their holders renew.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

impl Strategy for Lease {
    // Clients act on each other's.
    const INFO: KindInfo = KindInfo { is_acted_on: true, ..KindInfo::new("lease", "gqkMMb/YqFM=") };
    const COLUMNS: &'static [Column] = &[Column::NAME, Column::text("Holder", "Identity of the holder."), Column::AGE];
    const ALLOW_CREATE_ON_UPDATE: bool = true;
    const ALLOW_UNCONDITIONAL_UPDATE: bool = false;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let holder = self.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        vec![columns::name(&self.metadata), non_empty_or(holder, "").into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
    }

    fn prepare_for_create(&mut self) {
        drop_coordination(self, None);
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        validate_spec(errors, self.spec.as_ref());
    }

    fn prepare_for_update(&mut self, old: &Self) {
        drop_coordination(self, old.spec.as_ref());
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_spec(errors, self.spec.as_ref());
    }
}

/// Removes the fields of the feature gate `CoordinatedLeaderElection`, which is off, unless the old lease has them.
fn drop_coordination(lease: &mut Lease, old: Option<&LeaseSpec>) {
    let Some(spec) = &mut lease.spec else { return };
    if old.is_none_or(|old| old.strategy.is_none()) {
        spec.strategy = None;
    }
    if old.is_none_or(|old| old.preferred_holder.is_none()) {
        spec.preferred_holder = None;
    }
}

fn validate_spec(errors: &mut ErrorList, spec: Option<&LeaseSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
        errors.invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
    }
    errors.check_non_negative(path.child("leaseTransitions"), spec.lease_transitions.unwrap_or(0).into());
    if let Some(strategy) = &spec.strategy {
        // Kubernetes repeats the field's name.
        let path = path.child("strategy");
        if strategy.contains('/') {
            errors.invalid_each(path.child("strategy"), strategy, formats::qualified_name(strategy));
        } else {
            errors.check_one_of(path.child("strategy"), strategy, &["OldestEmulationVersion"]);
        }
    }
    let has_strategy = spec.strategy.as_ref().is_some_and(|strategy| !strategy.is_empty());
    if spec.preferred_holder.as_ref().is_some_and(|holder| !holder.is_empty()) && !has_strategy {
        errors.forbidden(path.child("preferredHolder"), "may only be specified if `strategy` is defined");
    }
}
