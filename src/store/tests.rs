use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::control::Resource;

fn pod() -> UnversionedObject {
    UnversionedObject::encode(&Pod::default()).expect("encoded pod")
}

pub(super) fn put(name: &str, precondition: Precondition) -> Operation {
    Operation::Put { key: Key::pod("ns", name), precondition, object: pod() }
}

pub(super) fn delete(name: &str, expected_revision: Revision) -> Operation {
    Operation::Delete { key: Key::pod("ns", name), expected_revision, last_state: pod() }
}

pub(super) fn all_pods() -> Scope {
    Scope::all(Resource::PODS)
}

#[test]
fn commit_applies_all_operations_or_none() {
    let store = ObjectStore::new(10);
    store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("a is new");
    let error = store
        .commit(vec![put("b", Precondition::Absent), put("a", Precondition::Absent)], Durability::Durable)
        .expect_err("a exists");
    assert_eq!(error, CommitError::Exists(Key::pod("ns", "a")));
    assert!(store.get(&Key::pod("ns", "b")).is_none());
}

#[test]
fn dry_run_returns_the_commit_result_and_stores_nothing() {
    let store = ObjectStore::new(10);
    let first = store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("new").remove(0);
    assert_eq!(store.dry_run_commit(put("b", Precondition::Absent)).map(|object| object.revision), Ok(0));
    assert_eq!(
        store.dry_run_commit(put("a", Precondition::At(first.revision))).map(|object| object.revision),
        Ok(first.revision)
    );
    assert_eq!(
        store.dry_run_commit(put("a", Precondition::Absent)).err(),
        Some(CommitError::Exists(Key::pod("ns", "a")))
    );
    assert!(store.get(&Key::pod("ns", "b")).is_none());
    assert_eq!(store.revision(), first.revision);
}

#[test]
fn stale_revision_is_rejected() {
    let store = ObjectStore::new(10);
    let first = store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("new");
    let at = Precondition::At(first[0].revision);
    store.commit(vec![put("a", at)], Durability::Durable).expect("the first writer");
    assert_eq!(
        store.commit(vec![put("a", at)], Durability::Durable).err(),
        Some(CommitError::Modified(Key::pod("ns", "a")))
    );
}

#[tokio::test]
async fn watch_delivers_each_change_once_in_order() {
    let store = ObjectStore::new(3);
    let mut watch = store.watch(all_pods(), 1).expect("in history");
    let a = store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("new");
    store.commit(vec![put("a", Precondition::At(a[0].revision))], Durability::Durable).expect("current");
    let kinds = |changes: Vec<ObjectChange>| changes.iter().map(|c| (c.kind, c.object.revision)).collect::<Vec<_>>();
    let seen = kinds(watch.next().await.expect("in history"));
    assert_eq!(seen, [(ChangeKind::Added, 2), (ChangeKind::Modified, 3)]);
    store.commit(vec![delete("a", 3)], Durability::Durable).expect("current");
    assert_eq!(kinds(watch.next().await.expect("in history")), [(ChangeKind::Deleted, 4)]);
}

#[tokio::test]
async fn watch_that_falls_behind_the_history_expires() {
    let store = ObjectStore::new(3);
    store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("new");
    let mut watch = store.watch(all_pods(), 1).expect("in history");
    watch.next().await.expect("in history");
    assert_eq!(watch.position(), 2);
    for name in ["b", "c", "d", "e"] {
        store.commit(vec![put(name, Precondition::Absent)], Durability::Durable).expect("new");
    }
    assert_eq!(watch.next().await.err(), Some(RevisionExpired { requested: 2, oldest: 3 }));
    assert!(store.watch(all_pods(), 3).is_ok());
}

#[tokio::test]
async fn watch_delivers_its_namespace_only() {
    let store = ObjectStore::new(10);
    let scope = Scope { namespace: Some("mine".into()), ..all_pods() };
    let mut watch = store.watch(scope, 1).expect("in history");
    let put_in = |ns| Operation::Put { key: Key::pod(ns, "a"), precondition: Precondition::Absent, object: pod() };
    store.commit(vec![put_in("theirs"), put_in("mine")], Durability::Durable).expect("new");
    let seen = watch.next().await.expect("in history");
    assert_eq!(seen.len(), 1);
    assert_eq!(&*seen[0].object.key.namespace, "mine");
    assert_eq!(watch.position(), 3);
}

#[test]
fn list_at_reaches_back_through_the_history() {
    let store = ObjectStore::new(3);
    let a = store.commit(vec![put("a", Precondition::Absent)], Durability::Durable).expect("new");
    let first = a[0].revision;
    store
        .commit(vec![put("a", Precondition::At(first)), put("b", Precondition::Absent)], Durability::Durable)
        .expect("both");
    let names = |at| -> Result<Vec<(String, Revision)>, RevisionExpired> {
        let objects = store.list_at(&all_pods(), at)?;
        Ok(objects.iter().map(|o| (o.key.name.to_string(), o.revision)).collect())
    };
    assert_eq!(names(first - 1), Ok(vec![]));
    assert_eq!(names(first), Ok(vec![("a".into(), first)]));
    assert_eq!(names(first + 2), Ok(vec![("a".into(), first + 1), ("b".into(), first + 2)]));
    store.commit(vec![delete("b", first + 2)], Durability::Durable).expect("deleted");
    assert_eq!(names(first + 2), Ok(vec![("a".into(), first + 1), ("b".into(), first + 2)]));
    assert!(names(first - 1).is_err(), "beyond the history");
}

#[tokio::test]
async fn watch_may_start_at_a_future_revision() {
    let store = ObjectStore::new(10);
    let mut watch = store.watch(all_pods(), 3).expect("in history");
    let mut seen = std::pin::pin!(watch.next());
    for name in ["a", "b", "c"] {
        assert!(futures_util::poll!(seen.as_mut()).is_pending(), "before {name}");
        store.commit(vec![put(name, Precondition::Absent)], Durability::Durable).expect("new");
    }
    let names: Vec<_> =
        seen.await.expect("in history").iter().map(|change| change.object.key.name.to_string()).collect();
    assert_eq!(names, ["c"]);
}

#[tokio::test]
async fn watch_takes_a_bounded_number_of_changes_at_once() {
    let store = ObjectStore::new(1000);
    let mut watch = store.watch(all_pods(), 1).expect("in history");
    for name in 0..2 * MAX_CHANGES + 1 {
        store.commit(vec![put(&name.to_string(), Precondition::Absent)], Durability::Durable).expect("new");
    }
    let mut revisions = Vec::new();
    for taken in [MAX_CHANGES, MAX_CHANGES, 1] {
        let changes = watch.next().await.expect("in history");
        assert_eq!(changes.len(), taken);
        revisions.extend(changes.iter().map(|change| change.object.revision));
        assert_eq!(Some(&watch.position()), revisions.last());
    }
    assert!(revisions.into_iter().eq(2..=store.revision()));
}

#[tokio::test]
async fn watch_takes_a_bounded_number_of_bytes_at_once() {
    let store = ObjectStore::new(1000);
    let mut watch = store.watch(all_pods(), 1).expect("in history");
    for name in ["a", "b", "c"] {
        let mut pod = Pod::default();
        pod.metadata.annotations = Some([("text".to_string(), "x".repeat(MAX_CHANGED_BYTES / 2))].into());
        let object = UnversionedObject::encode(&pod).expect("a pod encodes");
        let operation = Operation::Put { key: Key::pod("ns", name), precondition: Precondition::Absent, object };
        store.commit(vec![operation], Durability::Durable).expect("new");
    }
    for (taken, position) in [(2, 3), (1, 4)] {
        assert_eq!((watch.next().await.expect("in history").len(), watch.position()), (taken, position));
    }
}
