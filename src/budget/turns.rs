//! Turns, where there is not enough processor time for all: a deficit round-robin by weight.
//!
//! Guests compete when they compute for longer than a tick; they go round a queue then. The heaviest
//! computes at each of its turns. A lighter one is given credit at each of its turns, in proportion to the
//! heaviest's last slice, computes when it has some, and passes when it has none; what it uses is taken
//! off. In rounds in which all pass, credit doubles from round to round, so that a light guest that is alone on its
//! thread computes all the same. Who waits for something goes ahead at once when it has come, as
//! long as it does not compute for a tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Account;

/// The most credit and the most debt that is kept, in nanoseconds: neither is saved up for ever.
const MOST: i64 = 4_000_000;
const DEEPEST: i64 = -100_000_000;
/// The heaviest is forgotten when it has had no turn for so many milliseconds.
const FORGOTTEN_AFTER: u32 = 1000;
/// Weights are counted in parts of this, so that guests of one account can share one.
const PARTS: u64 = 64;

/// What the competitors of one runtime know of each other.
#[derive(Debug)]
pub struct Turns {
    /// The largest share in the upper half, when it was seen (milliseconds) in the lower.
    heaviest: AtomicU64,
    /// Nanoseconds that the heaviest last computed at a stretch.
    slice: AtomicU64,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { heaviest: AtomicU64::new(0), slice: AtomicU64::new(1_000_000) }
    }
}

/// A guest that competes, until it is dropped.
#[derive(Debug)]
pub struct Competitor {
    account: Arc<Account>,
    /// Nanoseconds that it may compute.
    credit: i64,
    /// None is heavier.
    leads: bool,
}

impl Competitor {
    /// A guest of `account` that competes from now on.
    pub fn new(account: Arc<Account>) -> Competitor {
        account.cpu.competing.fetch_add(1, Relaxed);
        Competitor { account, credit: 0, leads: false }
    }

    /// Its part of its account's weight, at most 32 bits of it.
    fn share(&self) -> u64 {
        let competing = self.account.cpu.competing.load(Relaxed).max(1);
        (self.account.weight().saturating_mul(PARTS) / competing).clamp(1, u64::from(u32::MAX))
    }
}

impl Drop for Competitor {
    fn drop(&mut self) {
        self.account.cpu.competing.fetch_sub(1, Relaxed);
    }
}

impl Turns {
    /// The guest's turn has come at `now` (nanoseconds), and in the last `idle` rounds nobody computed. Whether
    /// it may compute; else it passes.
    pub fn take(&self, guest: &mut Competitor, idle: u32, now: u64) -> bool {
        let share = guest.share();
        let heaviest = self.heaviest(share, now);
        guest.leads = share >= heaviest;
        if guest.leads {
            guest.credit = 0;
            return true;
        }
        let given = self.slice.load(Relaxed).saturating_mul(share) / heaviest.max(1);
        let given = given.max(1).saturating_mul(1 << idle.min(30)).min(MOST.unsigned_abs());
        guest.credit = guest.credit.saturating_add_unsigned(given).min(MOST);
        guest.credit > 0
    }

    /// The guest has computed for `nanos` at its turn.
    pub fn computed(&self, guest: &mut Competitor, nanos: u64) {
        if guest.leads {
            self.slice.store(nanos, Relaxed);
        } else {
            guest.credit = guest.credit.saturating_sub_unsigned(nanos).max(DEEPEST);
        }
    }

    /// The largest share of the guests that compete, of which one has `share`.
    fn heaviest(&self, share: u64, now: u64) -> u64 {
        // Wraps after 49 days, which costs one forgotten guest.
        let now = (now / 1_000_000) & u64::from(u32::MAX);
        let seen = self.heaviest.load(Relaxed);
        let (known, at) = (seen >> 32, seen & u64::from(u32::MAX));
        let age = now.wrapping_sub(at) & u64::from(u32::MAX);
        if share >= known || age > u64::from(FORGOTTEN_AFTER) {
            self.heaviest.store((share << 32) | now, Relaxed);
            return share;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::AccountLimits;

    fn weigh(weight: u64) -> Arc<Account> {
        Account::root(AccountLimits { cpu_weight: weight, ..AccountLimits::NONE })
    }

    /// What each of the guests gets of one thread: they go round, and who passes uses nothing. A tick is
    /// `tick` nanoseconds long, or somewhat longer.
    fn shared(accounts: &[Arc<Account>], tick: u64) -> Vec<u64> {
        let turns = Turns::default();
        let mut all: Vec<_> = accounts.iter().cloned().map(Competitor::new).collect();
        let (mut used, mut idle, mut now) = (vec![0; all.len()], 0, 0);
        for round in 0..40_000 {
            let mut computed = false;
            for (guest, used) in all.iter_mut().zip(&mut used) {
                if turns.take(guest, idle, now) {
                    // Ticks are not all alike.
                    let slice = tick + (round * 37_000) % (tick / 2);
                    turns.computed(guest, slice);
                    (*used, now, computed) = (*used + slice, now + slice, true);
                }
            }
            idle = if computed { 0 } else { idle + 1 };
        }
        used
    }

    #[test]
    fn who_competes_gets_time_in_proportion_to_its_weight() {
        for weights in [vec![1024, 1024], vec![102, 307], vec![307, 102], vec![2, 1024], vec![100, 200, 400, 800]] {
            for tick in [100_000, 900_000, 4_000_000] {
                let used = shared(&weights.iter().copied().map(weigh).collect::<Vec<_>>(), tick);
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
    fn guests_of_one_account_share_what_it_is_given() {
        let (twice, once) = (weigh(100), weigh(100));
        let used = shared(&[twice.clone(), twice, once], 900_000);
        assert!(((used[0] + used[1]) as f64 / used[2] as f64 - 1.0).abs() < 0.05, "{used:?}");
    }

    #[test]
    fn a_light_guest_that_is_alone_on_its_thread_passes_few_turns() {
        let (turns, mut heavy, mut light) = (Turns::default(), Competitor::new(weigh(4096)), Competitor::new(weigh(2)));
        let mut passed = 0;
        for milli in 0..100 {
            assert!(turns.take(&mut heavy, 0, milli * 1_000_000));
            turns.computed(&mut heavy, 1_000_000);
            passed += (0..).take_while(|idle| !turns.take(&mut light, *idle, milli * 1_000_000)).count();
            turns.computed(&mut light, 1_000_000);
        }
        assert!(passed < 100 * 13, "{passed}");
    }

    #[test]
    fn who_is_alone_or_as_heavy_as_any_never_passes() {
        let turns = Turns::default();
        let mut guests = [500, 500].map(|weight| Competitor::new(weigh(weight)));
        for milli in 0..100 {
            for guest in &mut guests {
                assert!(turns.take(guest, 0, milli * 1_000_000));
                turns.computed(guest, 1_300_000);
            }
        }
    }

    #[test]
    fn the_heaviest_is_known_while_it_has_turns_and_then_forgotten() {
        let turns = Turns::default();
        for (share, at, want) in
            [(2, 0, 2), (100, 1, 100), (2, 10, 100), (100, 400, 100), (50, 1400, 100), (2, 1401, 2), (50, 1402, 50)]
        {
            assert_eq!(turns.heaviest(share, at * 1_000_000), want, "{share} at {at} ms");
        }
    }
}
