//! `wasmpod ps`, `logs` and `describe`, whose output is that of kubectl.

use serde_json::Value;

use crate::support::{NodeDirectory, ServedNode, command, pod, serve_node};

fn two_pods() -> ServedNode {
    let directory = NodeDirectory::new();
    let idle = "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]";
    directory.save("a.yaml", &pod("a-longer-name", idle));
    directory.save("b.yaml", &pod("b", idle).replace("{name: b}", "{name: b, namespace: shop}"));
    let node = directory.start_node();
    node.wait("a-longer-name-n1", "condition=Ready");
    node.wait("b-n1 -n shop", "condition=Ready");
    node
}

#[test]
fn ps_matches_kubectl_get() {
    let node = two_pods();
    for flags in ["", " -A", " -n shop", " -A -o wide", " -o name", " -o yaml -A"] {
        let (ours, theirs) = (format!("ps{flags}"), format!("get pods{flags}"));
        if flags.contains("yaml") {
            let ours: Value = serde_yaml::from_str(&node.wasmpod(&ours).output().expect_code(0).stdout).expect("YAML");
            let theirs: Value = serde_yaml::from_str(&node.kubectl_stdout(&theirs)).expect("YAML");
            assert_eq!((&ours["kind"], &theirs["kind"]), (&"PodList".into(), &"List".into()));
            assert_eq!(ours["items"].as_array().map(Vec::len), theirs["items"].as_array().map(Vec::len));
            continue;
        }
        // Ages may change between the two commands.
        let same = (0..10).any(|_| node.wasmpod(&ours).output().expect_code(0).stdout == node.kubectl_stdout(&theirs));
        assert!(same, "{}\n{}", node.wasmpod(&ours).output().stdout, node.kubectl_stdout(&theirs));
    }
    let json: Value =
        serde_json::from_str(&node.wasmpod("ps b-n1 -n shop -o json").output().expect_code(0).stdout).expect("JSON");
    assert_eq!((&json["kind"], &json["metadata"]["name"]), (&"Pod".into(), &"b-n1".into()));
    let none = node.wasmpod("ps -n none").output().expect_code(0);
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "no pods found in namespace none; use -A to list all namespaces\n")
    );
}

#[test]
fn ps_watch_prints_changes_as_they_happen() {
    let node = two_pods();
    let watch = node.wasmpod("ps -w").start();
    watch.wait_for("a-longer-name-n1");
    node.directory
        .save("c.yaml", &pod("c", "restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]"));
    watch.wait_for("Completed");
    drop(watch);
    let one = node.wasmpod("ps c-n1 -w -o name").start();
    one.wait_for("pod/c-n1\n");
    node.directory.remove("c.yaml");
    one.wait_for_all("pod/c-n1\n", 2);
}

#[test]
fn client_errors_state_a_remedy() {
    let node = serve_node();
    let (good, directory) = (node.directory.kubeconfig(), node.directory.state());
    let text = std::fs::read_to_string(&good).expect("a kubeconfig");
    let changed = |name: &str, from: &str, to: &str| {
        std::fs::write(directory.join(name), text.replace(from, to)).expect("written");
        directory.join(name)
    };
    let token = node.token();
    let wrong_token = changed("token.yaml", &token, "wrong");
    let unreachable = changed("unreachable.yaml", &node.url, "https://127.0.0.1:9");
    let other = serve_node();
    let of_other = changed("other.yaml", &node.url, &other.url);
    let login = changed("login.yaml", &format!("token: {token}"), "exec: {command: login}");
    let missing = directory.join("missing.yaml");
    for (kubeconfig, line, code, expected) in [
        (&good, "logs none", 1, "pods \"none\" not found"),
        (&good, "describe none", 1, "pods \"none\" not found"),
        (&good, "ps a/b", 1, "not found"),
        (&good, "ps -w -o yaml", 2, "--watch cannot be used with --output json or yaml"),
        (&good, "logs none --since soon", 2, "expected a duration, such as 30s"),
        (&wrong_token, "ps", 1, "rejected the token of"),
        (&unreachable, "ps", 1, "is `wasmpod serve` running?"),
        (&of_other, "ps", 1, "does this kubeconfig belong to that server?"),
        (&login, "ps", 2, "exec is not supported"),
        (&missing, "ps", 2, "missing.yaml does not exist; start `wasmpod serve`"),
    ] {
        let output = node.wasmpod(line).env("KUBECONFIG", kubeconfig).output().expect_code(code);
        assert!(output.stderr.starts_with("error: ") && output.stderr.contains(expected), "{line}: {}", output.stderr);
    }
}

#[test]
fn kubeconfig_comes_from_flag_environment_or_default() {
    let node = serve_node();
    let kubeconfig = node.directory.kubeconfig();
    command("ps").arg("--kubeconfig").arg(&kubeconfig).env("KUBECONFIG", "/not/there").output().expect_code(0);
    let several = std::env::join_paths(["/not/there".into(), kubeconfig]).expect("paths");
    command("ps").env("KUBECONFIG", several).output().expect_code(0);
    let empty = tempfile::tempdir().expect("a directory");
    let none = command("ps").env("KUBECONFIG", "").env("XDG_STATE_HOME", empty.path()).output().expect_code(2);
    assert!(none.stderr.contains("wasmpod/node/kubeconfig does not exist"), "{}", none.stderr);
}
