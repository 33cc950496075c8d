//! A killed guest ends within milliseconds, whatever it does.

use std::time::{Duration, Instant};

use wasmpod::logs::Log;
use wasmpod::runtime::{Exit, Runtime};

use crate::support::guests::{exit_of, start_guest, unlimited_account, wait_for_first_line};
use crate::support::in_the_best_of_three;

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_killed_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    for (platform, name) in [
        ("wasm32-wasip2", "block_sleep"),
        ("wasm32-wasip1", "block_sleep"),
        ("wasm32-wasip2", "spin"),
        ("wasm32-wasip1", "spin"),
        ("wasm32-wasip2", "block_accept"),
    ] {
        let took = in_the_best_of_three(async || {
            let log = Log::new();
            let mut guest = start_guest(&runtime, &unlimited_account(), (platform, name), &log).await;
            wait_for_first_line(&log).await;
            let start = Instant::now();
            guest.handle().kill();
            assert_eq!(exit_of(&mut guest).await, Exit::Killed, "{platform} {name}");
            start.elapsed()
        })
        .await;
        assert!(took < Duration::from_millis(10), "{platform} {name} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spinning_guests_do_not_delay_kills() {
    let runtime = Runtime::new(None).expect("a runtime");
    let log = Log::new();
    let mut spinners = Vec::new();
    for _ in 0..8 {
        spinners.push(start_guest(&runtime, &unlimited_account(), ("wasm32-wasip2", "spin"), &log).await);
    }
    let mut sleeper = start_guest(&runtime, &unlimited_account(), ("wasm32-wasip2", "block_sleep"), &log).await;
    let start = Instant::now();
    sleeper.handle().kill();
    assert_eq!(exit_of(&mut sleeper).await, Exit::Killed);
    for spinner in &mut spinners {
        spinner.handle().kill();
        assert_eq!(exit_of(spinner).await, Exit::Killed);
    }
    assert!(start.elapsed() < Duration::from_millis(500), "nine kills took {:?}", start.elapsed());
}
