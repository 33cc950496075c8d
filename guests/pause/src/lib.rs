//! `pause`: a program that only keeps its container running. It waits for the termination request
//! (`wasmpod:lifecycle/termination`) and exits with 0.
//!
//! Uses almost no memory, so that an idle pod costs only what the host needs for it. `unsafe` is confined to the
//! allocator, which hands out nothing.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};

mod bindings {
    wit_bindgen::generate!({
        path: ["../lifecycle/wit/poll.wit", "../../wit", "wit/world.wit"],
        world: "wasmpod:pause/pause",
        generate_all,
    });
}

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasmpod::lifecycle::termination;

struct Pause;

impl Guest for Pause {
    fn run() -> Result<(), ()> {
        termination::subscribe().block();
        Ok(())
    }
}

bindings::export!(Pause with_types_in bindings);

/// Satisfies the bindings, which require an allocator; nothing allocates.
struct Nothing;

// SAFETY: it never hands out memory.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

/// Satisfies `no_std`, which requires a panic handler; nothing panics.
#[panic_handler]
fn end(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
