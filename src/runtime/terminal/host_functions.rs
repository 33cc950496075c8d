//! `wasmpod:terminal`: the terminal as programs see it.

use std::future::poll_fn;
use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::{Terminal, TerminalState};
use crate::runtime::host::Host;

const INTERFACE: &str = "wasmpod:terminal/terminal@0.1.0";

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Size {
    columns: u16,
    rows: u16,
}

/// A guest's pollable for a change of its terminal; never ready without one.
struct Subscription {
    terminal: Option<Arc<Terminal>>,
    is_ready: fn(&TerminalState) -> bool,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Subscription {
    async fn ready(&mut self) {
        match &self.terminal {
            Some(terminal) => poll_fn(|cx| terminal.poll_state(cx, self.is_ready)).await,
            None => std::future::pending().await,
        }
    }
}

/// Adds the interface to the component linker.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get-size", |store, (): ()| {
        let size = store.data().terminal.as_ref().map(|terminal| {
            let mut state = terminal.state.lock();
            state.resized = false;
            Size { columns: state.size.columns, rows: state.size.rows }
        });
        Ok((size,))
    })?;
    interface.func_wrap("set-raw-mode", |store, (raw,): (bool,)| {
        if let Some(terminal) = &store.data().terminal {
            terminal.set_raw(raw);
        }
        Ok(())
    })?;
    interface.func_wrap("handle-interrupts", |store, (handle,): (bool,)| {
        if let Some(terminal) = &store.data().terminal {
            terminal.state.lock().handles_interrupts = handle;
        }
        Ok(())
    })?;
    interface.func_wrap("take-interrupt", |store, (): ()| {
        let terminal = store.data().terminal.as_ref();
        Ok((terminal.is_some_and(|terminal| std::mem::take(&mut terminal.state.lock().interrupted)),))
    })?;
    add_subscription(&mut interface, "subscribe-size", |state| state.resized)?;
    add_subscription(&mut interface, "subscribe-interrupt", |state| state.interrupted)
}

fn add_subscription(
    interface: &mut LinkerInstance<'_, Host>,
    name: &str,
    is_ready: fn(&TerminalState) -> bool,
) -> wasmtime::Result<()> {
    interface.func_wrap(name, move |mut store, (): ()| {
        let host = store.data_mut();
        let subscription = host.table.push(Subscription { terminal: host.terminal.clone(), is_ready })?;
        let pollable: Resource<DynPollable> = subscribe(&mut host.table, subscription)?;
        Ok((pollable,))
    })
}
