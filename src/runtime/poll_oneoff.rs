//! `poll_oneoff` of core modules (p1): wasmtime-wasi's own sleeps in the system's time and knows none of
//! our descriptors, and its table of descriptors is closed to us.
//!
//! Clocks follow the node's [`Clock`]. The termination descriptor becomes readable when the container
//! is asked to end. Standard input is readable when it has bytes or is at its end; all else (files,
//! output) is ready at once, as it is in POSIX.

use std::future::pending;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime::{Caller, Extern, Memory};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::p2::bindings::cli::stdin::Host;
use wasmtime_wasi::p2::{DynInputStream, Pollable};

use super::host::ModuleHost;
use super::metering::to_the_end_of_the_queue;
use super::termination::DESCRIPTOR;
use crate::clock::Clock;

/// Sizes of `subscription` and `event` in `wasi_snapshot_preview1.witx`; all offsets below are of these.
const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// More subscriptions than this are no program's honest wish.
const MOST: u32 = 65_536;

const SUCCESS: i32 = 0;
const INVALID: i32 = 28;
const NO_MEMORY: i32 = 48;

const STDIN: u32 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Until the monotonic clock shows this.
    Until(Duration),
    ToRead(u32),
    ToWrite,
}

struct Subscription {
    userdata: [u8; 8],
    waits: Waits,
}

fn bytes<const N: usize>(of: &[u8], at: usize) -> [u8; N] {
    // Slices here are as long as the structures.
    of.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

impl Subscription {
    /// `None` if it is none that WASI knows.
    fn read(from: &[u8], clock: &Clock) -> Option<Subscription> {
        let word = u32::from_le_bytes(bytes(from, 16));
        let waits = match from.get(8)? {
            0 => {
                let timeout = Duration::from_nanos(u64::from_le_bytes(bytes(from, 24)));
                let absolute = u16::from_le_bytes(bytes(from, 40)) & 1 == 1;
                let now = clock.now();
                Waits::Until(match (word, absolute) {
                    (0 | 1, false) => now.mono.saturating_add(timeout),
                    (1, true) => timeout,
                    (0, true) => {
                        let wall = Duration::try_from(now.wall.as_duration()).unwrap_or_default();
                        now.mono.saturating_add(timeout.saturating_sub(wall))
                    }
                    _ => return None,
                })
            }
            1 => Waits::ToRead(word),
            2 => Waits::ToWrite,
            _ => return None,
        };
        Some(Subscription { userdata: bytes(from, 0), waits })
    }

    fn event(&self, name_len: usize) -> [u8; EVENT] {
        let (kind, available) = match self.waits {
            Waits::Until(_) => (0, 0),
            Waits::ToRead(DESCRIPTOR) => (1, name_len as u64),
            Waits::ToRead(_) => (1, 1),
            Waits::ToWrite => (2, 1_u64),
        };
        let mut event = [0; EVENT];
        let parts: [(usize, &[u8]); 3] = [(0, &self.userdata), (10, &[kind]), (16, &available.to_le_bytes())];
        for (at, part) in parts {
            if let Some(place) = event.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        event
    }
}

/// What of the things that are waited for has come.
#[derive(Default)]
struct Ready {
    now: Duration,
    stdin: bool,
}

/// The function itself: waits until one of the subscriptions at `subscriptions` has come, and writes events.
pub async fn poll_oneoff(
    mut caller: Caller<'_, ModuleHost>,
    (subscriptions, events, count, written): (u32, u32, u32, u32),
) -> wasmtime::Result<i32> {
    if count == 0 {
        return Ok(INVALID);
    }
    if count > MOST {
        return Ok(NO_MEMORY);
    }
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the program exports no memory");
    };
    let clock = caller.data().clock;
    let Some(wanted) = read(&memory, &caller, subscriptions, count, &clock)? else { return Ok(INVALID) };
    let ready = wait(caller.data_mut(), &clock, &wanted).await?;
    let signal = caller.data().notice.signal().map(str::len);
    let mut out = Vec::new();
    for subscription in &wanted {
        let come = match subscription.waits {
            Waits::Until(until) => until <= ready.now,
            Waits::ToRead(DESCRIPTOR) => signal.is_some(),
            Waits::ToRead(STDIN) => ready.stdin,
            Waits::ToRead(_) | Waits::ToWrite => true,
        };
        if come {
            out.extend_from_slice(&subscription.event(signal.unwrap_or_default()));
        }
    }
    memory.write(&mut caller, events as usize, &out)?;
    let count = u32::try_from(out.len() / EVENT).unwrap_or(u32::MAX);
    memory.write(&mut caller, written as usize, &count.to_le_bytes())?;
    Ok(SUCCESS)
}

fn read(
    memory: &Memory,
    caller: &Caller<'_, ModuleHost>,
    at: u32,
    count: u32,
    clock: &Clock,
) -> wasmtime::Result<Option<Vec<Subscription>>> {
    let all = memory.data(caller).get(at as usize..).and_then(|rest| rest.get(..count as usize * SUBSCRIPTION));
    let Some(all) = all else { wasmtime::bail!("poll_oneoff: the subscriptions lie outside the memory") };
    Ok(all.chunks_exact(SUBSCRIPTION).map(|one| Subscription::read(one, clock)).collect())
}

async fn wait(host: &mut ModuleHost, clock: &Clock, wanted: &[Subscription]) -> wasmtime::Result<Ready> {
    let until = wanted.iter().filter_map(|s| if let Waits::Until(until) = s.waits { Some(until) } else { None }).min();
    let waits = |for_it: Waits| wanted.iter().any(|s| s.waits == for_it);
    let at_once = wanted.iter().any(|s| match s.waits {
        Waits::Until(until) => until <= clock.mono(),
        Waits::ToRead(descriptor) => descriptor != DESCRIPTOR && descriptor != STDIN,
        Waits::ToWrite => true,
    });
    let notice = host.notice.clone();
    let (wants_notice, wants_stdin) = (waits(Waits::ToRead(DESCRIPTOR)), waits(Waits::ToRead(STDIN)));
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
        // A guest that asks again and again lets others have their turn.
        () = to_the_end_of_the_queue(), if at_once => {}
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
        let mut bytes = vec![0; SUBSCRIPTION];
        bytes[0] = 42;
        bytes[8] = kind;
        bytes[16..20].copy_from_slice(&word.to_le_bytes());
        bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
        bytes[40..42].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn subscriptions_are_read_as_wasi_lays_them_out() {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        clock.sleep(Duration::from_secs(5)).await;
        let mono = clock.now().mono;
        let wall = u64::try_from(clock.now().wall.as_nanosecond()).expect("after 1970");
        for ((kind, word, timeout, flags), want) in [
            ((0, 1, 1000, 0), Some(Waits::Until(mono + Duration::from_nanos(1000)))),
            ((0, 0, 1000, 0), Some(Waits::Until(mono + Duration::from_nanos(1000)))),
            ((0, 1, 7, 1), Some(Waits::Until(Duration::from_nanos(7)))),
            ((0, 0, wall + 9, 1), Some(Waits::Until(mono + Duration::from_nanos(9)))),
            ((0, 0, 9, 1), Some(Waits::Until(mono))),
            ((0, 2, 9, 0), None),
            ((1, DESCRIPTOR, 0, 0), Some(Waits::ToRead(DESCRIPTOR))),
            ((1, 0, 0, 0), Some(Waits::ToRead(0))),
            ((2, 1, 0, 0), Some(Waits::ToWrite)),
            ((3, 1, 0, 0), None),
        ] {
            let read = Subscription::read(&subscription(kind, word, timeout, flags), &clock);
            assert_eq!(read.map(|s| s.waits), want, "{kind} {word} {timeout} {flags}");
        }
        let read = Subscription::read(&subscription(1, DESCRIPTOR, 0, 0), &clock).expect("it is one");
        let event = read.event(7);
        assert_eq!((event[0], event[8], event[10], event[16]), (42, 0, 1, 7));
    }
}
