//! A node, and its guests with it, whose clock runs faster than the host's.

use std::time::{Duration, Instant};

use wasmpod::Node;
use wasmpod::k8s_openapi::api::core::v1::ContainerStatus;

use crate::support::{eventually, guest, pod, run};

async fn status(node: &Node, pod: &str) -> Option<ContainerStatus> {
    node.status(pod).await.ok()?.container_statuses?.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn accelerated_node_passes_minutes_of_backoff_in_seconds() {
    let node = Node::builder().speed(1000).start().expect("a node");
    let start = Instant::now();
    node.apply(pod("p", "containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]"))
        .await
        .expect("applied");
    let first = eventually("the container has crashed once", async || {
        let status = status(&node, "p").await;
        status.as_ref().and_then(|status| status.last_state.clone()?.terminated).ok_or(status)
    });
    let first = first.await.finished_at.expect("a time").0;
    let last = eventually("the container has crashed five times", async || {
        let status = status(&node, "p").await;
        let crashed = status.clone().filter(|status| status.restart_count >= 5);
        crashed.and_then(|status| status.last_state?.terminated).ok_or(status)
    });
    let last = last.await.finished_at.expect("a time").0;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // At least back-offs of 10, 20, 40 and 80 s separate the first crash that was seen from the last.
    let apart = last.duration_since(first).as_secs();
    assert!(apart >= 70, "{apart} s");
}

#[test]
fn guests_sleep_and_read_time_by_their_nodes_clock() {
    for platform in ["wasm32-wasip1", "wasm32-wasip2"] {
        let program = guest(platform, "clocks");
        let start = Instant::now();
        let output = run().arg(&program).args(["--speed", "1000", "--", "60000"]).output().expect_code(0);
        assert!(start.elapsed() < Duration::from_secs(20), "{platform}: {:?}", start.elapsed());
        assert!(output.stdout.starts_with("slept enough: true\n"), "{platform}: {}", output.stdout);
    }
    // On a busy machine the guest may sleep longer: a moment there is long on its clock.
    let script = "a=$(date +%s); sleep 300; b=$(date +%s); echo $((b - a >= 300))";
    let spec =
        format!("restartPolicy: Never, containers: [{{name: c, image: busybox, command: [sh, -c, {script:?}]}}]");
    let output = run().manifest(&pod("p", &spec)).args(["--speed", "1000"]).output().expect_code(0);
    assert_eq!(output.log("p/c"), "1\n");
}
