//! `wasmpod validate` and `explain`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{ProcessOutput, command, pod, run, test_file};

fn validate(directory: &Path, args: &[&str]) -> ProcessOutput {
    command("validate").args(args).dir(directory).output()
}

fn manifests(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> = entries
        .filter(|path| path.is_file())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn valid_manifests_are_accepted() {
    let directory = test_file("manifests");
    let reports: Vec<String> = manifests(&directory)
        .iter()
        .map(|name| {
            let output = validate(&directory, &[name]);
            assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{name}: {output:?}");
            format!("# {name}\n{}", output.stdout)
        })
        .collect();
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn invalid_manifests_are_rejected_with_a_helpful_message() {
    let directory = test_file("manifests/bad");
    let reports: Vec<String> = manifests(&directory)
        .iter()
        .map(|name| {
            let output = validate(&directory, &[name]);
            assert_eq!((output.code, output.stderr.as_str()), (2, ""), "{name}: {output:?}");
            format!("# {name}\n{}", output.stdout)
        })
        .collect();
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn directory_is_checked_file_by_file_and_summarized() {
    let output = validate(&test_file("manifests/bad"), &["."]);
    assert_eq!(output.code, 2);
    assert!(output.stdout.ends_with("\n7 files, 6 objects: 12 errors\n"), "{}", output.stdout);
    assert!(output.stdout.contains("./typo-resouces.yaml:6:7: "), "{}", output.stdout);
}

#[test]
fn warnings_fail_only_a_strict_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let spec =
        "hostNetwork: no, containers: [{name: c, image: busybox, securityContext: {readOnlyRootFilesystem: true}}]";
    fs::write(directory.path().join("pod.yaml"), pod("p", spec)).expect("written");
    let output = validate(directory.path(), &["pod.yaml"]);
    assert_eq!(output.code, 0);
    assert!(
        output.stdout.contains("spec.containers[0].securityContext.readOnlyRootFilesystem: warning: no effect"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("spec.hostNetwork: warning: no is read as false"), "{}", output.stdout);
    assert!(output.stdout.ends_with("1 file, 1 object: 2 warnings\n"), "{}", output.stdout);
    assert_eq!(validate(directory.path(), &["--strict", "pod.yaml"]).code, 2);
}

#[test]
fn images_that_a_run_would_not_find_are_warnings() {
    let directory = tempfile::tempdir().expect("a directory");
    let save = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
    for (image, message) in [
        ("postgres:16", "image \"postgres:16\" not found: wasmpod does not pull images yet"),
        ("./missing.wasm", "of image \"./missing.wasm\" cannot be read: No such file or directory"),
        ("Not/Valid", "couldn't parse image name \"Not/Valid\": invalid reference format"),
    ] {
        save("pod.yaml", &pod("p", &format!("restartPolicy: Never, containers: [{{name: c, image: {image}}}]")));
        let output = validate(directory.path(), &["pod.yaml"]);
        assert_eq!(output.code, 0, "{}", output.stdout);
        assert!(output.stdout.contains("spec.containers[0].image: warning: "), "{}", output.stdout);
        assert!(output.stdout.contains(message), "{}", output.stdout);
        let refused = command("run").arg("pod.yaml").dir(directory.path()).output().expect_code(2);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
        let mapped = validate(directory.path(), &["--image", &format!("{image}=pod.yaml"), "pod.yaml"]);
        assert!(mapped.stdout.contains("no errors"), "{}", mapped.stdout);
    }
    let pod = "{containers: [{name: c, image: busybox}], initContainers: [{name: i, image: mine}]}";
    let spec = format!(
        "{{selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {pod}}}}}"
    );
    save("web.yaml", &format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {spec}}}"));
    let output = validate(directory.path(), &["web.yaml"]);
    let warning = "spec.template.spec.initContainers[0].image: warning: image \"mine\" not found";
    assert!(output.stdout.contains(warning), "{}", output.stdout);
}

#[test]
fn workload_template_errors_name_the_full_path() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {hostPID: true, \
               restartPolicy: Never, containers: [{name: C, image: busybox}]}}}}";
    fs::write(directory.path().join("job.yaml"), job).expect("written");
    let output = validate(directory.path(), &["job.yaml"]);
    assert_eq!(output.code, 2);
    for expected in [
        "job.yaml:1:132: spec.template.spec.containers[0].name: Invalid value: \"C\"",
        "spec.template.spec.hostPID: not supported: containers cannot see host processes",
    ] {
        assert!(output.stdout.contains(expected), "{expected}: {}", output.stdout);
    }
}

#[test]
fn workload_template_needs_a_fitting_restart_policy() {
    let directory = tempfile::tempdir().expect("a directory");
    let template = |policy: &str| {
        let spec = format!("{{{policy}containers: [{{name: c, image: busybox}}]}}");
        format!("template: {{metadata: {{labels: {{a: b}}}}, spec: {spec}}}")
    };
    let spec = |policy: &str| format!("{{{}}}", template(policy));
    let selecting = |policy: &str| format!("{{selector: {{matchLabels: {{a: b}}}}, {}}}", template(policy));
    for (version, kind, spec, expected) in [
        ("batch/v1", "Job", spec(""), "restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""),
        ("batch/v1", "Job", spec("restartPolicy: Never, "), "no errors"),
        (
            "apps/v1",
            "Deployment",
            selecting("restartPolicy: Never, "),
            "Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        ("apps/v1", "Deployment", selecting(""), "no errors"),
        ("apps/v1", "DaemonSet", "{}".into(), "spec.template.spec.containers: Required value"),
    ] {
        let text = format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: w}}, spec: {spec}}}");
        fs::write(directory.path().join("w.yaml"), &text).expect("written");
        let output = validate(directory.path(), &["w.yaml"]);
        assert!(output.stdout.contains(expected), "{text}: {}", output.stdout);
    }
}

#[test]
fn workloads_run_as_one_pod_of_their_template() {
    let spec =
        "{template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: [echo, hello]}]}}}";
    let job = format!("{{apiVersion: batch/v1, kind: Job, metadata: {{name: greeter}}, spec: {spec}}}");
    let output = run().manifest(&job).output().expect_code(0);
    assert_eq!(output.log("greeter/c"), "hello\n");
    assert!(output.stderr.contains("Job greeter: running one pod of its template, named greeter"), "{}", output.stderr);
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}";
    let both = format!("{job}\n---\n{service}");
    let reason = "only names of Services with a cluster IP resolve in pods, and connections to them are refused: \
                  not supported yet";
    let output = run().manifest(&both).output().expect_code(0);
    assert_eq!(output.log("greeter/c"), "hello\n");
    assert!(output.stderr.contains(&format!("warning: Service s: {reason}\n")), "{}", output.stderr);
    let output = run().arg("--strict").manifest(&both).output().expect_code(2);
    assert!(output.stderr.contains(reason), "{}", output.stderr);
}

#[test]
fn unknown_kinds_can_be_ignored() {
    let directory = tempfile::tempdir().expect("a directory");
    let save = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
    save(
        "kustomization.yaml",
        "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [a.yaml]}\n",
    );
    save(
        "thing.yaml",
        "{apiVersion: example.com/v1, kind: Thing, metadata: {name: t}}\n---\n{apiVersion: v1, kind: Pod}\n",
    );
    let output = validate(directory.path(), &["."]);
    assert!(output.stdout.ends_with("2 files, 3 objects: 4 errors\n"), "{}", output.stdout);
    let output = validate(directory.path(), &[".", "--ignore-unknown-kinds"]);
    assert!(output.stdout.ends_with("2 files, 3 objects: 2 errors\n"), "{}", output.stdout);
    assert!(!output.stdout.contains("Thing"), "{}", output.stdout);
}

#[test]
fn duplicate_names_are_reported_across_files() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["a.yaml", "b.yaml"] {
        fs::write(directory.path().join(name), pod("p", "containers: [{name: c, image: busybox}]")).expect("written");
    }
    let output = validate(directory.path(), &["."]);
    assert_eq!(output.code, 2);
    assert!(
        output.stdout.contains("./b.yaml:1:40: metadata.name: Pod \"p\" is already defined in ./a.yaml"),
        "{}",
        output.stdout
    );
}

#[test]
fn json_and_sarif_reports_list_the_errors() {
    let directory = test_file("manifests/bad");
    let output = validate(&directory, &["typo-resouces.yaml", "missing.yaml", "--output", "json"]);
    assert_eq!(output.code, 2);
    let report: Value = serde_json::from_str(&output.stdout).expect("JSON");
    insta::assert_json_snapshot!(report);
    let output = validate(&directory, &["typo-resouces.yaml", "probe-fields-in-httpget.yaml", "--output", "sarif"]);
    assert_eq!(output.code, 2);
    let report: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    let (rules, results) = (&run["tool"]["driver"]["rules"], run["results"].as_array().expect("results"));
    assert_eq!(results.len(), 6);
    for result in results {
        let rule = result["ruleIndex"].as_u64().and_then(|i| usize::try_from(i).ok()).expect("an index");
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert!(
            region["startLine"].as_u64() >= Some(1) && region["endColumn"].as_u64() > region["startColumn"].as_u64()
        );
    }
    insta::assert_json_snapshot!(results[2]);
}

/// Returns a text of so many megabytes.
fn large(megabytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut i = 0;
    while text.len() < megabytes << 20 {
        text += &line(i);
        i += 1;
    }
    text
}

/// Checks that `validate` finds `errors` errors in a pod with the fields `spec`, in seconds.
#[track_caller]
fn reports_many(errors: usize, spec: &str) {
    let header = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n";
    let output = command("validate").manifest(&format!("{header}{spec}")).output().expect_code(2);
    assert!(output.stdout.ends_with(&format!("1 object: {errors} errors\n")), "{}", last_lines(&output.stdout));
    assert!(output.took < Duration::from_secs(10), "{:?}", output.took);
}

fn last_lines(text: &str) -> String {
    text.lines().rev().take(3).collect::<Vec<_>>().join("\n")
}

#[test]
fn long_lists_of_errors_take_no_longer_than_their_length() {
    const MANY: usize = 50_000;
    let list = |item: fn(usize) -> String| (0..MANY).map(item).collect::<String>();
    let container = |field: String| format!("  containers:\n  - name: c\n    image: busybox\n    {field}");
    reports_many(MANY, &container(format!("env:\n{}", list(|i| format!("    - {{name: 'a{i}=', value: b}}\n")))));
    reports_many(MANY, &container(format!("ports:\n{}", list(|i| format!("    - containerPort: {}\n", 70_000 + i)))));
    reports_many(MANY, &format!("  containers:\n{}", list(|i| format!("  - {{name: A_{i}, image: busybox}}\n"))));
}

#[test]
fn hostile_files_are_rejected_promptly() {
    let directory = tempfile::tempdir().expect("a directory");
    let header = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    let map = |entries: String| format!("{header}data:\n{entries}");
    let anchors = |depth: usize| {
        let line = |i: usize| format!("- &a{} [*a{i}, *a{i}, *a{i}, *a{i}, *a{i}, *a{i}, *a{i}]\n", i + 1);
        format!("- &a0 [x]\n{}", (0..depth).map(line).collect::<String>())
    };
    let cases: [(&str, Vec<u8>, i32, &str); 16] = [
        (
            "10 MiB in one ConfigMap",
            map(large(10, |i| format!("  key{i}: value\n"))).into(),
            2,
            "may not be more than 1048576 bytes",
        ),
        (
            "10 MiB in one value",
            map(format!("  k: \"{}\"\n", "x".repeat(10 << 20))).into(),
            2,
            "may not be more than 1048576 bytes",
        ),
        ("10 MiB of unknown fields", large(10, |i| format!("field{i}: x\n")).into(), 2, "apiVersion is missing"),
        (
            "10 MiB of one key",
            (header.to_string() + &large(10, |_| "data: {aaaaaaaaaa: bbbbbbbbbb}\n".into())).into(),
            2,
            "more problems not shown",
        ),
        ("10 MiB of brackets", "[".repeat(10 << 20).into(), 2, "nested more deeply than 100 levels"),
        ("10 MiB of dashes", "- ".repeat(5 << 20).into(), 2, "nested more deeply than 100 levels"),
        (
            "10 MiB of numbers",
            format!("[{}]", "1,".repeat(5 << 20)).into(),
            2,
            "the document has more than 2000000 values",
        ),
        ("10 MiB of colons", ": ".repeat(5 << 20).into(), 2, "error"),
        ("100,000 documents", "---\n- x\n".repeat(100_000).into(), 2, "expected an object"),
        ("100,000 empty documents", "---\n".repeat(100_000).into(), 2, "no objects found"),
        ("100,000 broken documents", "---\n}\n".repeat(100_000).into(), 2, "more problems not shown"),
        ("an alias bomb", anchors(30).into(), 2, "aliases expand to more than 100000 values"),
        (
            "no UTF-8",
            b"kind: Pod\n  \xff".to_vec(),
            2,
            "file:2:3: the file is not valid UTF-8: invalid byte at offset 12",
        ),
        ("a NUL", b"kind: Pod\n\0".to_vec(), 2, "file:2:1: the character U+0000 is not allowed"),
        ("tabs", b"kind: Pod\nmetadata:\n\tname: x\n".to_vec(), 2, "indent with spaces"),
        (
            "a byte order mark and CRLF",
            format!("\u{feff}{header}").replace('\n', "\r\n").into(),
            0,
            "1 object: no errors",
        ),
    ];
    for (what, text, code, expected) in cases {
        fs::write(directory.path().join("file"), text).expect("written");
        let start = Instant::now();
        let output = validate(directory.path(), &["file"]);
        assert_eq!(output.code, code, "{what}: {}", output.stdout.get(..2000).unwrap_or(&output.stdout));
        assert!(output.stdout.contains(expected), "{what}: {}", output.stdout.get(..2000).unwrap_or(&output.stdout));
        assert!(output.stdout.len() < 1 << 20, "{what}: the report has {} bytes", output.stdout.len());
        assert!(start.elapsed().as_secs() < 10, "{what}: {:?}", start.elapsed());
    }
}

#[test]
fn explain_describes_a_field_and_its_support() {
    let directory = tempfile::tempdir().expect("a directory");
    let explain = |args: &[&str]| command("explain").args(args).dir(directory.path()).output();
    insta::assert_snapshot!(explain(&["pod.spec.containers.livenessProbe.httpGet"]).expect_code(0).stdout);
    assert!(
        explain(&["pods", "--recursive"])
            .expect_code(0)
            .stdout
            .contains("\n    containers\t<[]Container> -required-\n")
    );
    let output = explain(&["pod.spec.contaners"]).expect_code(2);
    assert_eq!(output.stderr, "error: pod.spec has no field \"contaners\"; did you mean \"containers\"?\n");
}
