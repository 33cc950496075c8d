//! `wasmpod events`: prints Events, the newest last, as `kubectl events` does.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Deserialize;

use super::args::EventsArgs;
use super::client::{self, Client};
use super::columns::Columns;
use super::describe::events::{age, sort_time};
use super::exit::Outcome;
use super::target_pod::pod_name;
use super::terminal_text::print;
use crate::control::Resource;

/// Prints the events, and with `--watch` those that follow.
pub fn main(args: EventsArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let path = match args.all_namespaces {
            true => format!("/api/v1/{}", Resource::EVENTS.plural()),
            false => client.path(&Resource::EVENTS, client.namespace(), None),
        };
        let selector =
            args.pod.as_deref().map(|pod| format!("involvedObject.kind=Pod,involvedObject.name={}", pod_name(pod)));
        let selector = selector.unwrap_or_default();
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("fieldSelector", &selector).finish();
        let mut list: EventList = client.get_json(&format!("{path}?{query}"), client::JSON).await?;
        list.items.sort_by_key(sort_time);
        let mut printer =
            Printer { has_namespace: args.all_namespaces, has_header: false, columns: Columns::default() };
        if list.items.is_empty() && !args.watch {
            let namespace = client.namespace();
            match args.all_namespaces {
                true => stderrln!("no events found"),
                false => stderrln!("no events found in namespace {namespace}; use -A to list all namespaces"),
            }
        }
        printer.print(&list.items)?;
        match args.watch {
            true => watch(&client, &path, list.metadata, &selector, &mut printer).await,
            false => Ok(()),
        }
    })
}

#[derive(Deserialize)]
struct EventList {
    metadata: ListMeta,
    items: Vec<Event>,
}

/// Prints the events after a list, until an error occurs.
async fn watch(
    client: &Client,
    path: &str,
    list: ListMeta,
    selector: &str,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let mut resource_version = list.resource_version.unwrap_or_default();
    loop {
        let mut changes = client.watch(path, &resource_version, selector, client::JSON).await?;
        // The server closes a watch from time to time: continue after the last change.
        while let Some(change) = changes.next().await? {
            let event: Event = serde_json::from_value(change.object)?;
            resource_version = event.metadata.resource_version.clone().unwrap_or(resource_version);
            // Events expire, which is not worth a line.
            if change.kind != "DELETED" {
                printer.print(&[event])?;
            }
        }
    }
}

struct Printer {
    has_namespace: bool,
    has_header: bool,
    columns: Columns,
}

impl Printer {
    fn print(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let mut rows = Vec::new();
        if !self.has_header && !events.is_empty() {
            self.has_header = true;
            rows.push(self.row("NAMESPACE", ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(Into::into)));
        }
        for event in events {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let object = &event.involved_object;
            let cells = [
                age(event, now),
                text(&event.type_),
                text(&event.reason),
                format!("{}/{}", text(&object.kind), text(&object.name)),
                text(&event.message).trim().to_string(),
            ];
            rows.push(self.row(event.metadata.namespace.as_deref().unwrap_or_default(), cells));
        }
        print(&self.columns.align(&rows))
    }

    fn row(&self, namespace: &str, cells: [String; 5]) -> Vec<String> {
        let namespace = self.has_namespace.then(|| namespace.to_string());
        namespace.into_iter().chain(cells).collect()
    }
}
