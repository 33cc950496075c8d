//! `wasmpod:lifecycle`: notifies guests of termination (`wit/lifecycle.wit`, docs/lifecycle.md), for components of WASI 0.2
//! and 0.3 and for core modules.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource};
use wasmtime::{Caller, Extern};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::host::{Host, ModuleHost};
use super::termination_notice::TerminationNotice;

/// A component that imports an interface of this package handles termination itself.
const PACKAGE: &str = "wasmpod:lifecycle/";
const TERMINATION: &str = "wasmpod:lifecycle/termination@0.1.0";
const TERMINATION_SIGNAL: &str = "wasmpod:lifecycle/termination-signal@0.1.0";
/// A core module that imports from this module handles termination itself.
pub const MODULE: &str = "wasmpod_lifecycle";

/// The file descriptor on which core modules wait for termination; far above those that WASI allocates, which count up
/// from 0.
pub const TERMINATION_FD: u32 = 0x7f00_0000;

/// Returns whether an import from `module` (or an interface of that name) means that the program handles termination.
pub fn is_lifecycle_import(module: &str) -> bool {
    module == MODULE || module.starts_with(PACKAGE)
}

/// A guest's pollable for the notice.
struct TerminationPollable(Arc<TerminationNotice>);

#[wasmtime_wasi::async_trait]
impl Pollable for TerminationPollable {
    async fn ready(&mut self) {
        self.0.wait().await;
    }
}

/// Adds the interfaces to the component linker.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(TERMINATION)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().notice.signal().is_some(),)))?;
    interface.func_wrap("signal-name", |store, (): ()| Ok((store.data().notice.signal().map(ToString::to_string),)))?;
    interface.func_wrap("subscribe", |mut store, (): ()| {
        let host = store.data_mut();
        let subscription = host.table.push(TerminationPollable(host.notice.clone()))?;
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

/// Adds the functions to the core module linker.
pub fn add_to_module_linker(linker: &mut wasmtime::Linker<ModuleHost>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "requested", |caller: Caller<'_, ModuleHost>| -> u32 {
        u32::from(caller.data().notice.signal().is_some())
    })?;
    linker.func_wrap(MODULE, "termination_fd", || TERMINATION_FD)?;
    linker.func_wrap(MODULE, "signal_name", signal_name)?;
    Ok(())
}

/// Writes as much of the signal's name as fits into the `len` bytes at `ptr`. Returns the whole length of the name, or 0
/// before the notice.
fn signal_name(mut caller: Caller<'_, ModuleHost>, ptr: u32, len: u32) -> wasmtime::Result<u32> {
    let notice = caller.data().notice.clone();
    let Some(signal) = notice.signal() else { return Ok(0) };
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the program exports no memory");
    };
    let written = signal.as_bytes().get(..len as usize).unwrap_or(signal.as_bytes());
    memory.write(&mut caller, ptr as usize, written)?;
    Ok(u32::try_from(signal.len()).unwrap_or(u32::MAX))
}
