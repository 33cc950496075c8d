//! Time at will: a node, and its guests with it, whose time goes faster than ours.

use std::time::{Duration, Instant};

use wasmpod::Node;
use wasmpod::k8s_openapi::api::core::v1::ContainerStatus;

use crate::host::{guest, pod, run};

async fn status(node: &Node, pod: &str) -> Option<ContainerStatus> {
    node.status(pod).await.ok()?.container_statuses?.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn accelerated_node_passes_minutes_of_backoff_in_seconds() {
    let node = Node::builder().speed(1000).start().expect("a node");
    let begun = Instant::now();
    node.apply(pod("p", "containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]"))
        .await
        .expect("applied");
    let first = async {
        loop {
            if let Some(ended) = status(&node, "p").await.and_then(|status| status.last_state?.terminated) {
                return ended.finished_at.expect("a time").0;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let first = tokio::time::timeout(Duration::from_secs(30), first).await.expect("it has crashed once");
    let crashed = async {
        loop {
            let status = status(&node, "p").await;
            if let Some(status) = status.filter(|status| status.restart_count >= 5) {
                return status.last_state.and_then(|state| state.terminated).expect("it ended before");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let last = tokio::time::timeout(Duration::from_secs(30), crashed).await.expect("it crashes five times");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // 10, 20, 40 and 80 s lie between the first end that was seen and the last, at the least.
    let apart = last.finished_at.expect("a time").0.duration_since(first).as_secs();
    assert!(apart >= 70, "{apart} s");
}

#[test]
fn guests_sleep_and_read_time_by_their_nodes_clock() {
    for platform in ["wasm32-wasip1", "wasm32-wasip2"] {
        let program = guest(platform, "clocks");
        let begun = Instant::now();
        let done = run().arg(&program).args(["--speed", "1000", "--", "60000"]).done().expect(0);
        assert!(begun.elapsed() < Duration::from_secs(20), "{platform}: {:?}", begun.elapsed());
        assert!(done.stdout.starts_with("slept enough: true\n"), "{platform}: {}", done.stdout);
    }
    // It may have slept longer: a moment of a busy machine is long there.
    let script = "a=$(date +%s); sleep 300; b=$(date +%s); echo $((b - a >= 300))";
    let spec =
        format!("restartPolicy: Never, containers: [{{name: c, image: busybox, command: [sh, -c, {script:?}]}}]");
    let done = run().manifest(&pod("p", &spec)).args(["--speed", "1000"]).done().expect(0);
    assert_eq!(done.log("p/c"), "1\n");
}
