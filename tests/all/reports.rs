//! `run --report junit=FILE`, and help, completions and manual pages.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{ProcessOutput, binary, pod, run, scripts};

/// Runs pods with a report, and returns the output and the report.
fn reported(yaml: &str, args: &[&str]) -> (ProcessOutput, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let output = run().dir(dir.path()).args(["--report", "junit=report.xml"]).args(args).manifest(yaml).output();
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the directory").flatten().map(|e| e.file_name()).collect();
    assert_eq!(files, ["report.xml"], "only the report remains\n{}", output.stderr);
    (output, std::fs::read_to_string(dir.path().join("report.xml")).expect("a report"))
}

/// Returns the test case element of a container.
fn case<'r>(report: &'r str, container: &str) -> &'r str {
    let from = report.find(&format!("<testcase name=\"{container}\"")).unwrap_or_else(|| panic!("no case: {report}"));
    let rest = &report[from..];
    let open = rest.find('>').expect("its tag ends");
    let to = if rest[..open].ends_with('/') { open + 1 } else { rest.find("</testcase>").expect("it ends") };
    &rest[..to]
}

#[test]
fn report_lists_containers_with_exit_and_last_lines() {
    let yaml = scripts("p", &[("good", "echo fine"), ("bad", "echo '<the> \u{1}reason & more' >&2; exit 3")]);
    let (output, report) = reported(&yaml, &[]);
    output.expect_code(1);
    assert!(
        report.starts_with("<?xml") && report.contains("tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\""),
        "{report}"
    );
    assert!(report.contains("<testsuite name=\"p\""), "{report}");
    let (good, bad) = (case(&report, "good"), case(&report, "bad"));
    assert!(good.contains("<system-out>fine") && !good.contains("<failure"), "{good}");
    for expected in ["<failure", "container bad terminated with exit code 3 (Error)", "&lt;the&gt; reason &amp; more"] {
        assert!(bad.contains(expected), "{expected}: {bad}");
    }
}

#[test]
fn report_on_timeout_lists_running_containers() {
    let (output, report) = reported(&scripts("p", &[("c", "echo up; sleep 1000")]), &["--timeout", "1s"]);
    output.expect_code(124);
    let case = case(&report, "c");
    assert!(case.contains("container c was still running when the run timed out (--timeout)"), "{case}");
    assert!(case.contains("type=\"Timeout\"") && case.contains("up"), "{case}");
}

#[test]
fn report_is_written_for_an_invalid_manifest() {
    let (output, report) = reported(&pod("p", "containrs: []"), &[]);
    output.expect_code(2);
    assert!(report.contains("errors=\"1\"") && report.contains("unknown field"), "{report}");
}

#[test]
fn report_skips_unstarted_containers_and_passes_ready_pods() {
    let init = "restartPolicy: Never, initContainers: [{name: i, image: busybox, command: ['false']}], \
        containers: [{name: c, image: busybox}]";
    let (output, report) = reported(&pod("p", init), &[]);
    output.expect_code(1);
    assert!(case(&report, "c").contains("<skipped"), "{report}");
    assert!(case(&report, "i").contains("<failure"), "{report}");
    let (output, report) =
        reported(&pod("p", "containers: [{name: c, image: registry.k8s.io/pause}]"), &["--until", "ready"]);
    output.expect_code(0);
    assert!(report.contains("tests=\"1\" skipped=\"0\" failures=\"0\" errors=\"0\""), "{report}");
}

#[test]
fn unwritable_report_fails_before_anything_runs() {
    let yaml = scripts("p", &[("c", "echo it ran")]);
    let output = run().args(["--report", "junit=/no/such/folder/report.xml"]).manifest(&yaml).output().expect_code(2);
    assert!(output.stderr.contains("/no/such/folder/report.xml") && !output.stdout.contains("it ran"), "{output:?}");
    let output = run().args(["--report", "tap=report"]).manifest(&yaml).output().expect_code(2);
    assert!(output.stderr.contains("expected junit=FILE"), "{}", output.stderr);
}

fn wasmpod(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("wasmpod runs")
}

#[test]
fn completions_and_man_pages_list_the_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = wasmpod(&["completions", shell]);
        let script = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && script.contains("max-restarts"), "{shell}: {script}");
    }
    let page = String::from_utf8(wasmpod(&["man"]).stdout).expect("text");
    assert!(page.contains(".TH wasmpod 1") && page.contains("completions"), "{page}");
    let dir = tempfile::tempdir().expect("a directory");
    let directory = dir.path().join("man1");
    assert!(wasmpod(&["man", "--dir", directory.to_str().expect("text")]).status.success());
    let read = |name: &str| std::fs::read_to_string(Path::new(&directory).join(name)).expect(name);
    assert!(read("wasmpod-run.1").contains("max\\-restarts"), "{}", read("wasmpod-run.1"));
    assert!(read("wasmpod.1").contains("wasmpod\\-run(1)"), "{}", read("wasmpod.1"));
}

#[test]
fn help_shows_examples_and_honours_no_color() {
    for command in [&[][..], &["run"], &["completions"], &["man"]] {
        let output = Command::new(binary()).args(command).arg("--help").env("NO_COLOR", "1").output().expect("help");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && text.contains("Examples:"), "{command:?}: {text}");
        assert!(!text.contains('\u{1b}'), "{command:?}: {text}");
    }
}
