//! Sets of instances, which can be killed and awaited together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Runtime;
use super::instance::KillSwitch;

/// The running instances of one owner: a node, a container attempt, or the command that runs a single program.
#[derive(Default)]
pub struct InstanceSet {
    /// Protects the running instances and the closed flag.
    state: Mutex<InstanceSetState>,
    removed: Condvar,
}

#[derive(Default)]
struct InstanceSetState {
    closed: bool,
    next_id: u64,
    running: HashMap<u64, Arc<KillSwitch>>,
}

impl InstanceSet {
    /// Creates an empty set.
    pub fn new() -> Arc<InstanceSet> {
        Arc::default()
    }

    /// Kills all instances, including any started later, and waits for at most `timeout` until all have released their
    /// resources. Blocks the thread, normally for a few milliseconds.
    pub fn kill_and_wait(&self, runtime: &Runtime, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.kill(runtime);
        let mut state = self.state.lock();
        while !state.running.is_empty() && !self.removed.wait_until(&mut state, deadline).timed_out() {}
    }

    /// Kills all instances, including any started later.
    pub fn kill(&self, runtime: &Runtime) {
        let mut state = self.state.lock();
        state.closed = true;
        state.running.values().for_each(|kill_switch| kill_switch.kill());
        let has_running = !state.running.is_empty();
        drop(state);
        if has_running {
            runtime.engine().increment_epoch();
        }
    }

    /// Returns whether the set was killed; instances that register later are killed at once.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Counts an instance as running until the guard is dropped. Kills it at once if the set is closed.
    pub(super) fn register(self: &Arc<InstanceSet>, kill_switch: &Arc<KillSwitch>) -> InstanceGuard {
        let mut state = self.state.lock();
        if state.closed {
            kill_switch.kill();
        }
        let id = state.next_id;
        state.next_id += 1;
        state.running.insert(id, kill_switch.clone());
        drop(state);
        InstanceGuard { set: self.clone(), id }
    }
}

/// Removes an instance from its set when dropped; see [`InstanceSet::register`].
pub(super) struct InstanceGuard {
    set: Arc<InstanceSet>,
    id: u64,
}

impl Drop for InstanceGuard {
    fn drop(&mut self) {
        self.set.state.lock().running.remove(&self.id);
        self.set.removed.notify_all();
    }
}
