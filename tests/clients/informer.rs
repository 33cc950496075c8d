//! Keeps a cache of ConfigMaps with the reflector of kube-rs.
//!
//! The first argument names the namespace. At each new round that the ConfigMap `mark` names, prints the cache as one
//! line, and the round; ends after the round `end`, with the number of lists.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let namespace = std::env::args().nth(1).ok_or("expected a namespace")?;
    let config_maps: Api<ConfigMap> = Api::namespaced(Client::try_default().await?, &namespace);
    let (cache, writer) = reflector::store();
    let mut changes = pin!(watcher(config_maps, watcher::Config::default()).backoff(SteadyBackoff).reflect(writer));
    let (mut lists, mut reported) = (0, String::new());
    while reported != "end" {
        match changes.next().await {
            Some(Ok(Event::Init)) => lists += 1,
            // The watcher goes on after errors, such as a lost connection.
            Some(_) => {}
            None => return Err("the watcher ended".into()),
        }
        if let Some(round) = round(&cache).filter(|round| *round != reported) {
            println!("{}\nround {round}", contents(&cache));
            reported = round;
        }
    }
    println!("lists: {lists}");
    Ok(())
}

/// Returns the round that the ConfigMap `mark` of the cache names.
fn round(cache: &Store<ConfigMap>) -> Option<String> {
    let mark = cache.find(|config_map| config_map.metadata.name.as_deref() == Some("mark"))?;
    mark.data.as_ref()?.get("round").cloned()
}

/// Returns the sorted names and resource versions in the cache.
fn contents(cache: &Store<ConfigMap>) -> String {
    let state = cache.state();
    let metadata = state.iter().map(|config_map| &config_map.metadata);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut contents: Vec<String> =
        metadata.map(|metadata| format!("{} {}", text(&metadata.name), text(&metadata.resource_version))).collect();
    contents.sort();
    contents.join(", ")
}

/// Connects again soon, however often connections are lost.
struct SteadyBackoff;

impl Iterator for SteadyBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(50))
    }
}

impl Backoff for SteadyBackoff {
    fn reset(&mut self) {}
}
