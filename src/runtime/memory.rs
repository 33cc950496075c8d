//! Linear memory and tables, charged to the container's account.
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

/// Memory of a table's element, in bytes.
const ELEMENT_BYTES: usize = size_of::<usize>();

/// Limiter of one instance's linear memory and tables; releases its charge when dropped.
pub struct Memory {
    /// `None` refuses every growth.
    charge: Option<Charge>,
    usage: Arc<ProcessUsage>,
}

impl Memory {
    pub(super) fn new(charge: Option<Charge>, usage: Arc<ProcessUsage>) -> Memory {
        Memory { charge, usage }
    }

    /// Charges `bytes` more.
    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let grown = self.charge.as_mut().map(|charge| charge.grow(bytes as u64));
        if grown.is_none_or(|grown| grown.is_err()) {
            return Err(OutOfMemory.into());
        }
        self.usage.add_memory(bytes as u64);
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond the program's own declared maximum, growth fails and the program continues.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE_ELEMENTS || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES))
    }
}
