//! What Deployments, Jobs and the other objects with a template of pods have in common: columns, selectors, counts.

use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

use super::columns::Column;
use super::fields::{ErrorList, FieldPath};
use super::label_selector::{LabelMatcher, OrderedSelector};
use super::metadata;
use super::pod::{template, unset_if_zero};
use super::strategy::Strategy;
use crate::model::formats;

/// The path of the template of pods in most kinds.
pub const TEMPLATE_PATH: &str = "spec.template";

/// The column with the names of the containers.
pub const CONTAINERS: Column = Column::wide("Containers", "Names of the template's containers.");
/// The column with the images of the containers.
pub const IMAGES: Column = Column::wide("Images", "Images of the template's containers.");
/// The column with the selector.
pub const SELECTOR: Column = Column::wide("Selector", "Selector of the object's pods.");

/// Returns the cells of [`CONTAINERS`] and [`IMAGES`].
pub fn container_cells(object: &impl Strategy) -> [Value; 2] {
    let containers = object.template().map(template::containers).unwrap_or_default();
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<&str> = containers.iter().map(|container| container.image.as_deref().unwrap_or_default()).collect();
    [names.join(",").into(), images.join(",").into()]
}

/// Drops empty lists and maps of a selector, but not the mark of an empty selector.
pub fn set_selector_defaults(selector: &mut LabelSelector) {
    unset_if_zero(&mut selector.match_expressions);
    if selector.match_expressions.is_some() {
        unset_if_zero(&mut selector.match_labels);
    }
}

/// Returns the selector if it was given; an empty one has an empty map of labels.
pub fn given_selector(selector: &LabelSelector) -> Option<&LabelSelector> {
    (*selector != LabelSelector::default()).then_some(selector)
}

fn is_empty_selector(selector: &LabelSelector) -> bool {
    let has_labels = selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty());
    !has_labels && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Records that an empty selector is not valid for this `kind`.
pub fn reject_empty_selector(errors: &mut ErrorList, path: FieldPath<'_>, selector: &LabelSelector, kind: &str) {
    if is_empty_selector(selector) {
        errors.invalid(path, OrderedSelector(selector), format!("empty selector is invalid for {kind}"));
    }
}

/// Validates a selector that must be given and select something; `kind` is the word of the error.
pub fn validate_required_selector(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    selector: Option<&LabelSelector>,
    kind: &str,
) {
    let Some(selector) = selector else { return errors.required(path, "") };
    metadata::validate_label_selector(errors, path, Some(selector));
    reject_empty_selector(errors, path, selector, kind);
}

/// Validates that an update keeps the selector.
pub fn validate_immutable_selector(errors: &mut ErrorList, new: Option<&LabelSelector>, old: Option<&LabelSelector>) {
    if new != old {
        let spec = FieldPath::root("spec");
        errors.invalid(spec.child("selector"), new.map(OrderedSelector), "field is immutable");
    }
}

/// Validates the template at `path` of replicas that `selector` selects; `kind` is the word of the errors.
pub fn validate_replica_template(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    selector: &LabelMatcher,
    template: &PodTemplateSpec,
    kind: &str,
) {
    if !selector.is_everything() {
        validate_matching_labels(errors, path, selector, template);
    }
    template::validate(errors, path, template);
    validate_restarted_forever(errors, path, template, kind);
}

/// Validates that the selector of the template at `path` matches the template's labels.
pub fn validate_matching_labels(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    selector: &LabelMatcher,
    template: &PodTemplateSpec,
) {
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    if !selector.matches(labels) {
        let meta = path.child("metadata");
        errors.invalid(meta.child("labels"), labels, "`selector` does not match template `labels`");
    }
}

/// Validates that the pods of the template at `path` run until they are deleted, as those of `kind` must.
pub fn validate_restarted_forever(errors: &mut ErrorList, path: FieldPath<'_>, template: &PodTemplateSpec, kind: &str) {
    let path = path.child("spec");
    let spec = template.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or_default();
    errors.check_one_of(path.child("restartPolicy"), policy, &["Always"]);
    if spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()) {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(path.child("activeDeadlineSeconds"), detail);
    }
}

/// Validates that counts of a status are not negative.
pub fn validate_counts(errors: &mut ErrorList, path: FieldPath<'_>, counts: &[(&str, i64)]) {
    for (field, count) in counts {
        errors.check_non_negative(path.child(field), *count);
    }
}

/// Validates that counts of a status do not exceed the number of replicas.
pub fn validate_at_most_replicas(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    replicas: i32,
    counts: &[(&str, Option<i32>)],
) {
    for (field, count) in counts.iter().map(|(field, count)| (field, count.unwrap_or(0))) {
        if count > replicas {
            errors.invalid(path.child(field), count, "cannot be greater than status.replicas");
        }
    }
}

/// Validates that `status.collisionCount` does not shrink.
pub fn validate_collision_count(errors: &mut ErrorList, old: Option<i32>, new: Option<i32>) {
    if old.is_some() && new < old {
        let status = FieldPath::root("status");
        errors.invalid(status.child("collisionCount"), new.unwrap_or(0), "cannot be decremented");
    }
}

/// Returns the warning about a name that pods cannot have as their host name.
pub fn warnings_on_name(meta: &ObjectMeta) -> Vec<String> {
    let messages = formats::dns_label(meta.name.as_deref().unwrap_or_default());
    if messages.is_empty() {
        return Vec::new();
    }
    let detail = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
                  recommended";
    vec![format!("metadata.name: {detail}: [{}]", messages.join(" "))]
}

/// Returns the warnings about the template of an object.
pub fn warnings_on_template<T: Strategy>(object: &T) -> Vec<String> {
    let template = T::TEMPLATE_PATH.zip(object.template());
    template.map(|(path, template)| template::warnings(FieldPath::root(path), template)).unwrap_or_default()
}

/// Returns the warnings about the name and the template of a new object.
pub fn warnings_on_create(object: &impl Strategy) -> Vec<String> {
    let mut warnings = warnings_on_name(object.metadata());
    warnings.extend(warnings_on_template(object));
    warnings
}

/// Returns the warnings about the template of an object whose spec an update changed.
pub fn warnings_on_changed_template<T: Strategy>(new: &T, old: &T) -> Vec<String> {
    if new.metadata().generation == old.metadata().generation { Vec::new() } else { warnings_on_template(new) }
}

/// Returns the `scale` subresource of an object.
pub fn scale(wanted: Option<i32>, observed: i32, selector: Option<&LabelMatcher>) -> Scale {
    let selector = selector.map(ToString::to_string).filter(|selector| !selector.is_empty());
    Scale {
        spec: Some(ScaleSpec { replicas: wanted.filter(|replicas| *replicas != 0) }),
        status: Some(ScaleStatus { replicas: observed, selector }),
        ..Scale::default()
    }
}

/// The counts in the status of a ReplicaSet or ReplicationController.
pub struct ReplicaCounts {
    pub replicas: i32,
    pub fully_labeled: Option<i32>,
    pub ready: Option<i32>,
    pub available: Option<i32>,
    pub observed_generation: Option<i64>,
}

impl ReplicaCounts {
    /// Validates the counts (`ValidateReplicaSetStatus`).
    pub fn validate(&self, errors: &mut ErrorList) {
        let path = FieldPath::root("status");
        let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
        let counts = [
            ("replicas", i64::from(self.replicas)),
            ("fullyLabeledReplicas", number(self.fully_labeled)),
            ("readyReplicas", number(self.ready)),
            ("availableReplicas", number(self.available)),
            ("observedGeneration", self.observed_generation.unwrap_or(0)),
        ];
        validate_counts(errors, path, &counts);
        let counts = [
            ("fullyLabeledReplicas", self.fully_labeled),
            ("readyReplicas", self.ready),
            ("availableReplicas", self.available),
        ];
        validate_at_most_replicas(errors, path, self.replicas, &counts);
        let available = self.available.unwrap_or(0);
        if available > self.ready.unwrap_or(0) {
            errors.invalid(path.child("availableReplicas"), available, "cannot be greater than readyReplicas");
        }
    }
}
