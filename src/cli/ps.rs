//! `wasmpod ps`: prints the server's table of pods, or their objects.

use std::io::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::args::{PsArgs, PsOutput};
use super::client::{self, Client, StreamingResponse};
use super::exit::{Outcome, RequestFailed, bad_input};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const YAML: &str = "application/yaml";

/// Prints the pods, and with `--watch` their changes.
pub fn main(args: PsArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let list_path = match args.all_namespaces {
            true => "/api/v1/pods".into(),
            false => client.pods_path(None),
        };
        let path = args.pod.as_deref().map_or(list_path.clone(), |pod| client.pods_path(Some(pod)));
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
        let mut printer = Printer { args: &args, columns: Vec::new(), widths: Vec::new() };
        if table.rows.is_empty() && !args.watch {
            match args.all_namespaces {
                true => stderrln!("no pods found"),
                false => stderrln!("no pods found in namespace {}; use -A to list all namespaces", client.namespace()),
            }
        }
        let resource_version = table.metadata.resource_version.clone().unwrap_or_default();
        printer.print(table)?;
        if args.watch { watch(&client, &list_path, resource_version, &mut printer).await } else { Ok(()) }
    })
}

/// Prints the changes after `resource_version`, until an error occurs.
async fn watch(
    client: &Client,
    list_path: &str,
    mut resource_version: String,
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("watch", "true").append_pair("resourceVersion", &resource_version);
        if let Some(pod) = &printer.args.pod {
            query.append_pair("fieldSelector", &format!("metadata.name={pod}"));
        }
        let response = client.stream(&format!("{list_path}?{}", query.finish()), TABLE).await?;
        let mut tables = TableStream { response, buffer: Vec::new() };
        // The server closes a watch from time to time: continue after the last change.
        while let Some(table) = tables.next().await? {
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

/// The tables of a watch, one per line.
struct TableStream {
    response: StreamingResponse,
    /// Bytes received after the last complete line.
    buffer: Vec<u8>,
}

impl TableStream {
    async fn next(&mut self) -> anyhow::Result<Option<Table>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                if event.get("type").and_then(Value::as_str) == Some("ERROR") {
                    let message = event.pointer("/object/message").and_then(Value::as_str);
                    return Err(RequestFailed(message.unwrap_or("the watch failed").into()).into());
                }
                let object = event.get("object").cloned().unwrap_or_default();
                return Ok(Some(serde_json::from_value(object)?));
            }
            match self.response.next_chunk().await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Prints rows in columns whose widths only grow, so that later rows line up with earlier ones.
struct Printer<'a> {
    args: &'a PsArgs,
    columns: Vec<Column>,
    widths: Vec<usize>,
}

impl Printer<'_> {
    fn print(&mut self, table: Table) -> anyhow::Result<()> {
        let names = table.rows.iter().map(|row| row.object.metadata.name.as_deref().unwrap_or_default());
        if self.args.output == Some(PsOutput::Name) {
            return print(&names.map(|name| format!("pod/{name}\n")).collect::<String>());
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
        print(&self.align(&lines))
    }

    /// Returns the visible cells of a row.
    fn visible_cells(&self, namespace: Option<&str>, cells: impl Iterator<Item = String>) -> Vec<String> {
        let wide = self.args.output == Some(PsOutput::Wide);
        let namespace = namespace.filter(|_| self.args.all_namespaces).map(Into::into);
        let visible = self.columns.iter().zip(cells).filter(|(column, _)| wide || column.priority == 0);
        namespace.into_iter().chain(visible.map(|(_, cell)| cell)).collect()
    }

    /// Pads the cells to the widths of their columns, which it widens as needed.
    fn align(&mut self, lines: &[Vec<String>]) -> String {
        let mut text = String::new();
        for line in lines {
            self.widths.resize(self.widths.len().max(line.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in lines {
            let padded = line.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            text += padded.collect::<Vec<_>>().join("   ").trim_end();
            text.push('\n');
        }
        text
    }
}

fn format_cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
