//! Resource accounting: a tree of accounts, node → pod → container.
//!
//! An [`Account`] limits memory and instances, and shares processor time out. A [`Charge`] counts on its account and on all
//! above it, or on none; dropping it releases it, so that no exit of a guest leaves anything charged. Limits may change at
//! any time; existing charges stay.
//!
//! [`RetainedMemory`] is an account of its own: the memory of what the node keeps for its clients.
//!
//! This module reads no clock and never sleeps: `runtime` passes in the time and how much of it was used, and waits as long
//! as [`cpu`] says.

mod cpu;
mod fair_share;
mod retained;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use cpu::{CPU_PERIOD_NANOS, CpuUsage};
pub use fair_share::{Competitor, FairQueue, Permission};
pub use retained::{
    DEFAULT_RETAINED_MEMORY, MIN_RETAINED_MEMORY, RetainedCharge, RetainedKind, RetainedMemory, RetainedUsage,
};

use cpu::Cpu;

/// The memory limit in bytes of a container without one: the maximum size of a guest's linear memory.
pub const DEFAULT_MEMORY: u64 = 4 << 30;
/// The maximum of instances of a container that run side by side: its program, probes, hooks and exec.
pub const DEFAULT_INSTANCES: u64 = 1024;
/// The weight of a container that requests no processor time: Kubernetes' minimum of CPU shares.
pub const MIN_WEIGHT: u64 = 2;

/// The limits of an account; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Bytes of linear memory.
    pub memory: Option<u64>,
    /// Processor time, in thousandths of a processor.
    pub cpu_millis: Option<u64>,
    /// The weight in the sharing of scarce processor time: [`cpu_weight`] of the request.
    pub cpu_weight: u64,
    /// Instances that run side by side.
    pub instances: Option<u64>,
}

impl AccountLimits {
    /// No limits, for accounts whose children are limited.
    pub const NONE: AccountLimits =
        AccountLimits { memory: None, cpu_millis: None, cpu_weight: MIN_WEIGHT, instances: None };

    /// Returns the limits of a container: missing limits become the defaults.
    pub fn with_container_defaults(self) -> AccountLimits {
        AccountLimits {
            memory: self.memory.or(Some(DEFAULT_MEMORY)),
            instances: self.instances.or(Some(DEFAULT_INSTANCES)),
            ..self
        }
    }
}

/// Returns the weight of a request of `millis` thousandths of a processor: Kubernetes' CPU shares.
pub fn cpu_weight(millis: u64) -> u64 {
    (millis.saturating_mul(1024) / 1000).max(MIN_WEIGHT)
}

/// A resource that is held for as long as its charge lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountResource {
    /// Bytes of linear memory.
    Memory,
    /// Running instances.
    Instances,
}

/// A charge would exceed a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} is reached")]
pub struct LimitExceeded {
    /// The resource.
    pub resource: AccountResource,
    /// The account with the limit: 0 is the charged one, 1 its parent.
    pub level: usize,
    /// The limit.
    pub limit: u64,
}

/// The usage of an account and of all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of linear memory.
    pub memory: u64,
    /// The maximum of `memory` over time.
    pub memory_peak: u64,
    /// Running instances.
    pub instances: u64,
    /// Processor time.
    pub cpu: CpuUsage,
}

/// The memory of an account, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAllowance {
    /// The smallest limit of the account and those above it; `u64::MAX` without any.
    pub limit: u64,
    /// The account's usage.
    pub used: u64,
    /// The bytes that may still be charged to the account.
    pub available: u64,
}

/// One resource of one account.
#[derive(Debug)]
struct ResourceMeter {
    /// `u64::MAX` is unlimited.
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl ResourceMeter {
    fn new(limit: Option<u64>) -> ResourceMeter {
        ResourceMeter {
            limit: AtomicU64::new(limit.unwrap_or(u64::MAX)),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    /// Reserves `amount`, or returns the limit that it would exceed.
    fn reserve(&self, amount: u64) -> Result<(), u64> {
        let limit = self.limit.load(Relaxed);
        let grown = |used: u64| used.checked_add(amount).filter(|total| *total <= limit);
        self.used.fetch_update(Relaxed, Relaxed, grown).map(drop).map_err(|_| limit)
    }

    /// Updates the peak. Called once all accounts above have accepted the charge.
    fn update_peak(&self) {
        self.peak.fetch_max(self.used.load(Relaxed), Relaxed);
    }

    fn release(&self, amount: u64) {
        self.used.fetch_sub(amount, Relaxed);
    }
}

/// The account of a node, a pod or a container.
#[derive(Debug)]
pub struct Account {
    parent: Option<Arc<Account>>,
    memory: ResourceMeter,
    instances: ResourceMeter,
    cpu: Cpu,
}

impl Account {
    /// Creates an account without a parent.
    pub fn root(limits: AccountLimits) -> Arc<Account> {
        Account::new(None, limits)
    }

    /// Creates an account below this one: its charges count on both.
    pub fn child(self: &Arc<Account>, limits: AccountLimits) -> Arc<Account> {
        Account::new(Some(self.clone()), limits)
    }

    fn new(parent: Option<Arc<Account>>, limits: AccountLimits) -> Arc<Account> {
        let (memory, instances) = (ResourceMeter::new(limits.memory), ResourceMeter::new(limits.instances));
        Arc::new(Account { parent, memory, instances, cpu: Cpu::new(limits.cpu_millis, limits.cpu_weight) })
    }

    /// Changes the limits. An account that exceeds the new ones keeps its charges and gets no more.
    pub fn set_limits(&self, limits: AccountLimits) {
        self.memory.limit.store(limits.memory.unwrap_or(u64::MAX), Relaxed);
        self.instances.limit.store(limits.instances.unwrap_or(u64::MAX), Relaxed);
        self.cpu.set_limits(limits.cpu_millis, limits.cpu_weight);
    }

    /// Returns the usage.
    pub fn usage(&self) -> Usage {
        Usage {
            memory: self.memory.used.load(Relaxed),
            memory_peak: self.memory.peak.load(Relaxed),
            instances: self.instances.used.load(Relaxed),
            cpu: self.cpu.usage(),
        }
    }

    /// Returns the memory that the account's guests share, as far as the accounts above it give it.
    pub fn memory(&self) -> MemoryAllowance {
        let mut allowance =
            MemoryAllowance { limit: u64::MAX, used: self.memory.used.load(Relaxed), available: u64::MAX };
        for account in self.upwards() {
            let limit = account.memory.limit.load(Relaxed);
            let left = limit.saturating_sub(account.memory.used.load(Relaxed));
            allowance.limit = allowance.limit.min(limit);
            allowance.available = allowance.available.min(left);
        }
        allowance
    }

    /// Charges `amount` of `resource` to this account and to all above it.
    ///
    /// # Errors
    /// If one of the accounts has too little left; then none is charged.
    pub fn charge(self: &Arc<Account>, resource: AccountResource, amount: u64) -> Result<Charge, LimitExceeded> {
        let mut charge = Charge { account: self.clone(), resource, amount: 0 };
        charge.grow(amount)?;
        Ok(charge)
    }

    /// Returns this account and all above it.
    fn upwards(&self) -> impl Iterator<Item = &Account> {
        std::iter::successors(Some(self), |account| account.parent.as_deref())
    }

    fn meter(&self, resource: AccountResource) -> &ResourceMeter {
        match resource {
            AccountResource::Memory => &self.memory,
            AccountResource::Instances => &self.instances,
        }
    }
}

/// An amount charged to an account. Dropping it releases the amount.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    resource: AccountResource,
    amount: u64,
}

impl Charge {
    /// Charges `more`, or nothing. If two charges race for the rest of a parent, both may fail although one of them would
    /// have fit.
    ///
    /// # Errors
    /// If one of the accounts has too little left.
    pub fn grow(&mut self, more: u64) -> Result<(), LimitExceeded> {
        for (above, account) in self.account.upwards().enumerate() {
            if let Err(limit) = account.meter(self.resource).reserve(more) {
                self.account.upwards().take(above).for_each(|charged| charged.meter(self.resource).release(more));
                return Err(LimitExceeded { resource: self.resource, level: above, limit });
            }
        }
        self.account.upwards().for_each(|account| account.meter(self.resource).update_peak());
        self.amount += more;
        Ok(())
    }

    /// Returns the charged amount.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.upwards().for_each(|account| account.meter(self.resource).release(self.amount));
    }
}
