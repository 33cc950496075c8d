//! Manifests with probes and gates, unmodified.

use crate::host::test_file;
use crate::traces::recorded::{Seen, State, Trace};
use crate::traces::run::run;

/// The one pod of a manifest, to be watched for so many seconds of its node.
fn manifest(name: &str, seconds: f64) -> Trace {
    let text = std::fs::read_to_string(test_file("manifests").join(name)).expect("the manifest");
    let pod: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
    let pod = serde_json::json!({"name": pod["metadata"]["name"], "spec": pod["spec"], "watched_s": seconds});
    serde_json::from_value(pod).expect("a pod")
}

fn first(states: &[Seen<State>], is: impl Fn(&State) -> bool) -> f64 {
    states.iter().find(|seen| is(&seen.what)).map_or(f64::INFINITY, |seen| seen.at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_is_probed_for_its_start_readiness_and_life() {
    // Once more, so that no program is compiled while the clock runs.
    run(&manifest("probes.yaml", 4.0), 4).await.expect("it runs");
    let (states, events) = run(&manifest("probes.yaml", 16.0), 2).await.expect("it runs");
    let ready = first(&states, |pod| pod.condition("Ready").is_some_and(|ready| ready.status == "True"));
    assert!((1.9..5.0).contains(&ready), "it was ready after {ready} s");
    let restarted = first(&states, |pod| pod.container("my-container").is_some_and(|c| c.restarts == 1));
    // Eight seconds until the file is gone, three failures a second apart.
    assert!((9.5..14.0).contains(&restarted), "it was restarted after {restarted} s");
    let mut told: Vec<String> = Vec::new();
    for seen in events {
        let event = &seen.what;
        let line = format!("{} {} {}: {}", event.kind, event.reason, event.place, event.message.trim_end());
        if !told.contains(&line) {
            told.push(line);
        }
        if event.reason == "Killing" {
            break;
        }
    }
    insta::assert_snapshot!(told.join("\n"));
}
