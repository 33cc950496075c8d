//! Services: their names resolve in pods, and connections to them are refused with an event.

use std::path::Path;

use serde_json::Value;

use crate::support::{RunningProcess, ServedNode, TestCommand, command, eventually, pod, run, serve_node, test_file};

const WEB: &str =
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.77.7, ports: [{port: 80}]}}";

/// Creates the objects of `manifest` with kubectl.
fn create(node: &ServedNode, manifest: &str) {
    node.kubectl("create -f -").stdin(manifest).output().expect_code(0);
}

/// Starts a node with the Service `web` and a pod `p` that idles.
fn node_with_service() -> ServedNode {
    let node = serve_node();
    create(&node, WEB);
    create(&node, &pod("p", "containers: [{name: c, image: busybox, command: [sleep, '1000']}]"));
    node.wait("p", "condition=Ready");
    node
}

/// Runs a shell script in the pod `p`, and returns its exit code and what it prints.
fn in_pod(node: &ServedNode, script: &str) -> (i32, String) {
    let output = node.wasmpod("exec p -- sh -c").arg(script).output();
    (output.code, output.stdout + &output.stderr)
}

#[tokio::test]
async fn pod_of_the_documentation_waits_for_its_services() {
    let node = serve_node();
    let manifest = test_file("manifests/myapp-pod.yaml");
    node.kubectl("create -f").arg(&manifest).output().expect_code(0);
    eventually("the first init container looks for its Service", async || {
        let logs = node.kubectl("logs myapp-pod -c init-myservice").output().stdout;
        logs.contains("server can't find myservice.default.svc.cluster.local: NXDOMAIN\n\nwaiting for myservice\n")
    })
    .await;
    let row = node.kubectl_stdout("get pods --no-headers");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>()[..3], ["myapp-pod", "0/1", "Init:0/2"]);
    node.kubectl("create -f").arg(test_file("manifests/services.yaml")).output().expect_code(0);
    node.wait("myapp-pod", "condition=Ready");
    assert_eq!(node.kubectl_stdout("logs myapp-pod"), "The app is running!\n");
    let ip = node.kubectl_stdout("get service mydb -o jsonpath={.spec.clusterIP}");
    let log = node.kubectl_stdout("logs myapp-pod -c init-mydb");
    assert!(log.ends_with(&format!("Name:\tmydb.default.svc.cluster.local\nAddress: {ip}\n\n")), "{log}");
}

/// Starts `wasmpod run` of these manifests, which client commands with the same runtime directory find.
fn start_run(runtime_directory: &Path, manifests: &[&str]) -> RunningProcess {
    let paths = manifests.iter().map(|name| test_file(&format!("manifests/{name}")));
    with_runtime_directory(runtime_directory, run()).args(paths).start()
}

fn with_runtime_directory(path: &Path, command: TestCommand) -> TestCommand {
    command.env("XDG_RUNTIME_DIR", path).env("XDG_STATE_HOME", path.join("state")).env("KUBECONFIG", "")
}

#[test]
fn run_takes_the_services_of_its_pod_later_or_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let process = start_run(directory.path(), &["myapp-pod.yaml"]);
    process.wait_for("myapp-pod/init-myservice | waiting for myservice\n");
    let apply = with_runtime_directory(directory.path(), command("apply"));
    apply.arg("-f").arg(test_file("manifests/services.yaml")).output().expect_code(0);
    process.wait_for("myapp-pod/myapp-container | The app is running!\n");
    drop(process);
    let process = start_run(directory.path(), &["myapp-pod.yaml", "services.yaml"]);
    process.wait_for("myapp-pod/myapp-container | The app is running!\n");
}

#[tokio::test]
async fn every_form_of_a_services_name_resolves_until_it_is_deleted() {
    let node = node_with_service();
    let forms = [
        "web",
        "web.default",
        "web.default.svc",
        "web.default.svc.cluster.local",
        "WEB.default.svc.cluster.local",
        "web.default.svc.cluster.local.",
    ];
    for name in forms {
        let found = format!("Name:\t{name}\nAddress: 10.96.77.7\n\n");
        assert_eq!(in_pod(&node, &format!("nslookup {name}")), (0, found), "{name}");
        let dug = in_pod(&node, &format!("dig +short {name}"));
        assert_eq!(dug, (0, "10.96.77.7\n".into()), "{name}");
    }
    for name in ["web.", "web.other", "other", "web.default.svc.cluster", "a.web.default.svc.cluster.local"] {
        let missing = format!("** server can't find {name}: NXDOMAIN\n\n");
        let (code, printed) = in_pod(&node, &format!("nslookup {name}"));
        assert!(code == 1 && printed.starts_with(&missing), "{name}: {printed}");
    }
    node.kubectl_stdout("create service clusterip headless --clusterip=None");
    node.kubectl_stdout("create service externalname alias --external-name example.com");
    node.kubectl_stdout("create namespace shop");
    node.kubectl("create -n shop -f -").stdin(WEB.replace("10.96.77.7", "10.96.77.8")).output().expect_code(0);
    eventually("the Service of another namespace resolves by its namespace", async || {
        in_pod(&node, "dig +short web.shop; dig +short web") == (0, "10.96.77.8\n10.96.77.7\n".into())
    })
    .await;
    for name in ["headless", "alias"] {
        assert_eq!(in_pod(&node, &format!("nslookup {name}")).0, 1, "{name}");
    }
    node.kubectl_stdout("delete service web");
    eventually("the deleted Service no longer resolves", async || in_pod(&node, "nslookup web").0 == 1).await;
}

#[tokio::test]
async fn connections_to_services_are_refused_with_one_event() {
    let node = node_with_service();
    let script = "i=0; while [ $i -lt 200 ]; do nc web 80 < /dev/null 2> /dev/null && exit 1; i=$((i + 1)); done; \
                  wget -qO- http://web.default/";
    let (code, printed) = in_pod(&node, script);
    assert!(code == 1 && printed.to_lowercase().contains("connection refused"), "{code}: {printed}");
    let events = eventually("the event is written", async || {
        let list = node.kubectl_stdout("get events -o json --field-selector reason=ServiceNotReachable");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        list["items"].as_array().filter(|items| !items.is_empty()).cloned()
    })
    .await;
    let message =
        "connection to Service default/web at 10.96.77.7 port 80 refused; wasmpod does not forward to Services yet";
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!((&event["type"], &event["message"]), (&"Warning".into(), &message.into()));
    assert_eq!(event["involvedObject"]["name"], "p");
    assert!(event["count"].as_u64().is_some_and(|count| count <= 2), "{event:#}");
}
