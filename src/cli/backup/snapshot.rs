//! All objects of a node at one revision: of a running node through its API, else from its database.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::args::ConnectionArgs;
use crate::cli::client::{self, Client};
use crate::cli::database;
use crate::control::{Resource, Revision, Scope};
use crate::registry::kinds::KINDS;

/// Objects that a list returns at once.
const PAGE: usize = 500;
/// A busy node may forget the revision while its objects are read.
const ATTEMPTS: usize = 3;

/// All objects of a node at one revision, in JSON as stored.
pub struct Snapshot {
    pub revision: Revision,
    pub objects: Vec<(Resource, Bytes)>,
}

impl Snapshot {
    /// Reads the objects of a running node.
    pub fn of_node(connection: &ConnectionArgs) -> anyhow::Result<Snapshot> {
        client::run(async {
            let client = Client::new(connection)?;
            let mut attempt = 1;
            loop {
                match read_node(&client).await {
                    Err(error) if attempt < ATTEMPTS => {
                        tracing::info!(%error, "reading the objects again");
                        attempt += 1;
                    }
                    result => return result,
                }
            }
        })
    }

    /// Reads the objects of a node that does not run.
    pub fn of_database(path: &Path) -> anyhow::Result<Snapshot> {
        database::read(path, |store| {
            let lists = stored_resources().flat_map(|resource| {
                let (objects, _) = store.list(&Scope::all(resource.clone()));
                objects.into_iter().map(move |object| (resource.clone(), object.json.clone()))
            });
            Snapshot { objects: lists.collect(), revision: store.revision() }
        })
    }
}

fn stored_resources() -> impl Iterator<Item = Resource> {
    KINDS.iter().filter(|kind| kind.is_stored()).map(|kind| kind.resource())
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

async fn read_node(client: &Client) -> anyhow::Result<Snapshot> {
    let first: Page = client.get_json("/api/v1/namespaces?limit=1", client::JSON).await?;
    let version = first.metadata.resource_version;
    let revision = version.parse().with_context(|| format!("the node has an unknown revision {version:?}"))?;
    let mut objects = Vec::new();
    for resource in stored_resources() {
        let path = format!("{}/{}", resource.root_path(), resource.plural());
        let mut position = format!("resourceVersion={version}&resourceVersionMatch=Exact");
        loop {
            let page: Page = client.get_json(&format!("{path}?limit={PAGE}&{position}"), client::JSON).await?;
            let items =
                page.items.into_iter().map(|item| (resource.clone(), Box::<str>::from(item).into_string().into()));
            objects.extend(items);
            if page.metadata.r#continue.is_empty() {
                break;
            }
            let token = page.metadata.r#continue;
            position = form_urlencoded::Serializer::new(String::new()).append_pair("continue", &token).finish();
        }
    }
    Ok(Snapshot { revision, objects })
}
