//! Waiting: the one file of the tests that sleeps.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The result of one look at what [`eventually`] awaits: a `bool`, an `Option`, or a `Result` whose error is the state
/// that was seen instead.
pub trait Observation {
    type Reached;
    type Seen: Debug;

    /// Returns what was reached, or the state that was seen instead.
    fn reached(self) -> Result<Self::Reached, Self::Seen>;
}

impl Observation for bool {
    type Reached = ();
    type Seen = bool;

    fn reached(self) -> Result<(), bool> {
        self.then_some(()).ok_or(false)
    }
}

impl<T> Observation for Option<T> {
    type Reached = T;
    type Seen = Option<()>;

    fn reached(self) -> Result<T, Option<()>> {
        self.ok_or(None)
    }
}

impl<T, E: Debug> Observation for Result<T, E> {
    type Reached = T;
    type Seen = E;

    fn reached(self) -> Result<T, E> {
        self
    }
}

/// Calls `observe` until it returns `true`, `Some` or `Ok`, and returns that value.
///
/// # Panics
/// After a minute, with what was `awaited` and the last state that was seen.
pub async fn eventually<O: Observation>(awaited: &str, observe: impl AsyncFnMut() -> O) -> O::Reached {
    eventually_before(Instant::now() + TIMEOUT, awaited, observe).await
}

async fn eventually_before<O: Observation>(
    deadline: Instant,
    awaited: &str,
    mut observe: impl AsyncFnMut() -> O,
) -> O::Reached {
    loop {
        match observe().await.reached() {
            Ok(value) => return value,
            Err(seen) => assert!(Instant::now() < deadline, "waited in vain until {awaited}; last seen: {seen:#?}"),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns what `future` returns.
///
/// # Panics
/// After a minute, with what was `awaited`.
pub async fn in_time<T>(awaited: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(TIMEOUT, future).await;
    result.unwrap_or_else(|_| panic!("waited in vain until {awaited}"))
}

/// Waits until a point in time that a script or a measurement prescribes. To wait for something to happen, call
/// [`eventually`].
pub async fn sleep_until(instant: Instant) {
    tokio::time::sleep_until(instant.into()).await;
}

#[tokio::test(start_paused = true)]
async fn eventually_returns_what_was_reached() {
    let mut looks = 0;
    let value = eventually("it is looked at for the third time", async || {
        looks += 1;
        (looks == 3).then_some("reached")
    });
    assert_eq!(value.await, "reached");
    eventually("a result is Ok", async || Ok::<_, String>(())).await;
}

#[tokio::test]
#[should_panic(expected = "in vain until two equals three; last seen: \"still 2\"")]
async fn eventually_names_what_was_awaited_and_last_seen() {
    let _seen: () = eventually_before(Instant::now(), "two equals three", async || Err("still 2")).await;
}
