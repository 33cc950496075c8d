//! `wasmpod:processes`: the running programs as programs see them.

use std::sync::atomic::Ordering::Relaxed;

use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::Process;
use crate::clock::Clock;
use crate::runtime::host::Host;

const INTERFACE: &str = "wasmpod:processes/processes@0.1.0";

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct ProcessRecord {
    id: u32,
    container: String,
    attempt: u32,
    command: Vec<String>,
    age: u64,
    #[component(name = "processor-time")]
    processor_time: u64,
    memory: u64,
}

#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum SignalError {
    #[component(name = "no-such-process")]
    NoSuchProcess,
    #[component(name = "not-permitted")]
    #[allow(dead_code, reason = "a case of the interface; today a program may signal all that it sees")]
    NotPermitted,
}

impl ProcessRecord {
    fn new(id: u32, process: &Process, clock: Clock) -> ProcessRecord {
        let age = clock.mono() - process.started;
        ProcessRecord {
            id,
            container: process.container.clone(),
            attempt: process.attempt,
            command: process.command.clone(),
            age: u64::try_from(age.as_nanos()).unwrap_or(u64::MAX),
            processor_time: process.usage.processor_time.load(Relaxed),
            memory: process.usage.memory.load(Relaxed),
        }
    }
}

/// Adds the interface to the component linker.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("list-processes", |store, (): ()| {
        let host = store.data();
        let (view, clock) = (&host.processes.view, host.clock);
        let listed = view.list(&host.processes.container);
        let records: Vec<_> = listed.iter().map(|(id, process)| ProcessRecord::new(*id, process, clock)).collect();
        Ok((records,))
    })?;
    interface.func_wrap("send-signal", |store, (id, signal): (u32, String)| {
        let processes = &store.data().processes;
        let exists = processes.view.send_signal(&processes.container, id, &signal);
        Ok((if exists { Ok(()) } else { Err(SignalError::NoSuchProcess) },))
    })
}
