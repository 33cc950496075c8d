//! The report in SARIF 2.1.0, which code scanning services read.

use serde_json::{Value, json};

use super::Checked;
use super::report::severity;
use crate::model::{Issue, Rule};

/// One run of one tool, with a rule per kind of fault.
pub fn report(checked: &[Checked]) -> serde_json::Result<String> {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "shortDescription": {"text": rule.about()},
                "defaultConfiguration": {"level": severity(rule.severity())},
            })
        })
        .collect();
    let of_file = |checked: &Checked| -> Vec<Value> {
        checked.issues.all().iter().map(|issue| result(checked.issues.source(), issue)).collect()
    };
    let results: Vec<Value> = checked.iter().flat_map(of_file).collect();
    let driver = json!({"name": "wasmpod", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules});
    let report = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn result(file: &str, issue: &Issue) -> Value {
    let message = match &issue.hint {
        Some(hint) => format!("{}: {hint}", issue.message),
        None => issue.message.clone(),
    };
    let artifact = json!({"uri": uri(file)});
    let physical = match issue.position {
        Some(p) => {
            let region = json!({"startLine": p.line, "startColumn": p.column, "endColumn": p.column + p.len});
            json!({"artifactLocation": artifact, "region": region})
        }
        None => json!({"artifactLocation": artifact}),
    };
    let location = match issue.path.as_str() {
        "" => json!({"physicalLocation": physical}),
        path => json!({"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": path}]}),
    };
    json!({
        "ruleId": issue.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == issue.rule),
        "level": severity(issue.severity()),
        "message": {"text": message},
        "locations": [location],
    })
}

/// A file's name as a reference: relative as it was given, absolute with its scheme.
fn uri(file: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(file, KEPT).to_string();
    if file.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
