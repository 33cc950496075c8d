//! Runs WASI programs: one engine, a compile cache, container contexts, and separate threads for guests.
//!
//! This is the only module that depends on wasmtime. It uses `files`, `network` and `logs` and knows nothing of pods.
//! It promises that a guest ends within milliseconds of [`InstanceHandle::kill`], whatever the guest does; that a guest
//! delays nothing but other guests; and that a crash is described in words ([`Exit`]).

mod cache;
mod capture;
mod clocks;
mod compiler;
mod console;
mod context;
mod executable_memory;
mod exit;
mod filesystem;
mod host;
mod http;
mod inspection;
mod instance;
mod instance_set;
mod line_pace;
mod linkers;
mod memory;
mod metering;
mod poll_oneoff;
mod processes;
mod program;
mod resources;
mod session;
mod sockets;
mod stack;
mod stdio;
mod symlinks;
mod terminal;
mod termination;
mod termination_notice;
mod ticker;
mod time_slice;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

pub use cache::{CacheError, CompileCache};
pub use capture::Capture;
pub use console::{Console, ConsoleOptions};
pub use context::ContainerContext;
pub use executable_memory::check_executable_memory;
pub use exit::{Exit, error_chain};
pub use instance::{Instance, InstanceHandle};
pub use instance_set::InstanceSet;
pub use processes::{ProcessTable, ProcessView};
pub use program::{Digest, Program, ProgramError};
pub use session::{SessionInput, SessionPipes, SessionStdio, SessionStreams};
pub use stdio::Stdio;
pub use terminal::{Terminal, TerminalSize};
pub use time_slice::shorten_time_slice;

use compiler::Compiler;
use metering::SharedMetering;
use program::Programs;
use stack::{LazyStacks, STACK, WASM_STACK};
use ticker::Ticker;

/// Directories of the compile cache.
#[derive(Debug, Clone)]
pub struct CacheDirectories {
    /// The compiled files.
    pub cache: PathBuf,
    /// The key that authenticates the compiled files.
    pub state: PathBuf,
}

/// Errors of [`Runtime::new`].
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// wasmtime rejected the engine's configuration or a host function.
    #[error("cannot set up the WebAssembly engine")]
    Engine {
        /// Error reported by wasmtime.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system refused a thread for guests or the ticker.
    #[error("cannot start a thread")]
    Thread {
        /// Error reported by the operating system.
        source: io::Error,
    },
}

/// The engine and the guests' threads.
pub struct Runtime {
    engine: Engine,
    ticker: Ticker,
    metering: SharedMetering,
    compiler: Arc<Compiler>,
    threads: Handle,
    /// `None` only while the runtime is being dropped.
    guests: Option<tokio::runtime::Runtime>,
    tasks: TaskTracker,
}

impl Runtime {
    /// Starts the guests' threads. Logs a warning and compiles at every start if the cache directories are not usable.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be set up or a thread cannot be started.
    pub fn new(directories: Option<CacheDirectories>) -> Result<Arc<Runtime>, RuntimeError> {
        let engine_error = |error: wasmtime::Error| RuntimeError::Engine { source: error.into_boxed_dyn_error() };
        let thread_error = |source| RuntimeError::Thread { source };
        let cache =
            directories.and_then(|directories| match CompileCache::open(&directories.cache, &directories.state) {
                Ok(cache) => Some(cache),
                Err(error) => {
                    let reason = error_chain(&error);
                    tracing::warn!(
                        "compile cache disabled ({reason}): programs are recompiled at every start; \
                     point XDG_CACHE_HOME and XDG_STATE_HOME at directories you own"
                    );
                    None
                }
            });
        let engine = Engine::new(&config()).map_err(engine_error)?;
        let linkers = linkers::Linkers::new(&engine).map_err(engine_error)?;
        let compiler = Compiler::new(Programs::new(engine.clone(), linkers, cache));
        let guests = tokio::runtime::Builder::new_multi_thread()
            .thread_name("wasmpod-guests")
            // Polls timers and sockets after every task, so that spinning guests do not delay the sleeps of others.
            .event_interval(1)
            // Takes a guest that a socket or another thread has woken after at most two turns of computing guests.
            .global_queue_interval(2)
            .enable_all()
            .build()
            .map_err(thread_error)?;
        Ok(Arc::new(Runtime {
            ticker: Ticker::start(&engine).map_err(thread_error)?,
            metering: SharedMetering::new(guests.metrics().num_workers()),
            engine,
            compiler,
            threads: guests.handle().clone(),
            guests: Some(guests),
            tasks: TaskTracker::new(),
        }))
    }

    /// Prepares `bytes`, whose SHA-256 is `digest`, for running. Concurrent calls for one digest compile it once.
    /// Cancel-safe: the compilation goes on for later calls.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a command that wasmpod can run.
    pub async fn program(&self, digest: Digest, bytes: &Bytes) -> Result<Arc<Program>, ProgramError> {
        self.compiler.program(&self.threads, digest, bytes).await
    }

    /// Returns the guests' threads, for tasks that exchange little but bytes with guests: each thread that such an exchange
    /// has to wake delays it.
    pub fn threads(&self) -> Handle {
        self.threads.clone()
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    fn metering(&self) -> &SharedMetering {
        &self.metering
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.threads);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Every instance holds the runtime, so none is left here. The drop may happen in an async context, where
        // blocking is not allowed.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_features(inspection::FEATURES, true)
        .wasm_features(!inspection::FEATURES, false)
        .with_host_stack(Arc::new(LazyStacks))
        .async_stack_size(STACK)
        .max_wasm_stack(WASM_STACK)
        .wasm_component_model_async(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .guard_before_linear_memory(false);
    config
}
