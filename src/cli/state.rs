//! `wasmpod state`: what the state directory of a node holds.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::args::{StateArgs, StateCommand, StateFormat, StateInspectArgs};
use super::backup;
use super::client::{self, Client};
use super::columns::Columns;
use super::database;
use super::exit::Outcome;
use super::report::count;
use super::state_directory::ExistingState;
use super::terminal_text::print;
use crate::budget::RetainedUsage;
use crate::store::{Amount, ObjectStore, StoreUsage};

/// The parts of a state directory: their names in it, and what people call them.
const PARTS: [(&str, &str); 5] = [
    (database::FILE_NAME, "database"),
    ("logs", "logs"),
    ("pods", "files of pods"),
    ("cache", "compiled programs"),
    (backup::DIRECTORY, "backups"),
];

pub fn main(args: StateArgs) -> anyhow::Result<Outcome> {
    match args.command {
        StateCommand::Inspect(args) => inspect(&args),
    }
}

/// What `inspect` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspection {
    state_directory: String,
    is_running: bool,
    #[serde(flatten)]
    store: StoreUsage,
    files: Vec<Part>,
}

/// A part of the state directory.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    content: &'static str,
    bytes: u64,
}

fn inspect(args: &StateInspectArgs) -> anyhow::Result<Outcome> {
    let state = ExistingState::open(args.state_dir.as_deref())?;
    let store: StoreUsage = match state.connection() {
        Some(connection) => {
            client::run(async { Client::new(&connection)?.get_json("/debug/storage", client::JSON).await })?
        }
        None => database::read(&database::path(state.path()), ObjectStore::usage)?,
    };
    let part = |(name, content)| Part { name, content, bytes: size(&state.path().join(name)) };
    let inspection = Inspection {
        state_directory: state.path().display().to_string(),
        is_running: state.connection().is_some(),
        store,
        files: PARTS.map(part).into(),
    };
    let text = match args.output {
        Some(StateFormat::Json) => serde_json::to_string_pretty(&inspection).context("cannot encode the state")? + "\n",
        None => describe(&inspection),
    };
    print(&text)?;
    Ok(Outcome::Success)
}

/// Returns the bytes of a file, or of all files below a directory; 0 if it does not exist.
fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

fn describe(inspection: &Inspection) -> String {
    let Inspection { state_directory, is_running, store, files } = inspection;
    let mut facts = vec![
        ["State directory".to_string(), state_directory.clone()],
        ["Node".into(), if *is_running { "running" } else { "not running" }.into()],
        ["Revision".into(), store.revision.to_string()],
        [
            "History".into(),
            format!(
                "{}, {}, from revision {}",
                count(store.history.count, "change"),
                format_bytes(store.history.bytes as u64),
                store.oldest_watchable_revision
            ),
        ],
    ];
    let compaction = match (store.last_compaction, is_running) {
        (Some(time), _) => time.to_string(),
        (None, true) => "none since the node started".into(),
        (None, false) => "unknown while the node is not running".into(),
    };
    facts.push(["Last compaction".into(), compaction]);
    if let Some(failure) = &store.failure {
        facts.push(["Failure".into(), failure.clone()]);
    }
    let mut objects = vec![["OBJECTS".to_string(), "COUNT".into(), "SIZE".into()]];
    let of_kind = |(resource, amount): (&String, &Amount)| {
        [resource.clone(), amount.count.to_string(), format_bytes(amount.bytes as u64)]
    };
    objects.extend(store.objects.iter().map(of_kind));
    let mut kept = vec![["KEPT FOR CLIENTS".to_string(), "SIZE".into(), "DROPPED".into()]];
    let of_use = |RetainedUsage { kind, bytes, dropped }: &RetainedUsage| {
        [kind.name().to_string(), format_bytes(*bytes), dropped.to_string()]
    };
    kept.extend(store.retained.iter().map(of_use));
    kept.push(["limit (--retained-memory)".into(), format_bytes(store.retained_limit), String::new()]);
    let mut parts = vec![["FILES".to_string(), "CONTENT".into(), "SIZE".into()]];
    parts.extend(files.iter().map(|part| [part.name.into(), part.content.into(), format_bytes(part.bytes)]));
    let kept = if *is_running { table(&kept) + "\n" } else { String::new() };
    format!("{}\n{}\n{kept}{}", table(&facts), table(&objects), table(&parts))
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
    Columns::default().align(&rows)
}

/// Returns bytes in the unit that people read: `1.5 MiB`.
fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut units) = (bytes as f64 / 1024.0, UNITS.iter());
    let mut unit = units.next();
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, Some(next));
    }
    format!("{value:.1} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_people_read() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 10, "1.5 MiB"),
            (3 << 40, "3.0 TiB"),
            (5 << 50, "5120.0 TiB"),
        ] {
            assert_eq!(format_bytes(bytes), expected);
        }
    }
}
