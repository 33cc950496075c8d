//! Whatever a guest does, it ends within milliseconds of being killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmpod::budget::{Account, Limits};
use wasmpod::files::Mounts;
use wasmpod::images::Executable;
use wasmpod::logs::{Entry, Log};
use wasmpod::network::{Endpoint, PodNetwork};
use wasmpod::runtime::{Exit, Guests, Instance, Runtime, Stdio, World};

use crate::host::guest;

/// A guest of `wasm-examples/promises`, started in a World of its own.
async fn start(runtime: &Arc<Runtime>, target: &str, name: &str, log: &Arc<Log>) -> Instance {
    let bytes = std::fs::read(guest(target, name)).expect("the guest");
    let program = Executable::new(bytes.into());
    let compiled = runtime.program(program.digest, &program.bytes).await.expect("it compiles");
    let world = World {
        runtime: runtime.clone(),
        name: name.into(),
        mounts: Arc::new(Mounts::new(None, &[], Vec::new())),
        endpoint: Endpoint::new(PodNetwork::new([10, 0, 0, 1].into())),
        env: Vec::new(),
        working_dir: "/".into(),
        account: Account::root(Limits::NONE.of_container()),
        guests: Guests::new(),
        instances: Guests::new(),
    };
    let mut instance = world.spawn(compiled, &[name.to_string()], Stdio::Log(log.clone()));
    assert!(instance.begun().await, "{name} begins");
    instance
}

/// Waits until the guest has written a line: it is where it wants to be.
async fn first_line(log: &Arc<Log>) {
    let entries = log.reader().next().await.expect("it says something");
    assert!(matches!(entries.first(), Some(Entry::Line(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_computing_or_blocked_guest_is_killed_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    for (target, name) in [
        ("wasm32-wasip2", "block_sleep"),
        ("wasm32-wasip1", "block_sleep"),
        ("wasm32-wasip2", "spin"),
        ("wasm32-wasip1", "spin"),
        ("wasm32-wasip2", "block_accept"),
    ] {
        let mut best = Duration::MAX;
        // The machine may be busy with other tests; the guest's own part shows in the best of three.
        for _ in 0..3 {
            let log = Log::new();
            let mut instance = start(&runtime, target, name, &log).await;
            first_line(&log).await;
            let begun = Instant::now();
            instance.control().kill();
            assert_eq!(instance.exited().await, Exit::Killed, "{target} {name}");
            best = best.min(begun.elapsed());
        }
        assert!(best < Duration::from_millis(10), "{target} {name} took {best:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spinning_guests_do_not_delay_a_kill_or_each_other() {
    let runtime = Runtime::new(None).expect("a runtime");
    let log = Log::new();
    let mut spinners = Vec::new();
    for _ in 0..8 {
        spinners.push(start(&runtime, "wasm32-wasip2", "spin", &log).await);
    }
    let mut sleeper = start(&runtime, "wasm32-wasip2", "block_sleep", &log).await;
    let begun = Instant::now();
    sleeper.control().kill();
    assert_eq!(sleeper.exited().await, Exit::Killed);
    for spinner in &mut spinners {
        spinner.control().kill();
        assert_eq!(spinner.exited().await, Exit::Killed);
    }
    assert!(begun.elapsed() < Duration::from_millis(500), "nine kills took {:?}", begun.elapsed());
}
