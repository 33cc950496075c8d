//! The report in SARIF 2.1.0, for code scanning services.

use serde_json::{Value, json};

use super::CheckedFile;
use super::report::severity;
use crate::model::{Diagnostic, Rule};

/// Returns a report with the rules and the diagnostics of all files.
pub fn report(files: &[CheckedFile]) -> serde_json::Result<String> {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "shortDescription": {"text": rule.description()},
                "defaultConfiguration": {"level": severity(rule.severity())},
            })
        })
        .collect();
    let results_of = |file: &CheckedFile| -> Vec<Value> {
        file.diagnostics.as_slice().iter().map(|diagnostic| result(file.diagnostics.source(), diagnostic)).collect()
    };
    let results: Vec<Value> = files.iter().flat_map(results_of).collect();
    let driver = json!({"name": "wasmpod", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules});
    let report = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn result(file: &str, diagnostic: &Diagnostic) -> Value {
    let message = match &diagnostic.hint {
        Some(hint) => format!("{}: {hint}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let artifact = json!({"uri": uri(file)});
    let physical = match diagnostic.position {
        Some(p) => {
            let region = json!({"startLine": p.line, "startColumn": p.column, "endColumn": p.column + p.len});
            json!({"artifactLocation": artifact, "region": region})
        }
        None => json!({"artifactLocation": artifact}),
    };
    let location = match diagnostic.path.as_str() {
        "" => json!({"physicalLocation": physical}),
        path => json!({"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": path}]}),
    };
    json!({
        "ruleId": diagnostic.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == diagnostic.rule),
        "level": severity(diagnostic.severity()),
        "message": {"text": message},
        "locations": [location],
    })
}

/// Returns the URI of a file: a relative reference, or a `file` URL for an absolute path.
fn uri(file: &str) -> String {
    const UNRESERVED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(file, UNRESERVED).to_string();
    if file.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
