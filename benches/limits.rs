//! CPU quotas and the usage under them, timers beside spinning guests, and the time that a termination takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmpod::budget::{Account, AccountLimits};
use wasmpod::logs::Log;
use wasmpod::runtime::{Instance, Runtime};
use wasmpod_test_support::guests::start_guest;

use super::figures::{Figure, percentile};
use super::native::millis;
use super::pods::on_node;
use super::start::guest;

/// Runs `work` on a multi-threaded runtime.
fn on_threads<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads").block_on(work)
}

/// Starts a guest that computes forever.
async fn spin(runtime: &Arc<Runtime>, account: &Arc<Account>) -> Instance {
    start_guest(runtime, account, ("wasm32-wasip2", "spin"), &Log::new()).await
}

/// Returns the processor time of this process in nanoseconds.
fn process_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Returns the usage of `count` guests with a limit of `millis`, in percent of a processor. A single guest is measured by
/// the clock of the whole process, several by those of their threads; then the usage that is farthest from their share is
/// returned. Also returns the share: the limit, or less if the machine had less for all of them.
async fn measured(millis: u64, count: usize) -> (f64, f64) {
    let runtime = Runtime::new(None).expect("a runtime");
    let limits = AccountLimits { cpu_millis: Some(millis), ..AccountLimits::NONE }.with_container_defaults();
    let accounts: Vec<_> = (0..count).map(|_| Account::root(limits)).collect();
    let mut guests = Vec::new();
    for account in &accounts {
        guests.push(spin(&runtime, account).await);
    }
    let of_accounts = || accounts.iter().map(|account| account.usage().cpu.used_nanos).collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (before, process, start) = (of_accounts(), process_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (passed, process) = (start.elapsed().as_nanos() as f64, process_time() - process);
    let percent = |nanos: u64| nanos as f64 / passed * 100.0;
    let limit = millis as f64 / 10.0;
    if count == 1 {
        return (percent(process), limit);
    }
    let share = limit.min(percent(process) / count as f64);
    let used_nanos =
        of_accounts().iter().zip(&before).map(|(after, before)| percent(after - before)).collect::<Vec<_>>();
    let farthest = used_nanos.into_iter().max_by(|a, b| (a - share).abs().total_cmp(&(b - share).abs()));
    (farthest.expect("some"), share)
}

/// Measures CPU quotas, and the largest error in percentage points.
pub fn quota() -> Vec<Figure> {
    on_threads(async {
        let (mut figures, mut worst) = (Vec::new(), 0.0_f64);
        for (millis, count) in [(50, 1), (100, 1), (250, 1), (500, 1), (1000, 1), (100, 20)] {
            let (got, share) = measured(millis, count).await;
            worst = worst.max((got - share).abs());
            let name = if count == 1 { format!("cpu_quota_{millis}m") } else { format!("cpu_quota_{count}x{millis}m") };
            figures.push(Figure::new(&name, got, "%"));
        }
        figures.push(Figure::new("cpu_quota_worst_error", worst, "points").at_most(2.0));
        figures
    })
}

/// Measures how late timers of other tasks fire beside eight spinning guests.
pub fn timers() -> Vec<Figure> {
    on_threads(async {
        let runtime = Runtime::new(None).expect("a runtime");
        let account = Account::root(AccountLimits::NONE);
        let mut guests = Vec::new();
        for _ in 0..8 {
            guests.push(spin(&runtime, &account.child(AccountLimits::NONE.with_container_defaults())).await);
        }
        let mut late = Vec::new();
        for _ in 0..1000 {
            let due = Instant::now() + Duration::from_millis(3);
            tokio::time::sleep_until(due.into()).await;
            late.push(millis(due.elapsed()));
        }
        vec![Figure::new("timer_p99_under_spin", percentile(&mut late, 0.99), "ms").at_most(5.0)]
    })
}

/// Measures the time from a deletion to the removal of the object: for an idle server without a signal handler, and for
/// a guest that ignores SIGTERM, beyond its grace period.
pub fn terminations() -> Vec<Figure> {
    let server = format!("containers: [{{name: a, image: {}}}]", guest("block_accept").display());
    let ignoring = "terminationGracePeriodSeconds: 2, containers: [{name: a, image: busybox, command: [sh, -c, \
        \"trap '' TERM; while true; do sleep 0.05; done\"]}]";
    on_node(async |bench| {
        let mut removed = async |spec: &str, rounds: usize| {
            let mut times = Vec::new();
            for round in 0..rounds {
                let name = format!("e{round}");
                bench.create(&name, spec).await;
                bench.until_running(1).await;
                // Lets the guest reach its accept call or its sleep.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let start = Instant::now();
                bench.delete(&name).await;
                bench.until_gone(1).await;
                times.push(millis(start.elapsed()));
            }
            percentile(&mut times, 0.5)
        };
        let idle = removed(&server, 20).await;
        let beyond_grace = removed(ignoring, 3).await - 2000.0;
        vec![
            Figure::new("stop_idle_server_ms", idle, "ms").at_most(10.0),
            Figure::new("stop_deaf_guest_over_grace_ms", beyond_grace, "ms").at_most(20.0),
        ]
    })
}
