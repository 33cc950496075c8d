//! The shell of the built-in busybox: every case of tests/shell, run by `wasmpod run`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use crate::support::{ProcessOutput, guest, home, run, test_file};

/// A script and its results in a POSIX shell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    script: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    stdin: String,
    stdout: String,
    /// A part of standard error.
    stderr: Option<String>,
    code: i32,
    /// The shell with which the results were checked, if it is not busybox's.
    #[serde(default, rename = "reference")]
    _reference: Option<String>,
}

fn tables() -> Vec<(String, Vec<Case>)> {
    let directory = test_file("shell");
    let entries = std::fs::read_dir(&directory).expect("the tables");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a table");
        let cases = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), cases)
    };
    paths.into_iter().map(read).collect()
}

/// Returns a copy of busybox under the name that makes it a shell.
fn shell() -> PathBuf {
    let link = home().join("busybox");
    let program = guest("wasm32-wasip2", "busybox");
    // Not a link, because its target may be rebuilt meanwhile.
    let copy = home().join(format!("busybox.{}", std::process::id()));
    std::fs::copy(program, &copy).expect("a copy of busybox");
    std::fs::rename(&copy, &link).expect("the copy in its place");
    link
}

fn run_case(shell: &Path, case: &Case) -> ProcessOutput {
    let dir = tempfile::tempdir().expect("a directory");
    let volume = format!("{}:/work", dir.path().display());
    // Each script begins in an empty directory, as if the shell had been started there.
    let script = format!("cd /work; unset OLDPWD; {}", case.script);
    let shell = run().arg(shell).args(["--env", "HOME=/root", "--volume", &volume, "--", "sh", "-c", &script, "sh"]);
    shell.args(&case.args).stdin(case.stdin.as_str()).output()
}

/// Returns how the output differs from the expected one.
fn differences(case: &Case, output: &ProcessOutput) -> String {
    let mut text = String::new();
    if output.code != case.code {
        let _ = writeln!(text, "  code: expected {}, got {}", case.code, output.code);
    }
    if output.stdout != case.stdout {
        let _ = writeln!(text, "  stdout: expected {:?}\n               got {:?}", case.stdout, output.stdout);
    }
    if case.stderr.as_ref().is_some_and(|part| !output.stderr.contains(part)) {
        let _ = writeln!(text, "  stderr: expected {:?} in it", case.stderr.as_deref().unwrap_or_default());
    }
    if !text.is_empty() && !output.stderr.is_empty() {
        let _ = writeln!(text, "  stderr: {:?}", output.stderr);
    }
    text
}

#[test]
fn shell_behaves_as_the_tables_state() {
    let tables = tables();
    let cases: Vec<(&str, &Case)> =
        tables.iter().flat_map(|(t, cases)| cases.iter().map(move |c| (t.as_str(), c))).collect();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let names: BTreeSet<_> = cases.iter().map(|(table, case)| (table, &case.name)).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");

    let shell = shell();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    // The scripts mostly sleep.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((table, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fault = differences(case, &run_case(&shell, case));
                    if !fault.is_empty() {
                        faults.lock().expect("no case panics").push(format!("{table}: {}\n{fault}", case.name));
                    }
                }
            });
        }
    });
    let mut faults = faults.into_inner().expect("no case panics");
    faults.sort();
    assert!(faults.is_empty(), "{} of {} cases fail:\n{}", faults.len(), cases.len(), faults.join(""));
}
