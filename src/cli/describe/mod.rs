//! `wasmpod describe`: prints the details of a pod, in the format of `kubectl describe pod`.

mod containers;
pub mod events;
mod pod;
mod prefix_writer;
mod tabwriter;
mod volumes;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde::Deserialize;

use super::args::DescribeArgs;
use super::client::{self, Client};
use super::exit::{Outcome, bad_input};
use super::target_pod::pod_name;
use super::terminal_text::print;
use crate::model::pods;
use prefix_writer::PrefixWriter;

/// Prints a pod and its events.
pub fn main(args: DescribeArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        // `describe pod NAME` and `describe pod/NAME` are what users of kubectl type.
        let name = match (args.pod.as_str(), args.name.as_deref()) {
            (name, None) => pod_name(name),
            ("pod" | "pods" | "po", Some(name)) => name,
            (kind, Some(_)) => return Err(bad_input(format!("describe shows pods, not {kind}"))),
        };
        let pod: Pod = client.get_json(&client.pods_path(Some(name)), client::JSON).await?;
        let events: EventList = client.get_json(&events_path(&client, &pod), client::JSON).await?;
        let mut out = PrefixWriter::default();
        let now = Timestamp::now();
        pod::describe(&mut out, &pod, now);
        events::describe(&mut out, events.items, now);
        print(&out.text())
    })
}

#[derive(Deserialize)]
struct EventList {
    items: Vec<Event>,
}

/// Returns the path of the pod's Events. Those of a static pod refer to the hash of its manifest instead of its UID.
fn events_path(client: &Client, pod: &Pod) -> String {
    let uid = pods::annotation(pod, pods::MIRROR_ANNOTATION).or(pod.metadata.uid.as_deref()).unwrap_or_default();
    let selector = format!(
        "involvedObject.name={},involvedObject.namespace={},involvedObject.uid={uid}",
        pods::name(pod),
        pods::namespace(pod)
    );
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("fieldSelector", &selector).finish();
    format!("{}/events?{query}", client.namespace_path())
}
