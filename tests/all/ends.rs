//! The default action of a termination signal: how guests without a handler end.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use wasmpod::clock::Clock;
use wasmpod::logs::{Log, LogEntry};
use wasmpod::network::Receiver;
use wasmpod::runtime::{ContainerContext, Exit, Instance, Runtime, Stdio};

use crate::support::guests::{compile, container_context, exit_of, unlimited_account, wait_for_first_line};
use crate::support::{in_the_best_of_three, in_time};

/// Reads `len` bytes.
async fn read(receiver: &Receiver, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        poll_fn(|cx| receiver.poll_readable(cx)).await;
        all.extend(receiver.read(len - all.len()).expect("more bytes"));
    }
    all
}

async fn serving(world: &ContainerContext, guest: &str, argv: &[&str]) -> Instance {
    let log = Log::new();
    let program = compile(&world.runtime, "wasm32-wasip2", guest).await;
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_string()).collect();
    let instance = world.spawn(program, &argv, Stdio::to_log(log.clone(), Clock::system()));
    wait_for_first_line(&log).await;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_server_terminates_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    let took = in_the_best_of_three(async || {
        let mut guest =
            serving(&container_context(&runtime, &unlimited_account()), "block_accept", &["block_accept"]).await;
        let start = Instant::now();
        guest.handle().terminate("SIGTERM");
        let exit = exit_of(&mut guest).await;
        let took = start.elapsed();
        assert_eq!((exit.code(), exit), (143, Exit::Terminated));
        took
    })
    .await;
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_server_finishes_its_request_and_accepts_no_more() {
    let runtime = Runtime::new(None).expect("a runtime");
    let world = container_context(&runtime, &unlimited_account());
    let address = ([127, 0, 0, 1], 7).into();
    let mut guest = serving(&world, "tcp", &["tcp", "serve", "0.0.0.0:7"]).await;
    let connection = world.endpoint.connect(None, address).expect("it listens").await;
    let (receiver, sender) = connection.expect("accepted").split();
    assert!(sender.send("ask".into()));
    assert_eq!(read(&receiver, 3).await, b"ask");
    guest.handle().terminate("SIGTERM");
    assert!(world.endpoint.connect(None, address).is_err(), "it accepts no more connections");
    assert!(
        tokio::time::timeout(Duration::from_millis(100), guest.wait_for_exit()).await.is_err(),
        "a connection is open"
    );
    assert!(sender.send("ing".into()));
    drop(sender);
    assert_eq!(read(&receiver, 7).await, b"ingbye\n");
    drop(receiver);
    let closed = Instant::now();
    assert_eq!(exit_of(&mut guest).await, Exit::Terminated);
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
        let (world, log) = (container_context(&runtime, &unlimited_account()), Log::new());
        let program = compile(&runtime, target, guest).await;
        let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
        let mut instance = world.spawn(program, &argv, Stdio::to_log(log.clone(), Clock::system()));
        wait_for_first_line(&log).await;
        instance.handle().terminate("SIGINT");
        // The first signal counts.
        instance.handle().terminate("SIGTERM");
        assert_eq!(exit_of(&mut instance).await, Exit::Code(code), "{target} {guest}");
        let entries = in_time("the guest writes", log.reader().next()).await.expect("output");
        let is_signal = |entry: &LogEntry| matches!(entry, LogEntry::Line(line) if *line.text == *b"SIGINT");
        assert!(entries.iter().any(is_signal), "{target} {guest}: {entries:?}");
    }
}
