//! The report as text and as JSON.

use std::fmt::Write;

use serde_json::json;

use super::CheckedFile;
use crate::model::{Diagnostic, Severity};

/// Returns all diagnostics with their source lines, and a summary.
pub fn text(files: &[CheckedFile]) -> String {
    let mut text = String::new();
    for diagnostics in files.iter().map(|file| &file.diagnostics).filter(|diagnostics| !diagnostics.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{diagnostics}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let sum = |count: fn(&CheckedFile) -> usize| files.iter().map(count).sum::<usize>();
    let (errors, warnings) = (sum(|file| file.diagnostics.error_count()), sum(|file| file.diagnostics.warning_count()));
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

/// Returns the diagnostics of all files as JSON.
pub fn json(files: &[CheckedFile]) -> serde_json::Result<String> {
    let sum = |count: fn(&CheckedFile) -> usize| files.iter().map(count).sum::<usize>();
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "file": file.diagnostics.source(),
                "objects": file.object_count,
                "issues": file.diagnostics.as_slice().iter().map(diagnostic_json).collect::<Vec<_>>(),
                "more": file.diagnostics.omitted(),
            })
        })
        .collect();
    let report = json!({
        "errors": sum(|file| file.diagnostics.error_count()),
        "warnings": sum(|file| file.diagnostics.warning_count()),
        "files": files,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn diagnostic_json(diagnostic: &Diagnostic) -> serde_json::Value {
    // Unknown values are null, so that all diagnostics have the same members.
    json!({
        "rule": diagnostic.rule.id(),
        "severity": severity(diagnostic.severity()),
        "path": diagnostic.path,
        "line": diagnostic.position.map(|p| p.line),
        "column": diagnostic.position.map(|p| p.column),
        "length": diagnostic.position.map(|p| p.len),
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    })
}

/// Returns the name of the severity in JSON and SARIF.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
