//! Programs: WebAssembly bytes, compiled once per digest and cached on disk.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Module, Precompiled};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::cache::CompileCache;
use super::host::{Host, ModuleHost};
use super::inspection::{
    self, BinaryFormat, EntryPoint, Fault, MissingImports, NotACommand, Shape, ShapeError, UnsupportedProposals,
};
use super::linkers::Linkers;
use super::termination::is_lifecycle_import;

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
    /// The program needs proposals that wasmpod does not support.
    #[error("{0}")]
    Unsupported(UnsupportedProposals),
    /// The program is too large to compile.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The program imports items that wasmpod does not provide.
    #[error("{0}")]
    MissingImports(MissingImports),
    /// The program imports items with types that wasmpod's do not have; carries the engine's message.
    #[error("imports do not match: {0}; build it for WASI 0.2 or 0.3 (`--target wasm32-wasip2`)")]
    MismatchedImports(String),
    /// The program has no entry point that wasmpod can run.
    #[error(transparent)]
    NotACommand(#[from] NotACommand),
    /// Compiling the program would take more memory than all compilations may; both in MiB.
    #[error(
        "too large to compile: it needs about {needed} MiB and the maximum is {maximum} MiB; split it into several programs"
    )]
    TooMuchMemory {
        /// Estimate of the memory.
        needed: u32,
        /// The maximum.
        maximum: u32,
    },
    /// Compiling took longer than callers wait; carries the time in seconds.
    #[error("compiling takes longer than {0} s; split it into several programs, or try again when it is compiled")]
    TooSlow(u64),
    /// The operating system refused threads to compile on; carries its message.
    #[error("cannot start threads to compile the program: {0}")]
    Threads(String),
    /// The compiling task ended without a result.
    #[error("compilation was cancelled")]
    Cancelled,
}

/// SHA-256 of a program's bytes, which identifies the program.
pub type Digest = [u8; 32];

/// Prepares programs: reads, compiles, caches and links them. Blocks the thread.
pub(super) struct Programs {
    engine: Engine,
    linkers: Linkers,
    cache: Option<CompileCache>,
}

/// A program that can run.
pub(super) struct InspectedProgram {
    entry_point: EntryPoint,
    shape: Shape,
    /// Length of the leading bytes that hold all imports of a component.
    imports_end: Option<usize>,
    handles_termination: bool,
}

/// The first step of preparing a program.
pub(super) enum Preparation {
    /// The program was in the cache.
    Ready(Arc<Program>),
    MustCompile(InspectedProgram),
}

impl InspectedProgram {
    /// Returns an estimate of the memory that compiling takes, in MiB.
    pub(super) fn compile_memory(&self) -> u32 {
        self.shape.compile_memory()
    }
}

impl Programs {
    pub(super) fn new(engine: Engine, linkers: Linkers, cache: Option<CompileCache>) -> Programs {
        Programs { engine, linkers, cache }
    }

    /// Checks that a program can run, and links it if it is cached. Compiles nothing.
    pub(super) fn prepare(&self, digest: &Digest, bytes: &[u8]) -> Result<Preparation, ProgramError> {
        let format = binary_format(bytes)?;
        let inspected = self.inspect(bytes, format)?;
        Ok(match self.cached(digest, format) {
            Some(native) => Preparation::Ready(self.link(native, &inspected)?),
            None => Preparation::MustCompile(inspected),
        })
    }

    /// Compiles and links a program, with low-priority threads of its own.
    pub(super) fn compile(
        &self,
        digest: &Digest,
        bytes: &[u8],
        inspected: &InspectedProgram,
    ) -> Result<Arc<Program>, ProgramError> {
        /// The niceness of the threads: beside guests that compute on all processors they get a quarter of the time.
        const NICE: i32 = 5;
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|i| format!("wasmpod-compile-{i}"))
            // One pod waits for the compilation; all others should not notice it.
            .start_handler(|_| _ = rustix::process::nice(NICE))
            .build();
        let pool = pool.map_err(|error| ProgramError::Threads(error.to_string()))?;
        pool.install(|| self.link(self.compile_new(digest, bytes, inspected)?, inspected))
    }

    /// Returns what is known of a program, or the reason for which it cannot run.
    fn inspect(&self, bytes: &[u8], format: BinaryFormat) -> Result<InspectedProgram, ProgramError> {
        let inspection = inspection::inspect(bytes, format);
        let missing = match format {
            BinaryFormat::Module => self.linkers.missing_from_modules(&inspection.imports),
            BinaryFormat::Component => self.linkers.missing_from_components(&inspection.imports),
        };
        // A draft of the component model may not be readable beyond its imports.
        if let Some(missing) = MissingImports::new(missing) {
            return Err(ProgramError::MissingImports(missing));
        }
        if let Some(fault) = inspection.fault {
            return Err(ProgramError::Invalid(fault.to_string()));
        }
        let (entry_point, shape) = (inspection.entry_point?, inspection.shape?);
        let mut modules = inspection.imports.iter().filter_map(|import| import.module.as_deref());
        let handles_termination = modules.any(is_lifecycle_import);
        Ok(InspectedProgram { entry_point, shape, imports_end: inspection.imports_end, handles_termination })
    }

    /// Returns the cached native code for the program with this digest.
    fn cached(&self, digest: &Digest, format: BinaryFormat) -> Option<Vec<u8>> {
        let kind = match format {
            BinaryFormat::Module => Precompiled::Module,
            BinaryFormat::Component => Precompiled::Component,
        };
        let native = self.cache.as_ref()?.load(digest, engine_hash(&self.engine))?;
        (Engine::detect_precompiled(&native) == Some(kind)).then_some(native)
    }

    /// Validates and compiles a program, and caches its native code.
    fn compile_new(
        &self,
        digest: &Digest,
        bytes: &[u8],
        inspected: &InspectedProgram,
    ) -> Result<Vec<u8>, ProgramError> {
        let InspectedProgram { entry_point, imports_end, .. } = inspected;
        let types = inspection::validate(bytes).map_err(|fault| match fault {
            Fault::Unsupported(proposals) => ProgramError::Unsupported(proposals),
            Fault::Invalid(error) => ProgramError::Invalid(error.to_string()),
        })?;
        inspection::check_run(&types, entry_point)?;
        if let Some(imports) = imports_end.and_then(|end| bytes.get(..end)) {
            // Compiles nothing, since there is no code.
            let imports = Component::new(&self.engine, imports).map_err(invalid)?;
            self.linkers.components.instantiate_pre(&imports).map_err(mismatched)?;
        }
        let native = match entry_point {
            EntryPoint::Start => self.engine.precompile_module(bytes),
            EntryPoint::Run2(_) | EntryPoint::Run3(_) => self.engine.precompile_component(bytes),
        };
        let native = native.map_err(invalid)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(digest, engine_hash(&self.engine), &native)
        {
            tracing::warn!("cannot cache a compiled program, it will be recompiled at the next start: {error}");
        }
        Ok(native)
    }

    /// Loads native code, which passed the cache's keyed hash or was just compiled, and links it.
    fn link(&self, native: Vec<u8>, inspected: &InspectedProgram) -> Result<Arc<Program>, ProgramError> {
        let kind = match inspected.entry_point {
            EntryPoint::Start => self.link_module(native)?,
            EntryPoint::Run2(_) => {
                let pre = self.link_component(native)?;
                ProgramKind::Command2(CommandPre::new(pre).map_err(invalid)?)
            }
            EntryPoint::Run3(_) => ProgramKind::Command3(self.link_component(native)?),
        };
        Ok(Arc::new(Program { kind, handles_termination: inspected.handles_termination }))
    }

    fn link_module(&self, native: Vec<u8>) -> Result<ProgramKind, ProgramError> {
        // SAFETY: this engine compiled `native`.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize(&self.engine, native) }.map_err(invalid)?;
        Ok(ProgramKind::Module(self.linkers.modules.instantiate_pre(&module).map_err(mismatched)?))
    }

    fn link_component(&self, native: Vec<u8>) -> Result<InstancePre<Host>, ProgramError> {
        // SAFETY: as above.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&self.engine, native) }.map_err(invalid)?;
        self.linkers.components.instantiate_pre(&component).map_err(mismatched)
    }
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

fn mismatched(error: wasmtime::Error) -> ProgramError {
    ProgramError::MismatchedImports(format!("{:#}", error).replace('\n', " "))
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
