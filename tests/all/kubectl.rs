//! A served node, read with kubectl.

use serde_json::Value;

use crate::support::{NodeDirectory, ServedNode, pod, serve_node};

/// Starts a node with one pod, and waits until the pod meets `condition`.
fn node_with(name: &str, spec: &str, condition: &str) -> ServedNode {
    let directory = NodeDirectory::new();
    directory.save("pod.yaml", &pod(name, spec));
    let node = directory.start_node();
    node.wait(&format!("{name}-n1"), condition);
    node
}

const IDLE: &str = "containers: [{name: c, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}]";
const READY: &str = "condition=Ready";

/// Returns a column of the output of `kubectl get -w`, without consecutive repetitions.
fn column(printed: &str, index: usize) -> Vec<&str> {
    let lines = printed.lines().filter_map(|line| line.split_whitespace().nth(index));
    let mut words: Vec<&str> = lines.collect();
    words.dedup();
    words
}

/// Checks that `words` appear in this order, possibly with others between them.
#[track_caller]
fn assert_in_order(printed: &[&str], words: &[&str]) {
    let mut rest = printed.iter();
    for word in words {
        assert!(rest.any(|printed| printed == word), "{word} is missing in {printed:?}");
    }
}

#[test]
fn get_watch_shows_a_pods_life() {
    let directory = NodeDirectory::new();
    directory.save("first.yaml", &pod("first", IDLE));
    let node = directory.start_node();
    let watch = node.kubectl("get pods -w").start();
    watch.wait_for("first-n1");
    let once = "restartPolicy: Never, initContainers: [{name: i, image: busybox, command: [sleep, '0.4']}], \
                containers: [{name: c, image: busybox, command: [sleep, '0.4']}]";
    node.directory.save("once.yaml", &pod("once", once));
    watch.wait_for("Completed");
    let crashing = "containers: [{name: c, image: busybox, command: [sh, -c, 'sleep 0.3; exit 3']}]";
    node.directory.save("crashing.yaml", &pod("crashing", crashing));
    watch.wait_for("CrashLoopBackOff");
    watch.interrupt();
    let printed = watch.output().stdout;
    let of = |name: &str| {
        let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with(name)).collect();
        lines.join("\n")
    };
    assert_in_order(&column(&of("once-n1"), 2), &["Init:0/1", "PodInitializing", "Running", "Completed"]);
    assert_in_order(
        &column(&of("crashing-n1"), 2),
        &["ContainerCreating", "Running", "Error", "Running", "CrashLoopBackOff"],
    );
    assert_in_order(&column(&of("once-n1"), 1), &["0/1", "1/1", "0/1"]);
}

#[test]
fn get_prints_every_format() {
    let node = node_with("web", IDLE, READY);
    let wide = node.kubectl_stdout("get pods -o wide");
    let heading: Vec<&str> = wide.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(heading.join(" "), "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES");
    let row: Vec<&str> = wide.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!((&row[..4], row[6]), (["web-n1", "1/1", "Running", "0"].as_slice(), "n1"), "{wide}");
    let yaml: Value = serde_yaml::from_str(&node.kubectl_stdout("get pod web-n1 -o yaml")).expect("YAML");
    let json: Value = serde_json::from_str(&node.kubectl_stdout("get pod web-n1 -o json")).expect("JSON");
    assert_eq!(yaml, json);
    assert_eq!((&json["kind"], &json["status"]["phase"]), (&"Pod".into(), &"Running".into()));
    let list: Value = serde_json::from_str(&node.kubectl_stdout("get pods -A -o json")).expect("JSON");
    assert_eq!(list["items"][0], json);
    assert_eq!(node.kubectl_stdout("get pods -o name"), "pod/web-n1\n");
    assert_eq!(node.kubectl_stdout("get pods -o jsonpath={.items[*].spec.containers[0].image}"), "busybox");
}

#[test]
fn describe_shows_init_containers_and_events() {
    let directory = NodeDirectory::new();
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: two, labels: {app: two, tier: back}, \
        annotations: {why: \"because\\nso\"}}\nspec:\n  restartPolicy: Never\n  volumes: [{name: shared, emptyDir: {}}]\n  \
        initContainers:\n  - {name: first, image: busybox, command: [sh, -c, 'echo 1 > /shared/x'], \
        volumeMounts: [{name: shared, mountPath: /shared}]}\n  - {name: second, image: busybox, args: [cat, /shared/x], \
        volumeMounts: [{name: shared, mountPath: /shared, readOnly: true}]}\n  containers:\n  - {name: app, \
        image: busybox, command: [sh, -c, 'exit 3'], ports: [{containerPort: 80}, {containerPort: 81}], \
        env: [{name: A, value: b}, {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], \
        resources: {limits: {memory: 64Mi}}, volumeMounts: [{name: shared, mountPath: /data, subPath: d}]}\n";
    directory.save("two.yaml", manifest);
    let node = directory.start_node();
    node.wait("two-n1", "jsonpath={.status.phase}=Failed");
    let printed = node.kubectl_stdout("describe pod two-n1");
    insta::assert_snapshot!(redacted(&printed, &node));
    // wasmpod's own command prints the same. Ages may change between the two commands.
    let same = (0..10).any(|_| {
        let ours = node.wasmpod("describe two-n1").output().expect_code(0).stdout;
        ours == node.kubectl_stdout("describe pod two-n1")
    });
    assert!(same, "{printed}\n{}", node.wasmpod("describe two-n1").output().stdout);
}

/// Removes times, ages and identifiers, which change from run to run.
fn redacted(printed: &str, node: &ServedNode) -> String {
    const CHANGING: [&str; 8] = [
        "Start Time:",
        "Started:",
        "Finished:",
        "Container ID:",
        "Image ID:",
        "config.hash:",
        "config.mirror:",
        "config.seen:",
    ];
    let printed = printed.replace(&node.directory.manifests().display().to_string(), "PODS");
    let (pod, events) = printed.split_once("Events:").expect("events");
    let line = |line: &str| match CHANGING.iter().find(|name| line.contains(*name)) {
        Some(name) => format!("{} …", &line[..line.find(name).expect("it is there") + name.len()]),
        None => line.trim_end().to_string(),
    };
    let event = |line: &str| match line.split_once("kubelet") {
        Some((head, message)) => {
            let words: Vec<&str> = head.split_whitespace().take(2).collect();
            format!("  {} AGE kubelet {}", words.join(" "), message.trim())
        }
        None => line.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let lines = pod.lines().map(line).chain(["Events:".into()]).chain(events.lines().skip(1).map(event));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn logs_are_followed_limited_dated_and_kept_over_restarts() {
    let script = "'echo one; echo two; sleep 0.2; echo three; exit 3'";
    let two = format!(
        "restartPolicy: Always, containers: [{{name: a, image: busybox, command: [sh, -c, {script}]}}, \
         {{name: b, image: busybox, command: [sh, -c, 'echo b; sleep 1000']}}]"
    );
    let node = node_with("web", &two, "jsonpath={.status.containerStatuses[0].restartCount}=1");
    assert_eq!(node.kubectl_stdout("logs web-n1 -c a --previous"), "one\ntwo\nthree\n");
    assert_eq!(node.kubectl_stdout("logs web-n1 -c a -f"), "one\ntwo\nthree\n", "following ends with the container");
    assert_eq!(node.kubectl_stdout("logs web-n1 -c a --tail=1 --previous"), "three\n");
    assert_eq!(node.kubectl_stdout("logs web-n1 -c b --since=1h"), "b\n");
    let dated = node.kubectl_stdout("logs web-n1 -c b --timestamps");
    let (time, line) = dated.trim().split_once(' ').expect("a time and a line");
    assert!(time.parse::<jiff::Timestamp>().is_ok() && line == "b", "{dated}");
    assert_eq!(node.wasmpod("logs web-n1 -c a -p --tail 2").output().expect_code(0).stdout, "two\nthree\n");
    let follow = node.wasmpod("logs web-n1 -c b -f").start();
    follow.wait_for("b\n");
    let first = node.wasmpod("logs web-n1 -p --tail -1").output().expect_code(0);
    assert_eq!(first.stdout, "one\ntwo\nthree\n");
    assert_eq!(first.stderr, "Defaulted container \"a\" out of: a, b\n", "as kubectl prints it");
    node.directory.remove("pod.yaml");
    assert_eq!(follow.output().expect_code(0).stdout, "b\n", "following ends with the pod");
}

#[test]
fn events_and_get_events_list_events() {
    let node = node_with("web", IDLE, READY);
    for line in ["events", "get events", "events --for=pod/web-n1"] {
        let printed = node.kubectl_stdout(line);
        for reason in ["Pulled", "Created", "Started"] {
            assert!(printed.contains(reason), "{line}: {printed}");
        }
    }
    assert!(node.kubectl_stdout("get events --field-selector=reason=Started").lines().count() == 2);
}

#[test]
fn wait_sees_a_pod_become_ready_and_deleted() {
    let directory = NodeDirectory::new();
    directory.save("web.yaml", &pod("web", IDLE));
    let node = directory.start_node();
    node.wait("web-n1", "create");
    let ready = node.kubectl_stdout("wait pod/web-n1 --for=condition=Ready --timeout=30s");
    assert_eq!(ready, "pod/web-n1 condition met\n");
    let gone = node.kubectl("wait pod/web-n1 --for=delete --timeout=30s").start();
    node.directory.remove("web.yaml");
    gone.output().expect_code(0);
    assert_eq!(node.kubectl_stdout("get pods -o name"), "");
}

#[test]
fn discovery_explain_and_selectors_work() {
    let directory = NodeDirectory::new();
    for (name, labels) in [("a", "{app: x, tier: f}"), ("b", "{app: x}"), ("c", "{app: z}")] {
        let manifest = pod(name, IDLE).replace("{name: a}", "{name: a, namespace: shop}");
        directory.save(&format!("{name}.yaml"), &manifest.replacen('}', &format!(", labels: {labels}}}"), 1));
    }
    let node = directory.start_node();
    for pod in ["a-n1 -n shop", "b-n1", "c-n1"] {
        node.wait(pod, "condition=Ready");
    }
    for (selector, names) in [
        ("-l app=x", "pod/b-n1\npod/a-n1\n"),
        ("-l app=x,tier", "pod/a-n1\n"),
        ("-l app!=x", "pod/c-n1\n"),
        ("-l app in (x,z),!tier", "pod/b-n1\npod/c-n1\n"),
        ("--field-selector metadata.name=c-n1", "pod/c-n1\n"),
        ("--field-selector status.phase=Failed", ""),
    ] {
        let (flag, value) = selector.split_once(' ').expect("a flag and its value");
        assert_eq!(
            node.kubectl("get pods -A -o name").arg(flag).arg(value).output().expect_code(0).stdout,
            names,
            "{selector}"
        );
    }
    assert_eq!(node.kubectl_stdout("get pods -n shop -o name"), "pod/a-n1\n");
    let nodes = node.kubectl_stdout("get nodes");
    assert_eq!(&column(&nodes, 0)[1..], ["n1"], "{nodes}");
    assert_eq!(&column(&nodes, 1)[1..], ["Ready"], "{nodes}");
    let namespaces = node.kubectl_stdout("get ns");
    assert_in_order(&column(&namespaces, 0), &["default", "shop"]);
    let resources = node.kubectl_stdout("api-resources --no-headers");
    for name in ["pods", "nodes", "namespaces", "events"] {
        assert!(column(&resources, 0).contains(&name), "{resources}");
    }
    let explained = node.kubectl_stdout("explain pod.spec.containers.livenessProbe");
    for text in ["KIND:       Pod", "FIELD: livenessProbe <Probe>", "initialDelaySeconds\t<integer>"] {
        assert!(explained.contains(text), "{text}: {explained}");
    }
    assert!(node.kubectl_stdout("version").contains("Server Version: v1.36"));
}

#[test]
fn missing_and_unserved_objects_are_refused_like_kubernetes() {
    let node = serve_node();
    for (line, words) in [
        ("get pod none", "Error from server (NotFound): pods \"none\" not found"),
        ("logs none", "(NotFound): pods \"none\" not found"),
        ("get deviceclasses", "the server doesn't have a resource type \"deviceclasses\""),
        ("get pods --field-selector spec.nope=1", "field label not supported: spec.nope"),
    ] {
        let output = node.kubectl(line).output().expect_code(1);
        assert!(output.stderr.contains(words), "{line}: {}", output.stderr);
    }
}
