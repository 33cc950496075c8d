//! Guarantee: a component of WASI 0.3 receives the termination request through an async call that returns then, while
//! it keeps working. Prints `up`, then the signal, and returns an error (1).

use wasip3::cli::stdout;
use wasip3::clocks::monotonic_clock;

mod bindings {
    wasip3::wit_bindgen::generate!({
        path: ["../lifecycle/wit", "../../wit"],
        world: "wasmpod:lifecycle/async-imports",
        runtime_path: "wasip3::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::wasmpod::lifecycle::termination_signal;

wasip3::cli::command::export!(Command);

struct Command;

async fn print(text: &str) {
    let (mut writer, reader) = wasip3::wit_stream::new();
    let written = stdout::write_via_stream(reader);
    writer.write_all(text.as_bytes().to_vec()).await;
    drop(writer);
    let _ = written.await;
}

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        monotonic_clock::wait_for(1_000_000).await;
        print("up\n").await;
        let signal = termination_signal::wait().await;
        // A second wait returns at once.
        assert_eq!(termination_signal::wait().await, signal);
        print(&format!("{signal}\n")).await;
        Err(())
    }
}
