//! Decodes one object from a request body, as Kubernetes' lenient decoder does.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, Rule};
use super::protobuf::decode_protobuf;
use super::strict::{self, IntegerSyntax};
use super::tree::{MappingKey, Value, YamlNode};
use super::yaml;

/// The format of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The format of a request body that holds an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON or YAML.
    Text(TextFormat),
    /// Kubernetes' protobuf.
    Protobuf,
}

/// A decoded object.
#[derive(Debug)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Unknown and duplicate fields in Kubernetes' words: `unknown field "spec.x"`.
    pub ignored_fields: Vec<String>,
}

/// The error of a text that cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The text is not an object, with the reason.
    NotAnObject(String),
    /// The object has another version or kind than expected.
    WrongKind {
        /// The object's API version.
        version: String,
        /// The object's kind.
        kind: String,
    },
    /// Values have wrong types; one message per value, with its field and position.
    InvalidValues(Vec<String>),
}

/// Decodes `body` as a `T`, which is a `kind` of `version`; the body may omit both.
pub fn decode_body<T: DeserializeOwned>(
    version: &str,
    kind: &'static str,
    format: BodyFormat,
    body: &[u8],
) -> Result<Decoded<T>, DecodeError> {
    match format {
        BodyFormat::Protobuf => decode_protobuf::<T>(version, kind, body),
        BodyFormat::Text(format) => match std::str::from_utf8(body) {
            Ok(text) => decode_object::<T>(version, kind, format, text),
            Err(_) => Err(DecodeError::NotAnObject("it is not valid UTF-8".into())),
        },
    }
}

/// Decodes `text` as a `T`, which is a `kind` of `version`; the text may omit both. JSON must be valid JSON; YAML is
/// read like a manifest.
pub fn decode_object<T: DeserializeOwned>(
    version: &str,
    kind: &'static str,
    format: TextFormat,
    text: &str,
) -> Result<Decoded<T>, DecodeError> {
    let integer_syntax = match format {
        TextFormat::Yaml => IntegerSyntax::IntegralNumber,
        TextFormat::Json => IntegerSyntax::Digits,
    };
    let text = as_yaml(format, text)?;
    let root = read_root(version, kind, &text)?;
    let (object, sink) = strict::read_lenient::<T>(&root, integer_syntax);
    let diagnostics = sink.into_diagnostics();
    match object {
        Some(object) => Ok(Decoded { object, ignored_fields: ignored_fields(&diagnostics) }),
        None => Err(invalid_values(&diagnostics)),
    }
}

// What does not depend on the type stands apart: every further copy would enlarge the binary.

/// Returns the text as YAML.
fn as_yaml(format: TextFormat, text: &str) -> Result<Cow<'_, str>, DecodeError> {
    Ok(match format {
        TextFormat::Yaml => text.into(),
        TextFormat::Json => json_as_yaml(text)?.map_or(text.into(), Cow::Owned),
    })
}

/// Reads the only document of `text`, which is a `kind` of `version`.
fn read_root<'t>(version: &str, kind: &'static str, text: &'t str) -> Result<YamlNode<'t>, DecodeError> {
    let mut documents = Vec::new();
    yaml::read(text, 1, |document| documents.push(document.root));
    let mut documents = documents.into_iter();
    let mut root = match (documents.next(), documents.next()) {
        // As in Kubernetes, an object without fields.
        (None, _) => return read_root(version, kind, "{}"),
        (Some(Err(error)), _) => return Err(DecodeError::NotAnObject(with_position(&error))),
        (Some(Ok(_)), Some(_)) => return Err(DecodeError::NotAnObject("it has more than one document".into())),
        (Some(Ok(root)), None) => root,
    };
    check_header(&root, version, kind)?;
    mark_empty_selector(&mut root, kind);
    Ok(root)
}

fn ignored_fields(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().filter_map(ignored_field).collect()
}

fn invalid_values(diagnostics: &[Diagnostic]) -> DecodeError {
    DecodeError::InvalidValues(diagnostics.iter().filter(is_invalid_value).map(with_position).collect())
}

/// Adds an empty `matchLabels` to an empty selector of a kind that requires one: its Rust type does not tell an empty
/// selector, which selects everything, from a missing one, which selects nothing.
fn mark_empty_selector(root: &mut YamlNode<'_>, kind: &str) {
    if !matches!(kind, "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") {
        return;
    }
    let Some(selector) = root.get_mut("spec").and_then(|spec| spec.get_mut("selector")) else { return };
    let position = selector.position;
    if let Value::Map(entries) = &mut selector.value
        && entries.is_empty()
    {
        let key = MappingKey { name: "matchLabels".into(), position, misread: None };
        entries.push((key, YamlNode { value: Value::Map(Vec::new()), position, written: "" }));
    }
}

/// Checks JSON and rewrites what YAML reads differently; returns `None` if the text is valid YAML as it is.
fn json_as_yaml(text: &str) -> Result<Option<String>, DecodeError> {
    let invalid = |error: serde_json::Error| match text.trim().is_empty() {
        true => DecodeError::NotAnObject(EMPTY_JSON.into()),
        false => DecodeError::NotAnObject(format!("couldn't get version/kind; json parse error: {error}")),
    };
    // JSON escapes characters beyond U+FFFF as surrogate pairs and may escape slashes; YAML does neither.
    let rewritten = if text.contains("\\u") || text.contains("\\/") {
        let value: serde_json::Value = serde_json::from_str(text).map_err(invalid)?;
        Some(value.to_string())
    } else {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(invalid)?;
        None
    };
    // Characters that YAML rejects or reads as line breaks occur only in strings.
    if !rewritten.as_deref().unwrap_or(text).contains(needs_escape) {
        return Ok(rewritten);
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for c in rewritten.as_deref().unwrap_or(text).chars() {
        match needs_escape(c) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    Ok(Some(escaped))
}

/// Returns whether JSON allows the character unescaped and YAML does not.
fn needs_escape(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Kubernetes' message for an empty body.
const EMPTY_JSON: &str = "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)";

fn check_header(root: &YamlNode<'_>, version: &str, kind: &str) -> Result<(), DecodeError> {
    if !matches!(root.value, Value::Map(_)) {
        return Err(DecodeError::NotAnObject(
            "expected an object (a mapping with apiVersion, kind and metadata)".into(),
        ));
    }
    let field_or = |name: &str, default: &str| {
        let value = root.get(name).and_then(YamlNode::as_str).filter(|value| !value.is_empty());
        value.unwrap_or(default).to_string()
    };
    let (actual_version, actual_kind) = (field_or("apiVersion", version), field_or("kind", kind));
    match actual_version == version && actual_kind == kind {
        true => Ok(()),
        false => Err(DecodeError::WrongKind { version: actual_version, kind: actual_kind }),
    }
}

fn is_invalid_value(diagnostic: &&Diagnostic) -> bool {
    ignored_field(diagnostic).is_none() && diagnostic.severity() == super::Severity::Error
}

/// Returns Kubernetes' message for an unknown or duplicate field.
fn ignored_field(diagnostic: &Diagnostic) -> Option<String> {
    match diagnostic.rule {
        Rule::UnknownField => Some(format!("unknown field {:?}", diagnostic.path)),
        Rule::DuplicateKey => Some(format!("duplicate field {:?}", diagnostic.path)),
        _ => None,
    }
}

fn with_position(diagnostic: &Diagnostic) -> String {
    let Diagnostic { path, position, message, hint, .. } = diagnostic;
    let field = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let position = position.map(|p| format!(" (line {}, column {})", p.line, p.column)).unwrap_or_default();
    let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{field}{message}{position}{hint}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn read(format: TextFormat, text: &str) -> Result<Decoded<Pod>, DecodeError> {
        decode_object("v1", "Pod", format, text)
    }

    #[test]
    fn unknown_and_duplicate_fields_are_ignored() {
        let yaml = "{metadata: {name: a, nmae: b}, spec: {containers: [{name: c, imag: x}], containers: []}}";
        let decoded = read(TextFormat::Yaml, yaml).expect("a pod");
        assert_eq!(decoded.object.metadata.name.as_deref(), Some("a"));
        assert_eq!(
            decoded.ignored_fields,
            [
                "unknown field \"metadata.nmae\"",
                "duplicate field \"spec.containers\"",
                "unknown field \"spec.containers[0].imag\"",
            ]
        );
        assert!(decoded.object.spec.is_some_and(|spec| spec.containers.is_empty()), "the last duplicate wins");
        let same = read(TextFormat::Json, r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a\/\ud83d\ude00"}}"#);
        assert_eq!(same.expect("a pod").object.metadata.name.as_deref(), Some("a/😀"));
    }

    #[test]
    fn invalid_objects_are_rejected_with_their_position() {
        let no_object = |reason: &str| Err(DecodeError::NotAnObject(reason.into()));
        let other =
            |version: &str, kind: &str| Err(DecodeError::WrongKind { version: version.into(), kind: kind.into() });
        for (format, text, want) in [
            (TextFormat::Json, "", no_object(EMPTY_JSON)),
            (TextFormat::Yaml, "", Ok(None)),
            (TextFormat::Yaml, "# nothing\n", Ok(None)),
            (TextFormat::Json, "null", Ok(None)),
            (TextFormat::Yaml, "{}\n---\n{}", no_object("it has more than one document")),
            (TextFormat::Json, "[]", no_object("expected an object (a mapping with apiVersion, kind and metadata)")),
            (TextFormat::Json, "kind: Pod", no_object("couldn't get version/kind; json parse error: expected value at line 1 column 1")),
            (TextFormat::Yaml, "kind: Service", other("v1", "Service")),
            (TextFormat::Json, r#"{"apiVersion": "v2"}"#, other("v2", "Pod")),
            (
                TextFormat::Yaml,
                "spec:\n  hostNetwork: 'true'\n  nope: 1\n  activeDeadlineSeconds: x",
                Err(DecodeError::InvalidValues(vec![
                    "spec.hostNetwork: expected a boolean, found the string \"true\" (line 2, column 16); write it without quotes: true".into(),
                    "spec.activeDeadlineSeconds: expected an integer, found the string \"x\" (line 4, column 26)".into(),
                ])),
            ),
            (
                TextFormat::Json,
                r#"{"spec": {"terminationGracePeriodSeconds": 30.0}}"#,
                Err(DecodeError::InvalidValues(vec![
                    "spec.terminationGracePeriodSeconds: expected an integer, found the number 30.0 (line 1, column 44)".into(),
                ])),
            ),
            (TextFormat::Yaml, "spec: {terminationGracePeriodSeconds: 30.0}", Ok(None)),
        ] {
            assert_eq!(read(format, text).map(|decoded| decoded.object.metadata.name), want, "{text}");
        }
        assert!(matches!(read(TextFormat::Yaml, "a: b\n c: d\n: :\n"), Err(DecodeError::NotAnObject(_))));
    }

    proptest::proptest! {
        #[test]
        fn json_strings_round_trip(text in ".*", odd in "[\u{0}-\u{9f}\u{2028}\u{2029}\u{feff}\u{fffd}-\u{ffff}\u{10000}]{0,4}") {
            let text = text + &odd;
            let sent = serde_json::json!({"metadata": {"annotations": {"a": text}}}).to_string();
            let read = read(TextFormat::Json, &sent).map(|decoded| decoded.object.metadata.annotations);
            proptest::prop_assert_eq!(read, Ok(Some([("a".to_string(), text)].into())));
        }
    }
}
