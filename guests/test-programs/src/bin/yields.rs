//! Guarantee: a guest that yields or polls in a loop is metered as one that computes. `yields yield|poll`.

use std::thread;
use std::time::Duration;

fn main() {
    let polls = std::env::args().nth(1).is_some_and(|mode| mode == "poll");
    println!("yielding");
    loop {
        if polls {
            thread::sleep(Duration::from_nanos(1));
        } else {
            thread::yield_now();
        }
    }
}
