//! Compiles programs, each once even under concurrent requests, within bounds of memory and time.
//!
//! Compiling belongs to the node: it counts on no pod's budget. Each compilation has low-priority threads of its own, so
//! that a large program does not delay small ones, and waits for its share of the memory that all may take. Nothing
//! interrupts the engine while it compiles; a caller that no longer waits leaves the result to the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::program::{Digest, Preparation, Program, ProgramError, Programs};

/// Memory in MiB that all compilations of small programs may take together.
const SMALL_BUDGET: u32 = 1024;
/// Memory in MiB that all compilations of large programs may take together. One that needs more is refused.
const LARGE_BUDGET: u32 = 4096;
/// Estimate in MiB from which a program is large.
const MIN_LARGE: u32 = 256;
/// Time after which callers no longer wait for a compilation.
const MAX_TIME: Duration = Duration::from_secs(600);

/// Number of times that a caller begins an abandoned preparation again.
const MAX_TRIES: usize = 3;

type ProgramResult = Result<Arc<Program>, ProgramError>;
/// `None` while the program is being prepared.
type ProgramSlot = watch::Receiver<Option<ProgramResult>>;

/// Compiles programs.
pub(super) struct Compiler {
    programs: Arc<Programs>,
    small: Semaphore,
    large: Semaphore,
    /// Protects the known programs. Those that run are never evicted: a node runs few programs many times.
    slots: Mutex<HashMap<Digest, ProgramSlot>>,
}

impl Compiler {
    pub(super) fn new(programs: Programs) -> Arc<Compiler> {
        Arc::new(Compiler {
            programs: Arc::new(programs),
            small: Semaphore::new(SMALL_BUDGET as usize),
            large: Semaphore::new(LARGE_BUDGET as usize),
            slots: Mutex::default(),
        })
    }

    /// Returns the program with this digest, whose preparation `runtime` performs.
    ///
    /// # Errors
    /// Fails if the program cannot run, or if its compilation takes too long.
    pub(super) async fn program(
        self: &Arc<Compiler>,
        runtime: &Handle,
        digest: Digest,
        bytes: &Bytes,
    ) -> ProgramResult {
        let prepared = async {
            for _ in 0..MAX_TRIES {
                let mut slot = self.slot(runtime, digest, bytes);
                match slot.wait_for(Option::is_some).await.map(|result| result.clone()) {
                    // Abandoned just before this caller came.
                    Ok(Some(Err(ProgramError::Cancelled))) | Ok(None) | Err(_) => {}
                    Ok(Some(result)) => return result,
                }
            }
            Err(ProgramError::Cancelled)
        };
        let result = tokio::time::timeout(MAX_TIME, prepared).await;
        result.unwrap_or(Err(ProgramError::TooSlow(MAX_TIME.as_secs())))
    }

    /// Returns the slot of the program with this digest; the first call begins to prepare it.
    fn slot(self: &Arc<Compiler>, runtime: &Handle, digest: Digest, bytes: &Bytes) -> ProgramSlot {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&digest).filter(|slot| is_usable(slot)) {
            return slot.clone();
        }
        let (sender, slot) = watch::channel(None);
        // Before the task, which counts the receivers.
        slots.insert(digest, slot.clone());
        let (compiler, bytes) = (self.clone(), bytes.clone());
        runtime.spawn(async move {
            let result = compiler.prepare(digest, bytes, &sender).await;
            // The map holds a receiver.
            let _ = sender.send(Some(result));
        });
        slot
    }

    async fn prepare(
        &self,
        digest: Digest,
        bytes: Bytes,
        waiting: &watch::Sender<Option<ProgramResult>>,
    ) -> ProgramResult {
        let (programs, read) = (self.programs.clone(), bytes.clone());
        let prepared = blocking(move || programs.prepare(&digest, &read)).await?;
        let inspected = match prepared {
            Preparation::Ready(program) => return Ok(program),
            Preparation::MustCompile(inspected) => inspected,
        };
        let memory = inspected.compile_memory();
        let (budget, total) =
            if memory < MIN_LARGE { (&self.small, SMALL_BUDGET) } else { (&self.large, LARGE_BUDGET) };
        if memory > total {
            return Err(ProgramError::TooMuchMemory { needed: memory, maximum: total });
        }
        let permit = budget.acquire_many(memory).await;
        // The map's receiver is the last one: nobody waits.
        if waiting.receiver_count() <= 1 {
            return Err(ProgramError::Cancelled);
        }
        let programs = self.programs.clone();
        let compiled = blocking(move || programs.compile(&digest, &bytes, &inspected)).await;
        drop(permit);
        compiled
    }
}

/// Returns whether a slot holds a program, an error that will not change, or a preparation under way.
fn is_usable(slot: &ProgramSlot) -> bool {
    match &*slot.borrow() {
        None => slot.has_changed().is_ok(),
        Some(Err(ProgramError::Cancelled)) => false,
        Some(_) => true,
    }
}

/// Runs `work` on a thread where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProgramError> + Send + 'static,
) -> Result<T, ProgramError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ProgramError::Cancelled))
}
