//! The addresses of pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::NetError;

/// Allocates the addresses of one block, each to one pod at a time.
#[derive(Debug)]
pub struct AddressPool {
    base: u32,
    size: u32,
    /// Protects the allocated addresses.
    allocated: Mutex<Allocated>,
}

/// Offsets into the block.
#[derive(Debug, Default)]
struct Allocated {
    offsets: BTreeSet<u32>,
    /// The offset at which the search for a free one begins.
    next: u32,
}

/// An allocated address; dropping it frees it.
#[derive(Debug)]
pub struct Address {
    ip: Ipv4Addr,
    offset: u32,
    pool: Arc<AddressPool>,
}

impl AddressPool {
    /// Returns the pool of the block of `base` with a prefix of `prefix` bits.
    pub fn new(base: Ipv4Addr, prefix: u32) -> Arc<AddressPool> {
        let size = 1u32.checked_shl(32 - prefix.clamp(1, 30)).unwrap_or(4);
        let base = u32::from(base) & !(size - 1);
        Arc::new(AddressPool { base, size, allocated: Mutex::default() })
    }

    /// Allocates the next free address. An address that was just freed is not reused at once.
    pub fn allocate(self: &Arc<AddressPool>) -> Result<Address, NetError> {
        let mut allocated = self.allocated.lock();
        for step in 0..self.size {
            let offset = (allocated.next + step) % self.size;
            // The first address is the network's, the last its broadcast.
            if offset == 0 || offset == self.size - 1 || !allocated.offsets.insert(offset) {
                continue;
            }
            allocated.next = offset + 1;
            let ip = Ipv4Addr::from(self.base + offset);
            drop(allocated);
            return Ok(Address { ip, offset, pool: self.clone() });
        }
        Err(NetError::NoFreeAddress)
    }
}

impl Address {
    /// Returns the IP address.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.pool.allocated.lock().offsets.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_allocated_once_and_reused_after_drop() {
        let pool = AddressPool::new(Ipv4Addr::new(10, 0, 0, 9), 29);
        let mut taken: Vec<_> = (0..6).map(|_| pool.allocate().expect("free")).collect();
        let ips: BTreeSet<_> = taken.iter().map(Address::ip).collect();
        assert_eq!(ips.len(), 6);
        assert_eq!(ips.first(), Some(&Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(pool.allocate().err(), Some(NetError::NoFreeAddress));
        let freed = taken.remove(2).ip();
        assert_eq!(pool.allocate().expect("free again").ip(), freed);
    }
}
