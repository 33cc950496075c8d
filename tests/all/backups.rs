//! `wasmpod backup`, `restore` and `state inspect`: the objects of a node as a file, and what its state directory holds.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{NodeDirectory, PlainClient, ServedNode, TestCommand, command, pod, serve_node};

const IDLE: &str = "containers: [{name: c, image: busybox, command: [sleep, '1000']}]";

/// Returns the objects that no controller changes by itself, with all their fields.
fn objects(node: &ServedNode) -> Value {
    let list = node.kubectl_stdout("get cm,secret,ns,sa,deployment -A -o json");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert!(list["items"].as_array().expect("items").len() > 5, "{list}");
    list["items"].clone()
}

fn fill(node: &ServedNode) {
    for line in [
        "create configmap settings --from-literal=a=b",
        "create secret generic key --from-literal=a=c2VjcmV0",
        "create deployment web --image=nginx",
        "create namespace shop",
    ] {
        node.kubectl_stdout(line);
    }
    node.kubectl("apply -f -").stdin(pod("a", IDLE)).output().expect_code(0);
    node.wait("a", "condition=Ready");
    node.kubectl_stdout("wait --timeout=30s --for=create serviceaccount/default configmap/kube-root-ca.crt -n shop");
}

/// Returns a command about the state directory, which `STATE` stands for.
fn on_state(directory: &NodeDirectory, line: &str) -> TestCommand {
    let line = format!("{line} --state-dir STATE").replace("STATE", &directory.state().display().to_string());
    let mut words = line.split(' ');
    command(words.next().expect("a command")).args(words)
}

#[test]
fn restored_node_has_all_objects_of_the_backup() {
    let node = serve_node();
    fill(&node);
    let output = on_state(&node.directory, "backup STATE/a.backup").output().expect_code(0);
    assert!(output.stderr.contains("with 1 Secret in plain text"), "{}", output.stderr);
    let before = objects(&node);
    let uid = "get pod a -o jsonpath={.metadata.uid}";
    let pod = node.kubectl_stdout(uid);
    let seen = revision(&node);
    node.kubectl_stdout("delete deployment web");
    node.kubectl_stdout("delete pod a --now");
    let refused = on_state(&node.directory, "restore STATE/a.backup").output().expect_code(2);
    assert!(refused.stderr.contains("is in use by another `wasmpod serve`"), "{}", refused.stderr);

    let directory = node.kill();
    let refused = on_state(&directory, "restore STATE/a.backup").output().expect_code(2);
    assert!(refused.stderr.contains("exists; use --force to set it aside"), "{}", refused.stderr);
    let restored = on_state(&directory, "restore STATE/a.backup --force").output().expect_code(0);
    assert!(restored.stderr.contains("--node-name n1"), "{}", restored.stderr);
    let node = directory.start_node();
    assert_eq!(objects(&node), before);
    assert_eq!(node.kubectl_stdout(uid), pod);
    node.wait("a", "condition=Ready");
    // Clients of the former life are told to list again.
    let path = format!("/api/v1/configmaps?watch=1&timeoutSeconds=1&resourceVersion={seen}");
    let (_, watch) = PlainClient::new(&node).send_text("GET", &path, "").expect("an answer");
    assert!(watch.contains(r#""code":410"#), "{watch}");
    let kept = fs::read_dir(node.directory.state()).expect("listed").flatten();
    assert!(
        kept.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("objects.redb.replaced-"))
    );
}

fn revision(node: &ServedNode) -> u64 {
    let list = PlainClient::new(node).request("GET", "/api/v1/configmaps", &Value::Null);
    list["metadata"]["resourceVersion"].as_str().expect("a revision").parse().expect("a number")
}

#[test]
fn damaged_node_recovers_from_its_newest_backup() {
    let node = serve_node();
    fill(&node);
    on_state(&node.directory, "backup").output().expect_code(0);
    node.kubectl_stdout("create configmap later");
    let before = objects(&node);
    let directory = node.kill();
    // Of a node that does not run.
    let again = on_state(&directory, "backup STATE/backups/later.backup").output().expect_code(0);
    assert!(again.stderr.starts_with("wrote "), "{}", again.stderr);
    fs::write(directory.state().join("backups/notes"), "not a backup").expect("written");
    let database = directory.state().join("objects.redb");
    let mut bytes = fs::read(&database).expect("the database");
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&database, bytes).expect("written");
    let refused = directory.serve().output().expect_code(2);
    assert!(refused.stderr.contains("use --recover to set it aside and start from the newest backup"));
    let process = directory.serve().arg("--recover").start();
    let node = ServedNode::ready(process, directory);
    assert_eq!(objects(&node), before);
    node.wait("a", "condition=Ready");
    let messages = node.terminate().stderr;
    assert!(messages.contains("backups/notes: this is not a backup of wasmpod; it is left out"), "{messages}");
    assert!(
        messages.contains("the node starts with the objects of") && messages.contains("later.backup"),
        "{messages}"
    );
}

#[test]
fn backup_of_a_busy_node_is_of_one_revision() {
    let node = serve_node();
    let client = PlainClient::new(&node);
    let path = "/api/v1/namespaces/default/configmaps";
    // Pairs of a ConfigMap and a ServiceAccount, created in this order.
    let stop = AtomicBool::new(false);
    let file = node.directory.state().join("busy.backup");
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let map = json!({"metadata": {"name": format!("p{i}")}});
                client.request("POST", path, &map);
                let account = json!({"metadata": {"name": format!("p{i}")}});
                client.request("POST", "/api/v1/namespaces/default/serviceaccounts", &account);
            }
        });
        on_state(&node.directory, "backup STATE/busy.backup").output().expect_code(0);
        stop.store(true, Ordering::Relaxed);
    });
    let text = fs::read_to_string(&file).expect("the backup");
    let count = |resource: &str| {
        let marked = format!(r#""resource":"{resource}""#);
        text.lines().filter(|line| line.contains(&marked) && line.contains(r#""name":"p"#)).count()
    };
    let (maps, accounts) = (count("configmaps"), count("serviceaccounts"));
    assert!(maps == accounts || maps == accounts + 1, "{maps} ConfigMaps, {accounts} ServiceAccounts");
}

#[test]
fn state_is_inspected_with_and_without_its_node() {
    let node = serve_node();
    fill(&node);
    let inspect = |directory: &NodeDirectory| -> Value {
        let output = on_state(directory, "state inspect -o json").output().expect_code(0);
        serde_json::from_str(&output.stdout).expect("JSON")
    };
    let running = inspect(&node.directory);
    assert_eq!(
        (&running["isRunning"], &running["objects"]["secrets"]["count"]),
        (&json!(true), &json!(1)),
        "{running}"
    );
    assert!(running["revision"].as_u64() <= Some(revision(&node)));
    let directory = node.kill();
    let idle = inspect(&directory);
    assert_eq!((&idle["isRunning"], &idle["objects"]["secrets"]), (&json!(false), &running["objects"]["secrets"]));
    let text = on_state(&directory, "state inspect").output().expect_code(0).stdout;
    for part in ["not running", "deployments.apps", "objects.redb", "compiled programs"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let missing = command("backup").args(["--state-dir", "/nonexistent"]).output().expect_code(2);
    assert!(missing.stderr.contains("is not the state directory of a node; name it with --state-dir"));
}
