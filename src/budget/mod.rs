//! What runs may hold and use: a tree of accounts, node → pod → container.
//!
//! An [`Account`] bounds memory and instances and shares out processor time. A [`Charge`] is taken on
//! its account and on all above it, or on none, and gives back when it is dropped, so that no end of
//! a guest can leave something charged. Limits may change at any time; what is charged already stays.
//!
//! Only numbers live here: no clock is read and nobody sleeps. `runtime` tells when it is and how
//! much time was used, and is told until when to wait ([`cpu`]).

mod cpu;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use cpu::{CpuUsage, PERIOD};
pub use turns::{Competitor, Turns};

use cpu::Cpu;

/// Bytes that a container without a limit may hold; one memory of a guest can't be larger anyway.
pub const DEFAULT_MEMORY: u64 = 4 << 30;
/// Instances that a container without a limit may run side by side: its program, probes, hooks, exec.
pub const DEFAULT_INSTANCES: u64 = 1024;
/// The least weight, that of whoever requests no processor time (Kubernetes' least CPU shares).
pub const MIN_WEIGHT: u64 = 2;

/// What an account may hold and use. `None` bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Bytes of linear memory.
    pub memory: Option<u64>,
    /// Processor time, in thousandths of a processor.
    pub cpu_millis: Option<u64>,
    /// The share of processor time where there is not enough for all: [`weight`] of the request.
    pub cpu_weight: u64,
    /// Instances that run side by side.
    pub instances: Option<u64>,
}

impl AccountLimits {
    /// No limits: for accounts whose children are bounded.
    pub const NONE: AccountLimits =
        AccountLimits { memory: None, cpu_millis: None, cpu_weight: MIN_WEIGHT, instances: None };

    /// A container's limits: what it does not bound gets the default maxima.
    pub fn of_container(self) -> AccountLimits {
        AccountLimits {
            memory: self.memory.or(Some(DEFAULT_MEMORY)),
            instances: self.instances.or(Some(DEFAULT_INSTANCES)),
            ..self
        }
    }
}

/// The weight of a request of `millis` thousandths of a processor: Kubernetes' CPU shares.
pub fn weight(millis: u64) -> u64 {
    (millis.saturating_mul(1024) / 1000).max(MIN_WEIGHT)
}

/// What is held for as long as its charge lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of linear memory.
    Memory,
    /// Running instances.
    Instances,
}

/// A charge that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} is reached")]
pub struct LimitExceeded {
    /// Of what there is not enough.
    pub resource: Resource,
    /// How far above the account that was asked the limit stands: 0 is its own, 1 its parent's.
    pub above: usize,
    /// The limit.
    pub limit: u64,
}

/// What an account holds and has used, with all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of linear memory.
    pub memory: u64,
    /// The most that `memory` ever was.
    pub memory_peak: u64,
    /// Running instances.
    pub instances: u64,
    /// Processor time.
    pub cpu: CpuUsage,
}

/// One resource of one account.
#[derive(Debug)]
struct Held {
    /// `u64::MAX` bounds nothing.
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Held {
    fn new(limit: Option<u64>) -> Held {
        Held { limit: AtomicU64::new(limit.unwrap_or(u64::MAX)), used: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    fn take(&self, amount: u64) -> Result<(), u64> {
        let limit = self.limit.load(Relaxed);
        let grown = |used: u64| used.checked_add(amount).filter(|total| *total <= limit);
        self.used.fetch_update(Relaxed, Relaxed, grown).map(drop).map_err(|_| limit)
    }

    /// What is held now was not refused above.
    fn settle(&self) {
        self.peak.fetch_max(self.used.load(Relaxed), Relaxed);
    }

    fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Relaxed);
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Account {
    parent: Option<Arc<Account>>,
    memory: Held,
    instances: Held,
    cpu: Cpu,
}

impl Account {
    /// An account with none above it.
    pub fn root(limits: AccountLimits) -> Arc<Account> {
        Account::new(None, limits)
    }

    /// An account whose every charge is one of this account, too.
    pub fn child(self: &Arc<Account>, limits: AccountLimits) -> Arc<Account> {
        Account::new(Some(self.clone()), limits)
    }

    fn new(parent: Option<Arc<Account>>, limits: AccountLimits) -> Arc<Account> {
        let (memory, instances) = (Held::new(limits.memory), Held::new(limits.instances));
        Arc::new(Account { parent, memory, instances, cpu: Cpu::new(limits.cpu_millis, limits.cpu_weight) })
    }

    /// Changes the limits, of what runs, too: what holds more than it now may keeps it and gets no more.
    pub fn set_limits(&self, limits: AccountLimits) {
        self.memory.limit.store(limits.memory.unwrap_or(u64::MAX), Relaxed);
        self.instances.limit.store(limits.instances.unwrap_or(u64::MAX), Relaxed);
        self.cpu.set(limits.cpu_millis, limits.cpu_weight);
    }

    /// What it holds and has used.
    pub fn usage(&self) -> Usage {
        Usage {
            memory: self.memory.used.load(Relaxed),
            memory_peak: self.memory.peak.load(Relaxed),
            instances: self.instances.used.load(Relaxed),
            cpu: self.cpu.usage(),
        }
    }

    /// Takes `amount` of `resource`, here and on every account above, or nothing at all.
    pub fn charge(self: &Arc<Account>, resource: Resource, amount: u64) -> Result<Charge, LimitExceeded> {
        let mut charge = Charge { account: self.clone(), resource, amount: 0 };
        charge.grow(amount)?;
        Ok(charge)
    }

    /// This account and those above it.
    fn upwards(&self) -> impl Iterator<Item = &Account> {
        std::iter::successors(Some(self), |account| account.parent.as_deref())
    }

    fn held(&self, resource: Resource) -> &Held {
        match resource {
            Resource::Memory => &self.memory,
            Resource::Instances => &self.instances,
        }
    }
}

/// What is held of an account. Dropped, it gives all back.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    resource: Resource,
    amount: u64,
}

impl Charge {
    /// Takes `more`, or nothing. Of charges that race for what a parent has left, one may be refused
    /// that would have fitted after the other was: both were at a limit.
    pub fn grow(&mut self, more: u64) -> Result<(), LimitExceeded> {
        for (above, account) in self.account.upwards().enumerate() {
            if let Err(limit) = account.held(self.resource).take(more) {
                self.account.upwards().take(above).for_each(|taken| taken.held(self.resource).give_back(more));
                return Err(LimitExceeded { resource: self.resource, above, limit });
            }
        }
        self.account.upwards().for_each(|account| account.held(self.resource).settle());
        self.amount += more;
        Ok(())
    }

    /// How much it holds.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.upwards().for_each(|account| account.held(self.resource).give_back(self.amount));
    }
}
