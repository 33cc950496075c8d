//! `wasmpod ps` and `wasmpod get`: print the server's table of pods or other objects, or the objects themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::args::{GetArgs, ListArgs, PsArgs, PsOutput};
use super::client::{self, Client};
use super::columns::Columns;
use super::exit::{Outcome, bad_input};
use super::resource_names;
use super::terminal_text::print;
use crate::control::Resource;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const YAML: &str = "application/yaml";

/// Prints the pods, and with `--watch` their changes.
pub fn main(args: PsArgs) -> anyhow::Result<Outcome> {
    print_objects(Resource::PODS, args.pod.as_deref(), &args.list)
}

/// Prints objects of any resource.
pub fn get(args: GetArgs) -> anyhow::Result<Outcome> {
    let (resource, name) = match args.resource.split_once('/') {
        Some((resource, name)) if args.name.is_none() => (resource, Some(name)),
        _ => (args.resource.as_str(), args.name.as_deref()),
    };
    let resource = resource_names::resolve(resource)?.resource();
    if name.is_some() && args.list.all_namespaces {
        return Err(bad_input("a resource cannot be retrieved by name across all namespaces"));
    }
    print_objects(resource, name, &args.list)
}

fn print_objects(resource: Resource, name: Option<&str>, args: &ListArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let list_path = match args.all_namespaces {
            true => format!("{}/{}", resource.root_path(), resource.plural()),
            false => client.path(&resource, client.namespace(), None),
        };
        let path = name.map_or(list_path.clone(), |name| client.path(&resource, client.namespace(), Some(name)));
        match args.output {
            Some(PsOutput::Json | PsOutput::Yaml) if args.watch => {
                return Err(bad_input("--watch cannot be used with --output json or yaml; use wide or name"));
            }
            Some(PsOutput::Json) => {
                let object: Value = client.get_json(&path, client::JSON).await?;
                return print(&format!("{object:#}\n"));
            }
            Some(PsOutput::Yaml) => {
                return print(&String::from_utf8_lossy(&client.get_bytes(&path, YAML).await?));
            }
            Some(PsOutput::Wide | PsOutput::Name) | None => {}
        }
        let table: Table = client.get_json(&path, TABLE).await?;
        let mut printer =
            Printer { args, resource: resource.clone(), columns: Vec::new(), aligned: Columns::default() };
        if table.rows.is_empty() && !args.watch {
            let (plural, namespace) = (resource.plural(), client.namespace());
            match args.all_namespaces || !resource.is_namespaced() {
                true => stderrln!("no {plural} found"),
                false => stderrln!("no {plural} found in namespace {namespace}; use -A to list all namespaces"),
            }
        }
        let resource_version = table.metadata.resource_version.clone().unwrap_or_default();
        printer.print(table)?;
        let selector = name.map(|name| format!("metadata.name={name}")).unwrap_or_default();
        match args.watch {
            true => watch(&client, &list_path, resource_version, &selector, &mut printer).await,
            false => Ok(()),
        }
    })
}

/// Prints the changes after `resource_version`, until an error occurs.
async fn watch(
    client: &Client,
    list_path: &str,
    mut resource_version: String,
    selector: &str,
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    loop {
        let mut tables = client.watch(list_path, &resource_version, selector, TABLE).await?;
        // The server closes a watch from time to time: continue after the last change.
        while let Some(event) = tables.next().await? {
            let table: Table = serde_json::from_value(event.object)?;
            if let Some(last) = table.rows.last().and_then(|row| row.object.metadata.resource_version.clone()) {
                resource_version = last;
            }
            printer.print(table)?;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    metadata: ListMeta,
    column_definitions: Option<Vec<Column>>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    priority: u8,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: PartialObjectMetadata,
}

#[derive(Deserialize)]
struct PartialObjectMetadata {
    metadata: ObjectMeta,
}

struct Printer<'a> {
    args: &'a ListArgs,
    resource: Resource,
    columns: Vec<Column>,
    aligned: Columns,
}

impl Printer<'_> {
    fn print(&mut self, table: Table) -> anyhow::Result<()> {
        if self.args.output == Some(PsOutput::Name) {
            let kind = resource_names::singular(&self.resource);
            let names = table.rows.iter().map(|row| row.object.metadata.name.as_deref().unwrap_or_default());
            return print(&names.map(|name| format!("{kind}/{name}\n")).collect::<String>());
        }
        let mut lines = Vec::new();
        if let Some(columns) = table.column_definitions.filter(|_| self.columns.is_empty()) {
            self.columns = columns;
            // An empty list has no header, unless a watch may add rows.
            if !table.rows.is_empty() || self.args.watch {
                lines.push(
                    self.visible_cells(Some("NAMESPACE"), self.columns.iter().map(|column| column.name.to_uppercase())),
                );
            }
        }
        for row in &table.rows {
            lines.push(self.visible_cells(row.object.metadata.namespace.as_deref(), row.cells.iter().map(format_cell)));
        }
        print(&self.aligned.align(&lines))
    }

    /// Returns the visible cells of a row.
    fn visible_cells(&self, namespace: Option<&str>, cells: impl Iterator<Item = String>) -> Vec<String> {
        let wide = self.args.output == Some(PsOutput::Wide);
        let has_namespace = self.args.all_namespaces && self.resource.is_namespaced();
        let namespace = namespace.filter(|_| has_namespace).map(Into::into);
        let visible = self.columns.iter().zip(cells).filter(|(column, _)| wide || column.priority == 0);
        namespace.into_iter().chain(visible.map(|(_, cell)| cell)).collect()
    }
}

fn format_cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    }
}
