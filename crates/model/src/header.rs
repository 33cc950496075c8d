//! A document's `apiVersion` and `kind`, and the most similar kind if they are missing.

use super::diagnostic::{Diagnostic, Rule};
use super::kinds::{KindLookup, KindType};
use super::schema;
use super::tree::{Value, YamlNode};

/// `apiVersion` and `kind` of a document.
pub enum Header<'n> {
    /// Both are present.
    Complete(&'n str, &'n str),
    /// The diagnostics of missing or invalid fields, and the kind that the document is probably meant to be.
    Missing(Vec<Diagnostic>, Option<KindType>),
}

/// Reads a document's header; items of a list of kind `item` may omit it.
pub fn read_header<'n>(kinds: &[KindType], node: &'n YamlNode<'_>, item: Option<KindType>) -> Header<'n> {
    if !matches!(node.value, Value::Map(_)) {
        let message = "expected an object (a mapping with apiVersion, kind and metadata)";
        return Header::Missing(vec![diagnostic_at(node, Rule::NoObject, "", message, None)], None);
    }
    if let (Some(item), None, None) = (item, node.get("apiVersion"), node.get("kind")) {
        return Header::Complete(item.api_version(), item.name());
    }
    let field = |name: &str| match node.get(name).map(|value| value.as_str().filter(|text| !text.is_empty())) {
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => {
            let message = format!("{name} must be a non-empty string");
            Err(diagnostic_at(node, Rule::NoObject, name, &message, None))
        }
        None => Ok(None),
    };
    let (version, kind) = (field("apiVersion"), field("kind"));
    if let (Ok(Some(version)), Ok(Some(kind))) = (&version, &kind) {
        return Header::Complete(version, kind);
    }
    let named =
        kind.as_ref().ok().copied().flatten().and_then(|name| kinds.iter().copied().find(|kind| kind.name() == name));
    let likely = named.or_else(|| most_similar_kind(kinds, node, version.as_ref().ok().copied().flatten()));
    let missing = |name: &str, value: &str| {
        let checked = match likely {
            Some(kind) if named.is_none() => format!(" (checked as a {}, the most similar kind)", kind.name()),
            _ => String::new(),
        };
        let hint = Some(format!("write `{name}: {value}`{checked}"));
        diagnostic_at(node, Rule::NoObject, "", &format!("{name} is missing"), hint)
    };
    let (likely_version, likely_kind) = likely.map_or(("v1", "Pod"), |kind| (kind.api_version(), kind.name()));
    let diagnostics = [
        version.and_then(|v| v.map(|_| ()).ok_or_else(|| missing("apiVersion", likely_version))),
        kind.and_then(|k| k.map(|_| ()).ok_or_else(|| missing("kind", likely_kind))),
    ];
    Header::Missing(diagnostics.into_iter().filter_map(Result::err).collect(), likely)
}

/// Returns the diagnostic of a document whose kind is unsupported or unknown.
pub fn unsupported_kind(node: &YamlNode<'_>, lookup: &KindLookup) -> Option<Diagnostic> {
    let text = |name: &str| node.get(name).and_then(YamlNode::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match lookup {
        KindLookup::Kind(_) | KindLookup::List(_) => None,
        KindLookup::Unsupported => {
            let message = format!("{kind} is not supported yet");
            let hint = match kind {
                "PodTemplate" | "ReplicationController" => "write its template as a Pod",
                _ => "remove this object",
            };
            Some(diagnostic_at(node, Rule::UnknownKind, "kind", &message, Some(hint.into())))
        }
        KindLookup::Unknown { served_in, suggestion } => {
            let message = format!("no matches for kind {kind:?} in version {version:?}");
            let hint = served_in.map(|version| format!("write `apiVersion: {version}`"));
            let hint = hint.or_else(|| suggestion.map(|kind| format!("did you mean `kind: {kind}`?")));
            let field = if suggestion.is_some() { "kind" } else { "apiVersion" };
            Some(diagnostic_at(node, Rule::UnknownKind, field, &message, hint))
        }
    }
}

/// Creates a diagnostic of the field at `path`, with its position.
pub fn diagnostic_at(node: &YamlNode<'_>, rule: Rule, path: &str, message: &str, hint: Option<String>) -> Diagnostic {
    Diagnostic { rule, path: path.into(), position: Some(node.locate(path)), message: message.into(), hint }
}

/// Returns the kind whose fields `node` matches best, among those of `version` if given. Fields common to all
/// kinds do not count.
fn most_similar_kind(kinds: &[KindType], node: &YamlNode<'_>, version: Option<&str>) -> Option<KindType> {
    let own: Vec<_> =
        node.entries().iter().filter(|(key, _)| !COMMON_FIELDS.contains(&key.name.as_ref())).cloned().collect();
    let own = YamlNode { value: Value::Map(own), ..*node };
    let in_version = |kind: &&KindType| version.is_none_or(|version| kind.api_version() == version);
    let scored = kinds.iter().filter(in_version).filter_map(|kind| {
        let score = field_score(&own, schema::of(kind)?, 4);
        (score > 0).then_some((score, *kind))
    });
    // The first kind wins a tie: Pod.
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, kind)| kind)
}

/// Fields that every object has.
const COMMON_FIELDS: &[&str] = &["apiVersion", "kind", "metadata"];

/// Returns the number of fields, down to `depth`, that the type has, minus those that it does not have.
fn field_score(node: &YamlNode<'_>, schema: &'static serde_json::Value, depth: usize) -> i64 {
    let mut score = 0;
    for (key, value) in node.entries() {
        match schema::field(schema, &key.name) {
            Some(field) if depth > 0 => {
                let inner = if schema::is_list(field) { schema::element(field) } else { Some(field) };
                let nodes = if schema::is_list(field) { value.items() } else { std::slice::from_ref(value) };
                let nested =
                    inner.map_or(0, |inner| nodes.iter().map(|node| field_score(node, inner, depth - 1)).sum());
                score += 1 + nested;
            }
            Some(_) => score += 1,
            // The keys of a map are free.
            None if schema::element(schema).is_some() => {}
            None => score -= 1,
        }
    }
    score
}
