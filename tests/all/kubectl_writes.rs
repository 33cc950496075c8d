//! A served node, changed with kubectl.

use serde_json::Value;

use crate::support::{ServedNode, pod, serve_node, test_file};

const IDLE: &str = "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]";
/// Exits a second after SIGTERM.
const SLOW: &str = "containers: [{name: c, image: busybox, command: [sh, -c, \
    'trap \"sleep 1; exit 0\" TERM; echo up; while true; do sleep 0.1; done']}]";

/// Saves a manifest beside the node's state and returns its path. kubectl would parse a file that begins with a brace as
/// JSON.
fn saved(node: &ServedNode, name: &str, text: &str) -> String {
    let path = node.directory.state().with_file_name(name);
    std::fs::write(&path, format!("---\n{text}")).expect("written");
    path.display().to_string()
}

#[test]
fn pod_is_created_runs_and_is_deleted() {
    let node = serve_node();
    let file = saved(&node, "a.yaml", &pod("a", IDLE));
    assert_eq!(node.kubectl_stdout(&format!("create -f {file}")), "pod/a created\n");
    node.wait("a", "condition=Ready");
    let again = node.kubectl(&format!("create -f {file}")).output().expect_code(1);
    assert!(
        again.stderr.contains("(AlreadyExists)") && again.stderr.contains("pods \"a\" already exists"),
        "{}",
        again.stderr
    );
    assert_eq!(node.kubectl_stdout("logs a"), "up\n");
    let events = node.kubectl_stdout("get events");
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        assert!(events.contains(reason), "{reason}: {events}");
    }
    assert_eq!(node.kubectl_stdout("delete pod a"), "pod \"a\" deleted from default namespace\n");
    assert_eq!(node.kubectl_stdout("get pods -o name"), "", "delete waits until it is gone");
    let gone = node.kubectl("delete pod a").output().expect_code(1);
    assert!(gone.stderr.contains("(NotFound): pods \"a\" not found"), "{}", gone.stderr);
}

#[test]
fn deletion_is_graceful_or_forced() {
    let node = serve_node();
    let file = saved(&node, "slow.yaml", &pod("slow", SLOW));
    node.kubectl_stdout(&format!("create -f {file}"));
    node.wait("slow", "condition=Ready");
    assert_eq!(node.kubectl_stdout("delete pod slow --wait=false"), "pod \"slow\" deleted from default namespace\n");
    let ending: Value = serde_json::from_str(&node.kubectl_stdout("get pod slow -o json")).expect("JSON");
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 30);
    node.kubectl_stdout("wait pod/slow --for=delete --timeout=30s");
    node.kubectl_stdout(&format!("create -f {file}"));
    node.wait("slow", "condition=Ready");
    let forced = node.kubectl("delete pod slow --force --grace-period=0").output().expect_code(0);
    assert!(forced.stdout.contains("pod \"slow\" force deleted"), "{forced:?}");
    assert_eq!(node.kubectl_stdout("get pods -o name"), "");
}

#[test]
fn created_manifests_are_rejected_or_warned_about() {
    let node = serve_node();
    for (text, expected) in [
        (pod("a", "containers: [{name: c, imag: busybox}]"), "unknown field \"spec.containers[0].imag\""),
        (pod("a", "containers: [{name: C, image: busybox}]"), "spec.containers[0].name: Invalid value: \"C\""),
        (pod("a", "hostNetwork: true, containers: [{name: c, image: busybox}]"), "spec.hostNetwork: not supported"),
        (pod("a", IDLE).replace("{name: a}", "{name: a, namespace: nowhere}"), "namespaces \"nowhere\" not found"),
    ] {
        let file = saved(&node, "bad.yaml", &text);
        let refused = node.kubectl(&format!("create -f {file}")).output().expect_code(1);
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    let file = saved(
        &node,
        "inert.yaml",
        &pod("inert", &IDLE.replace("name: c,", "name: c, securityContext: {readOnlyRootFilesystem: true},")),
    );
    let warned = node.kubectl(&format!("create -f {file}")).output().expect_code(0);
    let warning = "Warning: spec.containers[0].securityContext.readOnlyRootFilesystem: no effect";
    assert!(warned.stderr.contains(warning), "{}", warned.stderr);
}

#[test]
fn readiness_gate_opens_when_its_condition_is_patched() {
    let node = serve_node();
    let text = std::fs::read_to_string(test_file("manifests/readiness-gate.yaml")).expect("a manifest");
    let gate: Value = serde_yaml::from_str(&text).expect("YAML");
    let name = gate["metadata"]["name"].as_str().expect("a name");
    let condition = gate["spec"]["readinessGates"][0]["conditionType"].as_str().expect("a gate");
    node.kubectl_stdout(&format!("create -f {}", saved(&node, "gate.yaml", &text)));
    node.wait(name, "condition=ContainersReady");
    let patch = format!("{{\"status\":{{\"conditions\":[{{\"type\":\"{condition}\",\"status\":\"True\"}}]}}}}");
    let patched = node.kubectl_stdout(&format!("patch pod {name} --subresource=status -p {patch}"));
    assert_eq!(patched, format!("pod/{name} patched\n"));
    node.wait(name, "condition=Ready");
    let conditions = node.kubectl_stdout(&format!("get pod {name} -o jsonpath={{.status.conditions[*].type}}"));
    assert!(conditions.split(' ').any(|kind| kind == condition), "{conditions}");
}

#[test]
fn labels_annotations_images_and_whole_pods_are_updated() {
    let node = serve_node();
    let file = saved(&node, "a.yaml", &pod("a", IDLE));
    let dry_run = node.kubectl_stdout(&format!("apply --dry-run=server -f {file}"));
    assert_eq!(dry_run, "pod/a created (server dry run)\n");
    assert_eq!(node.kubectl_stdout("get pods -o name"), "");
    assert_eq!(node.kubectl_stdout(&format!("apply -f {file}")), "pod/a created\n");
    node.wait("a", "condition=Ready");
    assert_eq!(node.kubectl_stdout(&format!("apply -f {file}")), "pod/a unchanged\n");
    let other = saved(&node, "b.yaml", &pod("a", &IDLE.replace("image: busybox", "image: busybox:1.36")));
    assert_eq!(node.kubectl_stdout(&format!("diff -f {file}")), "");
    assert_eq!(node.kubectl_stdout(&format!("apply -f {other}")), "pod/a configured\n");
    assert_eq!(node.kubectl_stdout("get pod a -o jsonpath={.spec.containers[*].image}"), "busybox:1.36");
    assert_eq!(node.kubectl_stdout("label pod a tier=web"), "pod/a labeled\n");
    assert_eq!(node.kubectl_stdout("annotate pod a why=because"), "pod/a annotated\n");
    assert_eq!(node.kubectl_stdout("get pods -l tier=web -o name"), "pod/a\n");
    assert_eq!(node.kubectl_stdout("label pod a tier-"), "pod/a unlabeled\n");
    assert_eq!(node.kubectl_stdout("set image pod/a c=busybox"), "pod/a image updated\n");
    let whole = saved(&node, "c.json", &node.kubectl_stdout("get pod a -o json"));
    assert_eq!(node.kubectl_stdout(&format!("replace -f {whole}")), "pod/a replaced\n");
    let forbidden = saved(&node, "d.yaml", &pod("a", &IDLE.replace("echo up", "echo down")));
    let refused = node.kubectl(&format!("apply -f {forbidden}")).output().expect_code(1);
    assert!(refused.stderr.contains("pod updates may not change fields other than"), "{}", refused.stderr);
    let dry_run = node.kubectl_stdout("delete pod a --dry-run=server");
    assert_eq!(dry_run, "pod \"a\" deleted from default namespace (server dry run)\n");
    assert_eq!(node.kubectl_stdout("get pods -o name"), "pod/a\n");
}

#[test]
fn run_and_delete_all_work_with_pods() {
    let node = serve_node();
    let run = node
        .kubectl("run one --image=busybox --restart=Never --command -- sh -c")
        .arg("echo ran")
        .output()
        .expect_code(0);
    assert_eq!(run.stdout, "pod/one created\n");
    node.wait("one", "jsonpath={.status.phase}=Succeeded");
    assert_eq!(node.kubectl_stdout("logs one"), "ran\n");
    assert_eq!(node.kubectl_stdout("delete pods --all"), "pod \"one\" deleted from default namespace\n");
}

#[test]
fn namespaces_and_config_maps_are_applied_and_deleted() {
    let node = serve_node();
    let shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\n\
                metadata: {name: m, namespace: shop}\ndata: {a: x}\n";
    let file = saved(&node, "shop.yaml", shop);
    assert_eq!(node.kubectl_stdout(&format!("apply -f {file}")), "namespace/shop created\nconfigmap/m created\n");
    assert_eq!(node.kubectl_stdout(&format!("apply -f {file}")), "namespace/shop unchanged\nconfigmap/m unchanged\n");
    assert_eq!(node.kubectl_stdout("get configmap m -n shop -o jsonpath={.data.a}"), "x");
    assert_eq!(node.kubectl_stdout("delete configmap m -n shop"), "configmap \"m\" deleted from shop namespace\n");
}

/// kubectl sends the objects that it builds itself in protobuf.
#[test]
fn objects_that_kubectl_builds_are_created() {
    let node = serve_node();
    for (line, want) in [
        ("create namespace shop", "namespace/shop created\n"),
        ("create configmap m --from-literal=a=1 -n shop", "configmap/m created\n"),
        ("create secret generic s --from-literal=password=p=w -n shop", "secret/s created\n"),
        ("create configmap n --from-literal=a=1 --dry-run=server", "configmap/n created (server dry run)\n"),
    ] {
        assert_eq!(node.kubectl_stdout(line), want, "{line}");
    }
    assert_eq!(node.kubectl_stdout("get configmap m -n shop -o jsonpath={.data}"), r#"{"a":"1"}"#);
    assert_eq!(node.kubectl_stdout("get secret s -n shop -o jsonpath={.type}{.data}"), r#"Opaque{"password":"cD13"}"#);
    assert_eq!(node.kubectl_stdout("get configmaps -o name"), "configmap/kube-root-ca.crt\n");
    let binary = node.directory.state().with_file_name("binary");
    std::fs::write(&binary, [0, 0xff, b'a']).expect("written");
    node.kubectl_stdout(&format!("create configmap b --from-file={}", binary.display()));
    assert_eq!(node.kubectl_stdout("get configmap b -o jsonpath={.binaryData}"), r#"{"binary":"AP9h"}"#);
    for (line, expected) in [
        ("create configmap m --from-literal=a=1 -n shop", "configmaps \"m\" already exists"),
        ("create configmap x --from-literal=a=1 -n nowhere", "namespaces \"nowhere\" not found"),
        ("create namespace Shop", "a lowercase RFC 1123 label must consist of"),
    ] {
        let refused = node.kubectl(line).output().expect_code(1);
        assert!(refused.stderr.contains(expected), "{line}: {}", refused.stderr);
    }
}

#[test]
fn copy_of_a_pod_is_debugged() {
    let node = serve_node();
    let file = saved(&node, "a.yaml", &pod("a", &format!("restartPolicy: Never, {IDLE}")));
    node.kubectl_stdout(&format!("create -f {file}"));
    node.wait("a", "condition=Ready");
    node.kubectl_stdout("debug a --copy-to=copy --image=busybox -c dbg -- sleep 1000");
    node.wait("copy", "condition=Ready");
    assert_eq!(node.kubectl_stdout("get pod copy -o jsonpath={.spec.containers[*].name}"), "c dbg");
    assert_eq!(node.kubectl_stdout("exec copy -c dbg -- echo hello"), "hello\n");
    node.kubectl_stdout("debug a --copy-to=other --set-image=c=busybox:1.36");
    node.wait("other", "condition=Ready");
    assert_eq!(node.kubectl_stdout("get pod other -o jsonpath={.spec.containers[*].image}"), "busybox:1.36");
}

#[test]
fn node_debugging_is_rejected_with_a_remedy() {
    let node = serve_node();
    let refused = node.kubectl("debug node/n1 -it --image=busybox").output().expect_code(1);
    for expected in [
        "is forbidden: spec.hostIPC: not supported",
        "spec.hostNetwork: not supported",
        "spec.hostPID: not supported",
        "; to debug this node, use a shell of its machine; to debug a pod, `kubectl debug -it POD --image=busybox`",
    ] {
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    assert_eq!(refused.stderr.matches("rror").count(), 1, "one error: {}", refused.stderr);
    assert_eq!(node.kubectl_stdout("get pods -o name"), "");
}
