//! `poll_oneoff` for core modules (p1). wasmtime-wasi's implementation sleeps in the system's time and does not know the
//! termination descriptor, and its descriptor table cannot be extended.
//!
//! Clocks follow the node's [`Clock`]. The termination descriptor becomes readable when the container is asked to
//! terminate. Standard input is readable when it has bytes or is at its end. Everything else (files, output) is always
//! ready, as in POSIX.

use std::future::pending;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime::{Caller, Extern, Memory};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::p2::bindings::cli::stdin::Host;
use wasmtime_wasi::p2::{DynInputStream, Pollable};

use super::host::ModuleHost;
use super::metering::yield_now_and_then;
use super::termination::TERMINATION_FD;
use crate::clock::Clock;
use crate::lifecycle::MonoTime;

/// Sizes in bytes of `subscription` and `event` in `wasi_snapshot_preview1.witx`, which also defines the offsets below.
const SUBSCRIPTION_SIZE: usize = 48;
const EVENT_SIZE: usize = 32;
/// Maximum subscriptions of a call, to bound host memory.
const MAX_SUBSCRIPTIONS: u32 = 65_536;

const ERRNO_SUCCESS: i32 = 0;
const ERRNO_INVAL: i32 = 28;
const ERRNO_NOMEM: i32 = 48;

const STDIN: u32 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    /// Until this time of the monotonic clock.
    Until(MonoTime),
    Readable(u32),
    Writable,
}

struct Subscription {
    userdata: [u8; 8],
    wait_for: WaitFor,
}

fn read_array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    // Callers pass slices of the structures' full length.
    bytes.get(offset..offset + N).and_then(|array| array.try_into().ok()).unwrap_or([0; N])
}

impl Subscription {
    /// Decodes a subscription. Returns `None` if its kind or clock is unknown.
    fn read(from: &[u8], clock: &Clock) -> Option<Subscription> {
        let word = u32::from_le_bytes(read_array(from, 16));
        let wait_for = match from.get(8)? {
            0 => {
                let timeout = Duration::from_nanos(u64::from_le_bytes(read_array(from, 24)));
                let absolute = u16::from_le_bytes(read_array(from, 40)) & 1 == 1;
                let now = clock.now();
                WaitFor::Until(match (word, absolute) {
                    (0 | 1, false) => now.mono + timeout,
                    (1, true) => MonoTime::from_origin(timeout),
                    (0, true) => {
                        let wall = Duration::try_from(now.wall.as_duration()).unwrap_or_default();
                        now.mono + timeout.saturating_sub(wall)
                    }
                    _ => return None,
                })
            }
            1 => WaitFor::Readable(word),
            2 => WaitFor::Writable,
            _ => return None,
        };
        Some(Subscription { userdata: read_array(from, 0), wait_for })
    }

    fn event(&self, name_len: usize) -> [u8; EVENT_SIZE] {
        let (kind, available) = match self.wait_for {
            WaitFor::Until(_) => (0, 0),
            WaitFor::Readable(TERMINATION_FD) => (1, name_len as u64),
            WaitFor::Readable(_) => (1, 1),
            WaitFor::Writable => (2, 1_u64),
        };
        let mut event = [0; EVENT_SIZE];
        let parts: [(usize, &[u8]); 3] = [(0, &self.userdata), (10, &[kind]), (16, &available.to_le_bytes())];
        for (at, part) in parts {
            if let Some(place) = event.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        event
    }
}

/// Time and standard input after the wait.
#[derive(Default)]
struct Ready {
    now: MonoTime,
    stdin: bool,
}

/// Waits until at least one subscription is ready and writes an event for each that is.
pub async fn poll_oneoff(
    mut caller: Caller<'_, ModuleHost>,
    (subscriptions_ptr, events_ptr, count, written_ptr): (u32, u32, u32, u32),
) -> wasmtime::Result<i32> {
    if count == 0 {
        return Ok(ERRNO_INVAL);
    }
    if count > MAX_SUBSCRIPTIONS {
        return Ok(ERRNO_NOMEM);
    }
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the program exports no memory");
    };
    let clock = caller.data().clock;
    let Some(subscriptions) = read(&memory, &caller, subscriptions_ptr, count, &clock)? else { return Ok(ERRNO_INVAL) };
    let ready = wait(caller.data_mut(), &clock, &subscriptions).await?;
    let signal = caller.data().notice.signal().map(str::len);
    let mut out = Vec::new();
    for subscription in &subscriptions {
        let is_ready = match subscription.wait_for {
            WaitFor::Until(until) => until <= ready.now,
            WaitFor::Readable(TERMINATION_FD) => signal.is_some(),
            WaitFor::Readable(STDIN) => ready.stdin,
            WaitFor::Readable(_) | WaitFor::Writable => true,
        };
        if is_ready {
            out.extend_from_slice(&subscription.event(signal.unwrap_or_default()));
        }
    }
    memory.write(&mut caller, events_ptr as usize, &out)?;
    let count = u32::try_from(out.len() / EVENT_SIZE).unwrap_or(u32::MAX);
    memory.write(&mut caller, written_ptr as usize, &count.to_le_bytes())?;
    Ok(ERRNO_SUCCESS)
}

fn read(
    memory: &Memory,
    caller: &Caller<'_, ModuleHost>,
    at: u32,
    count: u32,
    clock: &Clock,
) -> wasmtime::Result<Option<Vec<Subscription>>> {
    let all = memory.data(caller).get(at as usize..).and_then(|rest| rest.get(..count as usize * SUBSCRIPTION_SIZE));
    let Some(all) = all else { wasmtime::bail!("poll_oneoff: the subscriptions are outside the memory") };
    Ok(all.chunks_exact(SUBSCRIPTION_SIZE).map(|one| Subscription::read(one, clock)).collect())
}

async fn wait(host: &mut ModuleHost, clock: &Clock, subscriptions: &[Subscription]) -> wasmtime::Result<Ready> {
    let until = subscriptions
        .iter()
        .filter_map(|s| if let WaitFor::Until(until) = s.wait_for { Some(until) } else { None })
        .min();
    let waits = |for_it: WaitFor| subscriptions.iter().any(|s| s.wait_for == for_it);
    let at_once = subscriptions.iter().any(|s| match s.wait_for {
        WaitFor::Until(until) => until <= clock.mono(),
        WaitFor::Readable(descriptor) => descriptor != TERMINATION_FD && descriptor != STDIN,
        WaitFor::Writable => true,
    });
    let notice = host.notice.clone();
    let (wants_notice, wants_stdin) = (waits(WaitFor::Readable(TERMINATION_FD)), waits(WaitFor::Readable(STDIN)));
    let mut ready = Ready::default();
    let stdin = async {
        match wants_stdin {
            true => readable_stdin(host).await,
            false => pending().await,
        }
    };
    tokio::select! {
        biased;
        read = stdin => {
            read?;
            ready.stdin = true;
        }
        _ = notice.wait(), if wants_notice => {}
        // A guest that polls in a loop yields to others now and then.
        () = yield_now_and_then(), if at_once => {}
        () = async { match until {
            Some(until) => clock.sleep_until(until).await,
            None => pending().await,
        } } => {}
    }
    ready.now = clock.mono();
    Ok(ready)
}

/// Waits until standard input has bytes or is at its end.
async fn readable_stdin(host: &mut ModuleHost) -> wasmtime::Result<()> {
    let stream: Resource<DynInputStream> = match &host.stdin {
        Some(stream) => Resource::new_borrow(stream.rep()),
        None => {
            let stream = host.wasi.cli().get_stdin()?;
            let borrowed = Resource::new_borrow(stream.rep());
            host.stdin = Some(stream);
            borrowed
        }
    };
    let stream: &mut DynInputStream = host.wasi.ctx().table.get_mut(&stream)?;
    Pollable::ready(stream.as_mut()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(kind: u8, word: u32, timeout: u64, flags: u16) -> Vec<u8> {
        let mut bytes = vec![0; SUBSCRIPTION_SIZE];
        bytes[0] = 42;
        bytes[8] = kind;
        bytes[16..20].copy_from_slice(&word.to_le_bytes());
        bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
        bytes[40..42].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn subscriptions_are_decoded_by_wasi_layout() {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        clock.sleep(Duration::from_secs(5)).await;
        let mono = clock.now().mono;
        let wall = u64::try_from(clock.now().wall.as_nanosecond()).expect("after 1970");
        for ((kind, word, timeout, flags), want) in [
            ((0, 1, 1000, 0), Some(WaitFor::Until(mono + Duration::from_nanos(1000)))),
            ((0, 0, 1000, 0), Some(WaitFor::Until(mono + Duration::from_nanos(1000)))),
            ((0, 1, 7, 1), Some(WaitFor::Until(MonoTime::from_origin(Duration::from_nanos(7))))),
            ((0, 0, wall + 9, 1), Some(WaitFor::Until(mono + Duration::from_nanos(9)))),
            ((0, 0, 9, 1), Some(WaitFor::Until(mono))),
            ((0, 2, 9, 0), None),
            ((1, TERMINATION_FD, 0, 0), Some(WaitFor::Readable(TERMINATION_FD))),
            ((1, 0, 0, 0), Some(WaitFor::Readable(0))),
            ((2, 1, 0, 0), Some(WaitFor::Writable)),
            ((3, 1, 0, 0), None),
        ] {
            let read = Subscription::read(&subscription(kind, word, timeout, flags), &clock);
            assert_eq!(read.map(|s| s.wait_for), want, "{kind} {word} {timeout} {flags}");
        }
        let read = Subscription::read(&subscription(1, TERMINATION_FD, 0, 0), &clock).expect("it is one");
        let event = read.event(7);
        assert_eq!((event[0], event[8], event[10], event[16]), (42, 0, 1, 7));
    }
}
