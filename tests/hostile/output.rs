//! Guests that print without end.

use wasmpod_test_support::{Terminal, command, scripts};

use crate::attacked_node::AttackedNode;

/// Runs shell scripts as containers of a pod and measures the neighbour.
async fn attack_with(name: &str, scripts: &[&str]) {
    let node = AttackedNode::with_neighbour().await;
    let container = |(number, script): (usize, &&str)| {
        format!("{{name: c{number}, image: busybox, command: [sh, -c, {}]}}", serde_json::Value::from(*script))
    };
    let containers: Vec<String> = scripts.iter().enumerate().map(container).collect();
    node.attack("printers", &format!("containers: [{}]", containers.join(", "))).await;
    node.assert_holds(name).await;
}

#[tokio::test]
async fn logs_of_newlines_only() {
    attack_with("yes ''", &["yes ''", "yes ''"]).await;
    attack_with("echo in a loop", &["while :; do echo; done", "while :; do echo; done"]).await;
}

#[tokio::test]
async fn logs_of_long_lines() {
    let endless = "while :; do printf '%65536s' x; done";
    attack_with("lines without an end", &[endless, endless]).await;
    attack_with("long lines", &["yes \"$(printf '%20000s' x)\"", "yes abc"]).await;
}

#[test]
fn escape_sequences_do_not_reach_a_terminal() {
    let (terminal, directory) = (Terminal::new(100, 30), tempfile::tempdir().expect("a directory"));
    let title = "\\033]0;owned\\007";
    let script = format!("printf '{title}\\n'; printf '{title}' >&2; printf '{title}' > /dev/termination-log; exit 3");
    let manifest = directory.path().join("pod.yaml");
    std::fs::write(&manifest, scripts("a", &[("c", &script)])).expect("written");
    let output = command("run").env("TMPDIR", directory.path()).arg(&manifest).start_in(&terminal).output();
    assert!(output.stdout.contains("owned"), "{}", output.stdout);
    assert!(!output.stdout.contains("\x1b]0;"), "{:?}", output.stdout);
}
