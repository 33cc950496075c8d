//! Gives memory that was freed back to the system.
//!
//! The C library keeps most of it for later, also where nothing of that size is needed soon, such as after many pods have
//! ended.

/// Free memory, beyond that at the last time, that is worth giving back.
const MIN_FREE_BYTES: usize = 8 << 20;

/// Free memory of the process.
#[derive(Debug, Default)]
pub(super) struct FreeMemory {
    /// Bytes that were free after memory was last given back; the C library counts them as free still.
    returned: usize,
}

impl FreeMemory {
    /// Gives free memory back to the system if there is much of it. Blocks for some milliseconds then.
    pub fn give_back(&mut self) {
        let free = free_bytes();
        if free >= self.returned + MIN_FREE_BYTES {
            trim();
            self.returned = free_bytes();
        }
        self.returned = self.returned.min(free);
    }
}

/// Returns the bytes that the allocator keeps free.
#[cfg(target_env = "gnu")]
fn free_bytes() -> usize {
    // SAFETY: reads counters of the allocator, under its locks.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallinfo2().fordblks
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: gives back pages that the allocator does not use, under its locks.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
fn free_bytes() -> usize {
    0
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::*;

    fn resident_bytes() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("readable");
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
    }

    #[test]
    fn freed_memory_is_given_back() {
        let mut memory = FreeMemory::default();
        let blocks: Vec<Vec<u8>> = (0..64 << 10).map(|_| vec![1; 1000]).collect();
        // Keeps the allocator from returning the rest by itself.
        let kept: Vec<Vec<u8>> = blocks.into_iter().step_by(512).collect();
        let before = resident_bytes();
        memory.give_back();
        let after = resident_bytes();
        assert!(before.saturating_sub(after) > 32 << 20, "{before} {after} {}", kept.len());
        assert!(memory.returned >= 32 << 20);
    }
}
