//! Programs: WebAssembly bytes, compiled once per digest and cached on disk.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Module, Precompiled};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::cache::CompileCache;
use super::host::{Host, ModuleHost};
use super::linkers::Linkers;
use super::termination;

/// A compiled and linked program, which can be started any number of times.
pub struct Program {
    pub(super) kind: ProgramKind,
    /// Whether the program imports `wasmpod:lifecycle` and so handles termination itself.
    pub(super) handles_termination: bool,
}

pub(super) enum ProgramKind {
    Module(wasmtime::InstancePre<ModuleHost>),
    Command2(CommandPre<Host>),
    /// In p3, exports are looked up per instance.
    Command3(InstancePre<Host>),
}

/// Errors of [`super::Runtime::program`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProgramError {
    /// There are no bytes.
    #[error("the file is empty; build it with `--target wasm32-wasip2`")]
    Empty,
    /// The bytes are a native program of Linux.
    #[error("an ELF file, not a WebAssembly program; build it with `--target wasm32-wasip2`")]
    Elf,
    /// The bytes do not begin like WebAssembly.
    #[error("not a WebAssembly program; build it with `--target wasm32-wasip2`")]
    NotWasm,
    /// The bytes are WebAssembly of another version than those of modules (1) and components (13).
    #[error("WebAssembly version {0} is not supported; build it with `--target wasm32-wasip2`")]
    Version(u16),
    /// The engine rejected the program; carries the engine's message on one line.
    #[error("not valid WebAssembly: {0}")]
    Invalid(String),
    /// The program imports functions that wasmpod does not provide; carries their names or the engine's message.
    #[error("unknown imports: {0}; wasmpod provides WASI and `wasmpod:lifecycle` only")]
    Imports(String),
    /// The program has no entry point that wasmpod can run; carries the reason.
    #[error("{0}")]
    NotACommand(&'static str),
    /// The compiling task ended without a result.
    #[error("compilation was cancelled")]
    Cancelled,
}

/// SHA-256 of a program's bytes, which identifies the program.
pub type Digest = [u8; 32];

type ProgramSlot = Arc<OnceCell<Result<Arc<Program>, ProgramError>>>;

/// Compiles programs, each once even under concurrent requests.
pub(super) struct Compiler {
    engine: Engine,
    linkers: Linkers,
    cache: Option<CompileCache>,
    pool: Arc<rayon::ThreadPool>,
    /// Protects the known programs. They are never evicted: a node runs few programs many times.
    programs: Mutex<HashMap<Digest, ProgramSlot>>,
}

impl Compiler {
    pub(super) fn new(
        engine: Engine,
        linkers: Linkers,
        cache: Option<CompileCache>,
    ) -> Result<Compiler, std::io::Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|i| format!("wasmpod-compile-{i}"))
            // One pod waits for the compilation; all others should not notice it.
            .start_handler(|_| _ = rustix::process::nice(10))
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Compiler { engine, linkers, cache, pool: Arc::new(pool), programs: Mutex::default() })
    }

    /// Returns the slot that will hold the program with this digest.
    pub(super) fn slot(&self, digest: &Digest) -> ProgramSlot {
        self.programs.lock().entry(*digest).or_default().clone()
    }

    /// Compiles and links `bytes` on this thread and those of the pool.
    pub(super) fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Arc<Program>, ProgramError> {
        self.pool.install(|| self.prepare(digest, bytes)).map(Arc::new)
    }

    fn prepare(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        match binary_format(bytes)? {
            BinaryFormat::Module => self.prepare_module(digest, bytes),
            BinaryFormat::Component => self.prepare_component(digest, bytes),
        }
    }

    fn prepare_module(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        let native = self.load_or_compile(digest, Precompiled::Module, |engine| engine.precompile_module(bytes))?;
        // SAFETY: `native` passed the cache's keyed hash or was just compiled by this engine.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize(&self.engine, native) }.map_err(invalid)?;
        let missing = self.linkers.missing(&module);
        if !missing.is_empty() {
            return Err(ProgramError::Imports(missing.join(", ")));
        }
        if module.get_export("_start").is_none() {
            return Err(ProgramError::NotACommand(
                "exports no `_start` function: it is a library; build a command instead",
            ));
        }
        let pre = self.linkers.modules.instantiate_pre(&module).map_err(imports)?;
        let handles_termination = module.imports().any(|import| termination::is_lifecycle_import(import.module()));
        Ok(Program { kind: ProgramKind::Module(pre), handles_termination })
    }

    fn prepare_component(&self, digest: &Digest, bytes: &[u8]) -> Result<Program, ProgramError> {
        let native =
            self.load_or_compile(digest, Precompiled::Component, |engine| engine.precompile_component(bytes))?;
        // SAFETY: as in `prepare_module`.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&self.engine, native) }.map_err(invalid)?;
        let ty = component.component_type();
        let handles_termination = ty.imports(&self.engine).any(|(name, _)| termination::is_lifecycle_import(name));
        let exports: Vec<String> = ty.exports(&self.engine).map(|(name, _)| name.to_string()).collect();
        let pre = self.linkers.components.instantiate_pre(&component).map_err(imports)?;
        let has = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
        let kind = if has("wasi:cli/run@0.3.") {
            ProgramKind::Command3(pre)
        } else if has("wasi:cli/run@0.2.") {
            ProgramKind::Command2(CommandPre::new(pre).map_err(invalid)?)
        } else if has("wasi:http/") {
            return Err(ProgramError::NotACommand(
                "wasi:http components are not supported yet; build a command instead",
            ));
        } else {
            return Err(ProgramError::NotACommand(
                "exports no `wasi:cli/run`: it is a library; build a command instead",
            ));
        };
        Ok(Program { kind, handles_termination })
    }

    /// Returns native code for the program with this digest, from the cache if possible.
    fn load_or_compile(
        &self,
        digest: &Digest,
        kind: Precompiled,
        compile: impl FnOnce(&Engine) -> wasmtime::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, ProgramError> {
        let engine = engine_hash(&self.engine);
        let cached = self.cache.as_ref().and_then(|cache| cache.load(digest, engine));
        if let Some(cached) = cached.filter(|cached| Engine::detect_precompiled(cached) == Some(kind)) {
            return Ok(cached);
        }
        let compiled = compile(&self.engine).map_err(invalid)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(digest, engine, &compiled)
        {
            tracing::warn!("cannot cache a compiled program, it will be recompiled at the next start: {error}");
        }
        Ok(compiled)
    }
}

/// The two formats of WebAssembly programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BinaryFormat {
    Module,
    Component,
}

/// Returns the format that the header of a program names.
///
/// # Errors
/// Fails if the bytes are not WebAssembly, or of a version that wasmpod does not run.
fn binary_format(bytes: &[u8]) -> Result<BinaryFormat, ProgramError> {
    match bytes {
        [] => Err(ProgramError::Empty),
        [0x7f, b'E', b'L', b'F', ..] => Err(ProgramError::Elf),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(BinaryFormat::Module),
        [0, b'a', b's', b'm', 13, 0, 1, 0, ..] => Ok(BinaryFormat::Component),
        [0, b'a', b's', b'm', low, high, _, _, ..] => Err(ProgramError::Version(u16::from_le_bytes([*low, *high]))),
        [0, b'a', b's', b'm', ..] => Err(ProgramError::Invalid("the header is incomplete".into())),
        _ => Err(ProgramError::NotWasm),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_the_format_or_the_fault() {
        for (bytes, expected) in [
            (&b"\0asm\x01\0\0\0"[..], Ok(BinaryFormat::Module)),
            (b"\0asm\x0d\0\x01\0...", Ok(BinaryFormat::Component)),
            (b"", Err("the file is empty; build it with `--target wasm32-wasip2`")),
            (b"\x7fELF\x02", Err("an ELF file, not a WebAssembly program; build it with `--target wasm32-wasip2`")),
            (b"#!/bin/sh", Err("not a WebAssembly program; build it with `--target wasm32-wasip2`")),
            (b"\0asm", Err("not valid WebAssembly: the header is incomplete")),
            (b"\0asm\x02\0\0\0", Err("WebAssembly version 2 is not supported; build it with `--target wasm32-wasip2`")),
        ] {
            assert_eq!(binary_format(bytes).map_err(|error| error.to_string()), expected.map_err(String::from));
        }
    }
}
