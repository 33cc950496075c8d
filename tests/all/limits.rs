//! Limits of pods: memory, storage, resizing, evictions; also image updates, status writes and ephemeral containers.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmpod::Node;
use wasmpod::control::{FieldValidation, Key, Patch, PatchKind, Preconditions, Resource, Scope, Subresource, Update};
use wasmpod::k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use wasmpod::model::pods;

use crate::support::{NodeDirectory, ServedNode, eventually, guest, pod};

/// Waits until the pod meets `condition`, and returns it.
async fn pod_that(node: &Node, name: &str, condition: impl Fn(&Pod) -> bool, description: &str) -> Arc<Pod> {
    eventually(&format!("pod {name} {description}"), async || {
        let pod = node.pod(name).await.expect("the pod");
        if condition(&pod) { Ok(pod) } else { Err(pod.status.clone()) }
    })
    .await
}

/// Returns the status of a container; the default before the pod has statuses.
fn container(pod: &Pod, name: &str) -> ContainerStatus {
    let all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    all.into_iter().find(|c| c.name == name).cloned().unwrap_or_default()
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<(&'p str, &'p str)> {
    let all = pod.status.as_ref()?.conditions.as_ref()?;
    let found = all.iter().find(|c| c.type_ == kind)?;
    Some((found.status.as_str(), found.reason.as_deref().unwrap_or_default()))
}

/// Returns the reasons and messages of all events.
async fn events(node: &Node) -> Vec<(String, String)> {
    let listed = node.control().list(&Scope::all(Resource::EVENTS)).await.expect("events");
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_string();
    let all = listed.items.iter().map(|o| serde_json::from_slice::<Value>(&o.json).expect("JSON"));
    all.map(|event| (text(&event, "reason"), text(&event, "message"))).collect()
}

/// Waits for an event; events are written after the status that they explain.
async fn until_event(node: &Node, is_expected: impl Fn(&(String, String)) -> bool) {
    eventually("there is the event", async || {
        let events = events(node).await;
        if events.iter().any(&is_expected) { Ok(()) } else { Err(events) }
    })
    .await
}

async fn patch(node: &Node, name: &str, subresource: Subresource, change: Value) {
    let body = serde_json::to_vec(&change).expect("JSON");
    let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
    let key = Key::pod("default", name);
    let update = Update::Patch { patch, subresource };
    node.control().update(&key, update, Preconditions::default()).await.expect("patched");
}

#[tokio::test(flavor = "multi_thread")]
async fn oom_killed_container_leaves_its_pods_other_container_ready() {
    let node = Node::in_memory().expect("a node");
    let spec = "containers: [{name: hog, image: busybox, command: [sh, -c, 'tail /dev/zero'], resources: {limits: \
                {memory: 16Mi}}}, {name: web, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}, \
                periodSeconds: 1}, livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}}]";
    node.apply(pod("p", spec)).await.expect("applied");
    let killed = |pod: &Pod| container(pod, "hog").restart_count >= 1 && container(pod, "web").ready;
    let pod = pod_that(&node, "p", killed, "has a killed container and a ready one").await;
    let last = container(&pod, "hog").last_state.and_then(|state| state.terminated).expect("its end");
    assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("OOMKilled")));
    assert_eq!(container(&pod, "web").restart_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_over_its_volume_limit_is_evicted() {
    let node = Node::builder().speed(20).start().expect("a node");
    let spec = "volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}], containers: [{name: c, image: busybox, volumeMounts: \
                [{name: v, mountPath: /v}], command: [sh, -c, 'dd if=/dev/zero of=/v/f bs=1024 count=2048; sleep 1000']}]";
    node.apply(pod("p", spec)).await.expect("applied");
    let failed = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Failed"));
    let pod = pod_that(&node, "p", failed, "has failed").await;
    let status = pod.status.as_ref().expect("a status");
    let message = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ";
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("Evicted"), Some(message)));
    assert_eq!(condition(&pod, "DisruptionTarget"), None, "its own limits end it");
    until_event(&node, |event| *event == ("Evicted".into(), message.into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_pressure_evicts_and_admits_only_pods_with_requests() {
    let capacity = "memory=64Mi".parse().expect("a capacity");
    // The node checks its memory every ten seconds.
    let node = Node::builder().capacity(capacity).speed(10).image("hog", guest("wasm32-wasip2", "hog"));
    let node = node.start().expect("a node");
    // Memory is low when less than a tenth is available.
    let spec = "containers: [{name: hog, image: hog, args: ['59'], stdin: true}]";
    node.apply(pod("p", spec)).await.expect("applied");
    let failed = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Failed"));
    let evicted = pod_that(&node, "p", failed, "has failed").await;
    let status = evicted.status.as_ref().expect("a status");
    let message = status.message.as_deref().unwrap_or_default();
    assert_eq!(status.reason.as_deref(), Some("Evicted"), "{message}");
    assert!(message.starts_with("The node was low on resource: memory. Threshold quantity: "), "{message}");
    assert!(
        message.contains("Container hog was using ") && message.contains(", request is 0, has larger"),
        "{message}"
    );
    assert_eq!(condition(&evicted, "DisruptionTarget"), Some(("True", "TerminationByKubelet")));
    let name = evicted.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).expect("a node");
    let stored = node.control().get(&Key::new(Resource::NODES, "", name)).await.expect("the node");
    let stored: Value = serde_json::from_slice(&stored.json).expect("JSON");
    let pressure = &stored["status"]["conditions"][0];
    assert_eq!((&pressure["type"], &pressure["status"]), (&json!("MemoryPressure"), &json!("True")), "{stored:#}");
    node.apply(pod("q", "containers: [{name: c, image: registry.k8s.io/pause}]")).await.expect("applied");
    let refused = pod_that(&node, "q", failed, "is rejected").await;
    let message = "Pod was rejected: The node had condition: [MemoryPressure]. ";
    assert_eq!(refused.status.as_ref().and_then(|status| status.message.as_deref()), Some(message));
    let bounded = "containers: [{name: c, image: registry.k8s.io/pause, resources: {requests: {memory: 1Mi}}}]";
    node.apply(pod("r", bounded)).await.expect("applied");
    node.wait_ready("r").await.expect("it is let in");
}

#[tokio::test]
async fn disk_pressure_evicts_and_rejects_pods() {
    let directory = NodeDirectory::new();
    let process = directory.serve().args(["--eviction-hard", "nodefs.available<100%"]).start();
    let node = ServedNode::ready(process, directory);
    let spec = "containers: [{name: c, image: busybox, command: [sh, -c, 'cat /bin/* > /v/f; sleep 1000'], \
                volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, emptyDir: {}}]";
    node.kubectl("apply -f -").stdin(pod("p", spec)).output().expect_code(0);
    // The node looks every ten seconds.
    node.wait("p", "jsonpath={.status.reason}=Evicted");
    let message = node.kubectl_stdout("get pod p -o jsonpath={.status.message}");
    assert!(message.starts_with("The node was low on resource: ephemeral-storage. Threshold quantity: "), "{message}");
    assert!(
        message.contains("Container c was using ") && message.contains("larger consumption of ephemeral-storage"),
        "{message}"
    );
    let condition = "get node n1 -o jsonpath={.status.conditions[?(@.type==\"DiskPressure\")].reason}";
    assert_eq!(node.kubectl_stdout(condition), "KubeletHasDiskPressure");
    // Events about nodes are in the namespace `default`.
    eventually("the event", async || {
        let messages = "get events --field-selector=reason=NodeHasDiskPressure -o jsonpath={.items[*].message}";
        node.kubectl_stdout(messages) == "Node n1 status is now: NodeHasDiskPressure"
    })
    .await;
    node.kubectl("apply -f -").stdin(pod("q", "containers: [{name: c, image: pause}]")).output().expect_code(0);
    node.wait("q", "jsonpath={.status.reason}=Evicted");
    let message = node.kubectl_stdout("get pod q -o jsonpath={.status.message}");
    assert_eq!(message, "Pod was rejected: The node had condition: [DiskPressure]. ");
}

#[tokio::test]
async fn pods_without_limits_share_the_memory_of_the_node() {
    let capacity = "memory=64Mi".parse().expect("a capacity");
    let node = Node::builder().capacity(capacity).image("hog", guest("wasm32-wasip2", "hog")).start().expect("a node");
    let hog =
        |mib: u32| format!("restartPolicy: Never, containers: [{{name: c, image: hog, args: ['{mib}'], stdin: true}}]");
    node.apply(pod("first", &hog(40))).await.expect("applied");
    let holds = async || node.logs("first", "c").await.is_ok_and(|log| log.contains("holding"));
    eventually("the first pod holds its memory", holds).await;
    node.apply(pod("second", &hog(40))).await.expect("applied");
    let is_terminal = |pod: &Pod| pods::is_terminal(pod);
    let killed = pod_that(&node, "second", is_terminal, "has ended").await;
    let state = container(&killed, "c").state.and_then(|state| state.terminated).expect("terminated");
    assert_eq!((state.exit_code, state.reason.as_deref()), (137, Some("OOMKilled")));
    assert_eq!(node.status("first").await.expect("a status").phase.as_deref(), Some("Running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_pod_is_resized_without_a_restart() {
    let capacity = "cpu=2".parse().expect("a capacity");
    let node = Node::builder().capacity(capacity).start().expect("a node");
    let spec = "containers: [{name: c, image: busybox, command: [sleep, '1000'], resources: {requests: {cpu: 100m}, \
                limits: {cpu: 200m}}}]";
    node.apply(pod("p", spec)).await.expect("applied");
    node.wait_ready("p").await.expect("ready");
    let resized = |cpu: &str| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}}]}});
    let has = |cpu: &'static str| {
        move |pod: &Pod| {
            let resources = container(pod, "c").resources.and_then(|resources| resources.limits);
            resources.is_some_and(|limits| limits.get("cpu").is_some_and(|q| q.0 == cpu))
        }
    };
    pod_that(&node, "p", has("200m"), "has its first limit").await;
    patch(&node, "p", Subresource::Resize, resized("500m")).await;
    let pod = pod_that(&node, "p", has("500m"), "is resized").await;
    assert_eq!((container(&pod, "c").restart_count, condition(&pod, "PodResizePending")), (0, None));
    patch(&node, "p", Subresource::Resize, resized("6")).await;
    let refused = |pod: &Pod| condition(pod, "PodResizePending") == Some(("True", "Infeasible"));
    let pod = pod_that(&node, "p", refused, "is rejected").await;
    assert!(has("500m")(&pod), "it keeps what it has");
    for expected in ["ResizeStarted", "ResizeCompleted", "ResizeInfeasible"] {
        until_event(&node, |(reason, _)| reason == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwritten_pod_status_is_restored() {
    let node = Node::in_memory().expect("a node");
    node.apply(pod("p", "containers: [{name: c, image: registry.k8s.io/pause}]")).await.expect("applied");
    node.wait_ready("p").await.expect("ready");
    let before = node.pod("p").await.expect("the pod").status.clone().expect("a status");
    let forged = json!({"status": {"startTime": "2001-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "c", "ready": false, "state": null}]}});
    patch(&node, "p", Subresource::Status, forged).await;
    let as_before = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        status.container_statuses == before.container_statuses && status.start_time == before.start_time
    };
    let pod = pod_that(&node, "p", as_before, "has its status again").await;
    assert_eq!(condition(&pod, "Ready"), Some(("True", "")));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_image_restarts_the_container() {
    let node = Node::in_memory().expect("a node");
    let spec =
        "terminationGracePeriodSeconds: 1, containers: [{name: c, image: 'busybox:1', command: [sleep, '1000']}]";
    node.apply(pod("p", spec)).await.expect("applied");
    node.wait_ready("p").await.expect("ready");
    patch(&node, "p", Subresource::Main, json!({"spec": {"containers": [{"name": "c", "image": "busybox:2"}]}})).await;
    let pod = pod_that(&node, "p", |pod| container(pod, "c").restart_count == 1, "is restarted").await;
    assert_eq!(container(&pod, "c").image, "busybox:2");
    let message = "Container c definition changed, will be restarted";
    until_event(&node, |event| *event == ("Killing".into(), message.into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_container_sees_its_targets_files_and_network() {
    let node = Node::in_memory().expect("a node");
    let spec = "containers: [{name: web, image: nginx}, {name: c, image: busybox, command: [sh, -c, \
                'echo secret > /tmp/new; mv /tmp/new /tmp/mine; sleep 1000']}]";
    node.apply(pod("p", spec)).await.expect("applied");
    node.wait_ready("p").await.expect("ready");
    let look = "until cat /tmp/mine; do sleep 0.1; done; wget -q -O - http://localhost/ > /dev/null && echo served";
    let added = json!({"spec": {"ephemeralContainers": [
        {"name": "dbg", "image": "busybox", "targetContainerName": "c", "command": ["sh", "-c", look]},
    ]}});
    patch(&node, "p", Subresource::EphemeralContainers, added).await;
    let code = |pod: &Pod, index: usize| {
        let all = pod.status.as_ref()?.ephemeral_container_statuses.as_ref()?;
        Some(all.get(index)?.state.as_ref()?.terminated.as_ref()?.exit_code)
    };
    pod_that(&node, "p", |pod| code(pod, 0).is_some(), "has looked").await;
    let log = node.logs("p", "dbg").await.expect("its log");
    assert!(log.ends_with("secret\nserved\n"), "{log}");
    // A second one comes before the first in the spec.
    let again = json!({"spec": {"ephemeralContainers": [
        {"name": "more", "image": "busybox", "targetContainerName": "c", "command": ["sh", "-c", "cat /tmp/mine; exit 2"]},
    ]}});
    patch(&node, "p", Subresource::EphemeralContainers, again).await;
    let pod = pod_that(&node, "p", |pod| code(pod, 1).is_some(), "has looked again").await;
    assert_eq!((code(&pod, 0), code(&pod, 1)), (Some(0), Some(2)));
    assert_eq!(node.logs("p", "more").await.expect("its log"), "secret\n");
}
