//! `matchLabelKeys` and `mismatchLabelKeys`: label keys whose values come from the new pod's own labels. They become
//! requirements of the selector beside them, as in Kubernetes' `pkg/registry/core/pod/strategy.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Adds the requirements to all selectors of `pod`. A missing selector matches no pod and stays missing.
pub fn apply(pod: &mut Pod) {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let Some(spec) = &mut pod.spec else { return };
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        add_requirements(constraint.label_selector.as_mut(), constraint.match_label_keys.as_deref(), "In", &labels);
    }
    let Some(all) = &mut spec.affinity else { return };
    if let Some(affinity) = &mut all.pod_affinity {
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_mut();
        apply_to_terms(preferred, affinity.required_during_scheduling_ignored_during_execution.as_mut(), &labels);
    }
    if let Some(affinity) = &mut all.pod_anti_affinity {
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_mut();
        apply_to_terms(preferred, affinity.required_during_scheduling_ignored_during_execution.as_mut(), &labels);
    }
}

fn apply_to_terms(
    preferred: Option<&mut Vec<WeightedPodAffinityTerm>>,
    required: Option<&mut Vec<PodAffinityTerm>>,
    labels: &Labels,
) {
    let preferred = preferred.into_iter().flatten().map(|weighted| &mut weighted.pod_affinity_term);
    for term in preferred.chain(required.into_iter().flatten()) {
        add_requirements(term.label_selector.as_mut(), term.match_label_keys.as_deref(), "In", labels);
        add_requirements(term.label_selector.as_mut(), term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
}

fn add_requirements(selector: Option<&mut LabelSelector>, keys: Option<&[String]>, operator: &str, labels: &Labels) {
    let Some(selector) = selector else { return };
    for (key, value) in keys.into_iter().flatten().filter_map(|key| Some((key, labels.get(key)?))) {
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.into(),
            values: Some(vec![value.clone()]),
        });
    }
}
