use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::*;
use crate::control::{ChangeKind, FieldValidation, Patch, PatchKind, Reason, Subresource, WatchEvent};
use crate::model::pods;

fn registry() -> Registry {
    let start = "2026-01-01T00:00:00Z".parse().expect("a time");
    Registry::new(ObjectStore::new(100), Clock::starting_at(start))
}

fn pod(yaml: &str) -> Body {
    Body::from(serde_yaml::from_str::<Pod>(yaml).expect("a pod"))
}

const SIMPLE: &str = "{metadata: {name: a}, spec: {containers: [{name: c, image: busybox}]}}";

async fn created(registry: &Registry, yaml: &str) -> Arc<Pod> {
    registry.create(pod(yaml)).await.expect("a valid pod").decode().expect("a pod")
}

async fn causes(yaml: &str) -> Vec<String> {
    let status = registry().create(pod(yaml)).await.expect_err("an invalid pod");
    status.causes.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn created_pod_has_identity_and_defaults() {
    let pod = created(&registry(), SIMPLE).await;
    insta::assert_json_snapshot!(&*pod, {".metadata.uid" => "[uid]"});
}

#[tokio::test(start_paused = true)]
async fn generated_names_have_a_suffix_without_vowels() {
    let registry = registry();
    let yaml = SIMPLE.replace("name: a}", "generateName: web-}");
    let (a, b) = (created(&registry, &yaml).await, created(&registry, &yaml).await);
    assert_ne!(pods::name(&a), pods::name(&b));
    let suffix = pods::name(&a).strip_prefix("web-").expect("the prefix").to_string();
    assert!(suffix.len() == 5 && !suffix.contains(['a', 'e', 'i', 'o', 'u']), "{suffix}");
}

#[tokio::test(start_paused = true)]
async fn all_validation_errors_are_reported_at_once() {
    let yaml = "{metadata: {name: A}, spec: {restartPolicy: always, volumes: [{name: v}, {name: v}],
        containers: [{name: c, volumeMounts: [{name: w, mountPath: /x}]}, {name: c, image: busybox}],
        initContainers: [{name: i, image: busybox, readinessProbe: {}}]}}";
    insta::assert_debug_snapshot!(causes(yaml).await);
}

#[tokio::test(start_paused = true)]
async fn existing_name_is_rejected() {
    let registry = registry();
    created(&registry, SIMPLE).await;
    let again = registry.create(pod(SIMPLE)).await.expect_err("the name exists");
    assert_eq!((again.reason.code(), again.message.as_str()), (409, "pods \"a\" already exists"));
}

#[tokio::test(start_paused = true)]
async fn deletion_waits_for_the_node_of_a_scheduled_pod() {
    let registry = registry();
    let key = Key::pod("default", "a");
    let unscheduled = created(&registry, SIMPLE).await;
    assert!(matches!(registry.delete(&key, DeleteOptions::default()).await, Ok(DeleteResult::Removed(_))));

    let scheduled = created(&registry, SIMPLE).await;
    assert_ne!(pods::uid(&unscheduled), pods::uid(&scheduled));
    let bind = Update::Bind { node: "n".into() };
    registry.update(&key, bind.clone(), Preconditions::default()).await.expect("bound");
    let twice = registry.update(&key, bind, Preconditions::default()).await.expect_err("already bound");
    assert_eq!(twice.reason, Reason::Conflict);

    // Later requests can only shorten the grace period (K65).
    for (requested, want) in [(None, 30), (Some(60), 30), (Some(5), 5), (Some(-1), 1)] {
        let options = DeleteOptions { grace_seconds: requested, ..DeleteOptions::default() };
        let Ok(DeleteResult::Marked(object)) = registry.delete(&key, options).await else { panic!("marked") };
        let pod = object.decode::<Pod>().expect("a pod");
        assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(want), "requested {requested:?}");
        assert_eq!(pod.metadata.generation, Some(2));
    }
    let message = Preconditions { uid: Some("other".into()), revision: None };
    let error = registry
        .delete(&key, DeleteOptions { grace_seconds: Some(0), preconditions: message, propagation: None })
        .await;
    assert_eq!(error.expect_err("another pod").reason, Reason::Conflict);
    let last = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    assert!(matches!(registry.delete(&key, last).await, Ok(DeleteResult::Removed(_))));
    assert_eq!(registry.get(&key).await.expect_err("gone").reason, Reason::NotFound);
}

fn merge(patch: &str) -> Update {
    let patch =
        Patch { kind: PatchKind::Merge, body: patch.as_bytes().to_vec(), field_validation: FieldValidation::Ignore };
    Update::Patch { patch, subresource: Subresource::Main }
}

#[tokio::test(start_paused = true)]
async fn removing_the_last_finalizer_completes_the_deletion() {
    let registry = registry();
    let key = Key::pod("default", "a");
    let yaml = SIMPLE.replace("name: a}", "name: a, finalizers: [example.com/x]}");
    created(&registry, &yaml).await;
    let deleted = registry.delete(&key, DeleteOptions::default()).await;
    assert!(matches!(deleted, Ok(DeleteResult::Marked(_))), "{deleted:?}");
    let more = merge(r#"{"metadata": {"finalizers": ["example.com/x", "example.com/y"]}}"#);
    let error = registry.update(&key, more, Preconditions::default()).await.expect_err("it is being deleted");
    assert!(error.message.contains("found new finalizers []string{\"example.com/y\"}"), "{}", error.message);
    let last = merge(r#"{"metadata": {"finalizers": null}}"#);
    registry.update(&key, last, Preconditions::default()).await.expect("the last finalizer is removed");
    assert_eq!(registry.get(&key).await.expect_err("gone").reason, Reason::NotFound);
}

#[tokio::test(start_paused = true)]
async fn unchanged_updates_are_not_stored_and_stale_ones_rejected() {
    let registry = registry();
    let key = Key::pod("default", "a");
    let pod = created(&registry, SIMPLE).await;
    let replace = |pod: Pod| Update::Replace { body: Body::from(pod), subresource: Subresource::Main };
    let same = registry.update(&key, replace((*pod).clone()), Preconditions::default()).await.expect("the same");
    assert_eq!(Some(same.revision.to_string()), pod.metadata.resource_version);

    let labelled = merge(r#"{"metadata": {"labels": {"a": "b"}}}"#);
    registry.update(&key, labelled, Preconditions::default()).await.expect("a label");
    let stale = registry.update(&key, replace((*pod).clone()), Preconditions::default()).await.expect_err("stale");
    assert_eq!((stale.reason, stale.message.contains(preconditions::OPTIMISTIC_LOCK_ERROR)), (Reason::Conflict, true));
    let mut unconditional = (*pod).clone();
    unconditional.metadata.resource_version = None;
    let object = registry.update(&key, replace(unconditional), Preconditions::default()).await.expect("no condition");
    assert_eq!(object.decode::<Pod>().expect("a pod").metadata.labels, None);
}

#[tokio::test(start_paused = true)]
async fn deletion_rejects_another_uid() {
    let registry = registry();
    let pod = created(&registry, SIMPLE).await;
    let preconditions = Preconditions { uid: Some("nope".into()), revision: None };
    let options = DeleteOptions { grace_seconds: None, preconditions, propagation: None };
    let error = registry.delete(&Key::pod("default", "a"), options).await.expect_err("another pod");
    let want = format!(
        "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition (nope) does not match the UID in \
         record ({}). The object might have been deleted and then recreated",
        pods::uid(&pod)
    );
    assert_eq!(error.message, want);
}

#[tokio::test(start_paused = true)]
async fn watch_delivers_status_changes_and_bookmarks() {
    let registry = registry();
    let scope = Scope::all(Resource::PODS);
    let from = registry.list(&scope).await.expect("a list").revision;
    let mut watch = registry.watch(&scope, from).await.expect("a watch");
    created(&registry, SIMPLE).await;
    let key = Key::pod("default", "a");
    let status = Box::new(PodStatus { phase: Some("Running".into()), ..PodStatus::default() });
    for _ in 0..2 {
        let update = Update::PodStatus(status.clone());
        registry.update(&key, update, Preconditions::default()).await.expect("written or unchanged");
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(match watch.next().await.expect("not ended").expect("within the history") {
            WatchEvent::Change(kind, object) => format!("{kind:?}@{}", object.revision),
            WatchEvent::Bookmark(revision) => format!("Bookmark@{revision}"),
        });
    }
    assert_eq!(seen, [format!("{:?}@2", ChangeKind::Added), "Modified@3".into(), "Bookmark@3".into()]);
}

#[tokio::test(start_paused = true)]
async fn filtered_watch_adds_and_deletes_at_scope_changes() {
    let registry = registry();
    let mut scope = Scope::all(Resource::PODS);
    scope.fields = crate::model::selector::FieldSelector::parse("status.phase=Running", |_| Ok("status.phase"))
        .expect("a selector");
    let mut watch = registry.watch(&scope, registry.storage.objects().revision()).await.expect("a watch");
    registry.create(pod(SIMPLE)).await.expect("created");
    let key = Key::pod("default", "a");
    let mut revisions = Vec::new();
    for phase in ["Running", "Running", "Succeeded"] {
        let ip = format!("10.0.0.{}", revisions.len());
        let status = PodStatus { phase: Some(phase.into()), pod_ip: Some(ip), ..PodStatus::default() };
        let update = Update::PodStatus(Box::new(status));
        revisions.push(registry.update(&key, update, Preconditions::default()).await.expect("updated").revision);
    }
    for (kind, revision) in [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted].into_iter().zip(revisions) {
        match watch.next().await.expect("not ended").expect("within the history") {
            WatchEvent::Change(seen, object) => assert_eq!((seen, object.revision), (kind, revision)),
            WatchEvent::Bookmark(_) => panic!("unexpected bookmark"),
        }
    }
    assert!(registry.list(&scope).await.expect("a list").items.is_empty());
    let before = registry.list_at(&scope, registry.storage.objects().revision() - 1).await.expect("within the history");
    assert_eq!(before.items.len(), 1);
}
