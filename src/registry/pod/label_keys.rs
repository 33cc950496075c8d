//! Keys of labels whose values a new pod's own labels tell (`matchLabelKeys`, `mismatchLabelKeys`): they become rules of
//! the selector beside them, as in Kubernetes' `strategy.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Adds the rules to all selectors of `pod`. No selector selects nothing: there is nothing to add to.
pub fn merge(pod: &mut Pod) {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let Some(spec) = &mut pod.spec else { return };
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        add(constraint.label_selector.as_mut(), constraint.match_label_keys.as_deref(), "In", &labels);
    }
    let Some(affinity) = &mut spec.affinity else { return };
    if let Some(near) = &mut affinity.pod_affinity {
        let preferred = near.preferred_during_scheduling_ignored_during_execution.as_mut();
        merge_terms(preferred, near.required_during_scheduling_ignored_during_execution.as_mut(), &labels);
    }
    if let Some(far) = &mut affinity.pod_anti_affinity {
        let preferred = far.preferred_during_scheduling_ignored_during_execution.as_mut();
        merge_terms(preferred, far.required_during_scheduling_ignored_during_execution.as_mut(), &labels);
    }
}

fn merge_terms(
    preferred: Option<&mut Vec<WeightedPodAffinityTerm>>,
    required: Option<&mut Vec<PodAffinityTerm>>,
    labels: &Labels,
) {
    let preferred = preferred.into_iter().flatten().map(|weighted| &mut weighted.pod_affinity_term);
    for term in preferred.chain(required.into_iter().flatten()) {
        add(term.label_selector.as_mut(), term.match_label_keys.as_deref(), "In", labels);
        add(term.label_selector.as_mut(), term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
}

fn add(selector: Option<&mut LabelSelector>, keys: Option<&[String]>, operator: &str, labels: &Labels) {
    let Some(selector) = selector else { return };
    for (key, value) in keys.into_iter().flatten().filter_map(|key| Some((key, labels.get(key)?))) {
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.into(),
            values: Some(vec![value.clone()]),
        });
    }
}
