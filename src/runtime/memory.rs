//! Linear memory, charged to the container's account.
//!
//! Exceeding the limit of the container, its pod or the node ends the instance that asked for memory and no other: an
//! exec'd program that exceeds the limit does not end its container.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::exit::OutOfMemory;
use super::processes::ProcessUsage;
use crate::budget::Charge;

/// Maximum elements of a table, far more than compilers emit.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// Limiter of one instance's linear memory; releases its charge when dropped.
pub struct Memory {
    /// `None` refuses every growth.
    charge: Option<Charge>,
    usage: Arc<ProcessUsage>,
}

impl Memory {
    pub(super) fn new(charge: Option<Charge>, usage: Arc<ProcessUsage>) -> Memory {
        Memory { charge, usage }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond the program's own declared maximum, growth fails and the program continues.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let grown = self.charge.as_mut().map(|charge| charge.grow(more));
        if grown.is_none_or(|grown| grown.is_err()) {
            return Err(OutOfMemory.into());
        }
        self.usage.add_memory(more);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
