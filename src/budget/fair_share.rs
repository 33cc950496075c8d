//! Fair sharing of scarce processor time: a deficit round-robin by weight.
//!
//! Guests that compute for longer than a tick compete: they take turns. The guest with the largest share computes at each of
//! its turns. Each other guest gets credit at its turns, in proportion to the last slice of the guest with the largest
//! share; it computes while it has credit, which its usage reduces, and passes otherwise. In rounds in which all guests
//! pass, the credit doubles from round to round, so that a light guest that is alone on its thread computes as well. A guest
//! that waits for an event does not compete, and runs at once after the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Account;

/// The maximum credit, in nanoseconds.
const MAX_CREDIT: i64 = 4_000_000;
/// The minimum credit, in nanoseconds: the maximum debt.
const MIN_CREDIT: i64 = -100_000_000;
/// The largest share expires after so many milliseconds without a turn.
const SHARE_EXPIRY_MILLIS: u32 = 1000;
/// Parts per unit of weight, so that the guests of one account can share a small weight.
const PARTS_PER_WEIGHT: u64 = 64;

/// The state that the competing guests of one runtime share.
#[derive(Debug)]
pub struct FairShare {
    /// The largest share in the upper half, and when it last had a turn (in milliseconds) in the lower half.
    largest_share: AtomicU64,
    /// The last slice of the guest with the largest share, in nanoseconds.
    largest_slice: AtomicU64,
}

impl Default for FairShare {
    fn default() -> FairShare {
        FairShare { largest_share: AtomicU64::new(0), largest_slice: AtomicU64::new(1_000_000) }
    }
}

/// A guest that competes until this is dropped.
#[derive(Debug)]
pub struct Competitor {
    account: Arc<Account>,
    /// The time that the guest may compute, in nanoseconds.
    credit: i64,
    /// Whether no guest has a larger share.
    has_largest_share: bool,
}

impl Competitor {
    /// Registers a guest of `account` as competing.
    pub fn new(account: Arc<Account>) -> Competitor {
        account.cpu.competing.fetch_add(1, Relaxed);
        Competitor { account, credit: 0, has_largest_share: false }
    }

    /// Returns the guest's part of its account's weight; it fits into 32 bits.
    fn share(&self) -> u64 {
        let competing = self.account.cpu.competing.load(Relaxed).max(1);
        (self.account.weight().saturating_mul(PARTS_PER_WEIGHT) / competing).clamp(1, u64::from(u32::MAX))
    }
}

impl Drop for Competitor {
    fn drop(&mut self) {
        self.account.cpu.competing.fetch_sub(1, Relaxed);
    }
}

impl FairShare {
    /// Begins a turn of `guest` at `now` (in nanoseconds) after `idle` rounds in which all guests passed. Returns whether
    /// the guest may compute; otherwise it passes.
    pub fn begin_turn(&self, guest: &mut Competitor, idle: u32, now: u64) -> bool {
        let share = guest.share();
        let largest = self.update_largest_share(share, now);
        guest.has_largest_share = share >= largest;
        if guest.has_largest_share {
            guest.credit = 0;
            return true;
        }
        let credit = self.largest_slice.load(Relaxed).saturating_mul(share) / largest.max(1);
        let credit = credit.max(1).saturating_mul(1 << idle.min(30)).min(MAX_CREDIT.unsigned_abs());
        guest.credit = guest.credit.saturating_add_unsigned(credit).min(MAX_CREDIT);
        guest.credit > 0
    }

    /// Ends a turn in which `guest` has computed for `nanos`.
    pub fn end_turn(&self, guest: &mut Competitor, nanos: u64) {
        if guest.has_largest_share {
            self.largest_slice.store(nanos, Relaxed);
        } else {
            guest.credit = guest.credit.saturating_sub_unsigned(nanos).max(MIN_CREDIT);
        }
    }

    /// Records that a guest with `share` has a turn. Returns the largest share.
    fn update_largest_share(&self, share: u64, now: u64) -> u64 {
        // The milliseconds wrap after 49 days, which at worst lets the largest share expire once.
        let now = (now / 1_000_000) & u64::from(u32::MAX);
        let seen = self.largest_share.load(Relaxed);
        let (known, at) = (seen >> 32, seen & u64::from(u32::MAX));
        let age = now.wrapping_sub(at) & u64::from(u32::MAX);
        if share >= known || age > u64::from(SHARE_EXPIRY_MILLIS) {
            self.largest_share.store((share << 32) | now, Relaxed);
            return share;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::AccountLimits;

    fn account(weight: u64) -> Arc<Account> {
        Account::root(AccountLimits { cpu_weight: weight, ..AccountLimits::NONE })
    }

    /// Returns the time that each guest gets of one thread. A slice is `tick` nanoseconds or somewhat longer.
    fn used_times(accounts: &[Arc<Account>], tick: u64) -> Vec<u64> {
        let shared = FairShare::default();
        let mut all: Vec<_> = accounts.iter().cloned().map(Competitor::new).collect();
        let (mut used, mut idle, mut now) = (vec![0; all.len()], 0, 0);
        for round in 0..40_000 {
            let mut computed = false;
            for (guest, used) in all.iter_mut().zip(&mut used) {
                if shared.begin_turn(guest, idle, now) {
                    // Slices differ in length.
                    let slice = tick + (round * 37_000) % (tick / 2);
                    shared.end_turn(guest, slice);
                    (*used, now, computed) = (*used + slice, now + slice, true);
                }
            }
            idle = if computed { 0 } else { idle + 1 };
        }
        used
    }

    #[test]
    fn guests_get_time_in_proportion_to_their_weight() {
        for weights in [vec![1024, 1024], vec![102, 307], vec![307, 102], vec![2, 1024], vec![100, 200, 400, 800]] {
            for tick in [100_000, 900_000, 4_000_000] {
                let used = used_times(&weights.iter().copied().map(account).collect::<Vec<_>>(), tick);
                let (whole, total) = (weights.iter().sum::<u64>() as f64, used.iter().sum::<u64>() as f64);
                for (weight, used) in weights.iter().zip(&used) {
                    let (want, got) = (*weight as f64 / whole, *used as f64 / total);
                    let wrong = format!("{weight} of {weights:?} at {tick} ns: {got} instead of {want}");
                    assert!((got / want - 1.0).abs() < 0.05, "{wrong}");
                }
            }
        }
    }

    #[test]
    fn guests_of_one_account_share_its_weight() {
        let (twice, once) = (account(100), account(100));
        let used = used_times(&[twice.clone(), twice, once], 900_000);
        assert!(((used[0] + used[1]) as f64 / used[2] as f64 - 1.0).abs() < 0.05, "{used:?}");
    }

    #[test]
    fn light_guest_alone_on_its_thread_passes_few_turns() {
        let (shared, mut heavy, mut light) =
            (FairShare::default(), Competitor::new(account(4096)), Competitor::new(account(2)));
        let mut passed = 0;
        for milli in 0..100 {
            assert!(shared.begin_turn(&mut heavy, 0, milli * 1_000_000));
            shared.end_turn(&mut heavy, 1_000_000);
            passed += (0..).take_while(|idle| !shared.begin_turn(&mut light, *idle, milli * 1_000_000)).count();
            shared.end_turn(&mut light, 1_000_000);
        }
        assert!(passed < 100 * 13, "{passed}");
    }

    #[test]
    fn guest_with_the_largest_share_never_passes() {
        let shared = FairShare::default();
        let mut guests = [500, 500].map(|weight| Competitor::new(account(weight)));
        for milli in 0..100 {
            for guest in &mut guests {
                assert!(shared.begin_turn(guest, 0, milli * 1_000_000));
                shared.end_turn(guest, 1_300_000);
            }
        }
    }

    #[test]
    fn largest_share_expires_without_turns() {
        let shared = FairShare::default();
        for (share, at, want) in
            [(2, 0, 2), (100, 1, 100), (2, 10, 100), (100, 400, 100), (50, 1400, 100), (2, 1401, 2), (50, 1402, 50)]
        {
            assert_eq!(shared.update_largest_share(share, at * 1_000_000), want, "{share} at {at} ms");
        }
    }
}
