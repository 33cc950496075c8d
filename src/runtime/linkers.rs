//! What guests may import: WASI p1 for core modules, p2 and p3 for components, and our own.

use std::collections::HashSet;

use wasmtime::{Engine, Module, Store};
use wasmtime_wasi::p1;

use super::exit::ProcExit;
use super::host::{self, Host, ModuleHost};
use super::poll_oneoff::poll_oneoff;
use super::{clocks, links, sockets, termination};

const P1: &str = "wasi_snapshot_preview1";

/// The imports of every kind of guest.
pub(super) struct Linkers {
    pub(super) modules: wasmtime::Linker<ModuleHost>,
    /// What `modules` offers, by module and name.
    offered: HashSet<(String, String)>,
    pub(super) components: wasmtime::component::Linker<Host>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Linkers> {
        let modules = for_modules(engine)?;
        let mut store = Store::new(engine, ModuleHost::outside());
        let offered = modules.iter(&mut store).map(|(module, name, _)| (module.into(), name.into())).collect();
        Ok(Linkers { modules, offered, components: for_components(engine)? })
    }

    /// The imports of `module` that nobody offers.
    pub(super) fn missing(&self, module: &Module) -> Vec<String> {
        let imports = module.imports().map(|i| (i.module().to_string(), i.name().to_string()));
        imports.filter(|import| !self.offered.contains(import)).map(|(m, n)| format!("{m}::{n}")).collect()
    }
}

fn for_modules(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<ModuleHost>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |host: &mut ModuleHost| &mut host.wasi)?;
    linker.allow_shadowing(true);
    // wasmtime-wasi refuses codes from 126 on, which shells and crashed children use.
    linker.func_wrap(P1, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(ProcExit(code).into()) })?;
    linker.func_wrap_async(P1, "poll_oneoff", |caller, arguments| Box::new(poll_oneoff(caller, arguments)))?;
    linker.allow_shadowing(false);
    termination::add_to_module_linker(&mut linker)?;
    Ok(linker)
}

fn for_components(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<Host>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    sockets::add_to_linker(&mut linker)?;
    host::add_preopens_to_linker(&mut linker)?;
    links::add_to_linker(&mut linker)?;
    clocks::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    termination::add_to_linker(&mut linker)?;
    Ok(linker)
}
