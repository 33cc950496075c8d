//! Processor time of guests: measured per poll, withheld by quotas, shared out in turns.
//!
//! A guest computes inside polls of its task and leaves one at every tick at the latest, so that all
//! is decided before a poll: a guest whose quota is exhausted sleeps, one that passes its turn goes to
//! the end of the queue. What was used is told to the account after the poll. The thread's own
//! clock, which costs a system call, is read for containers with a quota alone; for others, a poll
//! counts for as long as it took.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Sleep;

use crate::budget::{Account, Competitor, PERIOD, Turns};

/// What was used by short polls is told once it is as much as this, in nanoseconds.
const WORTH_TELLING: u64 = 100_000;

thread_local! {
    /// Polls of guests that compete, on this thread.
    static POLLED: Cell<u64> = const { Cell::new(0) };
}

/// What the guests of a runtime share: a beginning of time, and their turns.
pub struct Shared {
    origin: Instant,
    turns: Turns,
}

impl Shared {
    pub fn new() -> Shared {
        Shared { origin: Instant::now(), turns: Turns::default() }
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.origin))
    }
}

/// What a guest's stack and its task tell each other about the time it has.
#[derive(Default)]
pub struct Slice {
    /// The tick in which the guest began to compute.
    tick: AtomicU64,
    /// It has used its tick.
    used: AtomicBool,
}

impl Slice {
    /// The guest begins to compute.
    pub fn begin(&self, tick: u64) {
        self.tick.store(tick, Relaxed);
    }

    /// Whether the guest has computed until `tick` came. One that waited is late as soon as it goes on,
    /// and has its time nevertheless.
    pub fn used_until(&self, tick: u64) -> bool {
        let used = self.tick.load(Relaxed) != tick;
        if used {
            self.used.store(true, Relaxed);
        }
        used
    }
}

/// Meters one instance; belongs to its task.
pub struct Meter {
    account: Arc<Account>,
    slice: Arc<Slice>,
    throttled: Option<Throttled>,
    competitor: Option<Competitor>,
    /// [`POLLED`] when the guest passed its last turn.
    passed: Option<u64>,
    /// Rounds of turns since then in which nobody computed.
    idle: u32,
    /// Used and not told yet.
    untold: u64,
}

struct Throttled {
    since: u64,
    /// When to look again.
    until: u64,
    sleep: Pin<Box<Sleep>>,
}

/// A poll that is being measured.
pub enum Measured {
    Wall(Instant),
    Thread(u64),
}

impl Meter {
    pub fn new(account: Arc<Account>, slice: Arc<Slice>) -> Meter {
        Meter { account, slice, throttled: None, competitor: None, passed: None, idle: 0, untold: 0 }
    }

    /// Whether the guest may be polled now; if not, `cx` will be woken.
    pub fn poll_turn(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Measured> {
        let quota = self.account.has_quota();
        let preempted = self.slice.used.load(Relaxed);
        if !quota && !preempted && self.throttled.is_none() {
            return Poll::Ready(Measured::Wall(Instant::now()));
        }
        let now = shared.nanos(Instant::now());
        if self.poll_quota(shared, now, cx).is_pending() {
            return Poll::Pending;
        }
        if preempted && !self.takes_turn(shared, now) {
            // Woken while it is polled, a task goes to the end of the queue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.slice.used.store(false, Relaxed);
        Poll::Ready(if quota { Measured::Thread(thread_time()) } else { Measured::Wall(Instant::now()) })
    }

    fn poll_quota(&mut self, shared: &Shared, mut now: u64, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(free) = self.account.exhausted_until(now) {
            // Limits may change meanwhile, and what is owed may be forgiven.
            let until = free.min(now + PERIOD);
            let instant = shared.origin + Duration::from_nanos(until);
            let throttled = match &mut self.throttled {
                Some(throttled) => {
                    if throttled.until <= now || throttled.until > free {
                        throttled.until = until;
                        throttled.sleep.as_mut().reset(instant.into());
                    }
                    throttled
                }
                None => {
                    self.account.throttle_began();
                    // Asleep, it competes with nobody.
                    self.competitor = None;
                    let sleep = Box::pin(tokio::time::sleep_until(instant.into()));
                    self.throttled.insert(Throttled { since: now, until, sleep })
                }
            };
            if throttled.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            now = shared.nanos(Instant::now()).max(until);
        }
        if let Some(throttled) = self.throttled.take() {
            self.account.throttle_ended(now.saturating_sub(throttled.since));
        }
        Poll::Ready(())
    }

    fn takes_turn(&mut self, shared: &Shared, now: u64) -> bool {
        let competitor = self.competitor.get_or_insert_with(|| Competitor::new(self.account.clone()));
        let polled = POLLED.get();
        self.idle = if self.passed == Some(polled) { self.idle + 1 } else { 0 };
        let takes = shared.turns.take(competitor, self.idle, now);
        self.passed = (!takes).then_some(polled);
        takes
    }

    /// The poll that began with [`Meter::poll_turn`] is over.
    pub fn polled(&mut self, shared: &Shared, measured: Measured) {
        let preempted = self.slice.used.load(Relaxed);
        let now = Instant::now();
        let (used, tell) = match measured {
            Measured::Thread(before) => (thread_time().saturating_sub(before), true),
            Measured::Wall(before) => (nanos(now.saturating_duration_since(before)), preempted),
        };
        if let Some(competitor) = &mut self.competitor {
            POLLED.set(POLLED.get().wrapping_add(1));
            shared.turns.computed(competitor, used);
        }
        if !preempted {
            self.competitor = None;
        }
        self.untold += used;
        if tell || self.untold >= WORTH_TELLING {
            self.account.used_cpu(std::mem::take(&mut self.untold), shared.nanos(now));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // The moment matters to quotas alone, and to them everything was told.
        self.account.used_cpu(self.untold, 0);
    }
}

/// Lets every other guest of this thread have its turn. tokio's `yield_now` would not do: the task
/// that it wakes goes ahead of the queue, so that one spinning guest per thread starves all others.
pub async fn to_the_end_of_the_queue() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        // Woken while it is polled, a task goes to the end.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time that this thread has used, in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_waited_for_long_has_its_tick_all_the_same() {
        let slice = Slice::default();
        slice.begin(7);
        assert!(!slice.used_until(7), "late since before it began");
        assert!(slice.used_until(8));
        slice.begin(8);
        assert!(!slice.used_until(8));
    }
}
