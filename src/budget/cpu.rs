//! Processor time: usage and quotas.
//!
//! A quota is time per [`CPU_PERIOD_NANOS`], as in Linux' CFS bandwidth control, with one difference: a guest is measured
//! once per tick, and one that exceeds its quota waits until the period in which the excess is paid off, so that the mean is
//! the quota. The unused rest of a period is lost. One number stores all of that: the time until which the quota is used up.
//! Each used nanosecond moves it by 1 / quota nanoseconds.
//!
//! Times are nanoseconds since an origin that all accounts of a tree share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Account;

/// The period of quotas: Kubernetes' 100 ms.
pub const CPU_PERIOD_NANOS: u64 = 100_000_000;
/// No quota.
const UNLIMITED: u64 = u64::MAX;
/// The offset between the periods of one account and the next, so that throttled guests do not all wake at once: the golden
/// ratio of a period.
const PHASE_STEP_NANOS: u64 = 61_803_399;

/// The number of accounts created.
static ACCOUNTS: AtomicU64 = AtomicU64::new(0);

/// Used and withheld processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuUsage {
    /// The used time.
    pub used_nanos: u64,
    /// The periods in which guests with a quota used time.
    pub periods: u64,
    /// The number of times that guests waited for their quota.
    pub throttled_periods: u64,
    /// The time that guests waited for their quota.
    pub throttled_nanos: u64,
}

#[derive(Debug)]
pub(super) struct Cpu {
    /// Thousandths of a processor, or [`UNLIMITED`].
    quota: AtomicU64,
    weight: AtomicU64,
    /// The offset of the account's periods.
    phase: u64,
    /// The time until which the quota is used up.
    paid_until: AtomicU64,
    /// The start of the last period in which time was used.
    last_period: AtomicU64,
    /// The number of guests that compete ([`super::fair_share`]).
    pub(super) competing: AtomicU64,
    used: AtomicU64,
    periods: AtomicU64,
    throttled_periods: AtomicU64,
    throttled: AtomicU64,
}

impl Cpu {
    pub(super) fn new(millis: Option<u64>, weight: u64) -> Cpu {
        let cpu = Cpu {
            quota: AtomicU64::new(UNLIMITED),
            weight: AtomicU64::new(0),
            phase: ACCOUNTS.fetch_add(1, Relaxed).wrapping_mul(PHASE_STEP_NANOS) % CPU_PERIOD_NANOS,
            paid_until: AtomicU64::new(0),
            last_period: AtomicU64::new(0),
            competing: AtomicU64::new(0),
            used: AtomicU64::new(0),
            periods: AtomicU64::new(0),
            throttled_periods: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        };
        cpu.set_limits(millis, weight);
        cpu
    }

    pub(super) fn set_limits(&self, millis: Option<u64>, weight: u64) {
        let quota = millis.map_or(UNLIMITED, |millis| millis.max(1));
        self.weight.store(weight.max(super::MIN_WEIGHT), Relaxed);
        if self.quota.swap(quota, Relaxed) != quota {
            // The debt was computed from the old quota.
            self.paid_until.store(0, Relaxed);
        }
    }

    pub(super) fn usage(&self) -> CpuUsage {
        CpuUsage {
            used_nanos: self.used.load(Relaxed),
            periods: self.periods.load(Relaxed),
            throttled_periods: self.throttled_periods.load(Relaxed),
            throttled_nanos: self.throttled.load(Relaxed),
        }
    }

    fn quota(&self) -> Option<u64> {
        Some(self.quota.load(Relaxed)).filter(|quota| *quota != UNLIMITED)
    }

    /// Returns the start of the period that contains `time`.
    fn period_start(&self, time: u64) -> u64 {
        let shifted = time.saturating_add(CPU_PERIOD_NANOS - self.phase);
        (shifted - shifted % CPU_PERIOD_NANOS).saturating_sub(CPU_PERIOD_NANOS - self.phase)
    }

    fn record(&self, nanos: u64, now: u64) {
        self.used.fetch_add(nanos, Relaxed);
        let Some(quota) = self.quota() else { return };
        // A slice counts in the period in which it began.
        let period = self.period_start(now.saturating_sub(nanos));
        if self.last_period.swap(period, Relaxed) != period {
            self.periods.fetch_add(1, Relaxed);
        }
        let cost = nanos.saturating_mul(1000) / quota;
        let _ = self.paid_until.fetch_update(Relaxed, Relaxed, |paid| Some(paid.max(period).saturating_add(cost)));
    }

    /// Returns the start of the next period with quota; `None` if there is quota now.
    fn throttled_until(&self, now: u64) -> Option<u64> {
        self.quota()?;
        let free = self.period_start(self.paid_until.load(Relaxed));
        (free > now).then_some(free)
    }
}

impl Account {
    /// Returns whether this account or one above has a quota; its usage must then be measured exactly.
    pub fn has_quota(&self) -> bool {
        self.upwards().any(|account| account.cpu.quota().is_some())
    }

    /// Records that `nanos` of processor time were used until `now`.
    pub fn record_cpu(&self, nanos: u64, now: u64) {
        self.upwards().for_each(|account| account.cpu.record(nanos, now));
    }

    /// Returns until when guests have to wait for their quota; `None` if they may run `now`.
    pub fn throttled_until(&self, now: u64) -> Option<u64> {
        self.upwards().filter_map(|account| account.cpu.throttled_until(now)).max()
    }

    /// Records that a guest begins to wait for its quota.
    pub fn record_throttle_start(&self) {
        self.upwards().for_each(|account| _ = account.cpu.throttled_periods.fetch_add(1, Relaxed));
    }

    /// Records that a guest has waited for its quota for `nanos`.
    pub fn record_throttle_end(&self, nanos: u64) {
        self.upwards().for_each(|account| _ = account.cpu.throttled.fetch_add(nanos, Relaxed));
    }

    /// Forgives the debt of this account's guests: a guest that terminates gets the quota of a period to do so.
    pub fn forgive_cpu_debt(&self) {
        self.cpu.paid_until.store(0, Relaxed);
    }

    /// Returns the weight in the sharing of scarce processor time.
    pub fn weight(&self) -> u64 {
        self.cpu.weight.load(Relaxed)
    }
}
