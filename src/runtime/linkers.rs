//! Host functions that guests may import: WASI p1 for core modules, p2 and p3 for components, `wasmpod:lifecycle`,
//! `wasmpod:processes`, `wasmpod:resources` and `wasmpod:terminal`.

use std::collections::{HashMap, HashSet};

use wasmtime::component::ResourceType;
use wasmtime::{Engine, Store};
use wasmtime_wasi::p1;

use super::exit::ProcExit;
use super::host::{self, Host, ModuleHost};
use super::inspection::{Import, ImportKind, Signature};
use super::poll_oneoff::poll_oneoff;
use super::{clocks, filesystem, http, processes, resources, sockets, symlinks, terminal, termination};

const P1: &str = "wasi_snapshot_preview1";

/// Versions of the interfaces that components may import. An import resolves to the one with the same major and minor
/// version: wasmpod's own, WASI 0.2 and WASI 0.3.
const INTERFACE_VERSIONS: [&str; 3] = ["0.1.0", "0.2.12", "0.3.0"];

/// The linkers of core modules and components.
pub(super) struct Linkers {
    pub(super) modules: wasmtime::Linker<ModuleHost>,
    /// Signature of every function in `modules`, by module and name.
    provided: HashMap<(String, String), Signature>,
    pub(super) components: wasmtime::component::Linker<Host>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Linkers> {
        let modules = module_linker(engine)?;
        let mut store = Store::new(engine, ModuleHost::detached());
        let functions: Vec<_> = modules.iter(&mut store).collect();
        let functions = functions.into_iter().filter_map(|(module, name, item)| {
            let ty = item.into_func()?.ty(&store);
            Some(((module.into(), name.into()), Signature::new(ty.params(), ty.results())))
        });
        let provided = functions.collect();
        Ok(Linkers { modules, provided, components: component_linker(engine)? })
    }

    /// Returns the names of a core module's imports that are not provided.
    pub(super) fn missing_from_modules(&self, imports: &[Import]) -> Vec<String> {
        let (mut missing, mut known) = (Vec::new(), HashSet::new());
        for import in imports {
            let module = import.module.clone().unwrap_or_default();
            let name = format!("{module}::{}", import.name);
            let provided = self.provided.get(&(module, import.name.clone()));
            let problem = match (&import.kind, provided) {
                (ImportKind::Function(Some(wanted)), Some(provided)) if wanted != provided => {
                    format!("{name} as {wanted} instead of {provided}")
                }
                (ImportKind::Function(_), Some(_)) => continue,
                _ => name,
            };
            if known.insert(problem.clone()) {
                missing.push(problem);
            }
        }
        missing
    }

    /// Returns the names of a component's imports that are not provided: whole interfaces, or `interface#item`.
    pub(super) fn missing_from_components(&self, imports: &[Import]) -> Vec<String> {
        // A probe defines what is missing, so each item is probed once.
        let mut linker = self.components.clone();
        let mut missing = Vec::new();
        for interface in imports.chunk_by(|one, next| one.module.is_some() && one.module == next.module) {
            let absent: Vec<&Import> = interface.iter().filter(|import| !is_provided(&mut linker, import)).collect();
            missing.extend(missing_names(interface, &absent));
        }
        missing
    }
}

/// Names the absent items of an interface, or the interface if it lacks all.
fn missing_names(interface: &[Import], absent: &[&Import]) -> Vec<String> {
    let name = |import: &&Import| match &import.module {
        None => import.name.clone(),
        Some(module) => format!("{module}#{}", import.name),
    };
    match interface.first().and_then(|import| import.module.clone()) {
        Some(module) if absent.len() == interface.len() => vec![module],
        _ => absent.iter().map(name).collect(),
    }
}

/// Returns whether the linker has an item: defining it again fails. Leaves an item defined that was not.
fn is_provided(linker: &mut wasmtime::component::Linker<Host>, import: &Import) -> bool {
    let interface = import.module.as_deref().map(provided_interface);
    let instance = match &interface {
        Some(Some(interface)) => linker.instance(interface),
        Some(None) => return false,
        None => Ok(linker.root()),
    };
    let Ok(mut instance) = instance else { return false };
    match import.kind {
        ImportKind::Function(_) => instance.func_new(&import.name, |_, _, _, _| Ok(())).is_err(),
        ImportKind::Resource => instance.resource(&import.name, ResourceType::host::<()>(), |_, _| Ok(())).is_err(),
        ImportKind::Other => false,
    }
}

/// Returns the name under which an interface would be provided; `None` for drafts and versions without relatives.
fn provided_interface(name: &str) -> Option<String> {
    let Some((base, version)) = name.split_once('@') else { return Some(name.into()) };
    if version.contains('-') {
        return None;
    }
    let track = |version: &str| version.rsplit_once('.').map(|(track, _)| track.to_string());
    let provided = INTERFACE_VERSIONS.iter().find(|provided| track(provided) == track(version))?;
    Some(format!("{base}@{provided}"))
}

fn module_linker(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<ModuleHost>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |host: &mut ModuleHost| &mut host.wasi)?;
    linker.allow_shadowing(true);
    // wasmtime-wasi rejects codes above 125, which shells use.
    linker.func_wrap(P1, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(ProcExit(code).into()) })?;
    linker.func_wrap_async(P1, "poll_oneoff", |caller, arguments| Box::new(poll_oneoff(caller, arguments)))?;
    filesystem::p1::add_to_linker(&mut linker)?;
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
    filesystem::p2::add_to_linker(&mut linker)?;
    filesystem::p3::add_to_linker(&mut linker)?;
    symlinks::add_to_linker(&mut linker)?;
    clocks::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    http::add_to_linker(&mut linker)?;
    termination::add_to_linker(&mut linker)?;
    terminal::add_to_linker(&mut linker)?;
    processes::add_to_linker(&mut linker)?;
    resources::add_to_linker(&mut linker)?;
    Ok(linker)
}
