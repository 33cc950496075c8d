//! The product's performance figures, each beside a yardstick of the same run: native processes, or a handler that serves
//! prepared bytes.
//!
//! `make bench` prints one table and writes `target/bench.json`. Each group runs in a process of its own, because some
//! measure the memory and the processor time of their process. Beside each figure stands how busy the machine was with
//! other work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::panic)]
#![allow(clippy::indexing_slicing, reason = "a benchmark that fails should stop and say where")]

mod api;
mod density;
mod figures;
mod limits;
mod machine;
mod native;
mod pods;
mod probes;
mod publish;
mod sessions;
mod start;
mod store;
mod validate;

use std::process::Command;

use figures::Figure;
use machine::ProcessorTimes;

/// A name and the figures that are measured together.
type Group = (&'static str, fn() -> Vec<Figure>);

/// All groups in the order of the table.
const GROUPS: [Group; 23] = [
    ("in-memory", start::in_memory),
    ("start", start::figures),
    ("burst", pods::burst),
    ("density-1000", || density::figures(1000)),
    ("density-10000", || density::figures(10_000)),
    ("probes", probes::figures),
    ("probes-http", probes::http),
    ("publish", publish::figures),
    ("sessions", sessions::figures),
    ("api", api::requests),
    ("documents", api::documents),
    ("watchers", api::watchers),
    ("api-under-spin", api::under_spin),
    ("serve", api::idle_serve),
    ("store-creations", store::creations),
    ("store-restarts", store::restarts),
    ("store-idle", store::idle),
    ("store-statuses", pods::status_writes),
    ("limits-quota", limits::quota),
    ("limits-timers", limits::timers),
    ("limits-ends", limits::terminations),
    ("validate", validate::figures),
    ("binary", start::binary),
];

fn main() {
    if let Some(group) = std::env::var_os("WASMPOD_BENCH_GROUP") {
        let (_, run) = GROUPS.iter().find(|(name, _)| **name == *group).expect("a known group");
        return println!("{}", serde_json::to_string(&run()).expect("figures encode"));
    }
    // `cargo bench -- WORD…` runs the groups whose names contain one of the words.
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut figures = Vec::new();
    for (name, _) in GROUPS {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        eprintln!("measuring {name} …");
        figures.extend(in_process(name));
    }
    figures::print(&figures);
    figures::write(&figures);
}

fn in_process(group: &str) -> Vec<Figure> {
    let before = ProcessorTimes::now();
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this).env("WASMPOD_BENCH_GROUP", group).output().expect("this program starts");
    if !output.status.success() {
        panic!("group {group} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut figures: Vec<Figure> = serde_json::from_slice(&output.stdout).expect("figures");
    let other_work = before.other_work();
    figures.iter_mut().for_each(|figure| figure.other_work = Some(other_work.round()));
    figures
}
