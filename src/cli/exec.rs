//! `wasmpod exec`: runs a program in a running container.

use super::args::ExecArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use super::remote_command::{self, PROTOCOL, SessionMode};
use super::target_pod::{active_pod, choose_container, pod_name};

/// Runs the program and exits with its code.
pub fn main(args: ExecArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let name = pod_name(&args.pod);
        let pod = active_pod(&client, name, "exec into").await?;
        let container = choose_container(&pod, args.container.as_deref())?;
        let mode = SessionMode::new(args.session.stdin, args.session.tty);
        let path = exec_path(&client, name, &container, &args.command, mode);
        let socket = client.websocket(&path, PROTOCOL.name()).await?;
        remote_command::run_on_terminal(socket, mode, false).await
    })
}

/// Returns the path of a request that runs `command`.
pub fn exec_path(client: &Client, pod: &str, container: &str, command: &[String], mode: SessionMode) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("container", container);
    for argument in command {
        query.append_pair("command", argument);
    }
    mode.append_to(&mut query);
    format!("{}/exec?{}", client.pods_path(Some(pod)), query.finish())
}
