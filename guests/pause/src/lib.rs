//! `pause`: the program of a container that only has to be there. It blocks on the request to end
//! (`wasmpod:lifecycle/termination`) and then exits with 0. It promises to hold next to no memory:
//! an idle pod costs what the host needs, not what the guest does.
//!
//! `unsafe` stands in one place: the trait of an allocator that has nothing to give.
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

/// Nothing here allocates; the bindings ask for an allocator all the same.
struct Nothing;

// SAFETY: it never gives memory out, so there is none to misuse.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

/// Nothing here panics; a library without std has to say so.
#[panic_handler]
fn end(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
