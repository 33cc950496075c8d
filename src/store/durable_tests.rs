//! Stores with a database: what survives, what fails, what waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::fake_disk::FakeDisk;
use super::tests::{all_pods, delete, put};
use super::*;
use crate::control::Resource;

const MAX_CHANGES: usize = 20;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn limits() -> HistoryLimits {
    HistoryLimits { changes: MAX_CHANGES, memory: RetainedMemory::unlimited() }
}

fn find(group: &str, plural: &str) -> Option<Resource> {
    [Resource::PODS, Resource::EVENTS].into_iter().find(|r| (r.group(), r.plural()) == (group, plural))
}

fn open(disk: &Arc<FakeDisk>) -> Arc<ObjectStore> {
    try_open(disk).expect("a store")
}

fn try_open(disk: &Arc<FakeDisk>) -> Result<Arc<ObjectStore>, OpenError> {
    ObjectStore::open_with(disk.opener(), "state.redb".into(), limits(), 1000, &find)
}

fn new_disk() -> Arc<FakeDisk> {
    FakeDisk::with_content(Vec::new())
}

/// Commits durably, and returns the revision.
async fn commit(store: &ObjectStore, operation: Operation) -> Result<Revision, StorageFailure> {
    let stored = store.commit(vec![operation], Durability::Durable).expect("the preconditions hold");
    store.wait_until_visible(stored[0].revision).await.map(|()| stored[0].revision)
}

fn commit_delayed(store: &ObjectStore, operation: Operation) -> Revision {
    store.commit(vec![operation], Durability::Delayed).expect("the preconditions hold")[0].revision
}

fn names(store: &ObjectStore) -> Vec<(String, Revision)> {
    store.list(&all_pods()).0.iter().map(|object| (object.key.name.to_string(), object.revision)).collect()
}

/// Waits until `is_done`, for things that another thread does soon.
fn wait_until(what: &str, is_done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn closed_store_continues_where_it_ended() {
    let disk = new_disk();
    let store = open(&disk);
    assert_eq!(store.revision(), 1000);
    let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    let a2 = commit_delayed(&store, put("a", Precondition::At(a)));
    let b = commit(&store, put("b", Precondition::Absent)).await.expect("stored");
    commit(&store, delete("b", b)).await.expect("deleted");
    store.commit(vec![put("c", Precondition::Absent)], Durability::Piggybacked).expect("new");
    let (listed, revision) = (names(&store), store.revision());
    store.close();
    let reopened = open(&disk);
    assert_eq!((names(&reopened), reopened.revision()), (listed, revision));
    let mut watch = reopened.watch(all_pods(), a).expect("in the history");
    let seen = watch.next().await.expect("in the history");
    let seen: Vec<_> =
        seen.iter().map(|c| (c.kind, c.object.revision, c.previous.as_ref().map(|p| p.revision))).collect();
    let want = [
        (ChangeKind::Modified, a2, Some(a)),
        (ChangeKind::Added, b, None),
        (ChangeKind::Deleted, b + 1, Some(b)),
        (ChangeKind::Added, b + 2, None),
    ];
    assert_eq!(seen, want);
    assert_eq!(
        reopened.get(&Key::pod("ns", "a")).expect("stored").json,
        store.get(&Key::pod("ns", "a")).expect("stored").json
    );
}

#[tokio::test]
async fn revisions_after_a_crash_are_above_all_that_were_answered() {
    let disk = new_disk();
    let store = open(&disk);
    let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    let answered = commit_delayed(&store, put("a", Precondition::At(a)));
    let crashed = FakeDisk::with_content(disk.after_power_cut(|| false));
    let next = open(&crashed);
    assert!(next.revision() > answered);
    assert_eq!(names(&next), [("a".to_string(), a)], "the delayed commit is lost");
    assert!(next.watch(all_pods(), a).is_ok(), "the history until there is complete");
    let expired = next.watch(all_pods(), answered).err().expect("its changes are lost");
    assert_eq!(expired, RevisionExpired { requested: answered, oldest: next.revision() });
    assert!(next.list_at(&all_pods(), answered).is_err());
    // The gap is remembered by the lives after it.
    let first = next.revision();
    let b = commit(&next, put("b", Precondition::Absent)).await.expect("stored");
    next.close();
    let last = open(&crashed);
    assert!(last.watch(all_pods(), answered).is_err());
    let mut watch = last.watch(all_pods(), first).expect("after the gap");
    assert_eq!(watch.next().await.expect("in the history")[0].object.revision, b);
}

#[tokio::test]
async fn commits_are_visible_once_they_are_durable() {
    let disk = new_disk();
    let store = open(&disk);
    let mut watch = store.watch(all_pods(), store.revision()).expect("in the history");
    disk.stand(true);
    let mut waiting = std::pin::pin!(commit(&store, put("a", Precondition::Absent)));
    assert!(waiting.as_mut().now_or_never().is_none());
    let key = Key::pod("ns", "a");
    let revision = store.get_for_update(&key).expect("writers see it").revision;
    assert_eq!(store.list_for_update(&all_pods()).len(), 1);
    assert!(store.get(&key).is_none() && names(&store).is_empty() && store.revision() < revision);
    assert!(watch.next().now_or_never().is_none());
    // Writers that come later build on it, and wait behind it, in the order of revisions.
    let exists = store.commit(vec![put("a", Precondition::Absent)], Durability::Durable);
    assert_eq!(exists.err(), Some(CommitError::Exists(key.clone())));
    let status = commit_delayed(&store, put("a", Precondition::At(revision)));
    assert!(store.get(&key).is_none(), "it would be visible before its predecessor");
    // A request that is dropped does not take its commit along.
    assert!(commit(&store, put("b", Precondition::Absent)).now_or_never().is_none());
    disk.stand(false);
    assert_eq!(waiting.await, Ok(revision));
    store.wait_until_settled().await.expect("all are stored");
    assert_eq!(names(&store), [("a".to_string(), status), ("b".to_string(), status + 1)]);
    let seen: Vec<_> = watch.next().await.expect("in the history").iter().map(|c| c.object.revision).collect();
    assert!(seen.starts_with(&[revision]), "{seen:?}");
}

#[tokio::test]
async fn delayed_commits_are_flushed_and_piggybacked_ones_wait() {
    let disk = new_disk();
    let store = open(&disk);
    let before = disk.syncs();
    store.commit(vec![put("lease", Precondition::Absent)], Durability::Piggybacked).expect("new");
    let started = Instant::now();
    wait_until("two intervals", || started.elapsed() > super::committer::FLUSH_INTERVAL * 2);
    assert_eq!(disk.syncs(), before);
    commit_delayed(&store, put("status", Precondition::Absent));
    let started = Instant::now();
    wait_until("the flush", || disk.syncs() > before);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(names(&open(&FakeDisk::with_content(disk.after_power_cut(|| false)))).len(), 2);
}

#[tokio::test]
async fn failed_commits_were_never_visible_and_the_store_recovers() {
    for error in [ENOSPC, EIO] {
        let disk = new_disk();
        let store = open(&disk);
        let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
        disk.fail_with(Some(error));
        let mut watch = store.watch(all_pods(), a).expect("in the history");
        let failure = commit(&store, put("b", Precondition::Absent)).await.expect_err("the disk fails");
        assert!(failure.to_string().starts_with("cannot write state.redb: "), "{failure}");
        assert_eq!((names(&store), store.failure()), (vec![("a".to_string(), a)], Some(failure)));
        assert!(watch.next().now_or_never().is_none(), "nothing happened");
        // Statuses are kept in memory meanwhile.
        let a2 = commit_delayed(&store, put("a", Precondition::At(a)));
        assert!(a2 > a + 1, "no revision is given twice");
        assert_eq!(names(&store), [("a".to_string(), a2)]);
        disk.fail_with(None);
        wait_until("recovery", || store.failure().is_none());
        let b = commit(&store, put("b", Precondition::Absent)).await.expect("the disk has recovered");
        assert_eq!(names(&store), [("a".to_string(), a2), ("b".to_string(), b)]);
        store.close();
        assert_eq!(names(&open(&disk)), [("a".to_string(), a2), ("b".to_string(), b)]);
    }
}

#[tokio::test]
async fn commits_that_need_no_disk_outlive_failed_ones_before_them() {
    let disk = new_disk();
    let store = open(&disk);
    let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    disk.stand(true);
    let failed = store.commit(vec![put("b", Precondition::Absent)], Durability::Durable).expect("new")[0].revision;
    let status = commit_delayed(&store, put("a", Precondition::At(a)));
    let on_failed = commit_delayed(&store, put("b", Precondition::At(failed)));
    disk.fail_with(Some(ENOSPC));
    disk.stand(false);
    store.wait_until_visible(status).await.expect("it rests on what is visible");
    store.wait_until_visible(failed).await.expect_err("the disk is full");
    store.wait_until_visible(on_failed).await.expect_err("its object was never stored");
    assert_eq!(names(&store), [("a".to_string(), status)]);
}

#[tokio::test]
async fn store_opens_on_a_full_disk_and_recovers() {
    let disk = new_disk();
    let store = open(&disk);
    let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    store.close();
    let before = store.revision();
    let full = FakeDisk::with_content(disk.content());
    // redb itself has to write to open a file.
    let opener = full.opener();
    let (full_again, opened) = (full.clone(), AtomicBool::new(false));
    let opener: Opener = Box::new(move || {
        let database = opener()?;
        if !opened.swap(true, Ordering::Relaxed) {
            full_again.fail_with(Some(ENOSPC));
        }
        Ok(database)
    });
    let store = ObjectStore::open_with(opener, "state.redb".into(), limits(), 1, &find).expect("opens");
    assert!(store.failure().is_some());
    assert_eq!(names(&store), [("a".to_string(), a)]);
    // Without reserved revisions, not even statuses get one.
    let status = store.commit(vec![put("a", Precondition::At(a))], Durability::Delayed).expect("queued")[0].revision;
    store.wait_until_visible(status).await.expect_err("the disk is full");
    full.fail_with(None);
    wait_until("recovery", || store.failure().is_none());
    assert!(commit(&store, put("b", Precondition::Absent)).await.expect("stored") > before);
}

#[tokio::test]
async fn panic_of_the_database_fails_its_commits_only() {
    let disk = new_disk();
    let store = open(&disk);
    let a = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    disk.panic_once();
    commit(&store, put("b", Precondition::Absent)).await.expect_err("the write panicked");
    wait_until("recovery", || store.failure().is_none());
    let b = commit(&store, put("b", Precondition::Absent)).await.expect("stored");
    store.close();
    assert_eq!(names(&open(&disk)), [("a".to_string(), a), ("b".to_string(), b)]);
}

#[tokio::test]
async fn closed_store_refuses_commits() {
    let store = open(&new_disk());
    store.close();
    let revision =
        store.commit(vec![put("a", Precondition::Absent)], Durability::Delayed).expect("checked")[0].revision;
    assert_eq!(store.wait_until_visible(revision).await, Err(StorageFailure::Closed));
}

#[tokio::test]
async fn database_keeps_objects_and_the_history_only() {
    let disk = new_disk();
    let store = open(&disk);
    let mut revision = commit(&store, put("a", Precondition::Absent)).await.expect("stored");
    for round in 0..200 {
        let name = format!("b{round}");
        let b = commit_delayed(&store, put(&name, Precondition::Absent));
        commit_delayed(&store, delete(&name, b));
        revision = commit(&store, put("a", Precondition::At(revision))).await.expect("stored");
    }
    store.close();
    let database = disk.opener()().expect("opens");
    let read = redb::ReadableDatabase::begin_read(&database).expect("a transaction");
    let versions = read.open_table(super::database::VERSIONS).expect("a table");
    let count = redb::ReadableTableMetadata::len(&versions).expect("a length");
    // At most one version before each change of the history, and what the last transaction has left to remove.
    assert!(count <= 2 * MAX_CHANGES as u64 + 5, "{count} versions");
}

#[tokio::test]
async fn file_shrinks_once_the_store_is_idle() {
    let disk = new_disk();
    let store = open(&disk);
    let count = super::committer::COMPACTED_REMOVALS + 2 * MAX_CHANGES;
    let created: Vec<_> = (0..count)
        .map(|i| (format!("a{i}"), commit_delayed(&store, put(&format!("a{i}"), Precondition::Absent))))
        .collect();
    commit(&store, put("first", Precondition::Absent)).await.expect("stored");
    for (name, revision) in created {
        commit_delayed(&store, delete(&name, revision));
    }
    commit(&store, put("last", Precondition::Absent)).await.expect("stored");
    let before = disk.size();
    wait_until("compaction", || disk.size() < before);
    let listed = names(&store);
    store.close();
    assert_eq!(names(&open(&disk)), listed);
}

#[tokio::test]
async fn damage_is_noticed_or_without_effect() {
    let disk = new_disk();
    let store = open(&disk);
    for name in ["a", "b", "c"] {
        commit(&store, put(name, Precondition::Absent)).await.expect("stored");
    }
    store.close();
    let (content, want) = (disk.content(), names(&store));
    let mut noticed = 0;
    for position in (0..content.len()).step_by(97) {
        let mut damaged = content.clone();
        damaged[position] ^= 0xff;
        match try_open(&FakeDisk::with_content(damaged)) {
            Ok(store) => assert_eq!(names(&store), want, "byte {position}"),
            Err(OpenError::Damaged(_) | OpenError::Unavailable(_)) => noticed += 1,
            Err(error) => panic!("byte {position}: {error}"),
        }
    }
    assert!(noticed > 0);
}

/// What a writer did, in order: the name and the new revision of an object, 0 for none.
#[derive(Default)]
struct WriterLog {
    attempts: Vec<(String, Revision)>,
    /// The number of attempts that are known to be durable.
    acknowledged: usize,
}

/// Writes until `is_over`.
async fn write_until(store: &ObjectStore, is_over: &AtomicBool, log: &Mutex<WriterLog>) {
    let mut random = random_numbers(7);
    while !is_over.load(Ordering::Relaxed) {
        let name = format!("p{}", random() % 5);
        let current = store.get(&Key::pod("ns", &name)).map(|object| object.revision);
        let durability = if random().is_multiple_of(4) { Durability::Delayed } else { Durability::Durable };
        let operation = match current {
            Some(revision) if random().is_multiple_of(3) => delete(&name, revision),
            Some(revision) => put(&name, Precondition::At(revision)),
            None => put(&name, Precondition::Absent),
        };
        let is_deletion = matches!(operation, Operation::Delete { .. });
        let revision = {
            let mut log = log.lock();
            let revision = store.commit(vec![operation], durability).expect("the only writer")[0].revision;
            log.attempts.push((name, if is_deletion { 0 } else { revision }));
            revision
        };
        store.wait_until_visible(revision).await.expect("the disk works");
        if durability == Durability::Durable {
            let mut log = log.lock();
            log.acknowledged = log.attempts.len();
        }
    }
}

/// Returns a small generator of numbers, the same in every run.
fn random_numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

#[test]
fn acknowledged_commits_survive_power_cuts() {
    let cuts = if std::env::var_os("WASMPOD_SOAK").is_some() { 500 } else { 60 };
    let mut disk = new_disk();
    let mut random = random_numbers(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for cut in 0..cuts {
        let store = open(&disk);
        let (mut expected, first) = (BTreeMap::from_iter(names(&store)), store.revision());
        let (log, is_over) = (Mutex::new(WriterLog::default()), AtomicBool::new(false));
        let (acknowledged, image) = std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(write_until(&store, &is_over, &log)));
            let wanted = random() % 40;
            wait_until("commits", || store.revision() > first + wanted);
            let acknowledged = log.lock().acknowledged;
            let image = disk.after_power_cut(|| random().is_multiple_of(2));
            is_over.store(true, Ordering::Relaxed);
            (acknowledged, image)
        });
        let last = store.revision();
        drop(store);
        disk = FakeDisk::with_content(image);
        let next = open(&disk);
        assert!(next.revision() >= last, "cut {cut}: revisions went back");
        // Some prefix of what was written is there, with all that was acknowledged.
        let found = BTreeMap::from_iter(names(&next));
        let mut is_prefix = acknowledged == 0 && expected == found;
        for (index, (name, revision)) in log.into_inner().attempts.into_iter().enumerate() {
            match revision {
                0 => expected.remove(&name),
                revision => expected.insert(name, revision),
            };
            is_prefix |= index + 1 >= acknowledged && expected == found;
        }
        assert!(is_prefix, "cut {cut}: {found:?} is not a state after {acknowledged} acknowledged commits");
        next.close();
    }
}
