//! Rules of workloads that the golden files do not cover.

use serde_json::{Value, json};

use super::golden_tests::{decode, kind_at, new_registry};
use crate::control::{
    ControlPlane, DeleteOptions, DeleteResult, FieldValidation, Patch, PatchKind, Preconditions, Status, Subresource,
    Update,
};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/ns/deployments";
const REPLICA_SETS: &str = "/apis/apps/v1/namespaces/ns/replicasets";
const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/ns/statefulsets";
const DAEMON_SETS: &str = "/apis/apps/v1/namespaces/ns/daemonsets";
const CONTROLLERS: &str = "/api/v1/namespaces/ns/replicationcontrollers";
const JOBS: &str = "/apis/batch/v1/namespaces/ns/jobs";
const CRON_JOBS: &str = "/apis/batch/v1/namespaces/ns/cronjobs";

fn merge(into: &mut Value, fields: &Value) {
    json_patch::merge(into, fields);
}

/// Returns a valid object for the collection at `path`, with `fields` merged into it.
fn object(path: &str, fields: &Value) -> Value {
    let policy = if path == JOBS { "Never" } else { "Always" };
    let template = json!({"metadata": {"labels": {"app": "a"}},
        "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "x"}]}});
    let mut object = match path {
        CRON_JOBS => json!({"spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}}),
        JOBS => json!({"spec": {"template": template}}),
        CONTROLLERS => json!({"spec": {"selector": {"app": "a"}, "template": template}}),
        _ => json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}),
    };
    if path == CRON_JOBS {
        object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    }
    merge(&mut object, &json!({"metadata": {"name": "a"}}));
    merge(&mut object, fields);
    object
}

fn causes(status: &Status) -> Vec<String> {
    status.causes.iter().map(ToString::to_string).collect()
}

/// Returns the causes for which the object is rejected.
async fn create_causes(path: &str, fields: &Value) -> Vec<String> {
    let body = decode(path, &object(path, fields).to_string()).expect("an object");
    new_registry().create(body).await.map_or_else(|status| causes(&status), |_| Vec::new())
}

/// Creates an object, patches it in turn and returns it, or the causes of the last patch.
async fn update(path: &str, fields: &Value, patches: &[(Subresource, Value)]) -> Result<Value, Vec<String>> {
    let registry = new_registry();
    let body = decode(path, &object(path, fields).to_string()).expect("an object");
    let mut object = registry.create(body).await.expect("a valid object");
    let key = object.key.clone();
    for (subresource, body) in patches {
        let body = body.to_string().into_bytes();
        let patch = Patch { kind: PatchKind::Merge, body, field_validation: FieldValidation::Strict };
        let update = Update::Patch { patch, subresource: *subresource };
        object = registry.update(&key, update, Preconditions::default()).await.map_err(|status| causes(&status))?;
    }
    Ok(serde_json::from_slice(&object.json).expect("JSON"))
}

#[tokio::test(start_paused = true)]
async fn empty_selectors_differ_from_missing_ones() {
    let no_match = "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template \
                    `labels`";
    for (path, word) in [
        (DEPLOYMENTS, "deployment"),
        (REPLICA_SETS, "deployment"),
        (STATEFUL_SETS, "statefulset"),
        (DAEMON_SETS, "daemonset"),
    ] {
        let mut missing = vec!["spec.selector: Required value", no_match];
        if path == DAEMON_SETS {
            missing.remove(0);
        }
        assert_eq!(create_causes(path, &json!({"spec": {"selector": null}})).await, missing, "{path}");
        let empty = json!({"spec": {"selector": {"matchLabels": null}}});
        let want = format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {word}");
        assert_eq!(create_causes(path, &empty).await, [want], "{path}");
    }
    let no_selector = json!({"spec": {"selector": null, "template": null}});
    let want = ["spec.selector: Required value", "spec.template: Required value"];
    assert_eq!(create_causes(CONTROLLERS, &no_selector).await, want);
}

#[tokio::test(start_paused = true)]
async fn invalid_sets_are_rejected_with_their_causes() {
    let rolling =
        |update: Value| json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": update}}});
    for (path, fields, want) in [
        (
            REPLICA_SETS,
            json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}}),
            vec![
                "spec.selector.matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator",
                "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"a\"},\"matchExpressions\":[{\"key\":\"a\",\
                 \"operator\":\"Near\"}]}: invalid label selector",
            ],
        ),
        (STATEFUL_SETS, rolling(json!({"maxUnavailable": "0%"})), vec![]),
        (
            STATEFUL_SETS,
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}}),
            vec![
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy \
                 'RollingUpdate'",
            ],
        ),
        (
            STATEFUL_SETS,
            json!({"spec": {"ordinals": {"start": -1}}}),
            vec!["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            DAEMON_SETS,
            rolling(json!({"maxSurge": "200%", "maxUnavailable": 0})),
            vec!["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"200%\": must not be greater than 100%"],
        ),
        (
            DAEMON_SETS,
            json!({"spec": {"template": {"spec": {"activeDeadlineSeconds": 5}}}}),
            vec![
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not \
                 Supported",
            ],
        ),
        (
            CONTROLLERS,
            json!({"spec": {"replicas": -1, "minReadySeconds": -1}}),
            vec![
                "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
    ] {
        assert_eq!(create_causes(path, &fields).await, want, "{path} {fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_jobs_are_rejected_with_their_causes() {
    let rules = |rule: Value| json!({"podFailurePolicy": {"rules": [rule]}});
    for (spec, want) in [
        (
            json!({"completionMode": "Indexed", "parallelism": 1}),
            vec!["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            json!({"completionMode": "Sorted"}),
            vec!["spec.completionMode: Unsupported value: \"Sorted\": supported values: \"NonIndexed\", \"Indexed\""],
        ),
        (
            json!({"maxFailedIndexes": 1}),
            vec![
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1, "maxFailedIndexes": 3}),
            vec!["spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"],
        ),
        (
            json!({"managedBy": "A.io/x y"}),
            vec![
                "spec.managedBy: Invalid value: \"A.io\": a lowercase RFC 1123 subdomain must consist of lower case \
                 alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
                 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                "spec.managedBy: Invalid value: \"x y\": Invalid path (regex used for validation is \
                 '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
            ],
        ),
        (
            rules(json!({"action": "FailIndex", "onExitCodes": {"operator": "", "values": [2, 1]}})),
            vec![
                "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the \
                 backoffLimitPerIndex to be set",
                "spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: [\"In\" \"NotIn\"]",
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered",
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 2, "successPolicy": {"rules": []}}),
            vec![
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the \
                 successPolicy is specified",
            ],
        ),
        (
            json!({"podReplacementPolicy": "Never"}),
            vec![
                "spec.podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \
                 \"TerminatingOrFailed\"",
            ],
        ),
    ] {
        assert_eq!(create_causes(JOBS, &json!({"spec": spec})).await, want, "{spec}");
    }
    let long = json!({"metadata": {"name": "a".repeat(53)}});
    let want = format!("metadata.name: Invalid value: \"{}\": must be no more than 52 bytes", "a".repeat(53));
    assert_eq!(create_causes(CRON_JOBS, &long).await, [want]);
}

#[tokio::test(start_paused = true)]
async fn suspended_jobs_accept_scheduling_and_resources() {
    let suspended = json!({"spec": {"suspend": true}});
    let pod = |spec: Value| (Subresource::Main, json!({"spec": {"template": {"spec": spec}}}));
    let container = |fields: Value| {
        let mut container = json!({"name": "c", "image": "x"});
        merge(&mut container, &fields);
        pod(json!({"containers": [container]}))
    };
    for patch in [
        pod(json!({"nodeSelector": {"a": "b"}})),
        pod(json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}})),
        container(json!({"resources": {"limits": {"cpu": "1"}}})),
    ] {
        let changed = update(JOBS, &suspended, std::slice::from_ref(&patch)).await.expect("an accepted update");
        assert_eq!(changed["metadata"]["generation"], 2, "{patch:?}");
        let started = (Subresource::Status, json!({"status": {"startTime": "2026-01-01T00:00:00Z"}}));
        let error = update(JOBS, &suspended, &[started, patch]).await.expect_err("a job that was started");
        assert!(error[0].starts_with("spec.template: Invalid value: ") && error.len() == 1, "{error:?}");
    }
    let spread = pod(json!({"schedulerName": "x"}));
    let error = update(JOBS, &suspended, &[spread]).await.expect_err("another field");
    assert!(error[0].starts_with("spec.template.spec: Invalid value: "), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn job_status_only_moves_forward() {
    let condition =
        |kinds: &[&str]| -> Value { kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect() };
    let status = |status: Value| (Subresource::Status, json!({"status": status}));
    let start = "2026-01-01T00:00:00Z";
    let failed =
        status(json!({"conditions": condition(&["FailureTarget", "Failed"]), "startTime": start, "failed": 2}));
    for (patches, want) in [
        (vec![failed.clone()], vec![]),
        (
            vec![status(json!({"conditions": condition(&["Failed"]), "startTime": start}))],
            vec![
                "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
            ],
        ),
        (
            vec![failed.clone(), status(json!({"conditions": null, "failed": 1}))],
            vec![
                "status.conditions: Invalid value: cannot disable the terminal Failed=True condition",
                "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition",
                "status.failed: Invalid value: 1: cannot decrease the failed counter",
            ],
        ),
        (
            vec![failed, status(json!({"active": 1}))],
            vec!["status.active: Invalid value: 1: active>0 is invalid for finished job"],
        ),
        (
            vec![status(json!({"ready": 1}))],
            vec!["status.ready: Invalid value: 1: cannot set more ready pods than active"],
        ),
        (
            vec![status(json!({"completedIndexes": "0"}))],
            vec![
                "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed \
                 completion mode",
            ],
        ),
        (
            vec![status(json!({"uncountedTerminatedPods": {"succeeded": ["", "a"], "failed": ["a"]}}))],
            vec![
                "status.uncountedTerminatedPods.succeeded[0]: Invalid value: \"\": must not be empty",
                "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
            ],
        ),
    ] {
        let causes = update(JOBS, &json!({}), &patches).await.err().unwrap_or_default();
        assert_eq!(causes, want, "{patches:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_cannot_set_the_template_generation() {
    const GENERATION: &str = "deprecated.daemonset.template.generation";
    let claimed = json!({"metadata": {"annotations": {GENERATION: "7"}}});
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "y"}]}}}});
    let main = |body: &Value| (Subresource::Main, body.clone());
    for (patches, generation) in [
        (vec![], "1"),
        (vec![main(&claimed)], "1"),
        (vec![main(&image)], "2"),
        (vec![main(&image), (Subresource::Status, claimed.clone())], "2"),
    ] {
        let set = update(DAEMON_SETS, &claimed, &patches).await.expect("accepted");
        assert_eq!(set["metadata"]["annotations"][GENERATION], generation, "{patches:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn deployments_count_annotations_and_keep_labels_of_a_status() {
    let annotated = json!({"metadata": {"annotations": {"a": "b"}, "labels": {"a": "b"}}});
    for (subresource, generation, labels) in
        [(Subresource::Main, 2, json!({"a": "b"})), (Subresource::Status, 1, Value::Null)]
    {
        let patch = (subresource, annotated.clone());
        let updated = update(DEPLOYMENTS, &json!({}), &[patch]).await.expect("accepted");
        let meta = &updated["metadata"];
        assert_eq!((&meta["generation"], &meta["labels"]), (&json!(generation), &labels), "{subresource:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_that_are_zero_do_not_count_as_changes() {
    let empty = json!({"matchExpressions": []});
    let pod = json!({"spec": {"volumes": [], "hostNetwork": false}});
    let spec = json!({"minReadySeconds": 0, "selector": empty, "template": pod});
    let with = |field: &str, value: Value| {
        let mut spec = spec.clone();
        spec[field] = value;
        spec
    };
    for (path, spec) in [
        (DEPLOYMENTS, with("paused", false.into())),
        (REPLICA_SETS, spec.clone()),
        (STATEFUL_SETS, with("volumeClaimTemplates", json!([]))),
        (DAEMON_SETS, spec.clone()),
        (CONTROLLERS, json!({"minReadySeconds": 0, "template": pod})),
        (JOBS, json!({"template": pod})),
    ] {
        let patch = (Subresource::Main, json!({"metadata": {"annotations": {}}, "spec": spec}));
        let updated = update(path, &json!({}), &[patch]).await.expect("accepted");
        assert_eq!(updated["metadata"]["generation"], 1, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn deletions_orphan_the_pods_of_jobs_and_controllers() {
    for (path, orphans) in [(JOBS, true), (CONTROLLERS, true), (CRON_JOBS, false), (DEPLOYMENTS, false)] {
        let registry = new_registry();
        let body = decode(path, &object(path, &json!({})).to_string()).expect("an object");
        let key = registry.create(body).await.expect("a valid object").key.clone();
        match registry.delete(&key, DeleteOptions::default()).await.expect("deleted") {
            DeleteResult::Marked(object) => {
                let object: Value = serde_json::from_slice(&object.json).expect("JSON");
                assert_eq!(object["metadata"]["finalizers"], json!(["orphan"]), "{path}");
                assert!(orphans, "{path}");
            }
            DeleteResult::Removed(_) => assert!(!orphans, "{path}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn workloads_warn_about_names_and_templates() {
    let name = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS \
                label is recommended: [must not contain dots]";
    let label = |path: &str| {
        format!(
            "{path}.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"
        )
    };
    let template = json!({"spec": {"nodeSelector": {"beta.kubernetes.io/os": "x"}}});
    for (path, has_name, template_path) in [
        (DEPLOYMENTS, true, "spec.template"),
        (REPLICA_SETS, true, "spec.template"),
        (CONTROLLERS, true, "spec.template"),
        (DAEMON_SETS, false, "spec.template"),
        (JOBS, true, "spec.template"),
        (CRON_JOBS, true, "spec.jobTemplate.spec.template"),
    ] {
        let mut fields = json!({"metadata": {"name": "a.b"}, "spec": {"template": template}});
        if path == CRON_JOBS {
            fields["spec"] = json!({"jobTemplate": {"spec": {"template": template}}});
        }
        let body = decode(path, &object(path, &fields).to_string()).expect("an object");
        let stored = new_registry().create(body).await.expect("a valid object");
        let mut want = vec![label(template_path)];
        if has_name {
            want.insert(0, name.into());
        }
        assert_eq!(kind_at(path).warnings_on_create(&stored), want, "{path}");
        assert_eq!(kind_at(path).warnings_on_update(&stored, &stored), Vec::<String>::new(), "{path}");
    }
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1500m"}}}});
    let fields = json!({"spec": {"revisionHistoryLimit": -1, "volumeClaimTemplates": [claim]}});
    let body = decode(STATEFUL_SETS, &object(STATEFUL_SETS, &fields).to_string()).expect("an object");
    let stored = new_registry().create(body).await.expect("a valid object");
    let want = [
        "spec.volumeClaimTemplates[0].spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, \
         must be an integer",
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
    ];
    assert_eq!(kind_at(STATEFUL_SETS).warnings_on_create(&stored), want);
}
