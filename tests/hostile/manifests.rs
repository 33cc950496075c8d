//! Manifests that expand.

use std::fmt::Write;
use std::time::Duration;

use wasmpod_test_support::{command, run};

/// A manifest may take so long to be read and refused, or run.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Returns a pod with these variables, each as name and value.
fn pod_with_variables(variables: impl IntoIterator<Item = (String, String)>) -> String {
    let mut yaml = String::from(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: c\n    \
         image: busybox\n    command: ['true']\n    env:\n",
    );
    for (name, value) in variables {
        writeln!(yaml, "    - {{name: {name:?}, value: {value:?}}}").expect("a string");
    }
    yaml
}

#[test]
fn variables_that_double_each_other_are_bounded() {
    let double = |number: usize| match number {
        0 => ("V0".to_string(), "x".repeat(64)),
        _ => (format!("V{number}"), format!("$(V{0})$(V{0})", number - 1)),
    };
    let output = run().env("TMPDIR", std::env::temp_dir()).manifest(&pod_with_variables((0..40).map(double))).output();
    assert!(output.code != 0 && output.took < MAX_TIME, "{}: {}", output.code, output.stderr);
}

#[test]
fn anchors_that_double_each_other_are_bounded() {
    let mut yaml = String::from("a0: &a0 [x, x]\n");
    for number in 1..40 {
        writeln!(yaml, "a{number}: &a{number} [*a{0}, *a{0}]", number - 1).expect("a string");
    }
    let output = command("validate").manifest(&yaml).output();
    assert!(output.code != 0 && output.took < MAX_TIME, "{}: {}", output.code, output.stderr);
}

#[test]
fn a_hundred_thousand_errors_are_bounded() {
    let invalid = |number: usize| (format!("{number} ="), String::new());
    let output = command("validate").manifest(&pod_with_variables((0..100_000).map(invalid))).output();
    assert!(output.code != 0 && output.took < MAX_TIME, "{} after {:?}", output.code, output.took);
    assert!(output.stderr.len() < 1 << 20, "{} bytes", output.stderr.len());
}
