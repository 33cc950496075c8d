//! Guarantee: a stack overflow terminates only this container, with 139.

use std::hint::black_box;

fn main() {
    println!("descending");
    println!("{}", descend(black_box(0)));
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(black_box(depth + 1)) + frame[(depth % 64) as usize]
}
