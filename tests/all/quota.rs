//! Limits on the guests of an account: processor time, memory, instances.
//!
//! Usage is measured by the threads' clocks. Other tests keep the machine busy, so that guests may get less processor
//! time than their limit allows, but never more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use wasmpod::budget::{Account, AccountLimits, cpu_weight};
use wasmpod::clock::Clock;
use wasmpod::logs::Log;
use wasmpod::runtime::{Capture, Exit, Instance, Runtime, Stdio};

use crate::support::guests::{
    compile, container_context, exit_of, start_guest, unlimited_account, wait_for_first_line,
};
use crate::support::{eventually, in_the_best_of_three, sleep_until};

const SPIN: (&str, &str) = ("wasm32-wasip2", "spin");

fn quota(millis: u64) -> AccountLimits {
    AccountLimits { cpu_millis: Some(millis), ..AccountLimits::NONE }.with_container_defaults()
}

/// Returns the fraction of a processor that the guests of each account use during a window.
async fn usage(accounts: &[Arc<Account>], window: Duration) -> Vec<f64> {
    let before: Vec<u64> = accounts.iter().map(|account| account.usage().cpu.used_nanos).collect();
    let start = Instant::now();
    sleep_until(start + window).await;
    let passed = start.elapsed().as_nanos() as f64;
    let after = accounts.iter().map(|account| account.usage().cpu.used_nanos);
    after.zip(before).map(|(after, before)| (after - before) as f64 / passed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_quota_is_never_exceeded() {
    let runtime = Runtime::new(None).expect("a runtime");
    for limits in [vec![50, 100, 250, 500], vec![1000], vec![100; 20]] {
        let accounts: Vec<_> = limits.iter().map(|millis| Account::root(quota(*millis))).collect();
        let mut guests = Vec::new();
        for account in &accounts {
            guests.push(start_guest(&runtime, account, SPIN, &Log::new()).await);
        }
        let used = usage(&accounts, Duration::from_millis(1500)).await;
        for (millis, used) in limits.iter().zip(&used) {
            let limit = *millis as f64 / 1000.0;
            // One period more than fit into 1.5 s may begin in the window.
            let max = limit + 0.02 + limit / 15.0;
            assert!(*used <= max, "{millis}m of {}: {used}", accounts.len());
            // Shows only that the guest runs: other tests keep the machine busy. benches/limits.rs measures the lower bound.
            assert!(*used >= limit * 0.05, "{millis}m of {}: {used}", accounts.len());
        }
        let cpu = accounts.first().expect("an account").usage().cpu;
        assert!(limits.len() != 4 || cpu.throttled_periods > 1 && cpu.throttled_nanos > 0, "{cpu:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_quota_can_change_while_a_guest_runs() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(quota(10));
    let _guest = start_guest(&runtime, &account, SPIN, &Log::new()).await;
    let little = usage(std::slice::from_ref(&account), Duration::from_millis(600)).await[0];
    account.set_limits(AccountLimits::NONE.with_container_defaults());
    let much = usage(std::slice::from_ref(&account), Duration::from_millis(600)).await[0];
    assert!(little < 0.06 && much > 0.15, "{little} and {much}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_guest_is_killed_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    let took = in_the_best_of_three(async || {
        // With one tick of processor time, the guest is throttled for more than ten seconds.
        let account = Account::root(quota(1));
        let log = Log::new();
        let mut guest = start_guest(&runtime, &account, SPIN, &log).await;
        wait_for_first_line(&log).await;
        eventually("the guest is throttled", async || account.usage().cpu.throttled_periods > 0).await;
        let start = Instant::now();
        guest.handle().kill();
        assert_eq!(exit_of(&mut guest).await, Exit::Killed);
        start.elapsed()
    })
    .await;
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_guest_is_not_throttled() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(quota(1000));
    let log = Log::new();
    let mut guest = start_guest(&runtime, &account, ("wasm32-wasip2", "notice"), &log).await;
    wait_for_first_line(&log).await;
    // As if the guest had overshot its limit by a minute.
    account.set_limits(quota(20));
    account.record_cpu(1_200_000_000, u64::MAX / 2);
    let start = Instant::now();
    guest.handle().terminate("SIGTERM");
    assert_eq!(exit_of(&mut guest).await, Exit::Code(3));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Runs `test` in a thread that is pinned to one processor, which the guests' threads inherit.
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
                Account::root(
                    AccountLimits { cpu_weight: cpu_weight(millis), ..AccountLimits::NONE }.with_container_defaults(),
                )
            };
            let accounts = [requests(100), requests(300)];
            let mut guests: Vec<Instance> = Vec::new();
            for account in &accounts {
                guests.push(start_guest(&runtime, account, SPIN, &Log::new()).await);
            }
            usage(&accounts, Duration::from_secs(2)).await
        })
    });
    let ratio = shares[1] / shares[0];
    assert!((2.7..3.3).contains(&ratio), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limit_covers_all_instances_of_a_container() {
    let runtime = Runtime::new(None).expect("a runtime");
    let pod = Account::root(AccountLimits { memory: Some(96 << 20), ..AccountLimits::NONE });
    let container =
        pod.child(AccountLimits { memory: Some(64 << 20), ..AccountLimits::NONE }.with_container_defaults());
    let log = Log::new();
    let context = container_context(&runtime, &container);
    let sleeper = compile(&runtime, "wasm32-wasip2", "block_sleep").await;
    let mut main = context.spawn(sleeper, &["block_sleep".into()], Stdio::to_log(log.clone(), Clock::system()));
    wait_for_first_line(&log).await;
    let before = container.usage().memory;
    assert!(before > 0);
    let hog = compile(&runtime, "wasm32-wasip2", "hog").await;
    let mut exec = context.exec(hog, &["hog".into()], Stdio::Capture(Arc::new(Capture::new(4096))));
    assert_eq!(exit_of(&mut exec).await, Exit::OutOfMemory);
    let usage = container.usage();
    assert_eq!(usage.memory, before, "the memory of the exec is released");
    assert!(usage.memory_peak > 32 << 20 && usage.memory_peak <= 64 << 20, "{usage:?}");
    assert!(
        tokio::time::timeout(Duration::from_millis(50), main.wait_for_exit()).await.is_err(),
        "the main program keeps running"
    );
    context.kill_all();
    assert_eq!(exit_of(&mut main).await, Exit::Killed);
    assert_eq!(pod.usage().memory, 0);
    assert_eq!(pod.usage().instances, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_limit_is_never_exceeded() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(AccountLimits { instances: Some(2), ..AccountLimits::NONE }.with_container_defaults());
    let context = container_context(&runtime, &account);
    let sleeper = compile(&runtime, "wasm32-wasip2", "block_sleep").await;
    let sleep = |stdio| context.exec(sleeper.clone(), &["block_sleep".into()], stdio);
    let log = Log::new();
    let mut main = context.spawn(sleeper.clone(), &["block_sleep".into()], Stdio::to_log(log.clone(), Clock::system()));
    let mut second = sleep(Stdio::to_log(Log::new(), Clock::system()));
    assert!(main.wait_for_start().await && second.wait_for_start().await);
    let captured = Arc::new(Capture::new(1000));
    let Exit::StartError { message } = exit_of(&mut sleep(Stdio::Capture(captured.clone()))).await else {
        panic!("a third instance runs");
    };
    assert_eq!(message, "too many programs run in the container: the limit of 2 is reached");
    assert_eq!(captured.text(), format!("c: {message}\n"));
    second.handle().kill();
    assert_eq!(exit_of(&mut second).await, Exit::Killed);
    assert!(sleep(Stdio::to_log(Log::new(), Clock::system())).wait_for_start().await, "an instance may start again");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_without_limits() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = unlimited_account();
    let _guest = start_guest(&runtime, &account, SPIN, &Log::new()).await;
    let got = usage(std::slice::from_ref(&account), Duration::from_millis(300)).await[0];
    assert!(got > 0.1, "{got}");
    assert_eq!(account.usage().cpu.throttled_periods, 0);
}
