//! How much linear memory the instances of one container hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use super::exit::OutOfMemory;

/// What a container without a limit may hold; one memory can't be larger anyway.
pub const DEFAULT_LIMIT: usize = 4 << 30;
/// Elements of all tables of an instance; far above what compilers emit.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// A container's memory: a limit and what its instances use of it.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    used: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn charge(&self, bytes: usize) -> bool {
        let grown = |used: usize| used.checked_add(bytes).filter(|total| *total <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }
}

/// One instance's part of its container's memory; gives it back when dropped.
pub struct MemoryCharge {
    budget: Arc<MemoryBudget>,
    charged: usize,
}

impl MemoryCharge {
    pub fn new(budget: Arc<MemoryBudget>) -> MemoryCharge {
        MemoryCharge { budget, charged: 0 }
    }
}

impl Drop for MemoryCharge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

impl ResourceLimiter for MemoryCharge {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The program's own maximum is its own affair: growing fails, and it may go on.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        if !self.budget.charge(more) {
            return Err(OutOfMemory.into());
        }
        self.charged += more;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
