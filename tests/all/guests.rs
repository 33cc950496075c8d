//! The programs of guests/test-programs, each in every version of WASI for which it is built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{ProcessOutput, TestCommand, container_status, existing, guest, pod, run, target};

/// Returns a program of guests/test-programs for WASI 0.1 and 0.2.
fn versions(name: &str) -> [PathBuf; 2] {
    [guest("wasm32-wasip1", name), guest("wasm32-wasip2", name)]
}

/// Returns a program for WASI 0.3.
fn p3(name: &str) -> PathBuf {
    existing(target().join(format!("guests/wasm32-wasip2/release/examples/{name}.wasm")))
}

/// Runs `program` without a pod.
fn bare(program: &Path, args: &[&str]) -> TestCommand {
    run().arg(program).arg("--").args(args)
}

/// Returns a pod that runs `program` once, with further fields of its container.
fn run_once_manifest(program: &Path, args: &[&str], container: &str) -> String {
    let image = Value::from(program.to_string_lossy());
    let container = format!("{{name: c, image: {image}, args: {}, {container}}}", Value::from(args.to_vec()));
    pod("p", &format!("restartPolicy: Never, containers: [{container}]"))
}

fn in_pod(program: &Path, args: &[&str], container: &str) -> ProcessOutput {
    run().manifest(&run_once_manifest(program, args, container)).args(["--output", "json"]).output()
}

#[test]
fn every_test_program_is_run_by_a_test() {
    let tests = include_str!("guests.rs");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/test-programs");
    let mut names = BTreeSet::new();
    for part in ["src/bin", "examples"] {
        for entry in std::fs::read_dir(directory.join(part)).expect("the programs") {
            let path = entry.expect("an entry").path();
            names.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    assert!(names.len() > 10, "{names:?}");
    names.retain(|name| {
        !["versions", "bare", "p3", "guest"].iter().any(|call| {
            tests.contains(&format!("{call}(\"{name}\""))
                || tests.contains(&format!("{call}(\"wasm32-wasip2\", \"{name}\""))
        })
    });
    names.retain(|name| name != "http_denied" || !tests.contains("examples/http_denied.wasm"));
    names.retain(|name| name != "trap" || !tests.contains("traced/trap.wasm"));
    let attacks = [include_str!("../hostile/computing.rs"), include_str!("../hostile/connections.rs")].concat();
    names.retain(|name| !attacks.contains(&format!("\"{name}\"")));
    assert!(names.is_empty(), "no test runs {names:?}");
}

#[test]
fn requests_over_wasi_http_are_denied() {
    let program = existing(target().join("guests/wasm32-wasip2/release/examples/http_denied.wasm"));
    let output = bare(&program, &[]).output().expect_code(0);
    assert_eq!(output.stdout, "body read: false\ndenied: ErrorCode::HttpRequestDenied\n");
}

#[test]
fn arguments_and_environment_arrive_unchanged() {
    for program in versions("args_env") {
        let env = "workingDir: /tmp, env: [{name: A, value: 'a b'}, {name: EMPTY, value: ''}]";
        let log = in_pod(&program, &["one", "", "two words", "ünï"], env).expect_code(0).log("p/c");
        for line in [
            "arg 1 \"one\"",
            "arg 2 \"\"",
            "arg 3 \"two words\"",
            "arg 4 \"ünï\"",
            "env A=\"a b\"",
            "env EMPTY=\"\"",
            "env HOSTNAME=\"p\"",
        ] {
            assert!(log.lines().any(|l| l == line), "{}: {line}\n{log}", program.display());
        }
    }
    let p2 = guest("wasm32-wasip2", "args_env");
    assert!(in_pod(&p2, &[], "workingDir: /tmp").log("p/c").contains("cwd Some(\"/tmp\")\n"), "the working directory");
}

#[test]
fn exit_codes_arrive_unchanged() {
    let [p1, p2] = versions("exit_code");
    for code in [0, 1, 7, 126, 200, 255] {
        let text = code.to_string();
        for (program, args) in [
            (&p1, &[text.as_str()][..]),
            (&p2, &[text.as_str(), "exact"]),
            (&p3("p3_command"), &["exit", text.as_str()]),
        ] {
            assert_eq!(bare(program, args).output().code, code, "{} {args:?}", program.display());
            let output = in_pod(program, args, "").expect_code(i32::from(code != 0));
            let reason = if code == 0 { "Completed" } else { "Error" };
            assert_eq!(output.termination("c"), (i64::from(code), reason.into()), "{} {args:?}", program.display());
        }
    }
    // WASI 0.2's result for a failure.
    bare(&p2, &["7"]).output().expect_code(1);
    for program in [&p1, &p2] {
        bare(program, &["return"]).output().expect_code(0);
    }
    bare(&p3("p3_command"), &["fail"]).output().expect_code(1);
}

#[test]
fn wasi_0_3_programs_run_like_others() {
    let output = in_pod(&p3("p3_command"), &["one", "two words"], "").expect_code(0);
    assert!(output.log("p/c").ends_with("arg 1 \"one\"\narg 2 \"two words\"\n"), "{}", output.stderr);
    let output = in_pod(&p3("p3_tcp"), &[], "").expect_code(0);
    let want = "server read \"ping\" and the end\nclient read \"pong\" and the end\nclosed port: Some(ErrorCode::ConnectionRefused)\n";
    assert_eq!(output.log("p/c"), want);
}

#[test]
fn files_follow_posix_and_no_path_escapes() {
    for program in versions("files") {
        let dir = tempfile::tempdir().expect("a directory");
        let inside = dir.path().join("inside");
        std::fs::create_dir(&inside).expect("created");
        let outside = dir.path().join("secret");
        std::fs::write(&outside, "the secret").expect("written");
        let spec = format!(
            "restartPolicy: Never, volumes: [{{name: v, hostPath: {{path: {inside:?}}}}}], containers: [{{name: c, image: {program:?}, \
             args: [/v, {outside:?}], volumeMounts: [{{name: v, mountPath: /v}}]}}]"
        );
        let output = run().manifest(&pod("p", &spec)).output().expect_code(0);
        let log = output.log("p/c");
        for line in [
            "read: ok \"hello\"",
            "append: ok \"hello, world\"",
            "seek: ok \"world\"",
            "length: ok 2",
            "exclusive: AlreadyExists",
            "gone: NotFound",
            "hard link: ok ()",
            "through link: ok \"he\"",
            "link is: ok \"b\"",
            "list: ok [\"b\", \"c\", \"l@\"]",
            "remove all: ok ()",
        ] {
            assert!(log.lines().any(|l| l == line), "{}: no line {line:?}\n{log}", program.display());
        }
        assert!(!log.contains("rmdir full: ok"), "{log}");
        let escapes = log.lines().filter(|l| {
            l.starts_with("escape") || l.starts_with("through absolute") || l.starts_with("through link with")
        });
        for line in escapes {
            assert!(!line.contains(": ok"), "{}: {line}", program.display());
        }
        assert_eq!(std::fs::read_to_string(&outside).expect("the secret"), "the secret");
    }
}

/// Returns a pod that runs `program` once with a directory of the host at /v, which has a file `f` and a directory `d`.
fn with_directory(program: &Path, args: &[&str], read_only: bool) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("f"), "content").expect("written");
    std::fs::create_dir(dir.path().join("d")).expect("created");
    let spec = format!(
        "restartPolicy: Never, volumes: [{{name: v, hostPath: {{path: {:?}}}}}], containers: [{{name: c, image: {program:?}, \
         args: {}, volumeMounts: [{{name: v, mountPath: /v, readOnly: {read_only}}}]}}]",
        dir.path(),
        Value::from(args.to_vec())
    );
    (dir, pod("p", &spec))
}

#[test]
fn changes_of_read_only_mounts_are_refused_in_one_way() {
    let allowed = ["read", "list", "write elsewhere", "unlink elsewhere"];
    for program in versions("read_only") {
        let (dir, manifest) = with_directory(&program, &["/v", "/tmp"], true);
        let log = run().manifest(&manifest).output().expect_code(0).log("p/c");
        assert_eq!(log.lines().count(), 17, "{log}");
        for line in log.lines() {
            let (step, result) = line.split_once(": ").expect("a step");
            let expected = if allowed.contains(&step) { "ok" } else { "read-only" };
            assert_eq!(result, expected, "{}: {step}", program.display());
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("f")).expect("the file"), "content");
    }
}

#[test]
fn files_of_wasi_0_3_follow_the_same_rules() {
    let (_dir, manifest) = with_directory(&p3("p3_files"), &[], true);
    let log = run().manifest(&manifest).output().expect_code(0).log("p/c");
    let mut lines = log.lines();
    for step in ["read", "create elsewhere"] {
        assert_eq!(lines.next(), Some(format!("{step}: Ok(())").as_str()), "{log}");
    }
    let (refused, rest): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.ends_with(": Err(ErrorCode::ReadOnly)"));
    assert_eq!(refused.len(), 10, "{log}");
    assert!(rest.len() == 1 && rest[0].ends_with(" files, then ErrorCode::InsufficientMemory"), "{log}");
}

#[test]
fn container_opens_a_limited_number_of_files() {
    // WASI 0.2 has no code for too many open files.
    for (program, code) in versions("open_files").iter().zip(["33", "48"]) {
        let (_dir, manifest) = with_directory(program, &["/v/f"], false);
        let log = run().manifest(&manifest).output().expect_code(0).log("p/c");
        let (count, rest) = log.split_once(' ').expect("a number");
        assert_eq!(rest, format!("files, then error Some({code})\nas many again\n"), "{}", program.display());
        assert!((16..=4096).contains(&count.parse::<u64>().expect("a number")), "{log}");
    }
}

#[test]
fn clocks_advance_and_match_the_host() {
    for program in versions("clocks") {
        let log = in_pod(&program, &["20"], "").expect_code(0).log("p/c");
        assert!(log.contains("slept enough: true\n"), "{log}");
        let wall = log.lines().find_map(|l| l.strip_prefix("wall ")).and_then(|t| t.parse::<u64>().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert!(wall.is_some_and(|wall| now.abs_diff(wall) <= 2), "{log}");
    }
}

#[test]
fn random_numbers_differ_between_runs() {
    for program in versions("random") {
        let numbers: BTreeSet<String> = [0; 2].map(|_| bare(&program, &[]).output().expect_code(0).stdout).into();
        assert_eq!(numbers.len(), 2, "{}: {numbers:?}", program.display());
    }
}

#[test]
fn standard_input_arrives_complete_and_ends() {
    let text: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
    for program in versions("stdin_echo") {
        let output = bare(&program, &[]).stdin(text.as_str()).output().expect_code(0);
        assert!(output.stdout == text, "{}: {} bytes of {}", program.display(), output.stdout.len(), text.len());
        assert_eq!(output.stderr, "20000 lines\n", "{}", program.display());
        assert_eq!(in_pod(&program, &[], "").expect_code(0).log("p/c"), "0 lines\n", "a container without stdin");
    }
    for program in versions("block_stdin") {
        assert!(in_pod(&program, &[], "").expect_code(0).log("p/c").contains("read 0\n"), "{}", program.display());
    }
}

#[test]
fn panic_is_logged_and_exits_with_134() {
    for program in versions("panic") {
        let output = in_pod(&program, &[], "").expect_code(1);
        assert_eq!(output.termination("c"), (134, "Error".into()));
        let log = output.log("p/c");
        assert!(log.starts_with("before\n") && log.contains("this is the message"), "{log}");
        assert!(log.contains("c: wasm trap: wasm `unreachable` instruction executed\n"), "{log}");
        bare(&program, &[]).output().expect_code(134);
    }
}

#[test]
fn trap_is_logged_with_function_and_line() {
    let program = existing(target().join("guests/wasm32-wasip2/traced/trap.wasm"));
    let output = in_pod(&program, &[], "").expect_code(1);
    assert_eq!(output.termination("c").0, 134);
    let log = output.log("p/c");
    let message = container_status(&output.object(), "c")["state"]["terminated"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_string();
    for text in [log.as_str(), message.as_str()] {
        let at = |name: &str| text.find(&format!("\n    at {name} (")).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(at("innermost") < at("middle") && at("middle") < at("outer") && at("outer") < at("main"), "{text}");
        assert!(text.contains("src/bin/trap.rs:"), "{text}");
        assert_eq!(text.matches("\n    at middle (").count(), 4, "{text}");
    }
    assert!(log.contains("c: wasm trap:"), "the container's name: {log}");
    let alone = bare(&program, &[]).output().expect_code(134);
    assert!(alone.stderr.contains("at innermost ("), "{}", alone.stderr);
    // Without debug information the log has no line numbers; the exit code is the same.
    for program in versions("trap") {
        assert_eq!(in_pod(&program, &[], "").expect_code(1).termination("c").0, 134);
    }
}

#[test]
fn stack_overflow_exits_with_139() {
    for program in versions("recurse") {
        let output = in_pod(&program, &[], "").expect_code(1);
        assert_eq!(output.termination("c"), (139, "Error".into()), "{}: {}", program.display(), output.stderr);
        let log = output.log("p/c");
        assert!(log.starts_with("descending\n"), "{log}");
        assert!(log.lines().count() < 200, "{} lines of call stack", log.lines().count());
    }
}

#[test]
fn memory_over_the_limit_ends_the_container() {
    for program in versions("hog") {
        let output = in_pod(&program, &["1000"], "resources: {limits: {memory: 64Mi}}").expect_code(1);
        assert_eq!(output.termination("c"), (137, "OOMKilled".into()), "{}", output.stderr);
        let log = output.log("p/c");
        assert!(log.contains("32 MiB\n") && !log.contains("64 MiB\n"), "{log}");
        assert!(output.stderr.contains("container c terminated with exit code 137 (OOMKilled)"), "{}", output.stderr);
        in_pod(&program, &["32"], "resources: {limits: {memory: 64Mi}}").expect_code(0);
    }
}

#[test]
fn spinning_guest_ends_on_ctrl_c_and_starves_no_one() {
    for program in versions("spin") {
        let spec = format!(
            "restartPolicy: Never, containers: [{{name: a, image: {program:?}}}, {{name: b, image: {program:?}}}, {{name: c, image: {program:?}}}, \
             {{name: timer, image: busybox, command: [sh, -c, 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.01; done; echo end; sleep 1000']}}]"
        );
        let start = Instant::now();
        let child = run().manifest(&pod("p", &spec)).start();
        child.wait_for("p/timer | end\n");
        let interrupted = Instant::now();
        child.interrupt();
        child.output().expect_code(130);
        assert!(interrupted.elapsed().as_secs_f64() < 1.0, "{:?} to stop", interrupted.elapsed());
        assert!(start.elapsed().as_secs_f64() < 8.0, "{:?} in all", start.elapsed());
    }
    let [_, p2] = versions("spin");
    let child = bare(&p2, &[]).start();
    child.wait_for("spinning\n");
    child.interrupt();
    child.output().expect_code(130);
}

#[test]
fn blocked_guests_end_at_once() {
    // WASI 0.1 has no listening sockets.
    let accept = guest("wasm32-wasip2", "block_accept");
    let [sleep1, sleep2] = versions("block_sleep");
    for (program, says) in [(accept, "accepting"), (sleep1, "sleeping"), (sleep2, "sleeping")] {
        let child = run().manifest(&run_once_manifest(&program, &[], "")).args(["-o", "json"]).start();
        child.wait_for(&format!("p/c | {says}\n"));
        let interrupted = Instant::now();
        child.interrupt();
        let output = child.output().expect_code(130);
        assert!(interrupted.elapsed().as_secs_f64() < 1.0, "{}: {:?}", program.display(), interrupted.elapsed());
        assert_eq!(output.termination("c"), (143, "Error".into()), "{}", program.display());
    }
}

#[test]
fn flooding_guest_can_be_ended_and_dropped_lines_are_counted() {
    for program in versions("flood") {
        let child = run().manifest(&run_once_manifest(&program, &[], "")).start();
        child.wait_for("the quick brown fox");
        let interrupted = Instant::now();
        child.interrupt();
        child.output().expect_code(130);
        assert!(interrupted.elapsed().as_secs_f64() < 2.0, "{:?}", interrupted.elapsed());
        let output = in_pod(&program, &["5000"], "").expect_code(0);
        let log = output.log("p/c");
        let dropped: usize =
            log.lines().filter_map(|l| l.strip_prefix('[')?.split(' ').next()?.parse::<usize>().ok()).sum();
        let gaps = log.lines().filter(|l| l.starts_with('[')).count();
        assert_eq!(log.lines().count() - gaps + dropped, 5000);
        assert!(log.ends_with("00000000000000004999 the quick brown fox jumps over the lazy dog\n"));
    }
}

#[test]
fn guest_with_lifecycle_import_is_notified_of_termination() {
    for program in versions("notice") {
        let child = run().manifest(&run_once_manifest(&program, &["100"], "")).args(["-o", "json"]).start();
        child.wait_for("requested: false\n");
        child.interrupt();
        let output = child.output().expect_code(130);
        assert_eq!(output.log("p/c"), "requested: false\nnotified, requested: true\nSIGTERM\ndone\n");
        assert_eq!(output.termination("c"), (3, "Error".into()));
    }
}

#[test]
fn wasi_0_3_component_awaits_termination_in_a_call() {
    let child = run().manifest(&run_once_manifest(&p3("p3_notice"), &[], "")).args(["-o", "json"]).start();
    child.wait_for("up\n");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.log("p/c"), "up\nSIGTERM\n");
    assert_eq!(output.termination("c"), (1, "Error".into()));
}

#[test]
fn std_net_tcp_works_within_a_pod() {
    let program = guest("wasm32-wasip2", "tcp");
    let output = in_pod(&program, &["pair"], "").expect_code(0);
    let want = "localhost is loopback: true\npeer matches: true\nserver read \"ping\" and the end\n\
                client read \"pong\" and the end\nclosed port: Some(ConnectionRefused)\n";
    assert_eq!(output.log("p/c"), want);
    assert_eq!(in_pod(&program, &["refused", "127.0.0.1:9"], "").expect_code(0).log("p/c"), "ConnectionRefused\n");
    let spec = format!(
        "restartPolicy: Never, containers: [{{name: server, image: {program:?}, args: [serve, '0.0.0.0:7']}}, \
         {{name: client, image: busybox, command: [sh, -c, 'until echo hello | nc localhost 7 2> /dev/null; do sleep 0.02; done']}}]"
    );
    let child = run().manifest(&pod("p", &spec)).start();
    child.wait_for("p/client: Completed");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert_eq!(output.log("p/client"), "hello\nbye\n");
    assert!(output.log("p/server").contains("from 127.0.0.1\n"), "{output:?}");
}

#[test]
fn applet_list_matches_busybox() {
    let output = bare(&guest("wasm32-wasip2", "busybox"), &["--list"]).output().expect_code(0);
    let own: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(own, wasmpod::images::APPLETS);
}
