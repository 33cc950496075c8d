//! The tick that makes computing guests yield. It stops while no guest computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

use super::time_slice::shorten_time_slice;

/// Time that a guest computes before it yields.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a computing guest after which the thread parks. Unparking costs a system call, so the thread does not
/// park between two polls of a busy guest.
const IDLE_TICKS: u32 = 2;

#[derive(Default)]
struct TickerState {
    /// Number of guests that are being polled.
    computing: AtomicUsize,
    ticks: AtomicU64,
    parked: AtomicBool,
    ended: AtomicBool,
}

/// Owns the ticking thread.
pub struct Ticker {
    shared: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread that advances the epoch of `engine`.
    pub fn start(engine: &Engine) -> std::io::Result<Ticker> {
        let shared = Arc::new(TickerState::default());
        let (state, engine) = (shared.clone(), engine.clone());
        let thread = thread::Builder::new().name("wasmpod-ticker".into()).spawn(move || tick(&state, &engine))?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Returns the number of ticks since the start.
    pub fn ticks(&self) -> u64 {
        self.shared.ticks.load(Ordering::Relaxed)
    }

    /// Counts a guest as computing until the guard is dropped.
    pub fn computing(&self) -> ComputingGuard<'_> {
        self.shared.computing.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        ComputingGuard(&self.shared.computing)
    }
}

/// Marks a guest as computing; see [`Ticker::computing`].
pub struct ComputingGuard<'t>(&'t AtomicUsize);

impl Drop for ComputingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &TickerState, engine: &Engine) {
    // A late tick makes a turn longer.
    shorten_time_slice();
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
        // Set before the next check: a guest that starts in between sees the flag and unparks this thread.
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
            // The thread cannot panic and ends within a tick.
            let _ = thread.join();
        }
    }
}
