//! Instances that belong together, to end them all and to wait until the last has gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Runtime;
use super::instance::KillSwitch;

/// Instances of one owner: a node, a container attempt, or the command that runs a single program.
#[derive(Default)]
pub struct InstanceSet {
    /// Protects who runs and whether more may.
    state: Mutex<InstanceSetState>,
    gone: Condvar,
}

#[derive(Default)]
struct InstanceSetState {
    closed: bool,
    next: u64,
    running: HashMap<u64, Arc<KillSwitch>>,
}

impl InstanceSet {
    /// Nobody yet.
    pub fn new() -> Arc<InstanceSet> {
        Arc::default()
    }

    /// Kills all instances, of now and of later, and waits until none holds anything any more, but no
    /// longer than `patience`. Blocks its thread for the few milliseconds that this takes.
    pub fn end(&self, runtime: &Runtime, patience: Duration) {
        let until = Instant::now() + patience;
        self.kill(runtime);
        let mut state = self.state.lock();
        while !state.running.is_empty() && !self.gone.wait_until(&mut state, until).timed_out() {}
    }

    /// Kills all instances, of now and of later.
    pub fn kill(&self, runtime: &Runtime) {
        let mut state = self.state.lock();
        state.closed = true;
        state.running.values().for_each(|end| end.kill());
        let computing = !state.running.is_empty();
        drop(state);
        if computing {
            runtime.engine().increment_epoch();
        }
    }

    /// Whether all were killed.
    pub fn ended(&self) -> bool {
        self.state.lock().closed
    }

    /// Counts an instance as running until the guard is dropped. Who comes too late is killed.
    pub(super) fn enter(self: &Arc<InstanceSet>, end: &Arc<KillSwitch>) -> InstanceGuard {
        let mut state = self.state.lock();
        if state.closed {
            end.kill();
        }
        let number = state.next;
        state.next += 1;
        state.running.insert(number, end.clone());
        drop(state);
        InstanceGuard { guests: self.clone(), number }
    }
}

/// See [`Guests::enter`].
pub(super) struct InstanceGuard {
    guests: Arc<InstanceSet>,
    number: u64,
}

impl Drop for InstanceGuard {
    fn drop(&mut self) {
        self.guests.state.lock().running.remove(&self.number);
        self.guests.gone.notify_all();
    }
}
