//! Pods as a real kubelet ran them (`tests/golden/kubelet-traces-1.32.json`), or as they follow from its source
//! (`kubelet-traces-derived.json`), run on nodes of ours: the same states in the same order, the same events as often, the
//! same times where rules fix them.

mod events;
pub mod recorded;
pub mod run;
mod spans;
mod states;

use std::future::ready;
use std::io::Write;

use futures_util::stream::{FuturesUnordered, StreamExt};

use serde_json::json;

use recorded::{ContainerState, Event, Observed, PodSnapshot, Trace};

const RECORDED: &str = include_str!("../../golden/kubelet-traces-1.32.json");
/// Evictions, deletions and restarts of which there is no recording.
const DERIVED: &str = include_str!("../../golden/kubelet-traces-derived.json");

/// Pods whose shells are made to ignore SIGTERM. Our shells without a trap exit with 143; on Linux such a shell is
/// process 1 of its container, which ignores SIGTERM and is killed after its grace period.
const IGNORING_SIGTERM: &[&str] = &["liveness-exec", "liveness-http-500"];

fn recordings() -> Vec<Trace> {
    let mut traces: Vec<Trace> = serde_json::from_str(RECORDED).expect("the recordings");
    traces.extend(serde_json::from_str::<Vec<Trace>>(DERIVED).expect("traces"));
    for trace in traces.iter_mut().filter(|trace| IGNORING_SIGTERM.contains(&trace.name.as_str())) {
        let script = &mut trace.spec["containers"][0]["command"][2];
        *script = format!("trap '' TERM; {}", script.as_str().expect("a script")).into();
    }
    traces
}

/// Returns how our pod differs from the recorded one.
async fn differences(trace: &Trace, speed: u32) -> Vec<String> {
    let (ours, events) = match run::run(trace, speed).await {
        Ok(seen) => seen,
        Err(reason) => return vec![reason],
    };
    let recorded = trace.timeline();
    let mut found = states::differences(trace, &ours);
    let went_further = states::went_further(trace, &ours);
    found.extend(events::differences(&trace.events(), &events, &recorded, &ours, went_further));
    found.extend(spans::differences(&trace.name, &ours, &events));
    found
}

/// How many times as fast as the host's the nodes' clocks run at first. Pods that differ are run again in real time: on
/// a busy machine, the start of a program takes long on a fast clock.
const SPEED: u32 = 4;

/// The maximum number of pods that may need a second run.
const MAX_SECOND_RUNS: usize = 3;

/// Returns the traces whose pods differ, with the differences.
async fn differing(traces: Vec<&Trace>, speed: u32) -> Vec<(&Trace, Vec<String>)> {
    let running: FuturesUnordered<_> =
        traces.into_iter().map(|trace| async move { (trace, differences(trace, speed).await) }).collect();
    let mut found: Vec<_> = running.filter(|(_, found)| ready(!found.is_empty())).collect().await;
    found.sort_by_key(|(trace, _)| trace.name.clone());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_behave_as_recorded_from_a_kubelet() {
    let traces = recordings();
    // `TRACES=oom,deadline` selects pods while debugging.
    let names = std::env::var("TRACES").ok();
    let names: Option<Vec<&str>> = names.as_ref().map(|names| names.split(',').collect());
    let is_selected = |trace: &&Trace| names.as_ref().is_none_or(|names| names.contains(&trace.name.as_str()));
    // Compiles the shell, so that no pod waits for it.
    let warm_up = json!({"name": "first", "watched_s": 3.0, "spec": traces[0].spec});
    let warm_up: Trace = serde_json::from_value(warm_up).expect("a pod without a recording");
    run::run(&warm_up, 1).await.expect("it runs");

    let first_run = differing(traces.iter().filter(is_selected).collect(), SPEED).await;
    for (trace, differences) in &first_run {
        let note = format!("\nrunning {} again; in the first run\n{}\n", trace.name, differences.join("\n"));
        // Unlike `eprintln!`, this also shows in the output of tests that pass.
        std::io::stderr().write_all(note.as_bytes()).expect("written");
    }
    let repeated: Vec<&Trace> = first_run.into_iter().map(|(trace, _)| trace).collect();
    let repeated_names: Vec<&str> = repeated.iter().map(|trace| trace.name.as_str()).collect();
    let second_run = differing(repeated.clone(), 1).await;
    let report = |(trace, found): &(&Trace, Vec<String>)| format!("===== {} differs\n{}", trace.name, found.join("\n"));
    let reports: Vec<String> = second_run.iter().map(report).collect();
    assert!(reports.is_empty(), "{} of {} differ:\n{}", reports.len(), traces.len(), reports.join("\n"));
    assert!(
        repeated.len() <= MAX_SECOND_RUNS,
        "only the second runs of {} pods match: {}",
        repeated.len(),
        repeated_names.join(", ")
    );
}

#[test]
fn recording_matches_only_itself() {
    for trace in recordings() {
        let (states, emitted) = (trace.timeline(), trace.events());
        let of_states = |states: &[Observed<PodSnapshot>]| states::differences(&trace, states).len();
        let of_events =
            |emitted: &[Observed<Event>]| events::differences(&trace.events(), emitted, &states, &states, false).len();
        assert_eq!((of_states(&states), of_events(&emitted)), (0, 0), "{}", trace.name);
        let last = states.last().expect("a state");
        for at in 0..states.len() {
            let mut fewer = states.clone();
            fewer.remove(at);
            assert_ne!(of_states(&fewer), 0, "{}: without {}", trace.name, states[at].what);
            let mut other = states.clone();
            other[at].what.detail = "Evicted".into();
            assert_ne!(of_states(&other), 0, "{}: {}", trace.name, other[at].what);
        }
        let mut more = states.clone();
        more.push(states[0].clone());
        if states.len() > 2 && !last.what.containers.is_empty() {
            more[states.len()].what = last.what.clone();
            more[states.len()].what.containers[0].state = ContainerState::Terminated("9 Error".into());
            assert_ne!(of_states(&more), 0, "{}: an end that no kubelet reported", trace.name);
        }
        for at in 0..emitted.len() {
            let mut other = emitted.clone();
            other[at].what.message.push('!');
            assert_ne!(of_events(&other), 0, "{}: {}", trace.name, other[at].what);
        }
    }
}
