//! Processor time: what was used, and quotas.
//!
//! A quota is time per [`PERIOD`], as Linux's CFS bandwidth control has it, with one difference: who
//! overshoots (a guest is looked at once per tick) owes it, and waits for the period in which the
//! debt is paid, so that the mean is the quota. What is not used of a period is lost. One number
//! keeps all of that: the moment until which the quota is used up, each used nanosecond counting
//! for as many as the quota makes of it.
//!
//! Moments are nanoseconds since any beginning, the same for all accounts of a tree.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Account;

/// The period of quotas, in nanoseconds: Kubernetes' 100 ms.
pub const PERIOD: u64 = 100_000_000;
/// No quota.
const UNBOUNDED: u64 = u64::MAX;
/// Periods of different accounts begin at different times, or all that are throttled would wake at
/// once: the golden ratio's part of a period lies between one account and the next.
const APART: u64 = 61_803_399;

static MADE: AtomicU64 = AtomicU64::new(0);

/// Processor time that was used and withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuUsage {
    /// Nanoseconds used.
    pub used: u64,
    /// Periods in which a guest with a quota used some.
    pub periods: u64,
    /// Times that guests had to wait for their quota.
    pub throttled_periods: u64,
    /// Nanoseconds that they waited.
    pub throttled: u64,
}

#[derive(Debug)]
pub(super) struct Cpu {
    /// Thousandths of a processor, or [`UNBOUNDED`].
    quota: AtomicU64,
    weight: AtomicU64,
    /// How far into a period of the clock the account's periods begin.
    phase: u64,
    /// Until when the quota is used up.
    paid_until: AtomicU64,
    /// The number of the last period in which some was used.
    last_period: AtomicU64,
    /// Guests that compete ([`super::turns`]).
    pub(super) competing: AtomicU64,
    used: AtomicU64,
    periods: AtomicU64,
    throttled_periods: AtomicU64,
    throttled: AtomicU64,
}

impl Cpu {
    pub(super) fn new(millis: Option<u64>, weight: u64) -> Cpu {
        let cpu = Cpu {
            quota: AtomicU64::new(UNBOUNDED),
            weight: AtomicU64::new(0),
            phase: MADE.fetch_add(1, Relaxed).wrapping_mul(APART) % PERIOD,
            paid_until: AtomicU64::new(0),
            last_period: AtomicU64::new(0),
            competing: AtomicU64::new(0),
            used: AtomicU64::new(0),
            periods: AtomicU64::new(0),
            throttled_periods: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        };
        cpu.set(millis, weight);
        cpu
    }

    pub(super) fn set(&self, millis: Option<u64>, weight: u64) {
        let quota = millis.map_or(UNBOUNDED, |millis| millis.max(1));
        self.weight.store(weight.max(super::MIN_WEIGHT), Relaxed);
        if self.quota.swap(quota, Relaxed) != quota {
            // What was owed was counted by the old quota.
            self.paid_until.store(0, Relaxed);
        }
    }

    pub(super) fn usage(&self) -> CpuUsage {
        CpuUsage {
            used: self.used.load(Relaxed),
            periods: self.periods.load(Relaxed),
            throttled_periods: self.throttled_periods.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
        }
    }

    fn quota(&self) -> Option<u64> {
        Some(self.quota.load(Relaxed)).filter(|quota| *quota != UNBOUNDED)
    }

    /// When the period of `moment` began.
    fn period_of(&self, moment: u64) -> u64 {
        let shifted = moment.saturating_add(PERIOD - self.phase);
        (shifted - shifted % PERIOD).saturating_sub(PERIOD - self.phase)
    }

    fn take(&self, nanos: u64, now: u64) {
        self.used.fetch_add(nanos, Relaxed);
        let Some(quota) = self.quota() else { return };
        // Where it began: what crosses into the next period is owed by the old one.
        let period = self.period_of(now.saturating_sub(nanos));
        if self.last_period.swap(period, Relaxed) != period {
            self.periods.fetch_add(1, Relaxed);
        }
        let cost = nanos.saturating_mul(1000) / quota;
        let _ = self.paid_until.fetch_update(Relaxed, Relaxed, |paid| Some(paid.max(period).saturating_add(cost)));
    }

    /// The beginning of the period in which there is quota again, if there is none now.
    fn exhausted_until(&self, now: u64) -> Option<u64> {
        self.quota()?;
        let free = self.period_of(self.paid_until.load(Relaxed));
        (free > now).then_some(free)
    }
}

impl Account {
    /// Whether its processor time has a quota, here or above: it must be measured exactly then.
    pub fn has_quota(&self) -> bool {
        self.upwards().any(|account| account.cpu.quota().is_some())
    }

    /// `nanos` of processor time were used, until `now`.
    pub fn used_cpu(&self, nanos: u64, now: u64) {
        self.upwards().for_each(|account| account.cpu.take(nanos, now));
    }

    /// Until when its guests have to wait for quota, if they have to at `now`.
    pub fn exhausted_until(&self, now: u64) -> Option<u64> {
        self.upwards().filter_map(|account| account.cpu.exhausted_until(now)).max()
    }

    /// A guest begins to wait for quota.
    pub fn throttle_began(&self) {
        self.upwards().for_each(|account| _ = account.cpu.throttled_periods.fetch_add(1, Relaxed));
    }

    /// A guest has waited `nanos` for quota.
    pub fn throttle_ended(&self, nanos: u64) {
        self.upwards().for_each(|account| _ = account.cpu.throttled.fetch_add(nanos, Relaxed));
    }

    /// Forgives what its guests owe: one that is asked to end gets a period's quota to do so.
    pub fn forgive(&self) {
        self.cpu.paid_until.store(0, Relaxed);
    }

    /// Its share of processor time beside others'.
    pub fn weight(&self) -> u64 {
        self.cpu.weight.load(Relaxed)
    }
}
