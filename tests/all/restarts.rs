//! What a node that is killed, or stopped, finds again when it starts.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{NodeDirectory, PlainClient, ServedNode, eventually, pod, serve_node, sleep_until};

const IDLE: &str = "containers: [{name: c, image: busybox, command: [sleep, '1000']}]";

fn restarted(node: ServedNode) -> ServedNode {
    node.kill().start_node()
}

fn object(node: &ServedNode, what: &str) -> Value {
    serde_json::from_str(&node.kubectl_stdout(&format!("get {what} -o json"))).expect("JSON")
}

#[test]
fn objects_survive_a_kill_unchanged() {
    let node = serve_node();
    let what = ["configmap/settings", "secret/key", "deployment/web", "namespace/shop", "role/reader"];
    for line in [
        "create configmap settings --from-literal=a=b",
        "create secret generic key --from-literal=a=b",
        "create deployment web --image=nginx",
        "create namespace shop",
        "create role reader --verb=get --resource=pods",
    ] {
        node.kubectl_stdout(line);
    }
    node.kubectl_stdout("wait --timeout=30s --for=create serviceaccount/default -n shop");
    let before = what.map(|what| object(&node, what));
    let node = restarted(node);
    assert_eq!(what.map(|what| object(&node, what)), before);
    let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
    assert_eq!(node.kubectl_stdout(&format!("get node n1 -o jsonpath={ready}")), "True");
}

#[test]
fn pods_run_again_after_a_kill() {
    let node = serve_node();
    node.kubectl("apply -f -").stdin(pod("a", IDLE)).output().expect_code(0);
    let init = "initContainers: [{name: i, image: busybox, command: [sh, -c, 'echo once >> /v/i; cat /v/i'], \
                volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, emptyDir: {}}], \
                containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
    node.kubectl("apply -f -").stdin(pod("b", init)).output().expect_code(0);
    let never = "restartPolicy: Never, containers: [{name: c, image: busybox, command: [sh, -c, 'echo done']}]";
    node.kubectl("apply -f -").stdin(pod("c", never)).output().expect_code(0);
    for (pod, condition) in
        [("a", "condition=Ready"), ("b", "condition=Ready"), ("c", "jsonpath={.status.phase}=Succeeded")]
    {
        node.wait(pod, condition);
    }
    // What containers do is stored within a second.
    node.kubectl_stdout("create configmap flush");
    let before = ["pod/a", "pod/c"].map(|pod| object(&node, pod));
    let node = restarted(node);
    node.kubectl_stdout("wait --timeout=30s --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/a pod/b");
    node.kubectl_stdout("wait --timeout=30s --for=condition=Ready pod/a pod/b");
    let after = ["pod/a", "pod/c"].map(|pod| object(&node, pod));
    assert_eq!(after[0]["metadata"]["uid"], before[0]["metadata"]["uid"]);
    let last = &after[0]["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(137), &json!("ContainerStatusUnknown")), "{last}");
    assert_eq!(after[1], before[1], "a pod that has ended stays as it is");
    let init = &object(&node, "pod/b")["status"]["initContainerStatuses"][0];
    assert_eq!((&init["restartCount"], &init["state"]["terminated"]["exitCode"]), (&json!(0), &json!(0)), "{init}");
}

#[tokio::test]
async fn restart_counts_and_back_offs_go_on_after_a_kill() {
    let node = serve_node();
    let crash = "containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]";
    node.kubectl("apply -f -").stdin(pod("a", crash)).output().expect_code(0);
    let restarts = |node: &ServedNode| {
        object(node, "pod/a")["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0)
    };
    let waiting = "{.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
    eventually("the second restart", async || restarts(&node) >= 2).await;
    node.kubectl_stdout(&format!("wait --timeout=30s --for=jsonpath={waiting} pod/a"));
    node.kubectl_stdout("create configmap flush");
    let before = (restarts(&node), Instant::now());
    let node = restarted(node);
    // The third restart comes 40 s after the second exit.
    sleep_until(before.1 + Duration::from_secs(10)).await;
    assert_eq!(restarts(&node), before.0);
    node.kubectl_stdout(&format!("wait --timeout=30s --for=jsonpath={waiting} pod/a"));
}

#[test]
fn watches_from_a_former_life_go_on_or_expire() {
    let node = serve_node();
    node.kubectl_stdout("create configmap a");
    let seen = object(&node, "configmap/a")["metadata"]["resourceVersion"].as_str().expect("a revision").to_string();
    node.kubectl_stdout("create configmap b");
    let node = restarted(node);
    let client = PlainClient::new(&node);
    let watch = |from: &str| {
        let path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&resourceVersion=";
        client.send_text("GET", &format!("{path}{from}"), "").expect("an answer").1
    };
    let resumed = watch(&seen);
    assert!(resumed.contains(r#""name":"b""#) && !resumed.contains("Expired"), "{resumed}");
    // The former life may have answered further revisions, whose changes were not written.
    let lost = seen.parse::<u64>().expect("a number") + 1000;
    let expired = watch(&lost.to_string());
    assert!(expired.contains(r#""code":410"#) && expired.contains("too old resource version"), "{expired}");
    let future = watch(&(lost + (1 << 40)).to_string());
    assert!(future.contains("Too large resource version"), "{future}");
}

#[test]
fn acknowledged_writes_survive_kills() {
    let kills = if std::env::var_os("WASMPOD_SOAK").is_some() { 1000 } else { 30 };
    let mut directory = NodeDirectory::new();
    let mut writers: Vec<Writer> = (0..8).map(Writer::new).collect();
    let mut newest = 0;
    for kill in 0..kills {
        let node = directory.start_node();
        let client = PlainClient::new(&node);
        let revision = check(&client, &mut writers, kill);
        assert!(revision >= newest, "kill {kill}: revisions went back from {newest} to {revision}");
        let (report, acknowledged) = mpsc::channel();
        directory = thread::scope(|scope| {
            for writer in &mut writers {
                let (client, report) = (&client, report.clone());
                scope.spawn(move || while writer.write(client, &report).is_some() {});
            }
            for _ in 0..8 + (kill * 37) % 200 {
                acknowledged.recv_timeout(Duration::from_secs(60)).expect("a write");
            }
            node.kill()
        });
        newest = writers.iter().map(|writer| writer.newest).max().unwrap_or(0).max(revision);
    }
    let writes: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    assert!(writes > kills as usize * 8, "{writes} writes were acknowledged");
    let files = std::fs::read_dir(directory.state()).expect("readable").map(|entry| entry.expect("one").file_name());
    let known =
        ["ca.crt", "ca.key", "cache", "cache-key", "kubeconfig", "lock", "logs", "objects.redb", "pods", "token"];
    let unknown: Vec<_> = files.filter(|name| !known.contains(&&*name.to_string_lossy())).collect();
    assert!(unknown.is_empty(), "left behind: {unknown:?}");
}

/// Checks that the objects are as the writers know them, and returns the revision of the list.
fn check(client: &PlainClient, writers: &mut [Writer], kill: u64) -> u64 {
    let mut newest = 0;
    for plural in ["configmaps", "pods"] {
        let path = format!("/api/v1/namespaces/default/{plural}");
        let (code, list) = client.send("GET", &path, &Value::Null).expect("an answer");
        assert_eq!(code, 200, "{list}");
        newest = newest.max(number(&list["metadata"]["resourceVersion"]));
        let items = list["items"].as_array().expect("items");
        for writer in writers.iter_mut().filter(|writer| writer.plural == plural) {
            for (name, state) in &mut writer.objects {
                let found = items.iter().find(|item| item["metadata"]["name"] == **name).map(Writer::value_of);
                let known = state.attempted.take().map_or(vec![state.known], |attempted| vec![state.known, attempted]);
                assert!(known.contains(&found), "kill {kill}: {plural}/{name} is {found:?}, not one of {known:?}");
                state.known = found;
            }
        }
    }
    newest
}

fn number(text: &Value) -> u64 {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A client that creates, changes and deletes objects of its own, each with a value that it counts up.
struct Writer {
    plural: &'static str,
    objects: BTreeMap<String, ObjectState>,
    value: u64,
    random: u64,
    acknowledged: usize,
    /// The newest revision in an answer.
    newest: u64,
}

/// The value of an object; `None` if it does not exist.
#[derive(Default)]
struct ObjectState {
    known: Option<u64>,
    /// The value of a write that was not answered.
    attempted: Option<Option<u64>>,
}

impl Writer {
    fn new(index: u64) -> Writer {
        let plural = if index.is_multiple_of(2) { "configmaps" } else { "pods" };
        let objects = (0..5).map(|object| (format!("w{index}-{object}"), ObjectState::default())).collect();
        Writer { plural, objects, value: 0, random: index + 1, acknowledged: 0, newest: 0 }
    }

    fn value_of(object: &Value) -> u64 {
        number(&object["data"]["value"]).max(number(&object["status"]["message"]))
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// Returns `None` once the server has gone.
    fn write(&mut self, client: &PlainClient, report: &Sender<()>) -> Option<()> {
        let choice = self.random();
        let name = self.objects.keys().nth(usize::try_from(choice % 5).unwrap_or(0)).expect("five").clone();
        let choice = choice / 5;
        self.value += 1;
        let (is_pod, value) = (self.plural == "pods", self.value.to_string());
        let collection = format!("/api/v1/namespaces/default/{}", self.plural);
        let path = format!("{collection}/{name}");
        let exists = self.objects[&name].known.is_some();
        let (method, path, body, next) = match (exists, choice % 3) {
            (false, _) if is_pod => {
                // A pod of another node, which no node runs; its status is what a client writes.
                let spec = json!({"nodeName": "n2", "containers": [{"name": "c", "image": "busybox"}]});
                ("POST", collection, json!({"metadata": {"name": name}, "spec": spec}), Some(0))
            }
            (false, _) => {
                ("POST", collection, json!({"metadata": {"name": name}, "data": {"value": value}}), Some(self.value))
            }
            (true, 0) => ("DELETE", path, json!({"gracePeriodSeconds": 0}), None),
            (true, _) if is_pod => {
                ("PATCH", format!("{path}/status"), json!({"status": {"message": value}}), Some(self.value))
            }
            (true, _) => ("PATCH", path, json!({"data": {"value": value}}), Some(self.value)),
        };
        let state = self.objects.get_mut(&name).expect("known");
        state.attempted = Some(next);
        let (code, answer) = client.send(method, &path, &body)?;
        assert!(code < 300, "{method} {path}: {code} {answer}");
        (state.known, state.attempted) = (next, None);
        self.acknowledged += 1;
        // The test has seen enough once it kills the node.
        let _ = report.send(());
        self.newest = self.newest.max(number(&answer["metadata"]["resourceVersion"]));
        Some(())
    }
}
