//! `wasmpod ps`: the API's table of pods, or their objects.

use std::io::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::args::{PsArgs, PsOutput};
use super::client::{self, Answer, Client};
use super::exit::{Outcome, Refused, bad_input};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const YAML: &str = "application/yaml";

/// Prints the pods, and what becomes of them where that is asked for.
pub fn main(args: PsArgs) -> anyhow::Result<Outcome> {
    client::ask(async move {
        let client = Client::of(&args.connection)?;
        let list = match args.all_namespaces {
            true => "/api/v1/pods".into(),
            false => client.pods(None),
        };
        let path = args.pod.as_deref().map_or(list.clone(), |pod| client.pods(Some(pod)));
        match args.output {
            Some(PsOutput::Json | PsOutput::Yaml) if args.watch => {
                return Err(bad_input("-w tells changes in lines: leave -o out, or ask for wide or name"));
            }
            Some(PsOutput::Json) => {
                let object: Value = client.read(&path, client::JSON).await?;
                return print(&format!("{object:#}\n"));
            }
            Some(PsOutput::Yaml) => {
                return print(&String::from_utf8_lossy(&client.get(&path, YAML).await?));
            }
            Some(PsOutput::Wide | PsOutput::Name) | None => {}
        }
        let table: Table = client.read(&path, TABLE).await?;
        let mut printer = Printer { args: &args, columns: Vec::new(), widths: Vec::new() };
        if table.rows.is_empty() && !args.watch {
            match args.all_namespaces {
                true => tell!("no pods"),
                false => tell!("no pods in namespace {} (-A lists those of all)", client.namespace()),
            }
        }
        let from = table.metadata.resource_version.clone().unwrap_or_default();
        printer.print(table)?;
        if args.watch { watch(&client, &list, from, &mut printer).await } else { Ok(()) }
    })
}

/// Prints what changes behind the revision `from`, until something fails.
async fn watch(client: &Client, list: &str, mut from: String, printer: &mut Printer<'_>) -> anyhow::Result<()> {
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("watch", "true").append_pair("resourceVersion", &from);
        if let Some(pod) = &printer.args.pod {
            query.append_pair("fieldSelector", &format!("metadata.name={pod}"));
        }
        let answer = client.stream(&format!("{list}?{}", query.finish()), TABLE).await?;
        let mut changes = Changes { answer, rest: Vec::new() };
        // A server ends a watch now and then: it goes on behind what came last.
        while let Some(table) = changes.next().await? {
            if let Some(revision) = table.rows.last().and_then(|row| row.object.metadata.resource_version.clone()) {
                from = revision;
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
    object: Partial,
}

#[derive(Deserialize)]
struct Partial {
    metadata: ObjectMeta,
}

/// The tables of a watch, a line each.
struct Changes {
    answer: Answer,
    /// What has come of a line that has not ended yet.
    rest: Vec<u8>,
}

impl Changes {
    async fn next(&mut self) -> anyhow::Result<Option<Table>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                if event.get("type").and_then(Value::as_str) == Some("ERROR") {
                    let message = event.pointer("/object/message").and_then(Value::as_str);
                    return Err(Refused(message.unwrap_or("the watch failed").into()).into());
                }
                let object = event.get("object").cloned().unwrap_or_default();
                return Ok(Some(serde_json::from_value(object)?));
            }
            match self.answer.chunk().await? {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Prints rows in columns that only grow, so that later lines stand below the first ones.
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
            // An empty list has nothing to head, but a watch heads what comes.
            if !table.rows.is_empty() || self.args.watch {
                lines.push(self.line(Some("NAMESPACE"), self.columns.iter().map(|column| column.name.to_uppercase())));
            }
        }
        for row in &table.rows {
            lines.push(self.line(row.object.metadata.namespace.as_deref(), row.cells.iter().map(cell)));
        }
        print(&self.aligned(&lines))
    }

    /// The cells that are to be shown.
    fn line(&self, namespace: Option<&str>, cells: impl Iterator<Item = String>) -> Vec<String> {
        let wide = self.args.output == Some(PsOutput::Wide);
        let namespace = namespace.filter(|_| self.args.all_namespaces).map(Into::into);
        let shown = self.columns.iter().zip(cells).filter(|(column, _)| wide || column.priority == 0);
        namespace.into_iter().chain(shown.map(|(_, cell)| cell)).collect()
    }

    fn aligned(&mut self, lines: &[Vec<String>]) -> String {
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

fn cell(value: &Value) -> String {
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
