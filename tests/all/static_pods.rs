//! Static pods: the manifest directory is the source of truth, and invalid files affect no other pod.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{NodeDirectory, RunningProcess, ServedNode, measure, pod};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a pod that runs until it is terminated, with `word` in an annotation.
fn annotated(name: &str, word: &str) -> String {
    let spec = "terminationGracePeriodSeconds: 1, containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
    pod(name, spec).replacen('}', &format!(", annotations: {{say: {word}}}}}"), 1)
}

/// Starts a node with the pod `first`, and a watch that has reported it.
fn watched() -> (ServedNode, RunningProcess) {
    let directory = NodeDirectory::new();
    directory.save("first.yaml", &annotated("first", "first"));
    let node = directory.start_node();
    node.wait("first-n1", "condition=Ready");
    // `MODIFIED first-n1 Running first`
    let line =
        "jsonpath={.type} {.object.metadata.name} {.object.status.phase} {.object.metadata.annotations.say}{'\\n'}";
    let watch = node.kubectl("get pods -w --output-watch-events -o").arg(line).start();
    watch.wait_for("first-n1");
    (node, watch)
}

/// Ends the watch and returns the lines that it printed.
fn stop_watch(watch: RunningProcess) -> Vec<String> {
    watch.interrupt();
    watch.output().stdout.lines().map(Into::into).collect()
}

fn names(node: &ServedNode) -> String {
    node.kubectl_stdout("get pods -o name").replace("pod/", "").replace('\n', " ").trim().into()
}

#[test]
fn manifest_changes_take_effect_within_a_second() {
    let (node, watch) = watched();
    let came = measure(|| {
        node.directory.save("web.yaml", &annotated("web", "one"));
        watch.wait_for("Running one");
    });
    let changed = measure(|| {
        node.directory.save("web.yaml", &annotated("web", "two"));
        watch.wait_for("Running two");
    });
    let gone = measure(|| {
        node.directory.remove("web.yaml");
        watch.wait_for_all("DELETED web-n1", 2);
    });
    for (what, took) in [("come", came), ("change", changed), ("go", gone)] {
        assert!(took < SECOND, "to {what} took {took:?}");
    }
    assert_eq!(names(&node), "first-n1");
    assert!(stop_watch(watch).iter().all(|line| !line.contains("DELETED first-n1")), "other pods are kept");
}

#[test]
fn static_pods_are_named_and_annotated_like_a_kubelets() {
    let (node, _watch) = watched();
    let pod: Value = serde_json::from_str(&node.kubectl_stdout("get pod first-n1 -o json")).expect("JSON");
    let marks = &pod["metadata"]["annotations"];
    let hash = marks["kubernetes.io/config.hash"].as_str().expect("a hash");
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    assert_eq!(marks["kubernetes.io/config.mirror"], hash);
    assert_eq!(marks["kubernetes.io/config.source"], "file");
    let seen = marks["kubernetes.io/config.seen"].as_str().expect("a time");
    assert!(seen.parse::<jiff::Timestamp>().is_ok(), "{seen}");
    assert_eq!((&pod["spec"]["nodeName"], &pod["metadata"]["namespace"]), (&"n1".into(), &"default".into()));
    let stays = serde_json::json!({"effect": "NoExecute", "operator": "Exists"});
    assert!(pod["spec"]["tolerations"].as_array().is_some_and(|all| all.contains(&stays)), "{}", pod["spec"]);
}

#[test]
fn invalid_manifest_keeps_previous_pods() {
    let (node, watch) = watched();
    node.directory.save("web.yaml", &annotated("web", "one"));
    watch.wait_for("Running one");
    node.directory.save("web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  contaners: []\n");
    node.process.wait_for("the manifest is not valid; its previous pods keep running");
    // Other files change meanwhile, and the invalid one is read again each time.
    for word in ["two", "three"] {
        node.directory.save("other.yaml", &annotated("other", word));
        watch.wait_for(&format!("Running {word}"));
    }
    let stderr = node.process.stderr();
    assert_eq!(stderr.matches("the manifest is not valid").count(), 1, "{stderr}");
    for text in ["web.yaml", "spec.contaners", "containers", "5 |"] {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
    assert_eq!(names(&node), "first-n1 other-n1 web-n1");
    node.directory.save("web.yaml", &annotated("web", "four"));
    watch.wait_for("Running four");
    node.directory.save("new.yaml", "\0");
    node.process.wait_for_all("the manifest is not valid", 2);
    assert_eq!(names(&node), "first-n1 other-n1 web-n1");
}

/// Returns the UID of the pod `first-n1` and the ID of its container, once the pod is ready.
fn identity(node: &ServedNode) -> (String, String) {
    node.wait("first-n1", "condition=Ready");
    let path = "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} {.status.phase}";
    let text = node.kubectl("get pod first-n1 -o").arg(path).output().expect_code(0).stdout;
    let fields: Vec<&str> = text.split(' ').collect();
    assert_eq!((fields.len(), fields.get(2)), (3, Some(&"Running")), "{text}");
    (fields[0].into(), fields[1].into())
}

#[test]
fn containers_outlive_the_deletion_of_their_mirror() {
    let (node, watch) = watched();
    let mut last = identity(&node);
    for flags in ["", " --grace-period=0 --force", " --now"] {
        let took = measure(|| drop(node.kubectl(&format!("delete pod first-n1{flags}")).output().expect_code(0)));
        assert!(took < 5 * SECOND, "kubectl waited for {took:?}");
        let next = identity(&node);
        assert!(next.0 != last.0 && next.1 == last.1, "{last:?} became {next:?}{flags}");
        last = next;
    }
    assert!(node.kubectl_stdout("logs first-n1").is_empty());
    // Without its manifest, it ends.
    node.directory.remove("first.yaml");
    watch.wait_for_all("DELETED first-n1", 4);
    // With the same manifest, it is a new pod.
    node.directory.save("first.yaml", &annotated("first", "first"));
    watch.wait_for_all("ADDED first-n1", 5);
    assert_ne!(identity(&node).1, last.1);
}

#[test]
fn static_pods_reference_no_api_objects() {
    let (node, watch) = watched();
    let spec = "containers: [{name: c, image: busybox, envFrom: [{configMapRef: {name: settings}}]}]";
    node.directory.save("needs.yaml", &pod("needs", spec));
    node.process.wait_for("static pods may not reference configmaps; create the pod through the API instead");
    node.directory.save("web.yaml", &annotated("web", "one"));
    watch.wait_for("Running one");
    assert_eq!(names(&node), "first-n1 web-n1");
}

#[test]
fn only_regular_files_are_manifests() {
    let (node, watch) = watched();
    std::os::unix::fs::symlink("/dev/zero", node.directory.manifests().join("zero.yaml")).expect("linked");
    node.process.wait_for("zero.yaml: is not a regular file");
    node.directory.save("web.yaml", &annotated("web", "one"));
    watch.wait_for("Running one");
    assert_eq!(node.process.stderr().matches("is not a regular file").count(), 1);
}

#[test]
fn pod_rejected_by_the_registry_is_reported_once() {
    let (node, watch) = watched();
    // A valid name, but too long with the node's name appended.
    let long = "x".repeat(252);
    node.directory.save("long.yaml", &annotated(&long, "long"));
    node.process.wait_for("cannot create a static pod");
    node.directory.save("web.yaml", &annotated("web", "one"));
    watch.wait_for("Running one");
    let stderr = node.process.stderr();
    assert_eq!(stderr.matches("cannot create a static pod").count(), 1, "{stderr}");
    assert!(stderr.contains("must be no more than 253"), "{stderr}");
    node.directory.save("long.yaml", &annotated("short", "short"));
    watch.wait_for("Running short");
}

#[test]
fn fifty_quick_saves_apply_the_last() {
    let (node, watch) = watched();
    let start = Instant::now();
    for number in 0..50 {
        node.directory.save("web.yaml", &annotated("web", &format!("n{number}")));
    }
    // On a busy machine, saves may be so far apart that each takes effect.
    let apart = start.elapsed().as_millis() / 30;
    watch.wait_for("Running n49");
    assert_eq!(names(&node), "first-n1 web-n1");
    let running = stop_watch(watch).iter().filter(|line| line.contains(" web-n1 Running")).count() as u128;
    assert!(running < 10 + apart, "{running} of fifty pods ran");
}

#[test]
fn manifest_directory_may_disappear_and_return() {
    let (node, watch) = watched();
    let (directory, aside) = (node.directory.manifests(), node.directory.state().with_file_name("aside"));
    std::fs::rename(&directory, &aside).expect("moved");
    node.process.wait_for("cannot read the manifest directory");
    assert_eq!(names(&node), "first-n1", "a missing directory deletes nothing");
    std::fs::create_dir(&directory).expect("created");
    std::fs::write(directory.join("first.yaml"), annotated("first", "first")).expect("written");
    std::fs::write(directory.join("web.yaml"), annotated("web", "back")).expect("written");
    watch.wait_for("Running back");
    let changed = measure(|| {
        node.directory.save("web.yaml", &annotated("web", "again"));
        watch.wait_for("Running again");
    });
    assert!(changed < SECOND * 2, "the new directory is watched, too: {changed:?}");
    assert!(stop_watch(watch).iter().all(|line| !line.contains("DELETED first-n1")));
}

#[test]
fn duplicate_definition_does_not_replace_a_running_pod() {
    let (node, watch) = watched();
    node.directory.save("b.yaml", &annotated("web", "b"));
    watch.wait_for("Running b");
    // Whether the name of the file sorts before or after: a duplicate replaces nothing.
    for copy in ["a", "c"] {
        node.directory.save(&format!("{copy}.yaml"), &annotated("web", copy));
        node.process.wait_for(&format!("{copy}.yaml: pod default/web-n1 is already defined in"));
        node.directory.save("other.yaml", &annotated("other", copy));
        watch.wait_for(&format!("other-n1 Running {copy}"));
    }
    node.directory.remove("a.yaml");
    node.directory.remove("b.yaml");
    watch.wait_for("web-n1 Running c");
    assert_eq!(stop_watch(watch).iter().filter(|line| line.contains("DELETED web-n1")).count(), 1);
}

#[test]
fn missing_image_is_shown_on_the_pod() {
    let (node, _watch) = watched();
    let spec = "containers: [{name: c, image: nowhere.example/none}]";
    node.directory.save("none.yaml", &pod("none", spec));
    node.wait("none-n1", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull");
    assert!(node.kubectl_stdout("describe pod none-n1").contains("Failed to pull image"));
}

#[test]
fn manifests_may_be_saved_in_place() {
    let (node, watch) = watched();
    let path = node.directory.manifests().join("web.yaml");
    for word in ["one", "two"] {
        std::fs::write(&path, annotated("web", word)).expect("written");
        watch.wait_for(&format!("Running {word}"));
    }
    // Files that editors leave beside it are not manifests.
    for name in [".web.yaml.swp", "web.yaml~", "4913", "web.yaml.bak"] {
        std::fs::write(node.directory.manifests().join(name), annotated("stray", "stray")).expect("written");
    }
    std::fs::write(&path, annotated("web", "three")).expect("written");
    watch.wait_for("Running three");
    assert_eq!(names(&node), "first-n1 web-n1");
}
