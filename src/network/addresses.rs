//! The addresses that pods get.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::NetError;

/// Hands out the addresses of one block, each to one pod at a time.
#[derive(Debug)]
pub struct Addresses {
    base: u32,
    size: u32,
    /// Protects which addresses are in use and where to look next.
    used: Mutex<(BTreeSet<u32>, u32)>,
}

/// A pod's address; free again when dropped.
#[derive(Debug)]
pub struct Address {
    ip: Ipv4Addr,
    offset: u32,
    owner: Arc<Addresses>,
}

impl Addresses {
    /// The block of `base` with `prefix` fixed bits.
    pub fn new(base: Ipv4Addr, prefix: u32) -> Arc<Addresses> {
        let size = 1u32.checked_shl(32 - prefix.clamp(1, 30)).unwrap_or(4);
        let base = u32::from(base) & !(size - 1);
        Arc::new(Addresses { base, size, used: Mutex::default() })
    }

    /// The next free address. One that was just given back is not given out at once.
    pub fn take(self: &Arc<Addresses>) -> Result<Address, NetError> {
        let mut guard = self.used.lock();
        let (used, next) = &mut *guard;
        for step in 0..self.size {
            let offset = (*next + step) % self.size;
            // The first is the block's own, the last its broadcast.
            if offset == 0 || offset == self.size - 1 || !used.insert(offset) {
                continue;
            }
            *next = offset + 1;
            let ip = Ipv4Addr::from(self.base + offset);
            drop(guard);
            return Ok(Address { ip, offset, owner: self.clone() });
        }
        Err(NetError::NoFreeAddress)
    }
}

impl Address {
    /// The address itself; it is the holder's alone until this is dropped.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.owner.used.lock().0.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_given_out_once_and_comes_back() {
        let addresses = Addresses::new(Ipv4Addr::new(10, 0, 0, 9), 29);
        let mut taken: Vec<_> = (0..6).map(|_| addresses.take().expect("free")).collect();
        let ips: BTreeSet<_> = taken.iter().map(Address::ip).collect();
        assert_eq!(ips.len(), 6);
        assert_eq!(ips.first(), Some(&Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(addresses.take().err(), Some(NetError::NoFreeAddress));
        let freed = taken.remove(2).ip();
        assert_eq!(addresses.take().expect("free again").ip(), freed);
    }
}
