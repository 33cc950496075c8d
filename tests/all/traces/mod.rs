//! Pods as a real kubelet ran them (`tests/golden/kubelet-traces-1.32.json`), run on nodes of ours: the
//! same states in the same order, the same events as often, the same times where rules fix them.

mod events;
mod recorded;
mod run;
mod spans;
mod states;

use futures_util::stream::{FuturesUnordered, StreamExt};

use recorded::Trace;

const RECORDED: &str = include_str!("../../golden/kubelet-traces-1.32.json");

/// Pods that do not agree yet.
const DIFFER: &[&str] = &[
    "always-exit0",
    "always-exit1",
    "bad-image-name",
    "bad-user",
    "deadline",
    "delete-deaf",
    "delete-force",
    "delete-pending-init",
    "delete-prestop",
    "delete-prestop-long",
    "delete-readiness",
    "ephemeral",
    "init-fail-always",
    "init-fail-never",
    "init-order",
    "liveness-exec",
    "liveness-exec-timeout",
    "liveness-http-500",
    "never-pull",
    "no-command",
    "no-configmap",
    "no-secret-volume",
    "nodename-direct",
    "once-fail",
    "once-ok",
    "oom",
    "outofmemory",
    "poststart-fails",
    "poststart-slow",
    "readiness-gate",
    "readiness-http",
    "sidecar-job",
    "sidecars-delete",
    "startup-fails",
    "subpath-escape",
    "term-message",
    "two-one-fails-never",
    "workingdir-missing-created",
];

/// What differs between the recorded pod and ours.
async fn differences(trace: &Trace) -> Vec<String> {
    let (ours, told) = match run::run(trace).await {
        Ok(seen) => seen,
        Err(why) => return vec![why],
    };
    let recorded = trace.timeline();
    let mut found = states::differences(trace, &ours);
    found.extend(events::differences(&trace.events(), &told, &recorded, &ours));
    found.extend(spans::differences(&trace.name, &ours, &told));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_go_as_a_real_kubelet_ran_them() {
    let traces: Vec<Trace> = serde_json::from_str(RECORDED).expect("the recordings");
    // One of them, when somebody looks for its fault.
    let wanted = std::env::var("TRACE").ok();
    let traces: Vec<&Trace> =
        traces.iter().filter(|trace| wanted.as_ref().is_none_or(|wanted| trace.name == *wanted)).collect();
    // Compiles the shell, so that no pod waits for it.
    if let Some(first) = traces.iter().find(|trace| trace.watched_s < 20.0) {
        let _ = run::run(first).await;
    }
    let running = traces.iter().map(|trace| async { (trace.name.as_str(), differences(trace).await) });
    let mut faults = Vec::new();
    let mut all: FuturesUnordered<_> = running.collect();
    while let Some((name, found)) = all.next().await {
        match (found.is_empty(), DIFFER.contains(&name)) {
            (true, false) | (false, true) => {}
            (true, true) => faults.push(format!("===== {name} agrees now: take it off the list")),
            (false, false) => faults.push(format!("===== {name} differs\n{}", found.join("\n"))),
        }
    }
    faults.sort();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), traces.len(), faults.join("\n"));
}
