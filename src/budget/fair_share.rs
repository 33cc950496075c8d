//! Fair sharing of scarce processor time: fair queueing by weight, for as many guests as there are threads.
//!
//! Guests that compute for longer than a tick compete: such a guest computes only while it holds a permit, of which there
//! is one for each thread. At the end of a turn, the permit goes to the waiting guest with the least virtual time, which is
//! the time that a guest has computed, divided by its share. A guest that waits for an event does not compete, and runs at
//! once after the event: however many guests compute, few of them are in the threads' own queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Account;

/// The weight of which a second of computing is a second of virtual time.
const UNIT_WEIGHT: u64 = 1024;
/// Parts per unit of weight, so that the guests of one account can share a small weight.
const PARTS_PER_WEIGHT: u64 = 64;
/// The maximum of virtual time, in nanoseconds, that a guest may be ahead of others when it begins to compete again.
const MAX_DEBT: u64 = 1_000_000_000;
/// The maximum of virtual time, in nanoseconds, that a guest may lag behind others. A guest whose share exceeds a thread
/// lags ever more, and would keep out others later.
const MAX_LAG: u64 = 10_000_000;

/// The number of competitors created.
static COMPETITORS: AtomicU64 = AtomicU64::new(0);

/// The position of a waiting guest: its virtual time, among guests with the same whether it has computed before, and its
/// number.
type Position = (u64, bool, u64);

/// The permits, and the guests that wait for one. `W` wakes a guest.
#[derive(Debug)]
pub struct FairQueue<W> {
    /// The permits that no guest holds; then no guest waits.
    free: usize,
    /// The largest virtual time at which a guest got a permit, in nanoseconds.
    virtual_time: u64,
    waiting: BTreeMap<Position, W>,
}

/// A guest that may compete. It must leave the queue before it is dropped.
#[derive(Debug)]
pub struct Competitor {
    account: Arc<Account>,
    number: u64,
    virtual_time: u64,
    /// Whether the guest has had a turn since it began to compete.
    has_computed: bool,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The guest does not compete.
    Idle,
    /// The guest waits, or has got a permit if it is no longer at its position.
    Waiting(Position),
    /// The guest holds a permit.
    Computing,
}

/// The answer to a guest that wants to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// The guest holds a permit.
    Granted,
    /// The guest has got its permit from another guest since it last asked.
    Received,
    /// The guest will be woken.
    Wait,
}

impl Competitor {
    /// Returns a guest of `account` that does not compete.
    pub fn new(account: Arc<Account>) -> Competitor {
        Competitor {
            account,
            number: COMPETITORS.fetch_add(1, Relaxed),
            virtual_time: 0,
            has_computed: false,
            turn: Turn::Idle,
        }
    }

    /// Returns whether the guest holds a permit or waits for one.
    pub fn is_competing(&self) -> bool {
        self.turn != Turn::Idle
    }

    /// Returns the guest's part of its account's weight.
    fn share(&self) -> u64 {
        let competing = self.account.cpu.competing.load(Relaxed).max(1);
        (self.account.weight().saturating_mul(PARTS_PER_WEIGHT) / competing).max(1)
    }

    /// Charges a time that the guest has computed, in nanoseconds.
    pub fn charge(&mut self, nanos: u64) {
        let cost = u128::from(nanos) * u128::from(UNIT_WEIGHT * PARTS_PER_WEIGHT) / u128::from(self.share());
        self.virtual_time = self.virtual_time.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
    }

    fn position(&self) -> Position {
        (self.virtual_time, self.has_computed, self.number)
    }
}

impl<W> FairQueue<W> {
    /// Returns a queue with `permits`, at least one.
    pub fn new(permits: usize) -> FairQueue<W> {
        FairQueue { free: permits.max(1), virtual_time: 0, waiting: BTreeMap::new() }
    }

    /// Asks for a permit for `guest`, which competes from now on; `waker` wakes it once it gets one.
    pub fn request(&mut self, guest: &mut Competitor, waker: W) -> Permission {
        match guest.turn {
            Turn::Computing => Permission::Granted,
            Turn::Waiting(position) => match self.waiting.get_mut(&position) {
                Some(waiting) => {
                    *waiting = waker;
                    Permission::Wait
                }
                None => {
                    guest.turn = Turn::Computing;
                    Permission::Received
                }
            },
            Turn::Idle => {
                guest.account.cpu.competing.fetch_add(1, Relaxed);
                let latest = self.virtual_time.saturating_add(MAX_DEBT);
                guest.virtual_time = guest.virtual_time.clamp(self.virtual_time, latest);
                guest.has_computed = false;
                if self.free > 0 {
                    self.free -= 1;
                    guest.turn = Turn::Computing;
                    return Permission::Granted;
                }
                self.wait(guest, waker);
                Permission::Wait
            }
        }
    }

    /// Ends a turn in which `guest` has computed for `nanos`, and begins its next one if no other guest comes first;
    /// otherwise the guest waits. Returns the waker of the guest that gets the permit. Does nothing for a guest without a
    /// permit.
    pub fn end_turn(&mut self, guest: &mut Competitor, nanos: u64, waker: W) -> Option<W> {
        if guest.turn != Turn::Computing {
            return None;
        }
        guest.charge(nanos);
        guest.has_computed = true;
        guest.virtual_time = guest.virtual_time.max(self.virtual_time.saturating_sub(MAX_LAG));
        if self.waiting.first_key_value().is_none_or(|(first, _)| *first > guest.position()) {
            self.virtual_time = self.virtual_time.max(guest.virtual_time);
            return None;
        }
        let next = self.next();
        self.wait(guest, waker);
        next
    }

    /// Ends the competition of `guest`. Returns the waker of the guest that gets its permit.
    pub fn leave(&mut self, guest: &mut Competitor) -> Option<W> {
        let held = match std::mem::replace(&mut guest.turn, Turn::Idle) {
            Turn::Idle => return None,
            Turn::Waiting(position) => self.waiting.remove(&position).is_none(),
            Turn::Computing => true,
        };
        guest.account.cpu.competing.fetch_sub(1, Relaxed);
        if !held {
            return None;
        }
        let next = self.next();
        self.free += usize::from(next.is_none());
        next
    }

    fn wait(&mut self, guest: &mut Competitor, waker: W) {
        guest.turn = Turn::Waiting(guest.position());
        self.waiting.insert(guest.position(), waker);
    }

    /// Gives a permit to the first waiting guest.
    fn next(&mut self) -> Option<W> {
        let ((virtual_time, ..), waker) = self.waiting.pop_first()?;
        self.virtual_time = self.virtual_time.max(virtual_time);
        Some(waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::AccountLimits;

    fn account(weight: u64) -> Arc<Account> {
        Account::root(AccountLimits { cpu_weight: weight, ..AccountLimits::NONE })
    }

    /// Returns the time that each guest computes on `threads` threads. A turn is `tick` nanoseconds or somewhat longer.
    fn used_times(accounts: &[Arc<Account>], threads: usize, tick: u64) -> Vec<u64> {
        let mut queue = FairQueue::new(threads);
        let mut guests: Vec<_> = accounts.iter().cloned().map(Competitor::new).collect();
        let mut used = vec![0; guests.len()];
        let mut computing = Vec::new();
        for (number, guest) in guests.iter_mut().enumerate() {
            if queue.request(guest, number) == Permission::Granted {
                computing.push((0, number));
            }
        }
        for round in 0..40_000 {
            computing.sort_unstable();
            let (since, number) = computing.remove(0);
            let turn = tick + (round * 37_000) % (tick / 2);
            used[number] += turn;
            let next = queue.end_turn(&mut guests[number], turn, number).unwrap_or(number);
            assert_ne!(queue.request(&mut guests[next], next), Permission::Wait);
            computing.push((since + turn, next));
        }
        used
    }

    #[test]
    fn guests_get_time_in_proportion_to_their_weight() {
        for weights in [vec![1024, 1024], vec![102, 307], vec![307, 102], vec![2, 1024], vec![100, 200, 400, 800]] {
            for tick in [100_000, 900_000, 4_000_000] {
                let used = used_times(&weights.iter().copied().map(account).collect::<Vec<_>>(), 1, tick);
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
    fn share_beyond_a_thread_goes_to_the_others() {
        let used = used_times(&[account(4096), account(100), account(300)], 2, 1_000_000);
        let total = used.iter().sum::<u64>() as f64;
        let parts: Vec<f64> = used.iter().map(|used| *used as f64 / total).collect();
        for (got, want) in parts.iter().zip([0.5, 0.125, 0.375]) {
            assert!((got / want - 1.0).abs() < 0.05, "{parts:?}");
        }
    }

    #[test]
    fn guests_of_one_account_share_its_weight() {
        let (twice, once) = (account(100), account(100));
        let used = used_times(&[twice.clone(), twice, once], 1, 900_000);
        assert!(((used[0] + used[1]) as f64 / used[2] as f64 - 1.0).abs() < 0.05, "{used:?}");
    }

    #[test]
    fn guest_that_begins_to_compete_is_next() {
        let mut queue = FairQueue::new(1);
        let mut guests: Vec<_> = (0..8).map(|_| Competitor::new(account(100))).collect();
        for (number, guest) in guests.iter_mut().enumerate() {
            queue.request(guest, number);
        }
        let mut computing = 0;
        for _ in 0..100 {
            computing = queue.end_turn(&mut guests[computing], 1_000_000, computing).expect("others wait");
            queue.request(&mut guests[computing], computing);
        }
        let mut late = Competitor::new(account(100));
        assert_eq!(queue.request(&mut late, 8), Permission::Wait);
        assert_eq!(queue.end_turn(&mut guests[computing], 1_000_000, computing), Some(8));
        assert_eq!(queue.request(&mut late, 8), Permission::Received);
    }

    #[test]
    fn guest_keeps_its_debt_while_it_does_not_compete() {
        let mut queue = FairQueue::new(1);
        let (mut one, mut two) = (Competitor::new(account(100)), Competitor::new(account(100)));
        queue.request(&mut one, 1);
        queue.request(&mut two, 2);
        assert_eq!(queue.end_turn(&mut one, 5_000_000, 1), Some(2));
        assert_eq!(queue.leave(&mut one), None);
        assert_eq!(queue.request(&mut one, 1), Permission::Wait);
        queue.request(&mut two, 2);
        assert_eq!(queue.end_turn(&mut two, 4_000_000, 2), None, "it has computed less");
        assert_eq!(queue.end_turn(&mut two, 2_000_000, 2), Some(1));
    }

    #[test]
    fn permits_return_however_a_guest_ends() {
        let mut queue = FairQueue::new(2);
        let account = account(100);
        let mut guests: Vec<_> = (0..5).map(|_| Competitor::new(account.clone())).collect();
        for (number, guest) in guests.iter_mut().enumerate() {
            queue.request(guest, number);
        }
        assert_eq!(queue.leave(&mut guests[4]), None, "it waits");
        assert_eq!(queue.leave(&mut guests[0]), Some(2), "it computes");
        assert_eq!(queue.leave(&mut guests[2]), Some(3), "it has a permit that it does not know of");
        assert_eq!((queue.leave(&mut guests[1]), queue.leave(&mut guests[3])), (None, None));
        assert_eq!((queue.free, queue.waiting.len(), account.cpu.competing.load(Relaxed)), (2, 0, 0));
        assert!(guests.iter().all(|guest| !guest.is_competing()));
    }
}
