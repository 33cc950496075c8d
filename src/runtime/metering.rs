//! CPU time of guests: measured per poll, limited by quotas, shared in turns.
//!
//! A guest computes inside polls of its task and yields at every tick, so decisions are made before a poll: a guest with an
//! exhausted quota sleeps, a guest that has used up its slice waits for a permit ([`FairQueue`]). After the poll, the
//! account is charged. Reading the thread's CPU clock costs a system call and is done only for containers with a quota; for
//! others, the wall time of the poll counts. What the executor itself does between two polls is not measured, so a guest
//! must not cause many polls: one that asks in a loop for what is ready yields only now and then.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Sleep;

use super::processes::ProcessUsage;
use crate::budget::{Account, CPU_PERIOD_NANOS, Competitor, FairQueue, Permission};

/// CPU time of short polls, in nanoseconds, that is collected before it is charged to the account.
const REPORT_THRESHOLD_NANOS: u64 = 100_000;

/// Calls of [`yield_now_and_then`] for each that yields.
const CALLS_PER_YIELD: u64 = 64;

thread_local! {
    /// Number of calls of [`yield_now_and_then`] on this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// Whether the guest that this thread polls has yielded in [`yield_now_and_then`].
    static YIELDED: Cell<bool> = const { Cell::new(false) };
}

/// State shared by all guests of a runtime: the time origin and the turns.
pub struct SharedMetering {
    origin: Instant,
    /// Protects the permits to compute and the guests that wait for one.
    turns: Mutex<FairQueue<Waker>>,
}

impl SharedMetering {
    /// Returns the state of guests that share `threads`.
    pub fn new(threads: usize) -> SharedMetering {
        SharedMetering { origin: Instant::now(), turns: Mutex::new(FairQueue::new(threads)) }
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.origin))
    }
}

/// Time slice of a guest, shared by its epoch callback and its task.
#[derive(Default)]
pub struct Slice {
    /// Tick in which the guest began to compute.
    tick: AtomicU64,
    /// Whether the guest computed until the tick ended.
    used: AtomicBool,
}

impl Slice {
    /// Records the tick in which the guest begins to compute.
    pub fn start(&self, tick: u64) {
        self.tick.store(tick, Relaxed);
    }

    /// Returns whether the slice ended before `tick`, and marks it as used if so. A guest that waited past its epoch
    /// deadline still gets a full slice.
    pub fn expire_if_past(&self, tick: u64) -> bool {
        let used = self.tick.load(Relaxed) != tick;
        if used {
            self.used.store(true, Relaxed);
        }
        used
    }
}

/// Meters the CPU time of one instance; owned by its task, which calls [`Meter::leave`] at its end.
pub struct Meter {
    account: Arc<Account>,
    slice: Arc<Slice>,
    usage: Arc<ProcessUsage>,
    throttled: Option<Throttled>,
    competitor: Competitor,
    /// Whether the last poll ended with a yield in [`yield_now_and_then`], after which the guest continues its slice.
    has_yielded: bool,
    /// CPU time in nanoseconds that is not charged yet.
    unreported: u64,
}

struct Throttled {
    since: u64,
    /// Time of the next check.
    until: u64,
    sleep: Pin<Box<Sleep>>,
}

/// Start of a measured poll: wall time, or the thread's CPU time in nanoseconds.
pub enum PollStart {
    Wall(Instant),
    Thread(u64),
}

impl Meter {
    pub(super) fn new(account: Arc<Account>, slice: Arc<Slice>, usage: Arc<ProcessUsage>) -> Meter {
        let competitor = Competitor::new(account.clone());
        Meter { account, slice, usage, throttled: None, competitor, has_yielded: false, unreported: 0 }
    }

    /// Returns `Ready` if the guest may be polled now; otherwise `cx` will be woken.
    pub fn poll_ready(&mut self, shared: &SharedMetering, cx: &mut Context<'_>) -> Poll<PollStart> {
        let quota = self.account.has_quota();
        let preempted = self.slice.used.load(Relaxed);
        if !quota && !preempted && self.throttled.is_none() {
            return Poll::Ready(PollStart::Wall(Instant::now()));
        }
        let now = shared.nanos(Instant::now());
        if self.poll_quota(shared, now, cx).is_pending() || preempted && self.poll_permit(shared, cx).is_pending() {
            return Poll::Pending;
        }
        self.slice.used.store(false, Relaxed);
        Poll::Ready(if quota { PollStart::Thread(thread_time()) } else { PollStart::Wall(Instant::now()) })
    }

    fn poll_quota(&mut self, shared: &SharedMetering, mut now: u64, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(free) = self.account.throttled_until(now) {
            // Limits may change in the meantime, and CPU debt may be forgiven.
            let until = free.min(now + CPU_PERIOD_NANOS);
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
                    self.account.record_throttle_start();
                    // A sleeping guest does not compete.
                    self.leave(shared);
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
            self.account.record_throttle_end(now.saturating_sub(throttled.since));
        }
        Poll::Ready(())
    }

    fn poll_permit(&mut self, shared: &SharedMetering, cx: &Context<'_>) -> Poll<()> {
        let permission = shared.turns.lock().request(&mut self.competitor, cx.waker().clone());
        match permission {
            Permission::Granted => Poll::Ready(()),
            Permission::Received => {
                // The guest that has handed the permit over woke this one to the front of the queue. A task that is woken
                // while it is polled goes to the back, behind the guests that an event has woken.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Permission::Wait => Poll::Pending,
        }
    }

    /// Begins a slice unless the guest continues its last one. The current tick is `tick`.
    pub fn start_slice(&mut self, tick: u64) {
        if !std::mem::take(&mut self.has_yielded) {
            self.slice.start(tick);
        }
    }

    /// Charges the poll that [`Meter::poll_ready`] started, and ends the guest's turn if its slice is used up or it waits
    /// for an event.
    pub fn finish_poll(&mut self, shared: &SharedMetering, measured: PollStart, cx: &Context<'_>) {
        let preempted = self.slice.used.load(Relaxed);
        self.has_yielded = YIELDED.take() && !preempted;
        let now = Instant::now();
        let (used, tell) = match measured {
            PollStart::Thread(before) => (thread_time().saturating_sub(before), true),
            PollStart::Wall(before) => (nanos(now.saturating_duration_since(before)), preempted),
        };
        if self.competitor.is_competing() {
            self.end_turn(shared, used, preempted, cx);
        }
        self.usage.add_processor_time(used);
        self.unreported += used;
        if tell || self.unreported >= REPORT_THRESHOLD_NANOS {
            self.account.record_cpu(std::mem::take(&mut self.unreported), shared.nanos(now));
        }
    }

    fn end_turn(&mut self, shared: &SharedMetering, used: u64, preempted: bool, cx: &Context<'_>) {
        let mut turns = shared.turns.lock();
        let next = match (preempted, self.has_yielded) {
            (true, _) => turns.end_turn(&mut self.competitor, used, cx.waker().clone()),
            (false, true) => {
                self.competitor.charge(used);
                None
            }
            (false, false) => {
                self.competitor.charge(used);
                turns.leave(&mut self.competitor)
            }
        };
        drop(turns);
        next.into_iter().for_each(Waker::wake);
    }

    /// Ends the guest's competition: it waits, or has ended.
    pub fn leave(&mut self, shared: &SharedMetering) {
        if self.competitor.is_competing() {
            let next = shared.turns.lock().leave(&mut self.competitor);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // The time matters only to quotas, for which every poll was charged already.
        self.account.record_cpu(self.unreported, 0);
    }
}

/// Yields to every other guest of this thread. Tokio's `yield_now` does not suffice: a task that it wakes goes to the front
/// of the queue, so that one spinning guest per thread would starve all others.
pub async fn yield_to_back_of_queue() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        // A task that is woken while it is polled goes to the back of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Yields as [`yield_to_back_of_queue`] at one of many calls, for host functions that guests may call in a loop to ask for
/// what is ready. A yield costs several times what such a call does, and is not metered.
pub async fn yield_now_and_then() {
    CALLS.set(CALLS.get().wrapping_add(1));
    if CALLS.get().is_multiple_of(CALLS_PER_YIELD) {
        YIELDED.set(true);
        yield_to_back_of_queue().await;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the CPU time of this thread in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn guest_that_asks_in_a_loop_yields_now_and_then() {
        let yields = (0..640).filter(|_| yield_now_and_then().now_or_never().is_none()).count();
        assert_eq!(yields, 10);
    }

    #[test]
    fn guest_that_waited_still_gets_a_full_slice() {
        let slice = Slice::default();
        slice.start(7);
        assert!(!slice.expire_if_past(7), "late since before it began");
        assert!(slice.expire_if_past(8));
        slice.start(8);
        assert!(!slice.expire_if_past(8));
    }
}
