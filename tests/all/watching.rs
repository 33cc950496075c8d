//! `run --watch`: changed programs and manifests run again, broken ones affect nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ProcessOutput, RunningProcess, container_status, guest, pod, run};

/// A directory with `app.wasm` and `pod.yaml`.
struct Project(TempDir);

impl Project {
    fn new(program: &str, manifest: &str) -> Project {
        let project = Project(tempfile::tempdir().expect("a directory"));
        project.save("app.wasm", &program_named(program));
        project.save("pod.yaml", manifest.as_bytes());
        project
    }

    /// Saves as editors and compilers do: writes another file and renames it.
    fn save(&self, name: &str, bytes: &[u8]) {
        let new = self.0.path().join(format!("{name}.new"));
        std::fs::write(&new, bytes).expect("written");
        std::fs::rename(new, self.0.path().join(name)).expect("in place");
    }

    fn watch(&self, args: &[&str]) -> RunningProcess {
        run().dir(self.0.path()).args(["--watch", "--output", "json"]).args(args).start()
    }
}

fn program_named(name: &str) -> Vec<u8> {
    std::fs::read(guest("wasm32-wasip2", name)).expect("the guest")
}

/// Returns the same program in other bytes: with a custom section that contains `number`.
fn variant(program: &[u8], number: u32) -> Vec<u8> {
    [program, &[0, 6, 1, b'v'], &number.to_le_bytes()].concat()
}

/// Interrupts the run, which prints its pods.
fn interrupted(child: RunningProcess) -> ProcessOutput {
    child.interrupt();
    child.output().expect_code(130)
}

fn restarts(pod: &Value, container: &str) -> i64 {
    container_status(pod, container)["restartCount"].as_i64().expect("a count")
}

const TWO: &str = "containers: [{name: web, image: ./app.wasm}, {name: other, image: busybox, command: [sh, -c, \
    'echo up; sleep 1000']}]";

#[test]
fn changed_program_restarts_only_its_containers_within_200_ms() {
    let project = Project::new("block_sleep", &pod("p", TWO));
    let (one, two) = (program_named("block_sleep"), variant(&program_named("block_sleep"), 2));
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| up");
    child.wait_for("| sleeping");
    let mut best = Duration::MAX;
    for round in 1..=6 {
        let saved = Instant::now();
        project.save("app.wasm", if round % 2 == 1 { &two } else { &one });
        child.wait_for_all("| sleeping", round + 1);
        // From the third round on, both programs are compiled. Other tests keep the machine busy, so the best counts.
        if round > 2 {
            best = best.min(saved.elapsed());
        }
    }
    let output = interrupted(child);
    assert!(best < Duration::from_millis(200), "{best:?}");
    assert!(output.stderr.contains("app.wasm changed: restarting container web of pod p\n"), "{}", output.stderr);
    assert_eq!((restarts(&output.object(), "web"), restarts(&output.object(), "other")), (6, 0));
    let last = &container_status(&output.object(), "web")["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 143, "{last}");
}

#[test]
fn fifty_quick_saves_cause_one_restart() {
    let project = Project::new("block_sleep", &pod("p", "containers: [{name: web, image: ./app.wasm}]"));
    let program = program_named("block_sleep");
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| sleeping");
    for number in 0..50 {
        project.save("app.wasm", &variant(&program, number));
    }
    child.wait_for_all("| sleeping", 2);
    // A further restart because of them would precede the one of this save.
    project.save("app.wasm", &variant(&program, 50));
    child.wait_for_all("| sleeping", 3);
    let output = interrupted(child);
    assert_eq!(restarts(&output.object(), "web"), 2, "{}", output.stderr);
}

#[test]
fn broken_files_are_reported_once_and_containers_keep_running() {
    let project = Project::new("block_sleep", &pod("p", TWO));
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| sleeping");
    let half = program_named("block_sleep");
    project.save("app.wasm", &half[..half.len() / 2]);
    child.wait_for("error: app.wasm changed, but it cannot run");
    project.save("pod.yaml", pod("p", "containrs: []").as_bytes());
    child.wait_for("did you mean \"containers\"?");
    std::fs::remove_file(project.0.path().join("app.wasm")).expect("removed");
    child.wait_for("error: app.wasm changed, but it cannot be read");
    let output = interrupted(child);
    for expected in ["cannot run", "cannot be read", "did you mean"] {
        assert_eq!(output.stderr.matches(expected).count(), 1, "{expected}: {}", output.stderr);
    }
    assert_eq!((restarts(&output.object(), "web"), restarts(&output.object(), "other")), (0, 0));
}

#[test]
fn repaired_program_runs_again() {
    let project = Project::new("block_sleep", &pod("p", "containers: [{name: web, image: ./app.wasm}]"));
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| sleeping");
    project.save("app.wasm", b"\0asm, but no more");
    child.wait_for("cannot run");
    project.save("app.wasm", &program_named("block_sleep"));
    child.wait_for_all("| sleeping", 2);
    assert_eq!(restarts(&interrupted(child).object(), "web"), 1);
}

#[test]
fn changed_manifest_replaces_changed_pods_and_keeps_volumes() {
    let writes = |script: &str| {
        let container = format!(
            "{{name: c, image: busybox, command: [sh, -c, {script:?}], volumeMounts: [{{name: v, mountPath: /v}}]}}"
        );
        pod("p", &format!("volumes: [{{name: v, emptyDir: {{}}}}], containers: [{container}]"))
    };
    let other = pod("q", "containers: [{name: c, image: busybox, command: [sh, -c, 'echo unchanged; sleep 1000']}]");
    let manifest = |script: &str| format!("{}---\n{other}", writes(script));
    let project = Project::new("block_sleep", &manifest("echo kept > /v/note; echo up; sleep 1000"));
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("p/c | up");
    child.wait_for("q/c | unchanged");
    let mut best = Duration::MAX;
    for round in 1..=3 {
        let saved = Instant::now();
        project.save("pod.yaml", manifest(&format!("cat /v/note; echo {round}; sleep 1000")).as_bytes());
        child.wait_for(&format!("p/c | {round}\n"));
        best = best.min(saved.elapsed());
    }
    let output = interrupted(child);
    assert!(best < Duration::from_millis(200), "{best:?}");
    assert_eq!(output.log("p/c"), "up\nkept\n1\nkept\n2\nkept\n3\n");
    assert_eq!(output.log("q/c"), "unchanged\n");
    assert_eq!(output.stderr.matches("pod p changed: replacing it").count(), 3, "{}", output.stderr);
}

#[test]
fn pods_follow_the_files_of_a_watched_directory() {
    let project = Project::new("block_sleep", &pod("p", TWO));
    let child = project.watch(&["."]);
    child.wait_for("p/web | sleeping");
    project.save("more.yaml", pod("q", TWO).as_bytes());
    child.wait_for("q/web | sleeping");
    std::fs::remove_file(project.0.path().join("pod.yaml")).expect("removed");
    child.wait_for("pod p was removed: stopping it");
    child.wait_for("p: deleted");
    let output = interrupted(child);
    assert!(output.stderr.contains("pod q was added: starting it"), "{}", output.stderr);
}

#[test]
fn finished_pod_waits_for_changes_and_runs_again() {
    let yaml = pod("p", "restartPolicy: Never, containers: [{name: web, image: ./app.wasm}]");
    let project = Project::new("args_env", &yaml);
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("all pods have finished; waiting for changes");
    project.save("app.wasm", &variant(&program_named("args_env"), 1));
    child.wait_for("app.wasm changed: running pod p again");
    child.wait_for_all("all pods have finished; waiting for changes", 2);
    let output = interrupted(child);
    assert_eq!(output.log("p/web").matches("arg 0 ").count(), 2);
    assert!(!output.stderr.contains("error:"), "{}", output.stderr);
}

#[test]
fn replaced_container_is_killed_after_a_second() {
    let yaml =
        pod("p", "terminationGracePeriodSeconds: 1, containers: [{name: web, image: ./app.wasm, args: ['60000']}]");
    let project = Project::new("notice", &yaml);
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| requested: false");
    let saved = Instant::now();
    project.save("app.wasm", &variant(&program_named("notice"), 1));
    child.wait_for("| notified");
    child.wait_for_all("| requested: false", 2);
    let took = saved.elapsed().as_secs_f64();
    assert!((1.0..3.0).contains(&took), "{took} s");
    let output = interrupted(child);
    assert_eq!(container_status(&output.object(), "web")["lastState"]["terminated"]["exitCode"], 137);
}

#[test]
fn program_is_found_after_its_directory_is_recreated() {
    let yaml = pod("p", "containers: [{name: web, image: ./target/app.wasm}]");
    let project = Project::new("block_sleep", &yaml);
    let directory = project.0.path().join("target");
    let build = |directory: &Path, number: u32| {
        std::fs::create_dir(directory).expect("created");
        std::fs::write(directory.join("app.wasm"), variant(&program_named("block_sleep"), number)).expect("written");
    };
    build(&directory, 0);
    let child = project.watch(&["pod.yaml"]);
    child.wait_for("| sleeping");
    std::fs::remove_dir_all(&directory).expect("removed");
    child.wait_for("cannot be read");
    build(&directory, 1);
    child.wait_for_all("| sleeping", 2);
    assert_eq!(restarts(&interrupted(child).object(), "web"), 1);
}

#[test]
fn changed_bare_program_runs_again() {
    let project = Project::new("block_sleep", &pod("p", TWO));
    let child = run().dir(project.0.path()).args(["--watch", "app.wasm"]).start();
    child.wait_for("sleeping\n");
    project.save("app.wasm", b"\0asm, but no more");
    child.wait_for("error: app.wasm changed, but it cannot run");
    project.save("app.wasm", &program_named("args_env"));
    child.wait_for("arg 0 ");
    child.wait_for("app.wasm exited with code 0; waiting for changes");
    project.save("app.wasm", &program_named("block_sleep"));
    child.wait_for_all("sleeping\n", 2);
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.stderr.matches("app.wasm changed: running it again").count(), 2, "{}", output.stderr);
}

#[test]
fn standard_input_and_until_cannot_be_watched() {
    let output = run().arg("--watch").manifest(&pod("p", TWO)).output().expect_code(2);
    assert!(output.stderr.contains("--watch cannot be used with standard input"), "{}", output.stderr);
    let output = run().args(["--watch", "--until", "ready"]).manifest(&pod("p", TWO)).output().expect_code(2);
    assert!(output.stderr.contains("--until"), "{}", output.stderr);
}
