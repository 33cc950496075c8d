//! Programs: bytes made ready to run. Told apart by their bytes, compiled once, kept on disk.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Module, Precompiled};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::cache::Cache;
use super::host::{Host, ModuleHost};
use super::linkers::Linkers;
use super::termination;

/// A program that can be started again and again.
pub struct Program {
    pub(super) kind: ProgramKind,
    /// Whether it imports `wasmpod:lifecycle` and so handles its end itself.
    pub(super) handles_termination: bool,
}

pub(super) enum ProgramKind {
    Module(wasmtime::InstancePre<ModuleHost>),
    Command2(CommandPre<Host>),
    /// p3 looks its exports up per instance.
    Command3(InstancePre<Host>),
}

/// Why bytes are no program that can run here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProgramError {
    /// The first eight bytes are neither a core module's nor a component's.
    #[error("not a WebAssembly program: it begins with neither a core module's nor a component's header")]
    NotWasm,
    /// The engine can't compile or load it; carries the engine's words, on one line.
    #[error("invalid WebAssembly: {0}")]
    Invalid(String),
    /// It can't be linked; carries the missing imports or the engine's words, on one line.
    #[error("imports what wasmpod does not offer: {0}")]
    Imports(String),
    /// It has no entry point that runs here; carries what it is instead.
    #[error("{0}")]
    NotACommand(&'static str),
    /// The task that compiled it ended without a result.
    #[error("its compilation was broken off")]
    Abandoned,
}

/// A program's name: the SHA-256 of its bytes.
pub type Digest = [u8; 32];

type Slot = Arc<OnceCell<Result<Arc<Program>, ProgramError>>>;

/// Compiles programs; each is compiled once, however many ask for it at once.
pub(super) struct Compiler {
    engine: Engine,
    linkers: Linkers,
    cache: Option<Cache>,
    pool: Arc<rayon::ThreadPool>,
    /// Protects which programs are known. They stay: a node runs few programs, again and again.
    programs: Mutex<HashMap<Digest, Slot>>,
}

impl Compiler {
    pub(super) fn new(engine: Engine, linkers: Linkers, cache: Option<Cache>) -> Result<Compiler, std::io::Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|i| format!("wasmpod-compile-{i}"))
            // Compiling is urgent to one pod and a nuisance to all others.
            .start_handler(|_| _ = rustix::process::nice(10))
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Compiler { engine, linkers, cache, pool: Arc::new(pool), programs: Mutex::default() })
    }

    /// Where the program called `digest` stands once somebody has compiled it.
    pub(super) fn slot(&self, digest: &Digest) -> Slot {
        self.programs.lock().entry(*digest).or_default().clone()
    }

    /// Makes `bytes` ready to run, in this thread and those of the pool.
    pub(super) fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Arc<Program>, ProgramError> {
        self.pool.install(|| self.prepare(digest, bytes)).map(Arc::new)
    }

    fn prepare(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        match bytes.get(..8) {
            Some(b"\0asm\x01\0\0\0") => self.prepare_module(digest, bytes),
            Some(b"\0asm\x0d\0\x01\0") => self.prepare_component(digest, bytes),
            _ => Err(ProgramError::NotWasm),
        }
    }

    fn prepare_module(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        let native = self.native(digest, Precompiled::Module, |engine| engine.precompile_module(bytes))?;
        // SAFETY: `native` passed the cache's keyed hash or was compiled just now, by this engine.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize(&self.engine, native) }.map_err(invalid)?;
        let missing = self.linkers.missing(&module);
        if !missing.is_empty() {
            return Err(ProgramError::Imports(missing.join(", ")));
        }
        if module.get_export("_start").is_none() {
            return Err(ProgramError::NotACommand("exports no _start function: it is a library, not a command"));
        }
        let pre = self.linkers.modules.instantiate_pre(&module).map_err(imports)?;
        let handles_termination =
            module.imports().any(|import| termination::is_handled_by_importer_of(import.module()));
        Ok(Program { kind: ProgramKind::Module(pre), handles_termination })
    }

    fn prepare_component(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        let native = self.native(digest, Precompiled::Component, |engine| engine.precompile_component(bytes))?;
        // SAFETY: as in `prepare_module`.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&self.engine, native) }.map_err(invalid)?;
        let ty = component.component_type();
        let handles_termination =
            ty.imports(&self.engine).any(|(name, _)| termination::is_handled_by_importer_of(name));
        let exports: Vec<String> = ty.exports(&self.engine).map(|(name, _)| name.to_string()).collect();
        let pre = self.linkers.components.instantiate_pre(&component).map_err(imports)?;
        let has = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
        let kind = if has("wasi:cli/run@0.3.") {
            ProgramKind::Command3(pre)
        } else if has("wasi:cli/run@0.2.") {
            ProgramKind::Command2(CommandPre::new(pre).map_err(invalid)?)
        } else if has("wasi:http/") {
            return Err(ProgramError::NotACommand("serves wasi:http, which is not supported yet: build a command"));
        } else {
            return Err(ProgramError::NotACommand("exports no wasi:cli/run: it is a library, not a command"));
        };
        Ok(Program { kind, handles_termination })
    }

    /// Native code for the program called `digest`, from the cache or compiled now.
    fn native(
        &self,
        digest: &Digest,
        kind: Precompiled,
        compile: impl FnOnce(&Engine) -> wasmtime::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, ProgramError> {
        let engine = engine_hash(&self.engine);
        let kept = self.cache.as_ref().and_then(|cache| cache.load(digest, engine));
        if let Some(kept) = kept.filter(|kept| Engine::detect_precompiled(kept) == Some(kind)) {
            return Ok(kept);
        }
        let compiled = compile(&self.engine).map_err(invalid)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(digest, engine, &compiled)
        {
            tracing::warn!("a compiled program can't be kept, so it is compiled again next time: {error}");
        }
        Ok(compiled)
    }
}

fn engine_hash(engine: &Engine) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn invalid(error: wasmtime::Error) -> ProgramError {
    ProgramError::Invalid(format!("{:#}", error).replace('\n', " "))
}

fn imports(error: wasmtime::Error) -> ProgramError {
    ProgramError::Imports(format!("{:#}", error).replace('\n', " "))
}
