//! Termination: Ctrl-C, signals and grace periods, kills, memory limits.

use std::time::Instant;

use rustix::process::Signal;

use crate::support::{RunningProcess, pod, run, scripts};

fn script(name: &str, grace: u32, script: &str) -> String {
    let command = serde_json::Value::from(script);
    let container = format!("{{name: c, image: busybox, command: [sh, -c, {command}]}}");
    pod(name, &format!("restartPolicy: Never, terminationGracePeriodSeconds: {grace}, containers: [{container}]"))
}

/// Starts a run and waits until its container prints `up`.
fn start_script(yaml: &str, args: &[&str]) -> RunningProcess {
    let child = run().manifest(yaml).args(args).start();
    child.wait_for("| up\n");
    child
}

const JSON: &[&str] = &["--output", "json"];

#[test]
fn shell_with_a_term_trap_chooses_its_exit() {
    let child = start_script(
        &script("p", 30, "trap 'echo notified; exit 7' TERM; echo up; while true; do sleep 0.05; done"),
        JSON,
    );
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.log("p/c"), "up\nnotified\n");
    assert_eq!(output.termination("c").0, 7, "{}", output.stderr);
}

#[test]
fn shell_without_a_trap_exits_with_143() {
    let child = start_script(&script("p", 30, "echo up; sleep 1000"), JSON);
    let interrupted = Instant::now();
    child.interrupt();
    let output = child.output().expect_code(130);
    assert!(interrupted.elapsed().as_secs_f64() < 2.0, "{:?}", interrupted.elapsed());
    assert_eq!(output.termination("c"), (143, "Error".into()));
}

#[test]
fn guest_that_ignores_sigterm_is_killed_after_its_grace() {
    let child = start_script(&script("p", 1, "trap '' TERM; echo up; while true; do sleep 0.05; done"), JSON);
    let interrupted = Instant::now();
    child.interrupt();
    let output = child.output().expect_code(130);
    let took = interrupted.elapsed().as_secs_f64();
    assert!((0.95..2.5).contains(&took), "{took} s");
    assert_eq!(output.termination("c").0, 137, "{}", output.stderr);
}

#[test]
fn guest_may_use_its_grace_period() {
    let child =
        start_script(&script("p", 30, "trap 'sleep 0.3; echo saved; exit 0' TERM; echo up; sleep 1000 & wait"), JSON);
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.log("p/c"), "up\nsaved\n");
    assert_eq!(output.termination("c").0, 0, "{}", output.stderr);
}

#[test]
fn second_ctrl_c_kills() {
    let child =
        start_script(&script("p", 30, "trap 'echo notified' TERM; echo up; while true; do sleep 0.05; done"), JSON);
    child.interrupt();
    child.wait_for("notified");
    let interrupted = Instant::now();
    child.interrupt();
    let output = child.output().expect_code(130);
    // The minimum grace period, with which the exit is still reported, is two seconds (K66).
    assert!(interrupted.elapsed().as_secs_f64() < 3.0, "{:?}", interrupted.elapsed());
    assert_eq!(output.termination("c").0, 137, "{}", output.stderr);
}

#[test]
fn busy_shell_receives_the_signal() {
    for work in ["yes", "yes > /dev/null", "while :; do :; done", "while :; do echo x; done", "seq 1 999999999 | wc -l"]
    {
        let child = run().manifest(&script("p", 30, work)).args(JSON).start();
        child.wait_for("p/c: Running\n");
        let interrupted = Instant::now();
        child.interrupt();
        let output = child.output().expect_code(130);
        assert!(interrupted.elapsed().as_secs_f64() < 2.0, "{work}: {:?}", interrupted.elapsed());
        assert_eq!(output.termination("c").0, 143, "{work}");
    }
}

#[test]
fn sigterm_ends_a_run_like_ctrl_c() {
    let child = start_script(&script("p", 30, "echo up; sleep 1000"), &[]);
    child.signal(Signal::TERM);
    child.output().expect_code(143);
}

#[test]
fn ctrl_c_ends_a_pod_with_a_hanging_init_container() {
    let spec = "initContainers: [{name: i, image: busybox, command: [sh, -c, 'echo up; sleep 1000']}], \
                containers: [{name: c, image: busybox, command: ['true']}]";
    let child = start_script(&pod("p", spec), JSON);
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.termination("i").0, 143, "{}", output.stderr);
}

#[test]
fn ctrl_c_ends_a_pod_in_backoff() {
    let spec = "containers: [{name: c, image: busybox, command: [sh, -c, 'exit 3']}]";
    let child = run().manifest(&pod("p", spec)).start();
    child.wait_for("p/c: CrashLoopBackOff");
    let interrupted = Instant::now();
    child.interrupt();
    child.output().expect_code(130);
    assert!(interrupted.elapsed().as_secs_f64() < 1.0, "{:?}", interrupted.elapsed());
}

#[test]
fn all_containers_of_all_pods_are_signalled_at_once() {
    let slow = "trap 'sleep 0.5; exit 0' TERM; echo up; sleep 1000 & wait";
    let yaml: Vec<String> = ["one", "two", "three"].map(|name| scripts(name, &[("a", slow), ("b", slow)])).into();
    let child = run().manifest(&yaml.join("---\n")).start();
    child.wait_for_all("| up\n", 6);
    let interrupted = Instant::now();
    child.interrupt();
    child.output().expect_code(130);
    assert!(interrupted.elapsed().as_secs_f64() < 2.0, "{:?}", interrupted.elapsed());
}

#[test]
fn memory_hog_is_killed_and_its_peer_keeps_running() {
    // The shell doubles a string until its memory is exhausted.
    let hog = "x=0123456789abcdef; while true; do x=$x$x; done";
    let peer = "for i in 1 2 3; do sleep 0.1; done; until [ -e /v/over ]; do sleep 0.05; done; echo alive";
    let spec = format!(
        "restartPolicy: Never, volumes: [{{name: v, emptyDir: {{}}}}], containers: [\
         {{name: hog, image: busybox, command: [sh, -c, '{hog}'], resources: {{limits: {{memory: 48Mi}}}}}}, \
         {{name: peer, image: busybox, command: [sh, -c, '{peer}'], volumeMounts: [{{name: v, mountPath: /v}}]}}, \
         {{name: watcher, image: busybox, command: [sh, -c, 'sleep 1; touch /v/over'], volumeMounts: [{{name: v, mountPath: /v}}]}}]"
    );
    let output = run().manifest(&pod("p", &spec)).args(JSON).output().expect_code(1);
    assert_eq!(output.termination("hog"), (137, "OOMKilled".into()), "{}", output.stderr);
    assert_eq!(output.log("p/peer"), "alive\n");
}

#[test]
fn bare_program_receives_the_terminals_signals() {
    let shell = crate::support::guest("wasm32-wasip2", "busybox");
    let bare = |script: &str| {
        let child = run().arg(&shell).args(["--", "sh", "-c", script]).start();
        child.wait_for("up\n");
        child.interrupt();
        child
    };
    bare("echo up; sleep 1000").output().expect_code(143);
    let trapped =
        bare("trap 'echo notified; exit 9' TERM; echo up; while true; do sleep 0.05; done").output().expect_code(9);
    assert_eq!(trapped.stdout, "up\nnotified\n");
    let deaf = bare("trap 'echo notified' TERM; echo up; while true; do sleep 0.05; done");
    deaf.wait_for("notified");
    deaf.interrupt();
    deaf.output().expect_code(130);
}

#[test]
fn bare_program_ends_at_the_timeout() {
    let shell = crate::support::guest("wasm32-wasip2", "busybox");
    let script = "trap '' TERM; while true; do sleep 0.05; done";
    let output = run().arg(&shell).args(["--timeout", "200ms", "--", "sh", "-c", script]).output().expect_code(124);
    assert_eq!(output.stderr, "error: timed out (--timeout)\n");
}
