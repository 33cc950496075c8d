use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::control::Resource;

fn draft() -> UnversionedObject {
    UnversionedObject::encode(&Pod::default()).expect("a pod encodes")
}

fn put(name: &str, expect: Precondition) -> Operation {
    Operation::Put { key: Key::pod("ns", name), expect, draft: draft() }
}

fn pods() -> Scope {
    Scope::all(Resource::PODS)
}

#[test]
fn a_commit_does_all_or_nothing() {
    let store = ObjectStore::new(10);
    store.commit(vec![put("a", Precondition::Absent)]).expect("a is new");
    let error =
        store.commit(vec![put("b", Precondition::Absent), put("a", Precondition::Absent)]).expect_err("a exists");
    assert_eq!(error, CommitError::Exists(Key::pod("ns", "a")));
    assert!(store.get(&Key::pod("ns", "b")).is_none());
}

#[test]
fn a_rehearsal_is_answered_like_a_commit_and_stores_nothing() {
    let store = ObjectStore::new(10);
    let first = store.commit(vec![put("a", Precondition::Absent)]).expect("new").remove(0);
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
fn a_stale_writer_is_told() {
    let store = ObjectStore::new(10);
    let first = store.commit(vec![put("a", Precondition::Absent)]).expect("new");
    let at = Precondition::At(first[0].revision);
    store.commit(vec![put("a", at)]).expect("the first writer");
    assert_eq!(store.commit(vec![put("a", at)]).err(), Some(CommitError::Modified(Key::pod("ns", "a"))));
}

#[tokio::test]
async fn a_watch_tells_each_change_once_in_order_and_ends_when_it_fell_behind() {
    let store = ObjectStore::new(3);
    let mut watch = store.watch(pods(), 1).expect("from the beginning");
    let a = store.commit(vec![put("a", Precondition::Absent)]).expect("new");
    store.commit(vec![put("a", Precondition::At(a[0].revision))]).expect("current");
    let kinds = |changes: Vec<Change>| changes.iter().map(|c| (c.kind, c.object.revision)).collect::<Vec<_>>();
    let seen = kinds(watch.next().await.expect("in reach"));
    assert_eq!(seen, [(ChangeKind::Added, 2), (ChangeKind::Modified, 3)]);

    let delete = Operation::Delete { key: Key::pod("ns", "a"), expect: 3, last: draft() };
    store.commit(vec![delete]).expect("current");
    assert_eq!(kinds(watch.next().await.expect("in reach")), [(ChangeKind::Deleted, 4)]);

    for name in ["b", "c", "d", "e"] {
        store.commit(vec![put(name, Precondition::Absent)]).expect("new");
    }
    assert_eq!(watch.next().await.err(), Some(Expired { asked: 4, oldest: 5 }));
    assert!(store.watch(pods(), 5).is_ok());
}

#[tokio::test]
async fn a_watch_of_one_namespace_sees_no_other() {
    let store = ObjectStore::new(10);
    let scope = Scope { namespace: Some("mine".into()), ..pods() };
    let mut watch = store.watch(scope, 1).expect("from the beginning");
    let op = |ns| Operation::Put { key: Key::pod(ns, "a"), expect: Precondition::Absent, draft: draft() };
    store.commit(vec![op("theirs"), op("mine")]).expect("new");
    let seen = watch.next().await.expect("in reach");
    assert_eq!(seen.len(), 1);
    assert_eq!(&*seen[0].object.key.namespace, "mine");
    assert_eq!(watch.position(), 3);
}

#[test]
fn the_past_is_remembered_as_far_as_the_history_reaches() {
    let store = ObjectStore::new(3);
    let a = store.commit(vec![put("a", Precondition::Absent)]).expect("new");
    let first = a[0].revision;
    store.commit(vec![put("a", Precondition::At(first)), put("b", Precondition::Absent)]).expect("both");
    let names = |at| -> Result<Vec<(String, Revision)>, Expired> {
        let objects = store.list_at(&pods(), at)?;
        Ok(objects.iter().map(|o| (o.key.name.to_string(), o.revision)).collect())
    };
    assert_eq!(names(first - 1), Ok(vec![]));
    assert_eq!(names(first), Ok(vec![("a".into(), first)]));
    assert_eq!(names(first + 2), Ok(vec![("a".into(), first + 1), ("b".into(), first + 2)]));
    let last = Operation::Delete { key: Key::pod("ns", "b"), expect: first + 2, last: draft() };
    store.commit(vec![last]).expect("deleted");
    assert_eq!(names(first + 2), Ok(vec![("a".into(), first + 1), ("b".into(), first + 2)]));
    assert!(names(first - 1).is_err(), "forgotten");
}

#[tokio::test]
async fn a_watch_from_a_revision_to_come_begins_there() {
    let store = ObjectStore::new(10);
    let mut watch = store.watch(pods(), 3).expect("in reach");
    let mut seen = std::pin::pin!(watch.next());
    for name in ["a", "b", "c"] {
        assert!(futures_util::poll!(seen.as_mut()).is_pending(), "before {name}");
        store.commit(vec![put(name, Precondition::Absent)]).expect("new");
    }
    let names: Vec<_> = seen.await.expect("in reach").iter().map(|change| change.object.key.name.to_string()).collect();
    assert_eq!(names, ["c"]);
}
