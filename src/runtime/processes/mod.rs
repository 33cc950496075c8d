//! The running programs of a pod, as its programs see them: `ps`, `top` and `kill`.
//!
//! `host_functions` offers the table to programs as `wasmpod:processes` (`wit/processes`).

mod host_functions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::instance::InstanceHandle;
use crate::lifecycle::MonoTime;

pub(super) use host_functions::add_to_linker;

/// The identifier under which a container's programs see its main program.
const MAIN_ID: u32 = 1;

/// Signals whose default action is to do nothing.
const IGNORED_SIGNALS: [&str; 4] = ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"];

/// The running programs of one pod.
#[derive(Default)]
pub struct ProcessTable {
    /// Protects the programs, by identifier.
    processes: Mutex<Processes>,
}

#[derive(Default)]
struct Processes {
    last_id: u32,
    running: BTreeMap<u32, Arc<Process>>,
}

/// One running program.
pub(super) struct Process {
    pub(super) container: String,
    /// Number of restarts of the container.
    pub(super) attempt: u32,
    /// Whether it is the container's main program.
    pub(super) is_main: bool,
    pub(super) command: Vec<String>,
    pub(super) started: MonoTime,
    pub(super) usage: Arc<ProcessUsage>,
    pub(super) handle: InstanceHandle,
}

/// What a program has used.
#[derive(Default)]
pub(super) struct ProcessUsage {
    /// Nanoseconds of processor time.
    processor_time: AtomicU64,
    /// Bytes of linear memory.
    memory: AtomicU64,
}

impl ProcessUsage {
    pub(super) fn add_processor_time(&self, nanos: u64) {
        self.processor_time.fetch_add(nanos, Relaxed);
    }

    pub(super) fn add_memory(&self, bytes: u64) {
        self.memory.fetch_add(bytes, Relaxed);
    }
}

/// Keeps a program in its table; dropping it removes the program.
pub(super) struct ProcessGuard {
    table: Arc<ProcessTable>,
    id: u32,
}

/// The programs that those of one container see.
#[derive(Clone, Default)]
pub struct ProcessView {
    /// The pod's programs.
    pub table: Arc<ProcessTable>,
    /// Number of restarts of the container.
    pub attempt: u32,
    /// Whether they see all programs of the pod (`shareProcessNamespace`), not only the container's.
    pub sees_pod: bool,
}

/// The programs that an instance sees, by the name of its container.
pub(super) struct VisibleProcesses {
    pub(super) view: ProcessView,
    pub(super) container: String,
}

impl ProcessTable {
    /// Adds a running program.
    pub(super) fn add(self: &Arc<ProcessTable>, process: Process) -> ProcessGuard {
        let mut processes = self.processes.lock();
        // The first identifier is that of the pod's own process, which has none here.
        let mut id = processes.last_id.wrapping_add(1).max(MAIN_ID + 1);
        while processes.running.contains_key(&id) {
            id = id.wrapping_add(1).max(MAIN_ID + 1);
        }
        processes.last_id = id;
        processes.running.insert(id, Arc::new(process));
        ProcessGuard { table: self.clone(), id }
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        let removed = self.table.processes.lock().running.remove(&self.id);
        drop(removed);
    }
}

impl ProcessView {
    /// Returns the programs that `container`'s see, by container and identifier.
    fn list(&self, container: &str) -> Vec<(u32, Arc<Process>)> {
        let processes = self.table.processes.lock();
        let visible = processes.running.iter().filter(|(_, process)| self.sees_pod || process.container == container);
        let mut visible: Vec<_> =
            visible.map(|(id, process)| (self.visible_id(*id, process), process.clone())).collect();
        visible.sort_by(|(a, left), (b, right)| left.container.cmp(&right.container).then(a.cmp(b)));
        visible
    }

    fn visible_id(&self, id: u32, process: &Process) -> u32 {
        if process.is_main && !self.sees_pod { MAIN_ID } else { id }
    }

    /// Sends a signal to program `id`, as `container`'s programs see it. Returns whether there is one.
    fn send_signal(&self, container: &str, id: u32, signal: &str) -> bool {
        let target = self.list(container).into_iter().find(|(visible, _)| *visible == id);
        let Some((_, process)) = target else { return false };
        match signal {
            "SIGKILL" => process.handle.kill(),
            ignored if IGNORED_SIGNALS.contains(&ignored) => {}
            signal => process.handle.terminate(signal),
        }
        true
    }
}
