//! Host functions that guests may import: WASI p1 for core modules, p2 and p3 for components, `wasmpod:lifecycle`,
//! `wasmpod:processes` and `wasmpod:terminal`.

use std::collections::HashSet;

use wasmtime::{Engine, Module, Store};
use wasmtime_wasi::p1;

use super::exit::ProcExit;
use super::host::{self, Host, ModuleHost};
use super::poll_oneoff::poll_oneoff;
use super::{clocks, processes, sockets, symlinks, terminal, termination};

const P1: &str = "wasi_snapshot_preview1";

/// The linkers of core modules and components.
pub(super) struct Linkers {
    pub(super) modules: wasmtime::Linker<ModuleHost>,
    /// Module and name of every function in `modules`.
    provided: HashSet<(String, String)>,
    pub(super) components: wasmtime::component::Linker<Host>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Linkers> {
        let modules = module_linker(engine)?;
        let mut store = Store::new(engine, ModuleHost::detached());
        let provided = modules.iter(&mut store).map(|(module, name, _)| (module.into(), name.into())).collect();
        Ok(Linkers { modules, provided, components: component_linker(engine)? })
    }

    /// Returns the imports of `module` that are not provided.
    pub(super) fn missing(&self, module: &Module) -> Vec<String> {
        let imports = module.imports().map(|i| (i.module().to_string(), i.name().to_string()));
        imports.filter(|import| !self.provided.contains(import)).map(|(m, n)| format!("{m}::{n}")).collect()
    }
}

fn module_linker(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<ModuleHost>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |host: &mut ModuleHost| &mut host.wasi)?;
    linker.allow_shadowing(true);
    // wasmtime-wasi rejects codes above 125, which shells use.
    linker.func_wrap(P1, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(ProcExit(code).into()) })?;
    linker.func_wrap_async(P1, "poll_oneoff", |caller, arguments| Box::new(poll_oneoff(caller, arguments)))?;
    linker.allow_shadowing(false);
    termination::add_to_module_linker(&mut linker)?;
    Ok(linker)
}

fn component_linker(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<Host>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    sockets::add_to_linker(&mut linker)?;
    host::add_preopens_to_linker(&mut linker)?;
    symlinks::add_to_linker(&mut linker)?;
    clocks::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    termination::add_to_linker(&mut linker)?;
    terminal::add_to_linker(&mut linker)?;
    processes::add_to_linker(&mut linker)?;
    Ok(linker)
}
