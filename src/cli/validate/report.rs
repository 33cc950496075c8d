//! The report for people, and as JSON.

use std::fmt::Write;

use serde_json::json;

use super::Checked;
use crate::model::{Issue, Severity};

/// Every fault with its source line, and a summary.
pub fn for_people(checked: &[Checked]) -> String {
    let mut text = String::new();
    for issues in checked.iter().map(|checked| &checked.issues).filter(|issues| !issues.is_empty()) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{issues}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let sum = |count: fn(&Checked) -> usize| checked.iter().map(count).sum::<usize>();
    let (errors, warnings) = (sum(|c| c.issues.errors()), sum(|c| c.issues.warnings()));
    let faults = match (errors, warnings) {
        (0, 0) => "no faults".to_string(),
        (0, warnings) => counted(warnings, "warning"),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    let (files, objects) = (counted(checked.len(), "file"), counted(sum(|c| c.objects), "object"));
    let _ = writeln!(text, "{files}, {objects}: {faults}");
    text
}

fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The same for programs.
pub fn json(checked: &[Checked]) -> serde_json::Result<String> {
    let sum = |count: fn(&Checked) -> usize| checked.iter().map(count).sum::<usize>();
    let files: Vec<_> = checked
        .iter()
        .map(|checked| {
            json!({
                "file": checked.issues.source(),
                "objects": checked.objects,
                "issues": checked.issues.all().iter().map(issue).collect::<Vec<_>>(),
                "more": checked.issues.more(),
            })
        })
        .collect();
    let report = json!({
        "errors": sum(|c| c.issues.errors()),
        "warnings": sum(|c| c.issues.warnings()),
        "files": files,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn issue(issue: &Issue) -> serde_json::Value {
    // What is not known is null, so that every issue has the same members.
    json!({
        "rule": issue.rule.id(),
        "severity": severity(issue.severity()),
        "path": issue.path,
        "line": issue.position.map(|p| p.line),
        "column": issue.position.map(|p| p.column),
        "length": issue.position.map(|p| p.len),
        "message": issue.message,
        "hint": issue.hint,
    })
}

/// As JSON and SARIF write it.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
