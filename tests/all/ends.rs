//! Ends of guests, to the millisecond: what the default action of a request to end is.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use wasmpod::logs::Log;
use wasmpod::network::Receiver;
use wasmpod::runtime::{Exit, Instance, Runtime, Stdio, World};

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

async fn serving(world: &World, guest: &str, argv: &[&str]) -> Instance {
    let log = Log::new();
    let program = program(&world.runtime, "wasm32-wasip2", guest).await;
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_string()).collect();
    let instance = world.spawn(program, &argv, Stdio::Log(log.clone()));
    first_line(&log).await;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_that_knows_nothing_of_wasmpod_ends_within_ten_milliseconds() {
    let runtime = Runtime::new(None).expect("a runtime");
    let mut best = Duration::MAX;
    // The machine may be busy with other tests.
    for _ in 0..3 {
        let mut guest = serving(&world(&runtime, &unlimited()), "block_accept", &["block_accept"]).await;
        let asked = Instant::now();
        guest.control().ask_to_exit("SIGTERM");
        let exit = guest.exited().await;
        best = best.min(asked.elapsed());
        assert_eq!((exit.code(), exit), (143, Exit::Terminated));
    }
    assert!(best < Duration::from_millis(10), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_the_middle_of_a_request_finishes_it_and_takes_no_other() {
    let runtime = Runtime::new(None).expect("a runtime");
    let world = world(&runtime, &unlimited());
    let address = ([127, 0, 0, 1], 7).into();
    let mut guest = serving(&world, "tcp", &["tcp", "serve", "0.0.0.0:7"]).await;
    let (receiver, sender) = world.endpoint.connect(None, address).expect("it listens").split();
    assert!(sender.send("ask".into()));
    assert_eq!(read(&receiver, 3).await, b"ask");
    guest.control().ask_to_exit("SIGTERM");
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
