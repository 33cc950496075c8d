//! `wasmpod attach`: connects this terminal to the main program of a running container.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::args::AttachArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use super::remote_command::{self, PROTOCOL, SessionMode};
use super::target_pod::{active_pod, choose_container, pod_name};

/// Copies until the program ends.
pub fn main(args: AttachArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let name = pod_name(&args.pod);
        let pod = active_pod(&client, name, "attach").await?;
        let container = choose_container(&pod, args.container.as_deref())?;
        let mode = SessionMode::new(args.session.stdin, allows_tty(&pod, &container, args.session.tty));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("container", &container);
        mode.append_to(&mut query);
        let path = format!("{}/attach?{}", client.pods_path(Some(name)), query.finish());
        let socket = client.websocket(&path, PROTOCOL.name()).await?;
        if mode.tty {
            stderrln!("If you don't see a command prompt, try pressing enter.");
        }
        remote_command::run_on_terminal(socket, mode, true).await
    })
}

/// Returns whether the session has a terminal: if the container has one. Reports a request that it cannot fulfil.
fn allows_tty(pod: &Pod, container: &str, is_requested: bool) -> bool {
    let containers =
        pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let has_tty = |container: &&Container| container.tty == Some(true);
    let has_tty = containers.into_iter().find(|own| own.name == container).is_some_and(|own| has_tty(&own));
    if is_requested && !has_tty {
        stderrln!("error: Unable to use a TTY - container {container} did not allocate one");
    }
    has_tty
}
