//! Promise: a guest that imports `wasmpod:lifecycle/termination` is told that it shall end and has
//! its grace period for it. Prints `notified`, waits `notice MILLISECONDS`, and exits with 3.
//! WASI 0.2 only.

#[cfg(target_env = "p2")]
mod bindings {
    wit_bindgen::generate!({
        path: ["wit", "../../wit"],
        world: "wasmpod:lifecycle/imports",
        with: { "wasi:io/poll@0.2.12": wasip2::io::poll },
        generate_all,
    });
}

#[cfg(target_env = "p2")]
fn main() {
    use bindings::wasmpod::lifecycle::termination;

    let millis = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(0);
    println!("requested: {}", termination::requested());
    termination::subscribe().block();
    println!("notified, requested: {}", termination::requested());
    // A second subscription resolves at once.
    termination::subscribe().block();
    std::thread::sleep(std::time::Duration::from_millis(millis));
    println!("done");
    wasip2::cli::exit::exit_with_code(3);
}

#[cfg(not(target_env = "p2"))]
fn main() {
    eprintln!("only components can import an interface");
    std::process::exit(2);
}
