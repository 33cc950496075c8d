//! Limits of what guests hold and use: processor time, memory, instances.
//!
//! What is used is what the threads' clocks say. The machine may be busy with other tests, so that
//! guests may get less than they are allowed, but never more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use wasmpod::budget::{Account, AccountLimits, weight};
use wasmpod::logs::Log;
use wasmpod::runtime::{Capture, Exit, Instance, Runtime, Stdio};

use crate::worlds::{first_line, program, start, unlimited, world};

const SPIN: (&str, &str) = ("wasm32-wasip2", "spin");

fn quota(millis: u64) -> AccountLimits {
    AccountLimits { cpu_millis: Some(millis), ..AccountLimits::NONE }.of_container()
}

/// The part of a processor that each account's guests get in a while.
async fn used(accounts: &[Arc<Account>], during: Duration) -> Vec<f64> {
    let before: Vec<u64> = accounts.iter().map(|account| account.usage().cpu.used).collect();
    let begun = Instant::now();
    tokio::time::sleep(during).await;
    let passed = begun.elapsed().as_nanos() as f64;
    let after = accounts.iter().map(|account| account.usage().cpu.used);
    after.zip(before).map(|(after, before)| (after - before) as f64 / passed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_quota_is_never_exceeded() {
    let runtime = Runtime::new(None).expect("a runtime");
    for asked in [vec![50, 100, 250, 500], vec![1000], vec![100; 20]] {
        let accounts: Vec<_> = asked.iter().map(|millis| Account::root(quota(*millis))).collect();
        let mut guests = Vec::new();
        for account in &accounts {
            guests.push(start(&runtime, account, SPIN, &Log::new()).await);
        }
        let got = used(&accounts, Duration::from_millis(1500)).await;
        for (millis, got) in asked.iter().zip(&got) {
            let asked = *millis as f64 / 1000.0;
            // A window of 1.5 s may see one period more than it is long.
            let most = asked + 0.02 + asked / 15.0;
            assert!(*got <= most, "{millis}m of {}: {got}", accounts.len());
            // Other tests may leave little of the machine; benches/limits.rs measures how little is missing.
            assert!(*got >= asked * 0.05, "{millis}m of {}: {got}", accounts.len());
        }
        let throttled = accounts.first().expect("one").usage().cpu;
        assert!(asked.len() != 4 || throttled.throttled_periods > 1 && throttled.throttled > 0, "{throttled:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_quota_can_change_while_a_guest_runs() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(quota(10));
    let _guest = start(&runtime, &account, SPIN, &Log::new()).await;
    let little = used(std::slice::from_ref(&account), Duration::from_millis(600)).await[0];
    account.set_limits(AccountLimits::NONE.of_container());
    let much = used(std::slice::from_ref(&account), Duration::from_millis(600)).await[0];
    assert!(little < 0.06 && much > 0.15, "{little} and {much}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_guest_is_killed_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    let mut best = Duration::MAX;
    for _ in 0..3 {
        // After a tick it has to wait for ten seconds and more.
        let account = Account::root(quota(1));
        let log = Log::new();
        let mut guest = start(&runtime, &account, SPIN, &log).await;
        first_line(&log).await;
        let throttled = async {
            while account.usage().cpu.throttled_periods == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), throttled).await.expect("it is throttled");
        let begun = Instant::now();
        guest.control().kill();
        assert_eq!(guest.exited().await, Exit::Killed);
        best = best.min(begun.elapsed());
    }
    assert!(best < Duration::from_millis(10), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_guest_is_not_throttled() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(quota(1000));
    let log = Log::new();
    let mut guest = start(&runtime, &account, ("wasm32-wasip2", "notice"), &log).await;
    first_line(&log).await;
    // What an overshoot of a minute would leave.
    account.set_limits(quota(20));
    account.used_cpu(1_200_000_000, u64::MAX / 2);
    let begun = Instant::now();
    guest.control().terminate("SIGTERM");
    assert_eq!(guest.exited().await, Exit::Code(3));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Runs `test` in a thread of one processor, which the guests' threads inherit.
fn on_one_processor<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let pinned = || {
        let allowed = sched_getaffinity(None).expect("the processors");
        let mut one = CpuSet::new();
        let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("one");
        one.set(first);
        sched_setaffinity(None, &one).expect("pinned");
        test()
    };
    std::thread::scope(|scope| scope.spawn(pinned).join().expect("the test"))
}

#[test]
fn competing_guests_share_a_processor_by_their_requests() {
    let shares = on_one_processor(|| {
        let runtime = Runtime::new(None).expect("a runtime");
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
        tokio.block_on(async {
            let requests = |millis| {
                Account::root(AccountLimits { cpu_weight: weight(millis), ..AccountLimits::NONE }.of_container())
            };
            let accounts = [requests(100), requests(300)];
            let mut guests: Vec<Instance> = Vec::new();
            for account in &accounts {
                guests.push(start(&runtime, account, SPIN, &Log::new()).await);
            }
            used(&accounts, Duration::from_secs(2)).await
        })
    });
    let ratio = shares[1] / shares[0];
    assert!((2.7..3.3).contains(&ratio), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limit_covers_all_instances_of_a_container() {
    let runtime = Runtime::new(None).expect("a runtime");
    let pod = Account::root(AccountLimits { memory: Some(96 << 20), ..AccountLimits::NONE });
    let container = pod.child(AccountLimits { memory: Some(64 << 20), ..AccountLimits::NONE }.of_container());
    let log = Log::new();
    let shared = world(&runtime, &container);
    let sleeper = program(&runtime, "wasm32-wasip2", "block_sleep").await;
    let mut main = shared.spawn(sleeper, &["block_sleep".into()], Stdio::Log(log.clone()));
    first_line(&log).await;
    let before = container.usage().memory;
    assert!(before > 0);
    let hog = program(&runtime, "wasm32-wasip2", "hog").await;
    let mut exec = shared.exec(hog, &["hog".into()], Stdio::Capture(Arc::new(Capture::new(4096))));
    assert_eq!(exec.exited().await, Exit::OutOfMemory);
    let usage = container.usage();
    assert_eq!(usage.memory, before, "what it held came back");
    assert!(usage.memory_peak > 32 << 20 && usage.memory_peak <= 64 << 20, "{usage:?}");
    assert!(tokio::time::timeout(Duration::from_millis(50), main.exited()).await.is_err(), "the program goes on");
    shared.end_all();
    assert_eq!(main.exited().await, Exit::Killed);
    assert_eq!(pod.usage().memory, 0);
    assert_eq!(pod.usage().instances, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_limit_is_never_exceeded() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(AccountLimits { instances: Some(2), ..AccountLimits::NONE }.of_container());
    let shared = world(&runtime, &account);
    let sleeper = program(&runtime, "wasm32-wasip2", "block_sleep").await;
    let sleep = |stdio| shared.exec(sleeper.clone(), &["block_sleep".into()], stdio);
    let log = Log::new();
    let mut main = shared.spawn(sleeper.clone(), &["block_sleep".into()], Stdio::Log(log.clone()));
    let mut second = sleep(Stdio::Log(Log::new()));
    assert!(main.begun().await && second.begun().await);
    let said = Arc::new(Capture::new(1000));
    let Exit::StartError { message } = sleep(Stdio::Capture(said.clone())).exited().await else {
        panic!("a third one runs");
    };
    assert_eq!(message, "too many programs run at once in its container: the limit of 2 is reached");
    assert_eq!(said.text(), format!("c: {message}\n"));
    second.control().kill();
    assert_eq!(second.exited().await, Exit::Killed);
    assert!(sleep(Stdio::Log(Log::new())).begun().await, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_without_limits() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = unlimited();
    let _guest = start(&runtime, &account, SPIN, &Log::new()).await;
    let got = used(std::slice::from_ref(&account), Duration::from_millis(300)).await[0];
    assert!(got > 0.1, "{got}");
    assert_eq!(account.usage().cpu.throttled_periods, 0);
}
