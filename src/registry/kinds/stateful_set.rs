//! StatefulSets: numbered pods, each with a stable name and claims of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus, StatefulSetUpdateStrategy};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::label_selector::{LabelMatcher, OrderedSelector};
use crate::registry::pod::{self, set_default, template, unset_if_zero};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{claims, metadata, workload_rules};

impl Strategy for StatefulSet {
    const INFO: KindInfo = KindInfo {
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[SubresourceInfo::SCALE, SubresourceInfo::status("StatefulSet")],
        ..KindInfo::new("statefulset", "H+vl74LkKdo=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Ready", "Number of ready pods and of wanted pods."),
        Column::AGE,
        workload_rules::CONTAINERS,
        workload_rules::IMAGES,
    ];
    const HAS_GENERATION: bool = true;
    const TEMPLATE_PATH: Option<&'static str> = Some(workload_rules::TEMPLATE_PATH);

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let wanted = self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let ready = self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let [containers, images] = workload_rules::container_cells(self);
        vec![
            columns::name(&self.metadata),
            format!("{ready}/{wanted}").into(),
            age(&self.metadata, now).into(),
            containers,
            images,
        ]
    }

    fn set_defaults(&mut self) {
        set_spec_defaults(self.spec.get_or_insert_default());
        if let Some(status) = &mut self.status {
            status.available_replicas.get_or_insert(0);
        }
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(StatefulSetStatus { available_replicas: Some(0), ..StatefulSetStatus::default() });
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_label);
        validate_spec(errors, self.spec.as_ref(), None);
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let mut warnings = workload_rules::warnings_on_template(self);
        warnings.extend(self.spec.iter().flat_map(warnings_on_spec));
        warnings
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_spec(errors, self.spec.as_ref(), old.spec.as_ref());
        let (Some(spec), Some(old)) = (&self.spec, &old.spec) else { return };
        let unchanged = StatefulSetSpec {
            replicas: old.replicas,
            ordinals: old.ordinals.clone(),
            template: old.template.clone(),
            update_strategy: old.update_strategy.clone(),
            revision_history_limit: old.revision_history_limit,
            persistent_volume_claim_retention_policy: old.persistent_volume_claim_retention_policy.clone(),
            min_ready_seconds: old.min_ready_seconds,
            ..spec.clone()
        };
        if unchanged != *old {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                          'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                          'minReadySeconds' are forbidden";
            errors.forbidden(FieldPath::root("spec"), detail);
        }
    }

    fn warnings_on_update(&self, old: &Self) -> Vec<String> {
        let mut warnings = workload_rules::warnings_on_changed_template(self, old);
        warnings.extend(self.spec.iter().flat_map(warnings_on_spec));
        warnings
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        let empty = StatefulSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        validate_status(errors, status);
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let old = old.status.as_ref().and_then(|status| status.collision_count);
        workload_rules::validate_collision_count(errors, old, status.collision_count);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn scale(&self) -> Option<Scale> {
        let spec = self.spec.as_ref()?;
        let observed = self.status.as_ref().map_or(0, |status| status.replicas);
        Some(workload_rules::scale(spec.replicas, observed, LabelMatcher::new(Some(&spec.selector)).as_ref()))
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

fn set_spec_defaults(spec: &mut StatefulSetSpec) {
    unset_if_zero(&mut spec.min_ready_seconds);
    unset_if_zero(&mut spec.volume_claim_templates);
    workload_rules::set_selector_defaults(&mut spec.selector);
    spec.replicas.get_or_insert(1);
    spec.revision_history_limit.get_or_insert(10);
    spec.service_name.get_or_insert_default();
    if let Some(ordinals) = &mut spec.ordinals {
        ordinals.start.get_or_insert(0);
    }
    set_default(&mut spec.pod_management_policy, "OrderedReady");
    let strategy = spec.update_strategy.get_or_insert_default();
    if strategy.type_.as_deref().unwrap_or_default().is_empty() {
        strategy.type_ = Some("RollingUpdate".into());
        strategy.rolling_update.get_or_insert_default();
    }
    if strategy.type_.as_deref() == Some("RollingUpdate")
        && let Some(rolling) = &mut strategy.rolling_update
    {
        rolling.partition.get_or_insert(0);
        // The feature gate MaxUnavailableStatefulSet is off.
        rolling.max_unavailable = None;
    }
    let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
    set_default(&mut retention.when_deleted, "Retain");
    set_default(&mut retention.when_scaled, "Retain");
    template::set_defaults(&mut spec.template);
    spec.volume_claim_templates.iter_mut().flatten().for_each(set_claim_defaults);
}

/// Sets the defaults of a claim. A template of claims shows the phase that its claims begin with.
fn set_claim_defaults(claim: &mut PersistentVolumeClaim) {
    set_default(&mut claim.status.get_or_insert_default().phase, "Pending");
    let spec = claim.spec.get_or_insert_default();
    set_default(&mut spec.volume_mode, "Filesystem");
    let resources = spec.resources.get_or_insert_default();
    pod::canonicalize(resources.limits.as_mut());
    pod::canonicalize(resources.requests.as_mut());
}

/// Returns the warnings about the spec beside its template.
fn warnings_on_spec(spec: &StatefulSetSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    let path = FieldPath::root("spec");
    let list = path.child("volumeClaimTemplates");
    for (i, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        let path = list.index(i);
        if let Some(resources) = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()) {
            let path = path.child("spec");
            warnings.extend(pod::warnings::warnings_on_storage(path.child("resources"), resources));
        }
    }
    if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
        let detail = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warnings.push(format!("spec.revisionHistoryLimit: {detail}"));
    }
    warnings
}

fn selector(spec: &StatefulSetSpec) -> Option<&LabelSelector> {
    workload_rules::given_selector(&spec.selector)
}

/// Validates the spec (`ValidateStatefulSetSpec`). What an update cannot change is not validated again.
fn validate_spec(errors: &mut ErrorList, spec: Option<&StatefulSetSpec>, old: Option<&StatefulSetSpec>) {
    let Some(spec) = spec else { return };
    let path = FieldPath::root("spec");
    match spec.pod_management_policy.as_deref().unwrap_or_default() {
        "" => errors.required(path.child("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        policy => errors.invalid(path.child("podManagementPolicy"), policy, "must be 'OrderedReady' or 'Parallel'"),
    }
    if let Some(strategy) = &spec.update_strategy {
        validate_strategy(errors, path.child("updateStrategy"), strategy);
    }
    validate_retention(errors, path.child("persistentVolumeClaimRetentionPolicy"), spec);
    if old.is_none() {
        validate_claim_templates(errors, path.child("volumeClaimTemplates"), spec);
    }
    errors.check_non_negative(path.child("replicas"), i64::from(spec.replicas.unwrap_or(0)));
    errors.check_non_negative(path.child("minReadySeconds"), i64::from(spec.min_ready_seconds.unwrap_or(0)));
    if let Some(ordinals) = &spec.ordinals {
        errors.check_non_negative(path.child("ordinals.start"), i64::from(ordinals.start.unwrap_or(0)));
    }
    let service = spec.service_name.as_deref().unwrap_or_default();
    if old.is_none() && !service.is_empty() {
        errors.invalid_each(path.child("serviceName"), service, formats::dns_label(service));
    }
    workload_rules::validate_required_selector(errors, path.child("selector"), selector(spec), "statefulset");
    match LabelMatcher::new(selector(spec)) {
        None => errors.invalid(path.child("selector"), OrderedSelector(&spec.selector), ""),
        Some(matcher) => {
            if !matcher.is_everything() {
                workload_rules::validate_matching_labels(errors, path.child("template"), &matcher, &spec.template);
            }
            template::validate(errors, path.child("template"), &with_claim_volumes(spec));
        }
    }
    workload_rules::validate_restarted_forever(errors, path.child("template"), &spec.template, "StatefulSet");
}

fn validate_strategy(errors: &mut ErrorList, path: FieldPath<'_>, strategy: &StatefulSetUpdateStrategy) {
    let rolling = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("", _) => errors.required(path, ""),
        ("OnDelete", Some(update)) => {
            errors.invalid(rolling, update, "only allowed for updateStrategy 'RollingUpdate'");
        }
        ("RollingUpdate", Some(update)) => {
            errors.check_non_negative(rolling.child("partition"), i64::from(update.partition.unwrap_or(0)));
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        _ => errors.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

fn validate_retention(errors: &mut ErrorList, path: FieldPath<'_>, spec: &StatefulSetSpec) {
    let Some(policy) = &spec.persistent_volume_claim_retention_policy else { return };
    for (field, policy) in [("whenDeleted", &policy.when_deleted), ("whenScaled", &policy.when_scaled)] {
        errors.check_one_of(path.child(field), policy.as_deref().unwrap_or_default(), &["Retain", "Delete"]);
    }
}

fn validate_claim_templates(errors: &mut ErrorList, list: FieldPath<'_>, spec: &StatefulSetSpec) {
    for (i, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        if let Some(claim) = &claim.spec {
            let path = list.index(i);
            claims::validate_spec(errors, path.child("spec"), claim, None);
        }
    }
}

/// Returns the template with the volumes that its pods have: one for each claim template, and those of the template
/// with other names.
fn with_claim_volumes(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    let claims = spec.volume_claim_templates.iter().flatten();
    let claim_volumes: BTreeMap<&str, Volume> = claims
        .map(|claim| {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let source = PersistentVolumeClaimVolumeSource { claim_name: name.to_string(), ..Default::default() };
            (name, Volume { name: name.to_string(), persistent_volume_claim: Some(source), ..Volume::default() })
        })
        .collect();
    if let Some(pod) = template.spec.as_mut().filter(|_| !claim_volumes.is_empty()) {
        let own = pod.volumes.take().unwrap_or_default();
        let own = own.into_iter().filter(|volume| !claim_volumes.contains_key(volume.name.as_str()));
        let own: Vec<Volume> = own.collect();
        pod.volumes = Some(claim_volumes.into_values().chain(own).collect());
    }
    template
}

/// Validates the status (`ValidateStatefulSetStatus`).
fn validate_status(errors: &mut ErrorList, status: &StatefulSetStatus) {
    let path = FieldPath::root("status");
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let counts = [
        ("replicas", i64::from(status.replicas)),
        ("readyReplicas", number(status.ready_replicas)),
        ("currentReplicas", number(status.current_replicas)),
        ("updatedReplicas", number(status.updated_replicas)),
        ("availableReplicas", number(status.available_replicas)),
        ("observedGeneration", status.observed_generation.unwrap_or(0)),
        ("collisionCount", number(status.collision_count)),
    ];
    workload_rules::validate_counts(errors, path, &counts);
    let counts = [
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    workload_rules::validate_at_most_replicas(errors, path, status.replicas, &counts);
    let available = status.available_replicas.unwrap_or(0);
    if available > status.ready_replicas.unwrap_or(0) {
        errors.invalid(path.child("availableReplicas"), available, "cannot be greater than status.readyReplicas");
    }
}
