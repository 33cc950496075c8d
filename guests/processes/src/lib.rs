//! The programs that run in the container, and in the pod's other containers where they are visible
//! (`wasmpod:processes/processes`).

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/processes",
        world: "wasmpod:processes/imports",
        generate_all,
    });
}

pub use bindings::wasmpod::processes::processes::{Process, SignalError};

/// Returns the visible processes, by container and identifier.
pub fn list() -> Vec<Process> {
    bindings::wasmpod::processes::processes::list_processes()
}

/// Asks a process to end as the signal (for example `SIGTERM`) does; `SIGKILL` ends it at once.
///
/// # Errors
/// The process does not exist, or may not be signalled.
pub fn send_signal(id: u32, name: &str) -> Result<(), SignalError> {
    bindings::wasmpod::processes::processes::send_signal(id, name)
}
