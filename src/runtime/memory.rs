//! Linear memory, charged to the container's account.
//!
//! Reaching the container's own limit, its pod's or the node's ends the guest that asked, wherever it is,
//! and none beside it: an exec'd program that wants too much does not take the container with it.

use wasmtime::ResourceLimiter;

use super::exit::OutOfMemory;
use crate::budget::Charge;

/// Elements of all tables of an instance; far above what compilers emit.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// One instance's linear memory; its part of the account is given back when it is dropped.
pub struct Memory {
    /// `None` holds nothing and gets nothing.
    charge: Option<Charge>,
}

impl Memory {
    pub fn new(charge: Option<Charge>) -> Memory {
        Memory { charge }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The program's own maximum is its own affair: growing fails, and it may go on.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let grown = self.charge.as_mut().map(|charge| charge.grow(more));
        if grown.is_some_and(|grown| grown.is_ok()) { Ok(true) } else { Err(OutOfMemory.into()) }
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
