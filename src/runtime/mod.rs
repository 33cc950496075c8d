//! Runs WASI programs: one engine, a compile cache, Worlds, and threads of their own for guests.
//!
//! The only room that knows wasmtime. It takes files, network and logs as `files`, `network` and
//! `logs` give them, and knows no pods. What it promises: a guest ends within milliseconds of
//! [`Control::kill`], whatever it does; it never delays anything but other guests; and its crash
//! is told in words ([`Exit`]).

mod cache;
mod capture;
mod clocks;
mod exit;
mod guests;
mod host;
mod instance;
mod linkers;
mod links;
mod memory;
mod metering;
mod poll_oneoff;
mod program;
mod sockets;
mod stdio;
mod termination;
mod ticker;
mod world;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::TaskTracker;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

pub use cache::{Cache, CacheError};
pub use capture::Capture;
pub use exit::{Exit, error_chain};
pub use guests::InstanceSet;
pub use instance::{Instance, InstanceHandle};
pub use program::{Digest, Program, ProgramError};
pub use stdio::Stdio;
pub use world::ContainerContext;

use metering::Shared;
use program::Compiler;
use ticker::Ticker;

/// A guest's native stack; what a Rust guest needs lies in its linear memory.
const STACK: usize = 512 * 1024;

/// Where compiled programs are kept.
#[derive(Debug, Clone)]
pub struct CacheDirectories {
    /// The compiled files.
    pub cache: PathBuf,
    /// The key that proves that we wrote them.
    pub state: PathBuf,
}

/// Why guests can't be run at all.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine or its linkers can't be set up.
    #[error("cannot set up the WebAssembly engine")]
    Engine {
        /// What wasmtime says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread for guests, for compiling or for the ticker can't be started.
    #[error("cannot start a thread")]
    Thread {
        /// What the system says.
        source: io::Error,
    },
}

/// The engine and the guests' threads.
pub struct Runtime {
    engine: Engine,
    ticker: Ticker,
    metering: Shared,
    compiler: Arc<Compiler>,
    /// Taken when the runtime is dropped.
    guests: Option<tokio::runtime::Runtime>,
    tasks: TaskTracker,
}

impl Runtime {
    /// Starts the guests' threads. Without a usable cache folder it says so and compiles anew.
    pub fn new(folders: Option<CacheDirectories>) -> Result<Arc<Runtime>, RuntimeError> {
        let of_engine = |error: wasmtime::Error| RuntimeError::Engine { source: error.into_boxed_dyn_error() };
        let of_thread = |source| RuntimeError::Thread { source };
        let cache = folders.and_then(|folders| match Cache::open(&folders.cache, &folders.state) {
            Ok(cache) => Some(cache),
            Err(error) => {
                let why = error_chain(&error);
                tracing::warn!(
                    "compiled programs can't be kept ({why}), so each is compiled at every start; \
                     set XDG_CACHE_HOME and XDG_STATE_HOME to folders of yours"
                );
                None
            }
        });
        let engine = Engine::new(&config()).map_err(of_engine)?;
        let linkers = linkers::Linkers::new(&engine).map_err(of_engine)?;
        let compiler = Compiler::new(engine.clone(), linkers, cache).map_err(of_thread)?;
        let guests = tokio::runtime::Builder::new_multi_thread()
            .thread_name("wasmpod-guests")
            // Timers and sockets are looked at after every turn, so that spinning guests do not
            // delay the others' sleeps.
            .event_interval(1)
            .enable_all()
            .build()
            .map_err(of_thread)?;
        Ok(Arc::new(Runtime {
            ticker: Ticker::start(&engine).map_err(of_thread)?,
            metering: Shared::new(),
            engine,
            compiler: Arc::new(compiler),
            guests: Some(guests),
            tasks: TaskTracker::new(),
        }))
    }

    /// Makes `bytes`, whose SHA-256 is `digest`, ready to run. Asked at once by many, it is done once.
    pub async fn program(&self, digest: Digest, bytes: &Bytes) -> Result<Arc<Program>, ProgramError> {
        let slot = self.compiler.slot(&digest);
        let (compiler, bytes) = (self.compiler.clone(), bytes.clone());
        let compile = || async {
            let done = tokio::task::spawn_blocking(move || compiler.compile(&digest, &bytes)).await;
            done.unwrap_or(Err(ProgramError::Abandoned))
        };
        let program = slot.get_or_init(compile).await.clone()?;
        Ok(program)
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    fn metering(&self) -> &Shared {
        &self.metering
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(guests) = &self.guests {
            self.tasks.spawn_on(task, guests.handle());
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Every instance holds the runtime, so none is left. May be dropped in an async context,
        // where waiting is not allowed.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .async_stack_size(STACK)
        .max_wasm_stack(STACK / 2)
        .wasm_component_model_async(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .guard_before_linear_memory(false);
    config
}
