//! Guarantee: components of WASI 0.3 run like others: arguments, a stream to stdout and the exit code. Prints its
//! arguments; `exit CODE` exits with that code, `fail` returns an error (1).

use wasip3::cli::{environment, exit, stdout};

wasip3::cli::command::export!(Command);

struct Command;

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        let args = environment::get_arguments();
        let mut text = String::new();
        for (i, arg) in args.iter().enumerate() {
            text += &format!("arg {i} {arg:?}\n");
        }
        let (mut writer, reader) = wasip3::wit_stream::new();
        // Starts to read now; from here on the writer's task and this one take turns.
        let written = stdout::write_via_stream(reader);
        let rest = writer.write_all(text.into_bytes()).await;
        drop(writer);
        if !rest.is_empty() || written.await.is_err() {
            return Err(());
        }
        match args.get(1).map(String::as_str) {
            Some("exit") => {
                exit::exit_with_code(args.get(2).and_then(|c| c.parse().ok()).unwrap_or(0));
                Ok(())
            }
            Some("fail") => Err(()),
            _ => Ok(()),
        }
    }
}
