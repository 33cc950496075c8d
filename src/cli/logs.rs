//! `wasmpod logs`: the log of a container, as the server sends it.

use std::io::Write;

use k8s_openapi::api::core::v1::Pod;

use super::args::LogsArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use crate::model::pods;

/// Prints until the log ends.
pub fn main(args: LogsArgs) -> anyhow::Result<Outcome> {
    client::ask(async move {
        let client = Client::of(&args.connection)?;
        let mut args = args;
        if args.container.is_none() {
            args.container = default_container(&client.read(&client.pods(Some(&args.pod)), client::JSON).await?);
        }
        let path = format!("{}/log?{}", client.pods(Some(&args.pod)), options(&args));
        let mut log = client.stream(&path, client::TEXT).await?;
        while let Some(bytes) = log.chunk().await? {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()?;
        }
        Ok(())
    })
}

/// The first of several containers, which is told, as kubectl tells it; the server knows an only one.
fn default_container(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let marked = pods::annotation(pod, "kubectl.kubernetes.io/default-container").filter(|name| !name.is_empty());
    let first = marked.or(spec.containers.first().map(|container| container.name.as_str()))?;
    let apps = spec.containers.iter().map(|container| container.name.clone());
    let init = pods::init_containers(spec).iter().map(|container| format!("{} (init)", container.name));
    let all: Vec<String> = apps.chain(init).collect();
    if all.len() > 1 && marked.is_none() {
        tell!("Defaulted container {first:?} out of: {}", all.join(", "));
    }
    Some(first.into())
}

/// `PodLogOptions`, for the server to check.
fn options(args: &LogsArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let flags = [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)];
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        query.append_pair(name, "true");
    }
    if let Some(container) = &args.container {
        query.append_pair("container", container);
    }
    // As with kubectl, -1 is all.
    if let Some(lines) = args.tail.filter(|lines| *lines >= 0) {
        query.append_pair("tailLines", &lines.to_string());
    }
    if let Some(since) = args.since {
        // The API counts whole seconds: what was asked for is in it.
        query.append_pair("sinceSeconds", &since.as_millis().div_ceil(1000).to_string());
    }
    query.finish()
}
