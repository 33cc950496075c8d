//! Ends of guests, to the millisecond: what the default action of a request to end is.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use wasmpod::logs::{Entry, Log};
use wasmpod::network::Receiver;
use wasmpod::runtime::{ContainerContext, Exit, Instance, Runtime, Stdio};

use crate::worlds::{first_line, program, unlimited, world};

/// Waits until `len` bytes have come.
async fn read(receiver: &Receiver, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        poll_fn(|cx| receiver.poll_readable(cx)).await;
        all.extend(receiver.take(len - all.len()).expect("it is not at its end"));
    }
    all
}

async fn serving(world: &ContainerContext, guest: &str, argv: &[&str]) -> Instance {
    let log = Log::new();
    let program = program(&world.runtime, "wasm32-wasip2", guest).await;
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_string()).collect();
    let instance = world.spawn(program, &argv, Stdio::Log(log.clone()));
    first_line(&log).await;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_server_terminates_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    let mut best = Duration::MAX;
    // The machine may be busy with other tests.
    for _ in 0..3 {
        let mut guest = serving(&world(&runtime, &unlimited()), "block_accept", &["block_accept"]).await;
        let asked = Instant::now();
        guest.control().terminate("SIGTERM");
        let exit = guest.exited().await;
        best = best.min(asked.elapsed());
        assert_eq!((exit.code(), exit), (143, Exit::Terminated));
    }
    assert!(best < Duration::from_millis(10), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_server_finishes_its_request_and_accepts_no_more() {
    let runtime = Runtime::new(None).expect("a runtime");
    let world = world(&runtime, &unlimited());
    let address = ([127, 0, 0, 1], 7).into();
    let mut guest = serving(&world, "tcp", &["tcp", "serve", "0.0.0.0:7"]).await;
    let (receiver, sender) = world.endpoint.connect(None, address).expect("it listens").split();
    assert!(sender.send("ask".into()));
    assert_eq!(read(&receiver, 3).await, b"ask");
    guest.control().terminate("SIGTERM");
    assert!(world.endpoint.connect(None, address).is_err(), "it takes no more");
    assert!(tokio::time::timeout(Duration::from_millis(100), guest.exited()).await.is_err(), "it is in use");
    assert!(sender.send("ing".into()));
    drop(sender);
    assert_eq!(read(&receiver, 7).await, b"ingbye\n");
    drop(receiver);
    let closed = Instant::now();
    assert_eq!(guest.exited().await, Exit::Terminated);
    assert!(closed.elapsed() < Duration::from_millis(500), "{:?}", closed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_guest_receives_the_first_signal() {
    let runtime = Runtime::new(None).expect("a runtime");
    let script =
        "trap 'echo term; exit 1' TERM; trap 'echo SIGINT; exit 7' INT; echo up; while true; do sleep 0.05; done";
    for (target, guest, argv, code) in [
        ("wasm32-wasip1", "notice", vec!["notice"], 3),
        ("wasm32-wasip2", "notice", vec!["notice"], 3),
        ("wasm32-wasip2", "examples/p3_notice", vec!["p3_notice"], 1),
        ("wasm32-wasip2", "busybox", vec!["sh", "-c", script], 7),
    ] {
        let (world, log) = (world(&runtime, &unlimited()), Log::new());
        let program = program(&runtime, target, guest).await;
        let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
        let mut instance = world.spawn(program, &argv, Stdio::Log(log.clone()));
        first_line(&log).await;
        instance.control().terminate("SIGINT");
        // The first signal is what counts.
        instance.control().terminate("SIGTERM");
        assert_eq!(instance.exited().await, Exit::Code(code), "{target} {guest}");
        let entries = log.reader().next().await.expect("it has said something");
        let said = |entry: &Entry| matches!(entry, Entry::Line(line) if *line.text == *b"SIGINT");
        assert!(entries.iter().any(said), "{target} {guest}: {entries:?}");
    }
}
