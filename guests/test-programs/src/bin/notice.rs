//! Guarantee: a guest that imports `wasmpod:lifecycle` receives the termination request with the name of the signal,
//! and has its grace period. Prints `notified`, waits `notice MILLISECONDS` and exits with 3.

use std::time::Duration;

fn main() {
    let millis = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(0);
    assert!(termination::signal_name().is_none());
    println!("requested: {}", termination::requested());
    termination::wait();
    println!("notified, requested: {}", termination::requested());
    // A second wait returns at once.
    termination::wait();
    println!("{}", termination::signal_name().unwrap_or_default());
    std::thread::sleep(Duration::from_millis(millis));
    println!("done");
    exit(3);
}

/// WASI 0.2: a pollable.
#[cfg(target_env = "p2")]
mod termination {
    wit_bindgen::generate!({
        path: ["../lifecycle/wit", "../../wit"],
        world: "wasmpod:lifecycle/imports",
        with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
        generate_all,
    });

    pub use wasmpod::lifecycle::termination::{requested, signal_name};

    pub fn wait() {
        wasmpod::lifecycle::termination::subscribe().block();
    }
}

#[cfg(target_env = "p2")]
fn exit(code: u8) {
    wasip2::cli::exit::exit_with_code(code);
}

/// WASI 0.1: a file descriptor for poll.
#[cfg(target_env = "p1")]
mod termination {
    mod host {
        #[link(wasm_import_module = "wasmpod_lifecycle")]
        unsafe extern "C" {
            pub safe fn requested() -> u32;
            pub safe fn termination_fd() -> i32;
            pub fn signal_name(to: *mut u8, room: usize) -> usize;
        }
    }

    pub fn requested() -> bool {
        host::requested() != 0
    }

    pub fn signal_name() -> Option<String> {
        let mut name = [0; 32];
        // SAFETY: the host writes at most `name.len()` bytes.
        let len = unsafe { host::signal_name(name.as_mut_ptr(), name.len()) };
        let name = name.get(..len).filter(|name| !name.is_empty())?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    pub fn wait() {
        // Waits with a timeout, so that poll_oneoff waits for two things.
        while !poll(1000) {}
    }

    fn poll(millis: i32) -> bool {
        let mut it = libc::pollfd { fd: host::termination_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `it` is one valid structure, and the count is 1.
        let ready = unsafe { libc::poll(&mut it, 1, millis) };
        assert!(ready >= 0, "{}", std::io::Error::last_os_error());
        ready == 1 && it.revents & libc::POLLIN != 0
    }
}

#[cfg(target_env = "p1")]
fn exit(code: i32) {
    std::process::exit(code);
}
