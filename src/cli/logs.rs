//! `wasmpod logs`: the log of a container, as the server sends it.

use std::io::Write;

use super::args::LogsArgs;
use super::client::{self, Client};
use super::exit::Outcome;

/// Prints until the log ends.
pub fn main(args: LogsArgs) -> anyhow::Result<Outcome> {
    client::ask(async move {
        let client = Client::of(&args.connection)?;
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
    if let Some(lines) = args.tail {
        query.append_pair("tailLines", &lines.to_string());
    }
    if let Some(since) = args.since {
        // The API counts whole seconds: what was asked for is in it.
        query.append_pair("sinceSeconds", &since.as_millis().div_ceil(1000).to_string());
    }
    query.finish()
}
