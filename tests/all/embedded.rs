//! The library's API: nodes in the test's own process.

use std::time::Duration;

use wasmpod::Node;
use wasmpod::embedded::{ApplyError, NodeStartError, WaitError};
use wasmpod::k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use wasmpod::model::pods;

use crate::support::{eventually, guest, pod, scripts};

#[tokio::test]
async fn pod_is_applied_awaited_read_and_deleted() {
    let node = Node::in_memory().expect("a node");
    let yaml = scripts("p", &[("a", "echo one; echo two >&2"), ("b", "echo $HOSTNAME")]);
    let stored = node.apply(yaml.as_str()).await.expect("applied");
    assert_eq!(stored.iter().map(|pod| pods::name(pod)).collect::<Vec<_>>(), ["p"]);
    node.wait_complete("p").await.expect("it completes");
    assert_eq!(node.logs("p", "a").await.expect("logs"), "one\ntwo\n");
    assert_eq!(node.logs("default/p", "b").await.expect("logs"), "p\n");
    assert_eq!(node.status("p").await.expect("a status").phase.as_deref(), Some("Succeeded"));
    node.delete("p").await.expect("deleted");
    assert!(matches!(node.wait_ready("p").await, Err(WaitError::NotFound(_))));
    node.delete("p").await.expect("gone already");
}

#[tokio::test]
async fn nodes_of_one_process_are_isolated() {
    let nodes: Vec<Node> = (0..8).map(|_| Node::in_memory().expect("a node")).collect();
    for (i, node) in nodes.iter().enumerate() {
        let script = format!("echo {i} > /v/mine; cat /v/mine; sleep 1000");
        let spec = format!(
            "volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, volumeMounts: \
             [{{name: v, mountPath: /v}}], command: [sh, -c, {script:?}]}}]"
        );
        node.apply(pod("same", &spec)).await.expect("applied");
    }
    for (i, node) in nodes.iter().enumerate() {
        node.wait_ready("same").await.expect("ready");
        eventually("the pod logs its own number", async || {
            let log = node.logs("same", "c").await.expect("logs");
            if log == format!("{i}\n") { Ok(()) } else { Err(log) }
        })
        .await;
    }
}

#[tokio::test]
async fn images_are_bytes_or_files_and_pods_are_typed() {
    let path = guest("wasm32-wasip2", "args_env");
    let bytes = std::fs::read(&path).expect("the guest");
    let node = Node::builder().image("of-bytes:v1", bytes).image("of-file", path).start().expect("a node");
    for (name, image) in [("b", "of-bytes:v1"), ("f", "of-file")] {
        let container = Container { name: "c".into(), image: Some(image.into()), ..Container::default() };
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        let spec = PodSpec { restart_policy: Some("Never".into()), containers: vec![container], ..PodSpec::default() };
        pod.spec = Some(spec);
        node.apply(pod).await.expect("applied");
        node.wait_complete(name).await.expect("it completes");
    }
    for (name, program) in [("b", "of-bytes"), ("f", "args_env.wasm")] {
        let log = node.logs(name, "c").await.expect("logs");
        assert!(log.starts_with(&format!("arg 0 {program:?}\n")), "{log}");
    }
}

/// Drops a node whose guest is writing, and checks that no file remains. On a runtime of one thread, none of the
/// node's tasks runs meanwhile.
async fn drop_busy_node() {
    let node = Node::in_memory().expect("a node");
    let busy = "while true; do mkdir -p /v/a/b; echo x > /v/a/b/c; rm -r /v/a; done";
    let spec = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}], containers: [{{name: c, image: busybox, volumeMounts: \
         [{{name: v, mountPath: /v}}], command: [sh, -c, {busy:?}]}}]"
    );
    node.apply(pod("busy", &spec)).await.expect("applied");
    node.wait_ready("busy").await.expect("ready");
    let directory = node.data_dir().to_path_buf();
    assert!(directory.starts_with(std::env::temp_dir()) && directory.exists());
    drop(node);
    assert!(!directory.exists(), "{directory:?} remains");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_node_ends_its_guests_and_leaves_no_files() {
    for _ in 0..10 {
        drop_busy_node().await;
    }
}

#[tokio::test]
async fn dropped_node_leaves_no_files_on_a_current_thread_runtime() {
    for _ in 0..10 {
        drop_busy_node().await;
    }
}

#[tokio::test]
async fn errors_state_the_fault_and_where_to_look() {
    let node = Node::builder().wait_timeout(Duration::from_millis(300)).start().expect("a node");
    let invalid = node.apply("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containrs: []}}").await;
    let Err(ApplyError::Manifest(issues)) = invalid else { panic!("accepted: {invalid:?}") };
    assert!(issues.to_string().contains("containers"), "{issues}");
    let quota = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: other}, spec: {hard: {pods: 1}}}";
    let other = node.apply(quota).await;
    assert!(matches!(other, Err(ApplyError::UnsupportedKinds(1))), "{other:?}");
    let unknown = node.apply(pod("p", "containers: [{name: c, image: redis}]")).await;
    assert!(matches!(unknown, Err(ApplyError::Image { .. })), "{unknown:?}");
    let unsupported = node.apply(pod("p", "hostNetwork: true, containers: [{name: c, image: busybox}]")).await;
    assert!(matches!(unsupported, Err(ApplyError::UnsupportedField { .. })), "{unsupported:?}");

    node.apply(scripts("fails", &[("c", "echo the reason; exit 3")])).await.expect("applied");
    let failed = node.wait_complete("fails").await.expect_err("it fails").to_string();
    assert!(failed.contains("exit code 3") && failed.contains("the reason"), "{failed}");
    node.apply(scripts("fails", &[("c", "true")])).await.expect_err("it exists");

    node.apply(scripts("slow", &[("c", "echo I wait; sleep 1000")])).await.expect("applied");
    let late = node.wait_complete("slow").await.expect_err("it does not complete").to_string();
    assert!(late.contains("not complete after") && late.contains("I wait"), "{late}");
    let error = node.logs("slow", "other").await.expect_err("no such container").to_string();
    assert_eq!(error, "container other is not valid for pod slow");
}

#[test]
fn node_outside_tokio_fails_with_a_clear_error() {
    let error = Node::in_memory().err().expect("there is no runtime");
    assert!(matches!(error, NodeStartError::NoTokioRuntime) && error.to_string().contains("tokio"), "{error}");
}
