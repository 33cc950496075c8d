//! Pods as a real kubelet ran them (`tests/golden/kubelet-traces-1.32.json`), run on nodes of ours: the
//! same states in the same order, the same events as often, the same times where rules fix them.

mod events;
pub mod recorded;
pub mod run;
mod spans;
mod states;

use std::future::ready;

use futures_util::stream::{FuturesUnordered, StreamExt};

use serde_json::json;

use recorded::{Event, Now, Seen, State, Trace};

const RECORDED: &str = include_str!("../../golden/kubelet-traces-1.32.json");

/// Here a shell that does not trap TERM ends with 143 when it is asked to. On Linux it would be process 1, to which
/// TERM means nothing, and be killed when its grace is over. These pods' shells are told to be as deaf.
const DEAF: &[&str] = &["liveness-exec", "liveness-http-500"];

fn recordings() -> Vec<Trace> {
    let mut traces: Vec<Trace> = serde_json::from_str(RECORDED).expect("the recordings");
    for trace in traces.iter_mut().filter(|trace| DEAF.contains(&trace.name.as_str())) {
        let script = &mut trace.spec["containers"][0]["command"][2];
        *script = format!("trap '' TERM; {}", script.as_str().expect("a script")).into();
    }
    traces
}

/// What differs between the recorded pod and ours.
async fn differences(trace: &Trace, speed: u32) -> Vec<String> {
    let (ours, told) = match run::run(trace, speed).await {
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

/// Seconds of our nodes per second of the system, first. Whoever differs then is run again in the system's time:
/// on a machine that is busy, the start of a program takes long on a fast clock.
const SPEED: u32 = 4;

/// Those of `traces` that differ, and in what.
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
    // Some of them (`TRACES=oom,deadline`), when somebody looks for their faults.
    let asked = std::env::var("TRACES").ok();
    let asked: Option<Vec<&str>> = asked.as_ref().map(|names| names.split(',').collect());
    let is_asked = |trace: &&Trace| asked.as_ref().is_none_or(|names| names.contains(&trace.name.as_str()));
    // Compiles the shell, so that no pod waits for it.
    let first = json!({"name": "first", "watched_s": 3.0, "spec": traces[0].spec});
    let first: Trace = serde_json::from_value(first).expect("a pod without a recording");
    run::run(&first, 1).await.expect("it runs");
    let doubtful = differing(traces.iter().filter(is_asked).collect(), SPEED).await;
    let doubtful: Vec<&Trace> = doubtful.into_iter().map(|(trace, _)| trace).collect();
    let faults = differing(doubtful, 1).await;
    let told: Vec<String> =
        faults.iter().map(|(trace, found)| format!("===== {} differs\n{}", trace.name, found.join("\n"))).collect();
    assert!(told.is_empty(), "{} of {} differ:\n{}", told.len(), traces.len(), told.join("\n"));
}

#[test]
fn recording_matches_only_itself() {
    for trace in recordings() {
        let (states, told) = (trace.timeline(), trace.events());
        let of_states = |states: &[Seen<State>]| states::differences(&trace, states).len();
        let of_events =
            |told: &[Seen<Event>]| events::differences(&trace.events(), told, &states, &states, false).len();
        assert_eq!((of_states(&states), of_events(&told)), (0, 0), "{}", trace.name);
        let last = states.last().expect("a state");
        for at in 0..states.len() {
            let mut fewer = states.clone();
            fewer.remove(at);
            assert_ne!(of_states(&fewer), 0, "{}: without {}", trace.name, states[at].what);
            let mut other = states.clone();
            other[at].what.why = "Evicted".into();
            assert_ne!(of_states(&other), 0, "{}: {}", trace.name, other[at].what);
        }
        let mut more = states.clone();
        more.push(states[0].clone());
        if states.len() > 2 && !last.what.containers.is_empty() {
            more[states.len()].what = last.what.clone();
            more[states.len()].what.containers[0].state = Now::Ended("9 Error".into());
            assert_ne!(of_states(&more), 0, "{}: an end that no kubelet told", trace.name);
        }
        for at in 0..told.len() {
            let mut other = told.clone();
            other[at].what.message.push('!');
            assert_ne!(of_events(&other), 0, "{}: {}", trace.name, other[at].what);
        }
    }
}
