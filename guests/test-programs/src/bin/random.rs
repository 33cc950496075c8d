//! Guarantee: random numbers differ within a run and between runs.

use std::hash::{BuildHasher, RandomState};

fn main() {
    // std seeds each of these from WASI's random source.
    let (one, two) = (RandomState::new().hash_one(0), RandomState::new().hash_one(0));
    println!("{one:016x}");
    println!("{two:016x}");
    assert_ne!(one, two, "two seeds are alike");
}
