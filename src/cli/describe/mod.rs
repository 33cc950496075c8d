//! `wasmpod describe`: everything about a pod, in the order and the words of `kubectl describe pod`.

mod containers;
mod happened;
mod pod;
mod sheet;
mod volumes;

use std::io::Write;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde::Deserialize;

use super::args::DescribeArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use crate::model::pods;
use sheet::Sheet;

/// Prints a pod and its events.
pub fn main(args: DescribeArgs) -> anyhow::Result<Outcome> {
    client::ask(async move {
        let client = Client::of(&args.connection)?;
        let pod: Pod = client.read(&client.pods(Some(&args.pod)), client::JSON).await?;
        let events: Events = client.read(&events_of(&client, &pod), client::JSON).await?;
        let mut sheet = Sheet::default();
        let now = Timestamp::now();
        pod::describe(&mut sheet, &pod, now);
        happened::describe(&mut sheet, events.items, now);
        let mut out = std::io::stdout().lock();
        out.write_all(sheet.text().as_bytes())?;
        Ok(out.flush()?)
    })
}

#[derive(Deserialize)]
struct Events {
    items: Vec<Event>,
}

/// The events about `pod`. Those about a static pod name it by what its manifest says.
fn events_of(client: &Client, pod: &Pod) -> String {
    let uid = pods::annotation(pod, pods::MIRROR_ANNOTATION).or(pod.metadata.uid.as_deref()).unwrap_or_default();
    let about = format!(
        "involvedObject.name={},involvedObject.namespace={},involvedObject.uid={uid}",
        pods::name(pod),
        pods::namespace(pod)
    );
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("fieldSelector", &about).finish();
    format!("{}/events?{query}", client.namespace_path())
}
