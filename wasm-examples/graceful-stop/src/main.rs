//! Works until the container receives SIGTERM, saves its work and exits with 0. The signal is a pollable, so the program
//! waits for it and for its timer at once.

wit_bindgen::generate!({
    path: ["../../guests/lifecycle/wit", "../../wit"],
    world: "wasmpod:lifecycle/imports",
    with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
    generate_all,
});

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll;
use wasmpod::lifecycle::termination;

/// The time that one unit of work takes, in nanoseconds.
const UNIT: u64 = 200_000_000;

fn main() {
    let requested = termination::subscribe();
    println!("working; stop me with SIGTERM");
    for done in 0.. {
        let timer = monotonic_clock::subscribe_duration(UNIT);
        // Returns the indices of the pollables that are ready.
        if poll::poll(&[&requested, &timer]).contains(&0) {
            return save(done);
        }
    }
}

/// Takes as long as a unit of work: the grace period allows it.
fn save(done: u64) {
    println!("received {}", termination::signal_name().unwrap_or_default());
    monotonic_clock::subscribe_duration(UNIT).block();
    println!("saved {done} units of work");
}
