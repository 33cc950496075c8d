//! Tests of the validation rules by `tests/rules/*.yaml`, which has a case for every rule, and the generated document.
//!
//! A case is a fragment (`metadata`, `spec`, `container`, `volume`) of an otherwise valid pod and the causes of its
//! rejection; a fragment without causes is valid.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::registry::pod::before_create;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    metadata: Option<Value>,
    spec: Option<Value>,
    container: Option<Value>,
    volume: Option<Value>,
    #[serde(default)]
    causes: Vec<String>,
}

impl Case {
    fn fragment(&self) -> String {
        let parts = [
            ("metadata", &self.metadata),
            ("spec", &self.spec),
            ("container", &self.container),
            ("volume", &self.volume),
        ];
        let parts = parts.iter().filter_map(|(name, part)| Some(format!("{name}: {}", flow(part.as_ref()?))));
        parts.collect::<Vec<_>>().join(", ")
    }

    fn pod(&self) -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
        if let Some(metadata) = &self.metadata {
            pod["metadata"] = metadata.clone();
        }
        let set = |into: &mut Value, fields: &Option<Value>| {
            for (name, value) in fields.iter().flat_map(|fields| fields.as_object().into_iter().flatten()) {
                into[name] = value.clone();
            }
        };
        set(&mut pod["spec"], &self.spec);
        if self.container.is_some() {
            set(&mut pod["spec"]["containers"][0], &self.container);
        }
        if let Some(volume) = &self.volume {
            pod["spec"]["volumes"] = json!([{"name": "v"}]);
            set(&mut pod["spec"]["volumes"][0], &Some(volume.clone()));
        }
        pod
    }

    fn actual_causes(&self) -> Vec<String> {
        let pod = serde_json::from_value(self.pod()).unwrap_or_else(|error| panic!("{}: {error}", self.rule));
        match before_create(pod, "2026-01-01T00:00:00Z".parse().expect("a time")) {
            Ok(_) => Vec::new(),
            Err(status) => status.causes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Formats a value as YAML in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if text.len() > 60 => format!("'{}…'", text.chars().take(20).collect::<String>()),
        Value::String(text) => {
            let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
            if is_plain { text.clone() } else { format!("'{text}'") }
        }
        other => other.to_string(),
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the tables by topic, in alphabetical order.
fn tables() -> Vec<(String, Vec<Case>)> {
    let mut tables: Vec<(String, Vec<Case>)> = fs::read_dir(root().join("tests/rules"))
        .expect("the tables")
        .map(|file| {
            let path = file.expect("a file").path();
            let topic = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let cases = serde_yaml::from_str(&fs::read_to_string(&path).expect("a table"));
            (topic, cases.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    tables
}

#[test]
fn every_case_is_rejected_with_its_causes() {
    let mut failures = Vec::new();
    for (topic, cases) in tables() {
        for case in cases {
            let actual = case.actual_causes();
            if actual != case.causes {
                failures.push(format!("{topic}: {}\n    ours:  {actual:?}\n    table: {:?}", case.rule, case.causes));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_validation_file_has_a_table() {
    let mut files: Vec<String> = fs::read_dir(root().join("src/registry/pod/validation"))
        .expect("the rules")
        .map(|file| file.expect("a file").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| !matches!(name.as_str(), "mod" | "rules"))
        .collect();
    files.push("metadata".into());
    files.sort();
    let tables: Vec<String> = tables().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(files, tables);
}

#[test]
fn validation_document_is_up_to_date() {
    let mut text = String::from(
        "# Validation of Pods\n\nThe rules by which a Pod is accepted or rejected, with an example of each. Rules and \
         messages are Kubernetes'. The tests generate this file from `tests/rules` \
         (`WASMPOD_BLESS=1 cargo test --lib rules`).\n",
    );
    for (topic, cases) in tables() {
        let _ = writeln!(text, "\n## {}{}\n", topic[..1].to_uppercase(), &topic[1..]);
        for case in cases {
            let _ = writeln!(text, "- **{}**: `{}`", case.rule, case.fragment());
            for cause in &case.causes {
                // A cause that contains backticks needs double ones.
                let fence = if cause.contains('`') { "``" } else { "`" };
                let _ = writeln!(text, "  - {fence}{cause}{fence}");
            }
        }
    }
    let path = root().join("docs/validation.md");
    if env::var_os("WASMPOD_BLESS").is_some() {
        fs::write(&path, &text).expect("docs/validation.md is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/validation.md is stale: run WASMPOD_BLESS=1 cargo test --lib rules");
}
