//! What a document says it is, and what it looks like where it does not say so.

use super::issue::{Issue, Rule};
use super::kinds::{self, Kind, Known};
use super::schema;
use super::tree::{Node, Value};

/// `apiVersion` and `kind` of a document.
pub enum Header<'n> {
    /// Both.
    Known(&'n str, &'n str),
    /// What is missing, and what kind the document most resembles.
    Missing(Vec<Issue>, Option<Kind>),
}

/// Reads them. In a list of `item` both may be left out.
pub fn of<'n>(node: &'n Node<'_>, item: Option<Kind>) -> Header<'n> {
    if !matches!(node.value, Value::Map(_)) {
        let message = "wanted an object (a mapping with apiVersion, kind and metadata)";
        return Header::Missing(vec![issue(node, Rule::NoObject, "", message, None)], None);
    }
    if let (Some(item), None, None) = (item, node.get("apiVersion"), node.get("kind")) {
        return Header::Known(item.api_version(), item.name());
    }
    let field = |name: &str| match node.get(name).map(|value| value.as_str().filter(|text| !text.is_empty())) {
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => {
            let message = format!("{name} must be a string that is not empty");
            Err(issue(node, Rule::NoObject, name, &message, None))
        }
        None => Ok(None),
    };
    let (version, kind) = (field("apiVersion"), field("kind"));
    if let (Ok(Some(version)), Ok(Some(kind))) = (&version, &kind) {
        return Header::Known(version, kind);
    }
    let named = kind.as_ref().ok().copied().flatten().and_then(kinds::named);
    let likely = named.or_else(|| resembled(node, version.as_ref().ok().copied().flatten()));
    let missing = |name: &str, value: &str| {
        let checked = match likely {
            Some(kind) if named.is_none() => format!(" (it is checked as a {}, which it most resembles)", kind.name()),
            _ => String::new(),
        };
        let hint = Some(format!("write {name}: {value}{checked}"));
        issue(node, Rule::NoObject, "", &format!("{name} is missing"), hint)
    };
    let likely_or_pod = likely.unwrap_or(Kind::Pod);
    let issues = [
        version.and_then(|v| v.map(|_| ()).ok_or_else(|| missing("apiVersion", likely_or_pod.api_version()))),
        kind.and_then(|k| k.map(|_| ()).ok_or_else(|| missing("kind", likely_or_pod.name()))),
    ];
    Header::Missing(issues.into_iter().filter_map(Result::err).collect(), likely)
}

/// Why a document of this kind is refused; nothing where it is not.
pub fn refusal(node: &Node<'_>, known: &Known) -> Option<Issue> {
    let text = |name: &str| node.get(name).and_then(Node::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match known {
        Known::Kind(_) | Known::List(_) => None,
        Known::NotYet => {
            let message = format!("kind {kind} is not supported yet");
            let hint = match kind {
                "PodTemplate" | "ReplicationController" => "wasmpod runs Pods: write its template as a Pod",
                _ => "wasmpod runs Pods: leave it out",
            };
            Some(issue(node, Rule::UnknownKind, "kind", &message, Some(hint.into())))
        }
        Known::Unknown { known_in, meant } => {
            let message = format!("no matches for kind {kind:?} in version {version:?}");
            let hint = known_in.map(|version| format!("write apiVersion: {version}"));
            let hint = hint.or_else(|| meant.map(|kind| format!("did you mean kind: {kind}?")));
            let field = if meant.is_some() { "kind" } else { "apiVersion" };
            Some(issue(node, Rule::UnknownKind, field, &message, hint))
        }
    }
}

/// A fault of the field at `path`.
pub fn issue(node: &Node<'_>, rule: Rule, path: &str, message: &str, hint: Option<String>) -> Issue {
    Issue { rule, path: path.into(), position: Some(node.locate(path)), message: message.into(), hint }
}

/// The kind whose fields `node` has most of, among those of `version` where one is given. What every
/// kind has tells nothing.
fn resembled(node: &Node<'_>, version: Option<&str>) -> Option<Kind> {
    let own: Vec<_> =
        node.entries().iter().filter(|(key, _)| !EVERYBODYS.contains(&key.name.as_ref())).cloned().collect();
    let own = Node { value: Value::Map(own), ..*node };
    let of_version = |kind: &&Kind| version.is_none_or(|version| kind.api_version() == version);
    let scored = Kind::ALL.iter().filter(of_version).filter_map(|kind| {
        let score = likeness(&own, schema::of(kind.name())?, 4);
        (score > 0).then_some((score, *kind))
    });
    // Of equals, the first: Pods.
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, kind)| kind)
}

/// The fields that every object has.
const EVERYBODYS: &[&str] = &["apiVersion", "kind", "metadata"];

/// How many fields, down to `depth`, belong to the type, less those that do not.
fn likeness(node: &Node<'_>, schema: &'static serde_json::Value, depth: usize) -> i64 {
    let mut score = 0;
    for (key, value) in node.entries() {
        match schema::field(schema, &key.name) {
            Some(field) if depth > 0 => {
                let inner = if schema::is_list(field) { schema::element(field) } else { Some(field) };
                let nodes = if schema::is_list(field) { value.items() } else { std::slice::from_ref(value) };
                let below = inner.map_or(0, |inner| nodes.iter().map(|node| likeness(node, inner, depth - 1)).sum());
                score += 1 + below;
            }
            Some(_) => score += 1,
            // A map's keys are anybody's.
            None if schema::element(schema).is_some() => {}
            None => score -= 1,
        }
    }
    score
}
