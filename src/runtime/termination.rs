//! `wasmpod:lifecycle`: how a guest learns that it is asked to end (`wit/lifecycle.wit`,
//! docs/lifecycle.md), as a component of WASI 0.2 or 0.3 or as a core module.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use wasmtime::component::{Linker, Resource};
use wasmtime::{Caller, Extern};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::host::{Host, ModuleHost};

/// A component that imports an interface of this package handles its end itself.
const PACKAGE: &str = "wasmpod:lifecycle/";
/// Interfaces of that package.
const TERMINATION: &str = "wasmpod:lifecycle/termination@0.1.0";
const TERMINATION_SIGNAL: &str = "wasmpod:lifecycle/termination-signal@0.1.0";
/// A core module that imports from here handles its end itself.
pub const MODULE: &str = "wasmpod_lifecycle";

/// The file descriptor that core modules wait for: far beyond those that WASI gives out, which
/// are counted up from 0.
pub const DESCRIPTOR: u32 = 0x7f00_0000;

/// Whether whoever imports from `module` (or an interface of that name) handles its end itself.
pub fn is_handled_by_importer_of(module: &str) -> bool {
    module == MODULE || module.starts_with(PACKAGE)
}

/// The notice that one instance may wait for.
#[derive(Default)]
pub struct TerminationNotice {
    signal: OnceLock<Box<str>>,
    changed: Notify,
}

impl TerminationNotice {
    /// Gives the notice; once given it stays, with the signal that was first.
    pub fn notify(&self, signal: &str) {
        // A second one says nothing new.
        let _ = self.signal.set(signal.into());
        self.changed.notify_waiters();
    }

    pub fn signal(&self) -> Option<&str> {
        self.signal.get().map(AsRef::as_ref)
    }

    /// Waits for the notice and tells its signal.
    pub async fn wait(&self) -> &str {
        loop {
            let changed = self.changed.notified();
            if let Some(signal) = self.signal() {
                return signal;
            }
            changed.await;
        }
    }
}

/// The guest's subscription.
struct Subscription(Arc<TerminationNotice>);

#[wasmtime_wasi::async_trait]
impl Pollable for Subscription {
    async fn ready(&mut self) {
        self.0.wait().await;
    }
}

/// Offers the interfaces to components.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().notice.signal().is_some(),)))?;
    interface.func_wrap("signal-name", |store, (): ()| Ok((store.data().notice.signal().map(ToString::to_string),)))?;
    interface.func_wrap("subscribe", |mut store, (): ()| {
        let host = store.data_mut();
        let subscription = host.table.push(Subscription(host.notice.clone()))?;
        let pollable: Resource<DynPollable> = subscribe(&mut host.table, subscription)?;
        Ok((pollable,))
    })?;
    linker.instance(TERMINATION_SIGNAL)?.func_wrap_concurrent("wait", |accessor, (): ()| {
        Box::pin(async move {
            let notice = accessor.with(|mut store| store.data_mut().notice.clone());
            Ok((notice.wait().await.to_string(),))
        })
    })
}

/// Offers the functions to core modules.
pub fn add_to_module_linker(linker: &mut wasmtime::Linker<ModuleHost>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "requested", |caller: Caller<'_, ModuleHost>| -> u32 {
        u32::from(caller.data().notice.signal().is_some())
    })?;
    linker.func_wrap(MODULE, "termination_fd", || DESCRIPTOR)?;
    linker.func_wrap(MODULE, "signal_name", signal_name)?;
    Ok(())
}

/// Writes the signal's name to the `room` bytes at `to`, as much as fits. Returns its whole length, 0 while
/// the container is not asked to end.
fn signal_name(mut caller: Caller<'_, ModuleHost>, to: u32, room: u32) -> wasmtime::Result<u32> {
    let notice = caller.data().notice.clone();
    let Some(signal) = notice.signal() else { return Ok(0) };
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the program exports no memory");
    };
    let written = signal.as_bytes().get(..room as usize).unwrap_or(signal.as_bytes());
    memory.write(&mut caller, to as usize, written)?;
    Ok(u32::try_from(signal.len()).unwrap_or(u32::MAX))
}
