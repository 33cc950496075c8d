//! The termination request of WASI 0.2 (`wasmpod:lifecycle/termination`) for async programs on `wstd`.
//!
//! A program that uses this crate handles its termination itself: it has the pod's whole grace period and is killed
//! after it.

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: ["wit", "../../wit"],
        world: "wasmpod:lifecycle/imports",
        with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
        generate_all,
    });
}

use bindings::wasmpod::lifecycle::termination;
use wstd::runtime::AsyncPollable;

/// Whether the container was asked to terminate. Once true it stays true.
pub fn requested() -> bool {
    termination::requested()
}

/// Resolves when the container is asked to terminate, with the name of the signal (`SIGTERM`).
pub async fn termination() -> String {
    if !requested() {
        AsyncPollable::new(termination::subscribe()).wait_for().await;
    }
    termination::signal_name().unwrap_or_else(|| "SIGTERM".into())
}
