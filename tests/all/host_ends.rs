//! The ends of a node: what becomes of its pods, what a service manager learns, and the signals that a node obeys.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use wasmpod::control::Key;
use wasmpod::embedded::Node;
use wasmpod::lifecycle::Suspension;
use wasmpod::model::pods;
use wasmpod::node::NodeShutdown;

use crate::support::{NodeDirectory, ServedNode, command, eventually, measure, pod};

const IDLE: &str = "containers: [{name: c, image: busybox, command: [sleep, '1000']}]";
/// Says that it was asked to stop, and stops.
const POLITE: &str = "containers: [{name: c, image: busybox, command: [sh, -c, \
    'trap \"echo asked; exit 0\" TERM; echo up; while true; do sleep 0.1; done']}]";
/// Ignores SIGTERM.
const STUBBORN: &str = "terminationGracePeriodSeconds: 600, containers: [{name: c, image: busybox, command: [sh, -c, \
    'trap \"echo not yet\" TERM; echo up; while true; do sleep 0.1; done']}]";

#[tokio::test(flavor = "multi_thread")]
async fn suspended_pods_keep_their_status() {
    let node = Node::in_memory().expect("a node");
    let stored = async |name: &str| node.control().get(&Key::pod("default", name)).await;
    for (name, spec) in [("runs", IDLE), ("deleted", POLITE)] {
        node.apply(pod(name, spec)).await.expect("applied");
        node.wait_ready(name).await.expect("it runs");
    }
    let before = stored("runs").await.expect("a pod");
    let graceful = NodeShutdown::Suspend(Suspension::Graceful { max_grace: Duration::from_secs(20) });
    let (handle, deletion) = (node.handle().clone(), node.delete("deleted"));
    let (deleted, ()) = tokio::join!(deletion, handle.shut_down(graceful));
    deleted.expect("a deletion is completed");
    let after = stored("runs").await.expect("a pod");
    assert_eq!((after.revision, &after.json), (before.revision, &before.json));
    assert_eq!(pods::phase(&after.decode::<Pod>().expect("a pod")), "Running");

    // New pods wait for the next life of the node, and a client may delete pods.
    node.apply(pod("late", IDLE)).await.expect("applied");
    eventually("the pod is bound", async || {
        let late = stored("late").await.expect("a pod").decode::<Pod>().expect("a pod");
        if late.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) { Ok(()) } else { Err(late) }
    })
    .await;
    node.handle().shut_down(graceful).await;
    let late = stored("late").await.expect("a pod").decode::<Pod>().expect("a pod");
    assert_eq!(pods::phase(&late), "Pending");
    for name in ["runs", "late"] {
        node.delete(name).await.expect("deleted");
        assert!(stored(name).await.is_err());
    }
    node.stop().await;
}

#[test]
fn sigterm_stops_containers_and_keeps_their_pods() {
    let directory = NodeDirectory::new();
    directory.save("a.yaml", &pod("a", POLITE));
    directory.save("b.yaml", &pod("b", STUBBORN));
    let child = directory.serve_at("127.0.0.1:0", "10m").start();
    let node = ServedNode::ready(child, directory);
    node.wait("a-n1", "condition=Ready");
    node.wait("b-n1", "condition=Ready");
    let shown = "get pod a-n1 -o jsonpath={.status.phase}/{.metadata.resourceVersion}";
    let before = node.kubectl_stdout(shown);
    assert!(before.starts_with("Running/"), "{before}");
    let watch = node.kubectl("get pods --watch --output-watch-events").start();
    watch.wait_for_all("Running", 2);
    let follow = node.kubectl("logs a-n1 -f").start();
    follow.wait_for("up\n");
    node.process.signal(Signal::TERM);
    node.process.wait_for("stopping the pods until the next start");
    follow.wait_for("asked\n");
    // The log ends with its container; the other pod keeps the node alive.
    follow.output().expect_code(0);
    assert_eq!(node.kubectl_stdout(shown), before);
    let readiness = node.kubectl("get --raw /readyz").output();
    assert!(readiness.stderr.contains("shutdown failed"), "{}", readiness.stderr);
    node.process.signal(Signal::TERM);
    let stderr = node.process.output().expect_code(0).stderr;
    assert!(stderr.contains("killing the remaining pods"), "{stderr}");
    let events = watch.output().stdout;
    assert_eq!(events.lines().filter(|line| line.contains("MODIFIED")).count(), 0, "{events}");
}

#[test]
fn sigusr2_stops_within_a_second_without_hooks() {
    let directory = NodeDirectory::new();
    let shared = tempfile::tempdir().expect("a directory");
    let hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hooked > /shared/hooked; sleep 60']}}}";
    let mounts = "volumeMounts: [{name: shared, mountPath: /shared}]";
    let spec = STUBBORN.replace("{name: c,", &format!("{{name: c, {hook}, {mounts},"));
    let volume = format!("volumes: [{{name: shared, hostPath: {{path: {}}}}}]", shared.path().display());
    directory.save("b.yaml", &pod("b", &format!("{volume}, {spec}")));
    let node = directory.start_node();
    node.wait("b-n1", "condition=Ready");
    let follow = node.kubectl("logs b-n1 -f").start();
    follow.wait_for("up\n");
    node.process.signal(Signal::USR2);
    let mut output = None;
    let took = measure(|| output = Some(node.process.output()));
    output.expect("it ended").expect_code(0);
    assert!(took < Duration::from_secs(1), "{took:?}");
    follow.wait_for("not yet\n");
    assert!(!shared.path().join("hooked").exists(), "the preStop hook ran");
}

/// The socket of a service manager.
struct ManagerSocket {
    socket: UnixDatagram,
}

impl ManagerSocket {
    /// Returns the next message that does not feed the watchdog, and whether one came before that does.
    #[track_caller]
    fn next(&self) -> (String, bool) {
        let mut is_fed = false;
        loop {
            let message = self.receive();
            if message != "WATCHDOG=1\n" {
                return (message, is_fed);
            }
            is_fed = true;
        }
    }

    #[track_caller]
    fn receive(&self) -> String {
        let mut buffer = [0; 512];
        let count = self.socket.recv(&mut buffer).expect("a message in time");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    #[track_caller]
    fn expect(&self, start: &str) {
        let (message, _) = self.next();
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn service_manager_learns_each_state() {
    let directory = NodeDirectory::new();
    directory.save("a.yaml", &pod("a", IDLE));
    let own = tempfile::tempdir().expect("a directory");
    let path = own.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let manager = ManagerSocket { socket };
    let (logs, cache) = (own.path().join("logs"), own.path().join("cache"));
    let serve = command("serve").args(["--node-name", "n1", "--builtin-images", "--listen", "127.0.0.1:0"]);
    let serve = serve.arg("--pod-manifest-path").arg(directory.manifests()).env("STATE_DIRECTORY", directory.state());
    let serve = serve.env("LOGS_DIRECTORY", &logs).env("CACHE_DIRECTORY", &cache);
    let child = serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").start();
    manager.expect("READY=1\n");
    let node = ServedNode::ready(child, directory);
    // The static pods are read before.
    node.kubectl_stdout("get pod a-n1");
    node.wait("a-n1", "condition=Ready");
    assert!(logs.is_dir() && cache.is_dir());
    for _ in 0..2 {
        assert_eq!(manager.receive(), "WATCHDOG=1\n");
    }
    node.process.signal(Signal::HUP);
    manager.expect("RELOADING=1\nMONOTONIC_USEC=");
    manager.expect("READY=1\n");
    node.process.signal(Signal::TERM);
    manager.expect("STOPPING=1\n");
    node.process.output().expect_code(0);
}

#[test]
fn watchdog_is_fed_while_pods_stop() {
    let directory = NodeDirectory::new();
    directory.save("b.yaml", &pod("b", STUBBORN));
    let own = tempfile::tempdir().expect("a directory");
    let path = own.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let manager = ManagerSocket { socket };
    let serve = directory.serve_at("127.0.0.1:0", "10m").env("NOTIFY_SOCKET", &path);
    let child = serve.env("WATCHDOG_USEC", "200000").start();
    let node = ServedNode::ready(child, directory);
    node.wait("b-n1", "condition=Ready");
    node.process.signal(Signal::TERM);
    manager.expect("READY=1\n");
    manager.expect("STOPPING=1\n");
    assert_eq!(manager.receive(), "WATCHDOG=1\n");
    node.process.signal(Signal::TERM);
    node.process.output().expect_code(0);
}

#[test]
fn sighup_reads_all_manifests_again() {
    let directory = NodeDirectory::new();
    let own = tempfile::tempdir().expect("a directory");
    let file = own.path().join("objects.yaml");
    let write = |label: &str, value: &str| {
        let pod = pod("a", IDLE).replace("name: a", &format!("name: a, labels: {{app: {label}}}"));
        let map = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{key: {value}}}}}");
        std::fs::write(&file, format!("{pod}\n---\n{map}\n")).expect("written");
    };
    write("one", "one");
    let child = directory.serve().arg(&file).start();
    let node = ServedNode::ready(child, directory);
    node.wait("a", "condition=Ready");
    let uid = node.kubectl_stdout("get pod a -o jsonpath={.metadata.uid}");
    write("two", "two");
    node.process.signal(Signal::HUP);
    node.process.wait_for("read the manifests again\n");
    assert_eq!(node.kubectl_stdout("get pod a -o jsonpath={.metadata.labels.app}"), "two");
    assert_eq!(node.kubectl_stdout("get configmap m -o jsonpath={.data.key}"), "two");
    assert_eq!(node.kubectl_stdout("get pod a -o jsonpath={.metadata.uid}"), uid);

    std::fs::write(&file, pod("a", "containers: [{name: c, imag: busybox}]")).expect("written");
    node.process.signal(Signal::HUP);
    node.process.wait_for("cannot read the manifests again");
    node.process.wait_for("did you mean");
    std::fs::write(&file, pod("a", &IDLE.replace("1000", "2000"))).expect("written");
    node.process.signal(Signal::HUP);
    node.process.wait_for("warning: pod default/a keeps its former definition");
    let kept = node.kubectl_stdout("get pod a -o jsonpath={.status.phase}/{.spec.containers[0].command[0]}");
    assert_eq!(kept, "Running/sleep");
}

#[test]
fn sighup_scans_static_pods_at_once() {
    let directory = NodeDirectory::new();
    directory.save("a.yaml", &pod("a", IDLE));
    let node = directory.start_node();
    node.wait("a-n1", "condition=Ready");
    node.directory.save("b.yaml", &pod("b", IDLE));
    node.process.signal(Signal::HUP);
    let started = Instant::now();
    node.process.wait_for("read the manifests again\n");
    node.wait("b-n1", "condition=Ready");
    assert!(started.elapsed() < Duration::from_secs(15), "the periodic scan comes after 20 seconds");
}

#[test]
fn unusable_state_directories_are_named() {
    let own = tempfile::tempdir().expect("a directory");
    let file = own.path().join("file");
    std::fs::write(&file, "").expect("written");
    // Below a file, and in a file system in which nobody can create files.
    for directory in [file.join("state"), "/proc/self/wasmpod".into()] {
        let refused = command("serve").args(["--listen", "127.0.0.1:0", "--state-dir"]).arg(&directory).output();
        let stderr = refused.expect_code(2).stderr;
        let expected = format!("error: cannot create state directory {}: ", directory.display());
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert!(stderr.ends_with("; use --state-dir to choose another\n") && stderr.lines().count() == 1, "{stderr}");
    }
    // As if another user's: a key that cannot be read.
    let directory = NodeDirectory::new();
    std::fs::create_dir_all(directory.state().join("ca.key")).expect("created");
    std::fs::set_permissions(directory.state().join("ca.key"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("set");
    let stderr = directory.serve().output().expect_code(2).stderr;
    let (start, end) = ("error: cannot use ", "; use --state-dir to choose another directory\n");
    assert!(stderr.starts_with(start) && stderr.ends_with(end) && stderr.lines().count() == 1, "{stderr}");
}
