//! PodDisruptionBudgets: how many pods of a set may be evicted at once.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::registry::columns::{self, Column, age};
use crate::registry::conditions;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};

impl Strategy for PodDisruptionBudget {
    const INFO: KindInfo = KindInfo {
        short_names: &["pdb"],
        subresources: &[SubresourceInfo::status("PodDisruptionBudget")],
        ..KindInfo::new("poddisruptionbudget", "EVWiDmWqyJw=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Min Available", "Number or share of pods that stay available."),
        Column::text("Max Unavailable", "Number or share of pods that may be unavailable."),
        Column::integer("Allowed Disruptions", "Number of pods that may be evicted now."),
        Column::AGE,
    ];
    const HAS_GENERATION: bool = true;
    const ALLOW_UNCONDITIONAL_UPDATE: bool = false;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let bound = |bound: fn(&PodDisruptionBudgetSpec) -> Option<&IntOrString>| {
            self.spec.as_ref().and_then(bound).map_or("N/A".into(), text)
        };
        vec![
            columns::name(&self.metadata),
            bound(|spec| spec.min_available.as_ref()).into(),
            bound(|spec| spec.max_unavailable.as_ref()).into(),
            self.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0).into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(PodDisruptionBudgetStatus {
            current_healthy: Some(0),
            desired_healthy: Some(0),
            disruptions_allowed: Some(0),
            expected_pods: Some(0),
            ..PodDisruptionBudgetStatus::default()
        });
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_spec(errors, self.spec.as_ref());
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, _old: &Self, errors: &mut ErrorList) {
        validate_spec(errors, self.spec.as_ref());
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, _old: &Self, errors: &mut ErrorList) {
        let Some(status) = &self.status else { return };
        let path = FieldPath::root("status");
        conditions::validate(errors, path.child("conditions"), status.conditions.as_deref().unwrap_or_default());
        for (field, number) in [
            ("disruptionsAllowed", status.disruptions_allowed),
            ("currentHealthy", status.current_healthy),
            ("desiredHealthy", status.desired_healthy),
            ("expectedPods", status.expected_pods),
        ] {
            errors.check_non_negative(path.child(field), number.unwrap_or(0).into());
        }
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }
}

fn text(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

fn validate_spec(errors: &mut ErrorList, spec: Option<&PodDisruptionBudgetSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        errors.invalid(path, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for (field, bound) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        if let Some(bound) = bound {
            validate_bound(errors, path.child(field), bound);
        }
    }
    metadata::validate_label_selector(errors, path.child("selector"), spec.selector.as_ref());
    if let Some(policy) = &spec.unhealthy_pod_eviction_policy {
        errors.check_one_of(path.child("unhealthyPodEvictionPolicy"), policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

/// Validates a number of pods or a percentage up to 100 %.
fn validate_bound(errors: &mut ErrorList, path: FieldPath<'_>, bound: &IntOrString) {
    match bound {
        IntOrString::Int(number) => errors.check_non_negative(path, (*number).into()),
        IntOrString::String(text) => match percentage(text) {
            Some(percent) if percent > 100 => errors.invalid(path, text, "must not be greater than 100%"),
            Some(_) => {}
            None => {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  \
                              or '93%', regex used for validation is '[0-9]+%')";
                errors.invalid(path, text, detail);
            }
        },
    }
}

/// Returns the number before the percent sign; one that is too large saturates.
fn percentage(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty())?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_numbers_or_percentages() {
        for (bound, is_valid) in [
            (IntOrString::Int(0), true),
            (IntOrString::Int(-1), false),
            (IntOrString::String("0%".into()), true),
            (IntOrString::String("100%".into()), true),
            (IntOrString::String("101%".into()), false),
            (IntOrString::String("99999999999999999999%".into()), false),
            (IntOrString::String("-1%".into()), false),
            (IntOrString::String("%".into()), false),
            (IntOrString::String("5".into()), false),
        ] {
            let mut errors = ErrorList::default();
            validate_bound(&mut errors, FieldPath::root("b"), &bound);
            assert_eq!(errors.count() == 0, is_valid, "{bound:?}");
        }
    }
}
