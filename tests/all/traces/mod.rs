//! Pods as a real kubelet ran them (`tests/golden/kubelet-traces-1.32.json`), run on nodes of ours: the
//! same states in the same order, the same events as often, the same times where rules fix them.

mod events;
pub mod recorded;
pub mod run;
mod spans;
mod states;

use futures_util::stream::{FuturesUnordered, StreamExt};

use serde_json::json;

use recorded::Trace;

const RECORDED: &str = include_str!("../../golden/kubelet-traces-1.32.json");

/// Pods that do not agree yet.
const DIFFER: &[&str] = &["liveness-exec", "liveness-http-500", "subpath-escape"];

/// What differs between the recorded pod and ours.
async fn differences(trace: &Trace) -> Vec<String> {
    let (ours, told) = match run::run(trace).await {
        Ok(seen) => seen,
        Err(why) => return vec![why],
    };
    let recorded = trace.timeline();
    let mut found = states::differences(trace, &ours);
    let went_further = states::went_further(trace, &ours);
    found.extend(events::differences(&trace.events(), &told, &recorded, &ours, went_further));
    found.extend(spans::differences(&trace.name, &ours, &told));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_go_as_a_real_kubelet_ran_them() {
    let traces: Vec<Trace> = serde_json::from_str(RECORDED).expect("the recordings");
    // Some of them (`TRACES=oom,deadline`), when somebody looks for their faults.
    let asked = std::env::var("TRACES").ok();
    let asked: Option<Vec<&str>> = asked.as_ref().map(|names| names.split(',').collect());
    let is_asked = |trace: &&Trace| asked.as_ref().is_none_or(|names| names.contains(&trace.name.as_str()));
    // Compiles the shell, so that no pod waits for it.
    let first = json!({"name": "first", "watched_s": 3.0, "spec": traces[0].spec});
    let first: Trace = serde_json::from_value(first).expect("a pod without a recording");
    run::run(&first).await.expect("it runs");
    let mut all: FuturesUnordered<_> =
        traces.iter().filter(is_asked).map(|trace| async { (trace.name.as_str(), differences(trace).await) }).collect();
    let (mut faults, mut agree) = (Vec::new(), Vec::new());
    while let Some((name, found)) = all.next().await {
        match (found.is_empty(), DIFFER.contains(&name) && asked.is_none()) {
            (true, false) => agree.push(name),
            (false, true) => {}
            (true, true) => faults.push(format!("===== {name} agrees now: take it off the list")),
            (false, false) => faults.push(format!("===== {name} differs\n{}", found.join("\n"))),
        }
    }
    faults.sort();
    assert!(faults.is_empty(), "{} agree: {agree:?}, {} do not:\n{}", agree.len(), faults.len(), faults.join("\n"));
}
