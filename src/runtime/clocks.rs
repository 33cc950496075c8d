//! Clocks and sleeps of guests, which follow the node's clock at any speed.
//!
//! wasmtime-wasi can read a custom clock but sleeps in the system's time, so its sleep functions are shadowed for p2 and
//! p3. Core modules sleep in [`super::poll_oneoff`].

use std::time::Duration;

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::host::Host;
use super::metering::yield_now_and_then;
use crate::clock::Clock;
use crate::lifecycle::MonoTime;

/// Adapts the node's clock to wasmtime-wasi.
struct GuestClock(Clock);

impl HostWallClock for GuestClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(u64::from(self.0.speed()))
    }

    fn now(&self) -> Duration {
        // WASI cannot represent times before 1970.
        Duration::try_from(self.0.wall().as_duration()).unwrap_or_default()
    }
}

impl HostMonotonicClock for GuestClock {
    fn resolution(&self) -> u64 {
        self.0.speed().into()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.mono().since_origin().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Makes the guest read `clock`.
pub fn install(wasi: &mut WasiCtxBuilder, clock: Clock) {
    wasi.wall_clock(GuestClock(clock)).monotonic_clock(GuestClock(clock));
}

/// A sleep of a guest.
enum Sleep {
    Until(Clock, MonoTime),
    /// The deadline has passed. The first poll may yield to other guests.
    Elapsed {
        yielded: bool,
    },
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        match self {
            Sleep::Until(clock, until) => clock.sleep_until(*until).await,
            Sleep::Elapsed { yielded } => {
                if !std::mem::replace(yielded, true) {
                    yield_now_and_then().await;
                }
            }
        }
    }
}

fn sleep_until(host: &mut Host, until: MonoTime) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let elapsed = until <= host.clock.mono();
    let sleep = if elapsed { Sleep::Elapsed { yielded: false } } else { Sleep::Until(host.clock, until) };
    let sleep = host.table.push(sleep)?;
    Ok((subscribe(&mut host.table, sleep)?,))
}

/// Replaces wasmtime-wasi's sleep functions with ones that follow the node's clock.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut p2 = linker.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    p2.func_wrap("subscribe-instant", |mut store, (when,): (u64,)| {
        sleep_until(store.data_mut(), MonoTime::from_origin(Duration::from_nanos(when)))
    })?;
    p2.func_wrap("subscribe-duration", |mut store, (duration,): (u64,)| {
        let host = store.data_mut();
        sleep_until(host, host.clock.mono() + Duration::from_nanos(duration))
    })?;
    let mut p3 = linker.instance("wasi:clocks/monotonic-clock@0.3.0")?;
    p3.func_wrap_concurrent("wait-until", |accessor, (when,): (u64,)| {
        Box::pin(async move {
            let clock = accessor.with(|mut store| store.data_mut().clock);
            clock.sleep_until(MonoTime::from_origin(Duration::from_nanos(when))).await;
            Ok(())
        })
    })?;
    p3.func_wrap_concurrent("wait-for", |accessor, (duration,): (u64,)| {
        Box::pin(async move {
            let clock = accessor.with(|mut store| store.data_mut().clock);
            clock.sleep(Duration::from_nanos(duration)).await;
            Ok(())
        })
    })
}
