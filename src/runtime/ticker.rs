//! The clock tick that makes computing guests yield; it stands still while none computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// How long a guest computes before others get their turn.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a computing guest after which the thread parks: waking it costs a system call,
/// so it does not park between two turns of a busy guest.
const IDLE_TICKS: u32 = 2;

#[derive(Default)]
struct Shared {
    /// Guests that are being polled at this moment.
    computing: AtomicUsize,
    /// Ticks so far.
    ticks: AtomicU64,
    parked: AtomicBool,
    ended: AtomicBool,
}

/// Owns the ticking thread.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Begins to tick for `engine`.
    pub fn start(engine: &Engine) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let (state, engine) = (shared.clone(), engine.clone());
        let thread = thread::Builder::new().name("wasmpod-ticker".into()).spawn(move || tick(&state, &engine))?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Ticks so far.
    pub fn ticks(&self) -> u64 {
        self.shared.ticks.load(Ordering::Relaxed)
    }

    /// Counts a guest as computing until the guard is dropped.
    pub fn computing(&self) -> Computing<'_> {
        self.shared.computing.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Computing(&self.shared.computing)
    }
}

/// See [`Ticker::computing`].
pub struct Computing<'t>(&'t AtomicUsize);

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut idle = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        if shared.computing.load(Ordering::SeqCst) > 0 {
            idle = 0;
            shared.ticks.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
            continue;
        }
        idle += 1;
        if idle < IDLE_TICKS {
            continue;
        }
        // Said before looking again: a guest that begins in between sees it and unparks.
        shared.parked.store(true, Ordering::SeqCst);
        while shared.computing.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.parked.store(false, Ordering::SeqCst);
        idle = 0;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It can't panic, and it ends within a tick.
            let _ = thread.join();
        }
    }
}
