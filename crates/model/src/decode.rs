//! One object as a client sends it: read as the kind that is wanted, with all that was passed over.

use serde::de::DeserializeOwned;

use super::issue::{Issue, Rule};
use super::strict::{self, Numbers};
use super::tree::{Node, Value};
use super::yaml;

/// In what a client has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// An object that was read.
#[derive(Debug)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Fields that its type does not know, or that stand twice, as Kubernetes tells of them:
    /// `unknown field "spec.x"`.
    pub ignored_fields: Vec<String>,
}

/// Why no object was read.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The text is no object; in words.
    NoObject(String),
    /// It is an object of another kind.
    Other {
        /// What it says of its version.
        version: String,
        /// What it says of its kind.
        kind: String,
    },
    /// Values are of wrong types; in words, each with its field and place.
    Wrong(Vec<String>),
}

/// Reads `text` as a `T`, an object of `kind` in `version` whether it says so or not. Texts come from machines and
/// people alike: JSON must be JSON, YAML is read as manifests are.
pub fn decode_object<T: DeserializeOwned>(
    version: &str,
    kind: &'static str,
    notation: TextFormat,
    text: &str,
) -> Result<Decoded<T>, DecodeError> {
    let json;
    let numbers = match notation {
        TextFormat::Yaml => Numbers::Valued,
        TextFormat::Json => Numbers::Written,
    };
    let text = match notation {
        TextFormat::Yaml => text,
        TextFormat::Json => {
            json = in_yamls_words(text)?;
            json.as_deref().unwrap_or(text)
        }
    };
    let mut documents = Vec::new();
    yaml::read(text, 1, |document| documents.push(document.root));
    let mut documents = documents.into_iter();
    let root = match (documents.next(), documents.next()) {
        (None, _) => return Err(DecodeError::NoObject("it is empty".into())),
        (Some(Err(issue)), _) => return Err(DecodeError::NoObject(placed(&issue))),
        (Some(Ok(_)), Some(_)) => return Err(DecodeError::NoObject("it holds more than one document".into())),
        (Some(Ok(root)), None) => root,
    };
    check_header(&root, version, kind)?;
    let (object, found) = strict::read_loosely::<T>(&root, kind, numbers);
    let found = found.into_kept();
    match object {
        Some(object) => Ok(Decoded { object, ignored_fields: found.iter().filter_map(passed_over).collect() }),
        None => Err(DecodeError::Wrong(found.iter().filter(is_wrong).map(placed).collect())),
    }
}

/// JSON in words that a reader of YAML has, too; `None` where it is so already.
fn in_yamls_words(text: &str) -> Result<Option<String>, DecodeError> {
    let wrong = |error: serde_json::Error| {
        let (text, why) = (text.trim(), error.to_string());
        match text.is_empty() {
            true => DecodeError::NoObject(NOTHING.into()),
            false => DecodeError::NoObject(format!("couldn't get version/kind; json parse error: {why}")),
        }
    };
    // JSON writes what lies beyond sixteen bits as two halves, and may escape slashes; YAML does neither.
    let rewritten = if text.contains("\\u") || text.contains("\\/") {
        let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
        Some(value.to_string())
    } else {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(wrong)?;
        None
    };
    // What YAML takes for no character at all, or for the end of a line, stands in strings only.
    if !rewritten.as_deref().unwrap_or(text).contains(is_odd) {
        return Ok(rewritten);
    }
    let mut plain = String::with_capacity(text.len() + 64);
    for c in rewritten.as_deref().unwrap_or(text).chars() {
        match is_odd(c) {
            true => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => plain.push(c),
        }
    }
    Ok(Some(plain))
}

/// A character that JSON may hold as it is, and YAML may not.
fn is_odd(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Kubernetes' own words for no text at all.
const NOTHING: &str = "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)";

fn check_header(root: &Node<'_>, version: &str, kind: &str) -> Result<(), DecodeError> {
    if !matches!(root.value, Value::Map(_)) {
        return Err(DecodeError::NoObject("wanted an object (a mapping with apiVersion, kind and metadata)".into()));
    }
    let says = |name: &str, usual: &str| {
        let said = root.get(name).and_then(Node::as_str).filter(|said| !said.is_empty());
        said.unwrap_or(usual).to_string()
    };
    let (says_version, says_kind) = (says("apiVersion", version), says("kind", kind));
    match says_version == version && says_kind == kind {
        true => Ok(()),
        false => Err(DecodeError::Other { version: says_version, kind: says_kind }),
    }
}

fn is_wrong(issue: &&Issue) -> bool {
    passed_over(issue).is_none() && issue.severity() == super::Severity::Error
}

fn passed_over(issue: &Issue) -> Option<String> {
    match issue.rule {
        Rule::UnknownField => Some(format!("unknown field {:?}", issue.path)),
        Rule::DuplicateKey => Some(format!("duplicate field {:?}", issue.path)),
        _ => None,
    }
}

fn placed(issue: &Issue) -> String {
    let field = if issue.path.is_empty() { String::new() } else { format!("{}: ", issue.path) };
    let place = issue.position.map(|at| format!(" (line {}, column {})", at.line, at.column)).unwrap_or_default();
    let hint = issue.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{field}{}{place}{hint}", issue.message)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn read(notation: TextFormat, text: &str) -> Result<Decoded<Pod>, DecodeError> {
        decode_object("v1", "Pod", notation, text)
    }

    #[test]
    fn an_object_is_read_whatever_it_passes_over() {
        let yaml = "{metadata: {name: a, nmae: b}, spec: {containers: [{name: c, imag: x}], containers: []}}";
        let sent = read(TextFormat::Yaml, yaml).expect("a pod");
        assert_eq!(sent.object.metadata.name.as_deref(), Some("a"));
        assert_eq!(
            sent.ignored_fields,
            [
                "unknown field \"metadata.nmae\"",
                "duplicate field \"spec.containers\"",
                "unknown field \"spec.containers[0].imag\"",
            ]
        );
        assert!(sent.object.spec.is_some_and(|spec| spec.containers.is_empty()), "the last counts");
        let same = read(TextFormat::Json, r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a\/\ud83d\ude00"}}"#);
        assert_eq!(same.expect("a pod").object.metadata.name.as_deref(), Some("a/😀"));
    }

    #[test]
    fn what_is_no_such_object_is_refused_with_its_place() {
        let no_object = |why: &str| Err(DecodeError::NoObject(why.into()));
        let other = |version: &str, kind: &str| Err(DecodeError::Other { version: version.into(), kind: kind.into() });
        for (notation, text, want) in [
            (TextFormat::Json, "", no_object(NOTHING)),
            (TextFormat::Yaml, "", no_object("it is empty")),
            (TextFormat::Yaml, "{}\n---\n{}", no_object("it holds more than one document")),
            (TextFormat::Json, "[]", no_object("wanted an object (a mapping with apiVersion, kind and metadata)")),
            (TextFormat::Json, "kind: Pod", no_object("couldn't get version/kind; json parse error: expected value at line 1 column 1")),
            (TextFormat::Yaml, "kind: Service", other("v1", "Service")),
            (TextFormat::Json, r#"{"apiVersion": "v2"}"#, other("v2", "Pod")),
            (
                TextFormat::Yaml,
                "spec:\n  hostNetwork: 'true'\n  nope: 1\n  activeDeadlineSeconds: x",
                Err(DecodeError::Wrong(vec![
                    "spec.hostNetwork: wanted a boolean, found the string \"true\" (line 2, column 16); write it without quotes: true".into(),
                    "spec.activeDeadlineSeconds: wanted an integer, found the string \"x\" (line 4, column 26)".into(),
                ])),
            ),
            (
                TextFormat::Json,
                r#"{"spec": {"terminationGracePeriodSeconds": 30.0}}"#,
                Err(DecodeError::Wrong(vec![
                    "spec.terminationGracePeriodSeconds: wanted an integer, found the number 30.0 (line 1, column 44)".into(),
                ])),
            ),
            (TextFormat::Yaml, "spec: {terminationGracePeriodSeconds: 30.0}", Ok(None)),
        ] {
            assert_eq!(read(notation, text).map(|sent| sent.object.metadata.name), want, "{text}");
        }
        assert!(matches!(read(TextFormat::Yaml, "a: b\n c: d\n: :\n"), Err(DecodeError::NoObject(_))));
    }

    proptest::proptest! {
        #[test]
        fn whatever_text_comes_as_json_is_what_is_read(text in ".*", odd in "[\u{0}-\u{9f}\u{2028}\u{2029}\u{feff}\u{fffd}-\u{ffff}\u{10000}]{0,4}") {
            let text = text + &odd;
            let sent = serde_json::json!({"metadata": {"annotations": {"a": text}}}).to_string();
            let read = read(TextFormat::Json, &sent).map(|sent| sent.object.metadata.annotations);
            proptest::prop_assert_eq!(read, Ok(Some([("a".to_string(), text)].into())));
        }
    }
}
