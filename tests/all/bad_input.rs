//! Invalid input and faults of the environment: a clear message, the right exit code, and no effect on other pods.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{ProcessOutput, home, pod, run, scripts, test_file};

/// Returns what the user sees, without the directory's path.
fn report(output: &ProcessOutput, directory: &Path) -> String {
    format!("exit code {}\n{}", output.code, output.stderr.replace(&directory.display().to_string(), "DIR"))
}

/// Runs `wasmpod run NAME` in a directory with a file NAME that has this `content`.
fn with_file(name: &str, content: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(name), content).expect("written");
    let output = run().arg(name).dir(dir.path()).output();
    assert_eq!(output.stdout, "", "{output:?}");
    report(&output, dir.path())
}

fn with_yaml(yaml: &str) -> String {
    with_file("pod.yaml", yaml)
}

#[test]
fn rejected_manifests_name_the_place_and_a_remedy() {
    let directory = test_file("manifests/bad");
    let mut names: Vec<String> = fs::read_dir(&directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let all: Vec<String> = names
        .iter()
        .map(|name| {
            let output = run().arg(name).dir(&directory).output();
            assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{name}: {}", output.stderr);
            format!("# {name}\n{}", report(&output, &directory))
        })
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn files_without_manifests_are_rejected() {
    let good = scripts("p", &[("c", "echo ran")]);
    let cases = [
        ("an empty file", with_yaml("")),
        ("only comments", with_yaml("# nothing\n---\n")),
        ("invalid YAML", with_yaml("a: [1, 2\nb: }")),
        ("a bare word", with_yaml("hello\n")),
        ("a list of numbers", with_yaml("[1, 2, 3]\n")),
        ("invalid UTF-8", with_file("pod.yaml", b"kind: Pod\xff\xfe")),
        ("no kind", with_yaml("{apiVersion: v1, metadata: {name: p}}\n")),
        ("no apiVersion", with_yaml("{kind: Pod, metadata: {name: p}}\n")),
        ("another kind", with_yaml("{apiVersion: batch/v1, kind: Job, metadata: {name: j}}\n")),
        ("an unknown kind", with_yaml("{apiVersion: example.com/v1, kind: Thing, metadata: {name: t}}\n")),
        ("no containers", with_yaml("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}\n")),
        ("no name", with_yaml("{apiVersion: v1, kind: Pod, spec: {containers: [{name: c, image: busybox}]}}\n")),
        (
            "two faulty pods",
            with_yaml(&format!(
                "{}---\n{}",
                pod("P", "containers: [{name: c}]"),
                pod("q", "containers: [{image: busybox}]")
            )),
        ),
        ("one name twice", with_yaml(&format!("{good}---\n{good}"))),
        ("a key twice", with_yaml("{apiVersion: v1, kind: Pod, kind: Pod}\n")),
        ("bad JSON", with_file("pod.json", "{\"kind\": \"Pod\",, }")),
        (
            "an unknown volume",
            with_yaml(&pod("p", "containers: [{name: c, image: busybox, volumeMounts: [{name: v, mountPath: /v}]}]")),
        ),
        ("a wrong policy", with_yaml(&pod("p", "restartPolicy: Sometimes, containers: [{name: c, image: busybox}]"))),
        ("the host's network", with_yaml(&pod("p", "hostNetwork: true, containers: [{name: c, image: busybox}]"))),
        (
            "a wrong quantity",
            with_yaml(&pod("p", "containers: [{name: c, image: busybox, resources: {limits: {memory: 64Mb}}}]")),
        ),
    ];
    let all: Vec<String> = cases.into_iter().map(|(what, report)| format!("# {what}\n{report}")).collect();
    all.iter().for_each(|report| assert!(report.contains("\nexit code 2\nerror: "), "{report}"));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn unreadable_files_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("empty")).expect("created");
    let try_ = |args: &[&str]| {
        format!("# {}\n{}", args.join(" "), report(&run().args(args).dir(dir.path()).output(), dir.path()))
    };
    let all = [&["missing.yaml"][..], &["missing.wasm"], &["empty"], &["missing.yaml", "empty"], &["/proc/self/mem"]]
        .map(try_);
    all.iter().for_each(|report| assert!(report.contains("\nexit code 2\nerror: "), "{report}"));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn invalid_flags_are_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("pod.yaml"), scripts("p", &[("c", "true")])).expect("written");
    fs::write(dir.path().join("app.wasm"), command("01")).expect("written");
    run().arg("app.wasm").dir(dir.path()).output().expect_code(0);
    let cases = [
        &["pod.yaml", "--output", "xml"][..],
        &["pod.yaml", "--until", "never"],
        &["pod.yaml", "--timeout", "soon"],
        &["pod.yaml", "--max-restarts", "-1"],
        &["pod.yaml", "--image", "web"],
        &["pod.yaml", "--env", "A=b"],
        &["pod.yaml", "--volume", "a:/b"],
        &["pod.yaml", "--", "arg"],
        &["pod.yaml", "--nonsense"],
        &["app.wasm", "--output", "json"],
        &["app.wasm", "--restart", "always"],
        &["app.wasm", "pod.yaml"],
        &["app.wasm", "--volume", "relative:path"],
        &["app.wasm", "--volume", "missing:/m"],
        &["app.wasm", "--env-file", "missing"],
        &["app.wasm", "--until", "ready"],
        &[],
    ];
    for args in cases {
        let output = run().args(args).dir(dir.path()).output();
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{args:?}: {}", output.stderr);
    }
}

/// Returns a core module with `sections` after its header.
fn module(sections: &str) -> Vec<u8> {
    let bytes = sections.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte"));
    b"\0asm\x01\0\0\0".iter().copied().chain(bytes).collect()
}

/// Returns a module that imports a function `env.magic`.
fn importing() -> Vec<u8> {
    // type section; import section: "env" "magic" func 0
    module("01 04 01 60 00 00  02 0d 01 03 65 6e 76 05 6d 61 67 69 63 00 00")
}

/// Returns a module whose `_start` runs `body`.
fn command(body: &str) -> Vec<u8> {
    let length = body.split_whitespace().count();
    module(&format!(
        "01 04 01 60 00 00  03 02 01 00  07 0a 01 06 5f 73 74 61 72 74 00 00  0a {:02x} 01 {:02x} 00 {body} 0b",
        length + 4,
        length + 2
    ))
}

#[test]
fn unrunnable_programs_are_explained() {
    let busybox = fs::read(crate::support::guest("wasm32-wasip2", "busybox")).expect("busybox");
    let truncated = with_file("app.wasm", busybox.get(..10_000).unwrap_or_default());
    assert!(truncated.starts_with("exit code 2\nerror: cannot run app.wasm: not valid WebAssembly: "), "{truncated}");
    let cases = [
        ("not WebAssembly", with_file("app.wasm", "#!/bin/sh\necho hello\n")),
        ("an ELF file", with_file("app.wasm", b"\x7fELF\x02\x01\x01")),
        ("an empty file", with_file("app.wasm", "")),
        ("only the magic", with_file("app.wasm", b"\0asm")),
        ("a truncated module", with_file("app.wasm", importing().get(..16).unwrap_or_default())),
        ("unknown imports", with_file("app.wasm", importing())),
        ("no _start", with_file("app.wasm", module(""))),
        ("a future version", with_file("app.wasm", b"\0asm\x09\0\0\0")),
        ("a body that does not validate", with_file("app.wasm", command("6a"))),
    ];
    let all: Vec<String> = cases.into_iter().map(|(what, report)| format!("# {what}\n{report}")).collect();
    all.iter().for_each(|report| assert!(report.contains("\nexit code 2\nerror: "), "{report}"));
    insta::assert_snapshot!(all.join("\n"));
}

/// The sections of a module whose start function never returns, so that it hangs before `_start`.
const START_LOOPS: &str = "01 04 01 60 00 00  03 02 01 00  07 0a 01 06 5f 73 74 61 72 74 00 00  08 01 00  \
                           0a 09 01 07 00 03 40 0c 00 0b 0b";

#[test]
fn hanging_start_function_is_killed_after_its_grace_period() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("app.wasm"), module(START_LOOPS)).expect("written");
    let spec = "terminationGracePeriodSeconds: 1, containers: [{name: c, image: ./app.wasm}]";
    fs::write(dir.path().join("pod.yaml"), pod("p", spec)).expect("written");
    let output = run().args(["pod.yaml", "--timeout", "1s", "-o", "json"]).dir(dir.path()).output().expect_code(124);
    assert_eq!(output.termination("c").0, 137, "{}", output.stderr);
}

#[test]
fn empty_lists_are_rejected() {
    let output = run().manifest("{apiVersion: v1, kind: List, items: []}").output().expect_code(2);
    assert!(output.stderr.contains("no Pod"), "{}", output.stderr);
}

#[test]
fn hostile_programs_end_only_themselves() {
    for (what, body, code) in [
        ("unreachable", "00", 134),
        ("endless recursion", "10 00", 139),
        ("a division by zero", "41 01 41 00 6d 1a", 136),
        ("nothing", "01", 0),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("app.wasm"), command(body)).expect("written");
        assert_eq!(run().arg("app.wasm").dir(dir.path()).output().code, code, "{what}");
    }
}

#[test]
fn unrunnable_program_fails_only_its_own_pod() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("bad.wasm"), importing()).expect("written");
    fs::write(dir.path().join("worse.wasm"), "no wasm").expect("written");
    let broken =
        |name: &str| pod(name, &format!("restartPolicy: Never, containers: [{{name: c, image: ./{name}.wasm}}]"));
    let yaml =
        format!("{}---\n{}---\n{}", broken("bad"), broken("worse"), scripts("good", &[("c", "sleep 0.2; echo fine")]));
    fs::write(dir.path().join("pods.yaml"), yaml).expect("written");
    let output = run().arg("pods.yaml").dir(dir.path()).output().expect_code(1);
    assert_eq!(output.log("good/c"), "fine\n");
    assert!(
        output.stderr.contains("error: pod bad failed: container c terminated with exit code 128 (StartError)"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("env::magic"), "{}", output.stderr);
    assert!(
        output.stderr.contains("error: pod worse failed") && output.stderr.contains("not a WebAssembly program"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("pod good failed"), "{}", output.stderr);
}

#[test]
fn unknown_image_error_lists_the_image_sources() {
    let report = with_yaml(&pod(
        "p",
        "containers: [{name: a, image: redis}, {name: b, image: ./missing.wasm}, {name: c, image: 'A b'}]",
    ));
    assert!(report.starts_with("exit code 2\n"), "{report}");
    for way in [
        "image: ./app.wasm",
        "--image redis=FILE",
        "busybox, alpine, nginx, registry.k8s.io/pause",
        "missing.wasm",
        "A b",
    ] {
        assert!(report.contains(way), "{report}");
    }
    insta::assert_snapshot!(report);
}

#[test]
fn command_missing_from_its_image_is_named() {
    let output = run()
        .manifest(&pod("p", "restartPolicy: Never, containers: [{name: c, image: busybox, command: [python3, x]}]"))
        .output();
    assert!(output.expect_code(1).stderr.contains("exec: \"python3\": executable file not found in $PATH"));
}

#[test]
fn unwritable_cache_does_not_fail_a_run() {
    let yaml = scripts("p", &[("c", "echo ran")]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let open = dir.path().join("open");
    fs::create_dir_all(open.join("wasmpod")).expect("created");
    fs::set_permissions(open.join("wasmpod"), fs::Permissions::from_mode(0o777)).expect("changed");
    for cache in [file.as_path(), Path::new("/proc"), &open] {
        let output = run().manifest(&yaml).env("XDG_CACHE_HOME", cache).output().expect_code(0);
        assert_eq!(output.log("p/c"), "ran\n");
        let warnings: Vec<&str> =
            output.stderr.lines().filter(|line| line.contains("compile cache disabled")).collect();
        assert_eq!(warnings.len(), 1, "{}: {}", cache.display(), output.stderr);
        assert!(warnings[0].contains(&*cache.to_string_lossy()), "the directory is not named: {}", warnings[0]);
    }
    assert!(home().join("cache/wasmpod").exists());
}

#[test]
fn missing_temp_directory_is_an_internal_error() {
    let output = run().manifest(&scripts("p", &[("c", "true")])).env("TMPDIR", "/not/there").output().expect_code(125);
    assert!(
        output
            .stderr
            .contains("error: cannot create a temporary directory in /not/there; set TMPDIR to another directory"),
        "{}",
        output.stderr
    );
}

#[test]
fn unusable_volumes_are_reported_and_other_pods_run() {
    let spec = "containers: [{name: c, image: busybox, volumeMounts: [{name: v, mountPath: /v}]}], \
                volumes: [{name: v, hostPath: {path: /not/there, type: Directory}}, {name: m, configMap: {name: nope}}, \
                {name: s, secret: {secretName: nope}}]";
    let yaml = format!("{}---\n{}", pod("p", spec), scripts("good", &[("c", "echo fine")]));
    let output = run().manifest(&yaml).args(["--timeout", "1s"]).output().expect_code(124);
    for reason in [
        "\"v\" : hostPath type check failed: /not/there is not a directory",
        "\"m\" : configmap \"nope\" not found",
        "\"s\" : secret \"nope\" not found",
    ] {
        let report = format!("MountVolume.SetUp failed for volume {reason}");
        assert_eq!(output.stderr.matches(&report).count(), 1, "{}", output.stderr);
    }
    assert_eq!(output.log("good/c"), "fine\n");
}
