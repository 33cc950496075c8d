//! `wasmpod logs`: prints the log of a container.

use k8s_openapi::api::core::v1::Pod;

use super::args::LogsArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use super::target_pod::{choose_container, pod_name};
use super::terminal_text::LogPrinter;

/// Prints the log until it ends.
pub fn main(mut args: LogsArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let name = pod_name(&args.pod).to_string();
        if args.container.is_none() {
            let pod: Pod = client.get_json(&client.pods_path(Some(&name)), client::JSON).await?;
            args.container = Some(choose_container(&pod, None)?);
        }
        let path = format!("{}/log?{}", client.pods_path(Some(&name)), pod_log_options(&args));
        let mut log = client.stream(&path, client::TEXT).await?;
        let mut printer = LogPrinter::new(args.raw);
        while let Some(bytes) = log.next_chunk().await? {
            printer.print(&bytes)?;
        }
        Ok(printer.finish()?)
    })
}

/// Returns the flags as `PodLogOptions`; the server validates them.
fn pod_log_options(args: &LogsArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let flags = [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)];
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        query.append_pair(name, "true");
    }
    if let Some(container) = &args.container {
        query.append_pair("container", container);
    }
    // As with kubectl, -1 stands for all lines.
    if let Some(lines) = args.tail.filter(|lines| *lines >= 0) {
        query.append_pair("tailLines", &lines.to_string());
    }
    if let Some(since) = args.since {
        // The API has whole seconds: round up, so that no line is missing.
        query.append_pair("sinceSeconds", &since.as_millis().div_ceil(1000).to_string());
    }
    query.finish()
}
