//! Probes and hooks of real guests, from unmodified manifests.

use serde_json::Value;
use wasmpod::Node;
use wasmpod::control::{Resource, Scope};

use crate::support::{eventually, pod, test_file};
use crate::traces::recorded::{Observed, PodSnapshot, Trace};
use crate::traces::run::run;

/// Returns the pod of a manifest, to be watched for so many `seconds` of its node's clock.
fn trace_of(name: &str, seconds: f64) -> Trace {
    let text = std::fs::read_to_string(test_file("manifests").join(name)).expect("the manifest");
    let pod: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
    let pod = serde_json::json!({"name": pod["metadata"]["name"], "spec": pod["spec"], "watched_s": seconds});
    serde_json::from_value(pod).expect("a pod")
}

/// Returns when a state first met `condition`.
fn first(states: &[Observed<PodSnapshot>], condition: impl Fn(&PodSnapshot) -> bool) -> f64 {
    states.iter().find(|seen| condition(&seen.what)).map_or(f64::INFINITY, |seen| seen.at)
}

#[tokio::test(flavor = "multi_thread")]
async fn web_server_passes_startup_and_readiness_then_fails_liveness() {
    // Runs once before, so that nothing is compiled while the clock runs.
    run(&trace_of("probes.yaml", 4.0), 4).await.expect("it runs");
    let (states, events) = run(&trace_of("probes.yaml", 16.0), 2).await.expect("it runs");
    let ready = first(&states, |pod| pod.condition("Ready").is_some_and(|ready| ready.status == "True"));
    assert!((1.9..5.0).contains(&ready), "it was ready after {ready} s");
    let restarted = first(&states, |pod| pod.container("my-container").is_some_and(|c| c.restarts == 1));
    // The file is removed after eight seconds; three failures a second apart follow.
    assert!((9.5..14.0).contains(&restarted), "it was restarted after {restarted} s");
    let mut lines: Vec<String> = Vec::new();
    for seen in events {
        let event = &seen.what;
        let line = format!("{} {} {}: {}", event.kind, event.reason, event.place, event.message.trim_end());
        if !lines.contains(&line) {
            lines.push(line);
        }
        if event.reason == "Killing" {
            break;
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// Waits until an event or the status of pod `p` contains `text`.
async fn wait_for_report(node: &Node, text: &str) {
    eventually(&format!("an event or the status contains {text:?}"), async || {
        let events = node.control().list(&Scope::all(Resource::EVENTS)).await.expect("events");
        let objects = events.items.iter().map(|o| serde_json::from_slice::<Value>(&o.json).expect("JSON"));
        let event = |o: Value| format!("{} {}", o["reason"], o["message"].as_str().unwrap_or_default());
        let status = node.status("p").await.ok().and_then(|status| serde_json::to_string(&status).ok());
        let status = status.unwrap_or_default().replace("\\\"", "\"");
        let reports: Vec<String> = objects.map(event).chain([status]).collect();
        if reports.iter().any(|report| report.contains(text)) { Ok(()) } else { Err(reports) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_probes_fail_but_hooks_fall_back_to_http() {
    let node = Node::in_memory().expect("a node");
    let requests = |port: u16| {
        let get = format!("httpGet: {{port: {port}, scheme: HTTPS}}");
        format!("readinessProbe: {{{get}, periodSeconds: 1}}, lifecycle: {{preStop: {{{get}}}}}")
    };
    let spec = format!(
        "containers: [{{name: web, image: nginx, {}}}, {{name: c, image: busybox, command: [sh, -c, 'httpd -f -p 8080'], {}}}]",
        requests(80),
        requests(8080)
    );
    node.apply(pod("p", &spec)).await.expect("applied");
    for port in [80, 8080] {
        wait_for_report(&node, &format!(":{port}/\": http: server gave HTTP response to HTTPS client")).await;
    }
    node.delete("p").await.expect("deleted");
    for port in [80, 8080] {
        wait_for_report(&node, &format!(":{port} got HTTP response, retry with HTTP succeeded")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_with_an_unknown_port_name_fails() {
    let node = Node::in_memory().expect("a node");
    let hook = "lifecycle: {postStart: {httpGet: {path: /x, port: nope}}}";
    let spec = format!("containers: [{{name: c, image: busybox, command: [sleep, '1000'], {hook}}}]");
    node.apply(pod("p", &spec)).await.expect("applied");
    wait_for_report(&node, "HTTP lifecycle hook (/x) for Container \"c\" in Pod \"p_default(").await;
    wait_for_report(&node, "failed - error: strconv.Atoi: parsing \"nope\": invalid syntax").await;
}
