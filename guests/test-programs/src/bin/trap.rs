//! Guarantee: a trap is reported with the names and lines of the guest's functions. Build it with `--profile traced`,
//! which keeps them.

use std::hint::black_box;

fn main() {
    println!("about to trap");
    outer(black_box(3));
    println!("still here");
}

#[inline(never)]
fn outer(depth: u32) {
    middle(black_box(depth));
    black_box(depth);
}

#[inline(never)]
fn middle(depth: u32) {
    if depth > 0 {
        middle(black_box(depth - 1));
    } else {
        innermost();
    }
    black_box(depth);
}

#[inline(never)]
fn innermost() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}
