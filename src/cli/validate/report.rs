//! The report as text and as JSON.

use std::fmt::Write;

use serde_json::json;

use super::CheckedFile;
use crate::model::{Diagnostic, Severity};

/// Returns all issues with their source lines, and a summary.
pub fn text(files: &[CheckedFile]) -> String {
    let mut text = String::new();
    for issues in files.iter().map(|file| &file.issues).filter(|issues| !issues.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{issues}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let sum = |count: fn(&CheckedFile) -> usize| files.iter().map(count).sum::<usize>();
    let (errors, warnings) = (sum(|file| file.issues.error_count()), sum(|file| file.issues.warning_count()));
    let result = match (errors, warnings) {
        (0, 0) => "no errors".to_string(),
        (0, warnings) => counted(warnings, "warning"),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    let (files, objects) = (counted(files.len(), "file"), counted(sum(|file| file.object_count), "object"));
    let _ = writeln!(text, "{files}, {objects}: {result}");
    text
}

fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Returns the issues of all files as JSON.
pub fn json(files: &[CheckedFile]) -> serde_json::Result<String> {
    let sum = |count: fn(&CheckedFile) -> usize| files.iter().map(count).sum::<usize>();
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "file": file.issues.source(),
                "objects": file.object_count,
                "issues": file.issues.as_slice().iter().map(issue).collect::<Vec<_>>(),
                "more": file.issues.omitted(),
            })
        })
        .collect();
    let report = json!({
        "errors": sum(|file| file.issues.error_count()),
        "warnings": sum(|file| file.issues.warning_count()),
        "files": files,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn issue(issue: &Diagnostic) -> serde_json::Value {
    // Unknown values are null, so that all issues have the same members.
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

/// Returns the name of the severity in JSON and SARIF.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
