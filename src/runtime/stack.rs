//! Native stacks of guests: large, and lazily backed by memory.
//!
//! A page of a stack takes memory once the guest has touched it. Huge pages, which would back two megabytes at the first
//! touch, are declined.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr;

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;
use wasmtime::{StackCreator, StackMemory};

/// Size that WebAssembly may use, as on Linux' main threads: interpreters and recursive programs that ran natively expect
/// it. Epoch checks enlarge small frames by half.
pub const WASM_STACK: usize = 8 << 20;
/// Size of a whole stack: below WebAssembly's frames, host functions have their own.
pub const STACK: usize = WASM_STACK + (256 << 10);

/// Maps the guests' stacks.
pub struct LazyStacks;

/// A mapping whose first page is inaccessible.
struct LazyStack {
    base: *mut c_void,
    length: usize,
    guard: usize,
}

// SAFETY: `new_stack` returns page-aligned, zero-filled memory above an inaccessible page, which belongs to its owner alone.
#[allow(unsafe_code)]
unsafe impl StackCreator for LazyStacks {
    /// Maps `size` bytes above a guard page. Fresh mappings are zero.
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        Ok(Box::new(LazyStack::map(size)?))
    }
}

impl LazyStack {
    fn map(size: usize) -> io::Result<LazyStack> {
        let guard = page_size();
        let length = size.next_multiple_of(guard) + guard;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: the kernel chooses the address, so that no existing memory is affected.
        #[allow(unsafe_code)]
        let base = unsafe { mmap_anonymous(ptr::null_mut(), length, ProtFlags::empty(), flags) }?;
        // From here on, dropping the stack unmaps it.
        let stack = LazyStack { base, length, guard };
        // SAFETY: the range lies in the mapping above, which nothing else refers to.
        #[allow(unsafe_code)]
        unsafe {
            let usable = base.byte_add(guard);
            mprotect(usable, length - guard, MprotectFlags::READ | MprotectFlags::WRITE)?;
            // A kernel without huge pages does not know the advice.
            let _ = madvise(usable, length - guard, Advice::LinuxNoHugepage);
        }
        Ok(stack)
    }
}

// SAFETY: the memory is owned, and nothing refers to it but the stack's owner.
#[allow(unsafe_code)]
unsafe impl Send for LazyStack {}
// SAFETY: shared references give out addresses only.
#[allow(unsafe_code)]
unsafe impl Sync for LazyStack {}

// SAFETY: the ranges describe the mapping, which lives as long as the value.
#[allow(unsafe_code)]
unsafe impl StackMemory for LazyStack {
    fn top(&self) -> *mut u8 {
        self.base.wrapping_byte_add(self.length).cast()
    }

    fn range(&self) -> Range<usize> {
        let base = self.base as usize;
        base + self.guard..base + self.length
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.base.cast()..self.base.wrapping_byte_add(self.guard).cast()
    }
}

impl Drop for LazyStack {
    fn drop(&mut self) {
        // SAFETY: the mapping is owned, and its owner no longer runs on it.
        #[allow(unsafe_code)]
        let unmapped = unsafe { munmap(self.base, self.length) };
        debug_assert!(unmapped.is_ok(), "the mapping is valid");
    }
}
