//! Manifests: one or many documents, each an object or a List of objects.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use rayon::prelude::*;

use super::diagnostic::{Diagnostic, DiagnosticSink, Diagnostics, Position, Rule};
use super::header::{self, Header};
use super::kinds::{KindLookup, KindType, ManifestObject, look_up};
use super::tree::{Value, YamlNode};
use super::yaml::{self, Document};

/// The objects of one text with their locations, and the text's diagnostics.
pub struct Manifest {
    source: String,
    text: Arc<str>,
    objects: Vec<(ManifestObject, ObjectLocation)>,
    object_count: usize,
    sink: DiagnosticSink,
}

/// Location of an object in the text.
#[derive(Clone)]
struct ObjectLocation {
    /// Byte range of the object's document.
    bytes: Range<usize>,
    /// Number of the document's first line.
    first_line: usize,
    /// Indexes of the (nested) List items that lead to the object.
    item_indexes: Vec<usize>,
}

/// A diagnostic of an object's field, without a position yet.
#[derive(Debug, Clone)]
pub struct FieldDiagnostic {
    /// Index of the object in the manifest.
    pub object: usize,
    /// Kind of the diagnostic.
    pub rule: Rule,
    /// Field path in the object, such as `spec.containers[0].name`.
    pub path: String,
    /// Description of the problem.
    pub message: String,
    /// The remedy, if known.
    pub hint: Option<String>,
}

/// Minimum size in bytes of a text that is read in parallel.
const MIN_PARALLEL_BYTES: usize = 64 * 1024;

impl Manifest {
    /// Reads every valid object of `text`, which came from `source`, and all diagnostics; objects are of `kinds`.
    pub fn read(kinds: &[KindType], source: &str, text: &str) -> Manifest {
        let text = without_byte_order_marks(text);
        let text = text.as_ref();
        let (mut objects, mut sink) = (Vec::new(), DiagnosticSink::default());
        let (mut documents, mut object_count) = (0, 0);
        if let Some(error) = control_character(text) {
            sink.push(error);
        } else {
            let parts = if text.len() < MIN_PARALLEL_BYTES { 1 } else { 4 * rayon::current_num_threads() };
            let parts = match is_json(source, text) {
                true => split_json(text),
                false => yaml::split_documents(text, parts),
            };
            let read = |(part, line): &(&str, usize)| Chunk::read(kinds, part, *line, offset(text, part));
            let chunks: Vec<Chunk> =
                if parts.len() == 1 { parts.iter().map(read).collect() } else { parts.par_iter().map(read).collect() };
            for chunk in chunks {
                documents += chunk.documents;
                object_count += chunk.object_count;
                objects.extend(chunk.objects);
                sink.append(chunk.sink);
            }
            if documents == 0 {
                let hint = Some("define a Pod with apiVersion, kind, metadata and spec".to_string());
                let message = "no objects found".to_string();
                sink.push(Diagnostic { rule: Rule::NoObject, path: String::new(), position: None, message, hint });
            }
        }
        if is_json(source, text) {
            replace_with_json_error(text, &mut sink);
        }
        Manifest { source: source.into(), text: text.into(), objects, object_count, sink }
    }

    /// Returns the objects in the order of the text.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &ManifestObject> {
        self.objects.iter().map(|(object, _)| object)
    }

    /// Returns the number of objects, those with errors included.
    pub fn object_count(&self) -> usize {
        self.object_count
    }

    /// Returns the Pods in the order of the text.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects().filter_map(ManifestObject::downcast_ref::<Pod>)
    }

    /// Returns the errors and warnings of the text itself.
    pub fn diagnostics(&self) -> Diagnostics {
        Diagnostics::new(&self.source, &self.text, self.sink.clone())
    }

    /// Returns whether the text itself has an error.
    pub fn has_errors(&self) -> bool {
        self.sink.has_errors()
    }

    /// Returns the text's diagnostics together with `field_diagnostics`, which are sorted by object, with positions.
    pub fn diagnostics_with(&self, field_diagnostics: &[FieldDiagnostic]) -> Diagnostics {
        let mut sink = self.sink.clone();
        let location = |diagnostic: &FieldDiagnostic| self.objects.get(diagnostic.object).map(|(_, location)| location);
        // Each document is read once for all of its diagnostics.
        let mut add_of_document = |diagnostics: &[FieldDiagnostic], document: &ObjectLocation| {
            let text = self.text.get(document.bytes.clone()).unwrap_or_default();
            let mut root = None;
            yaml::read(text, document.first_line, |document| root = root.take().or(document.root.ok()));
            for diagnostic in diagnostics {
                let node = root.as_ref().zip(location(diagnostic));
                let node = node.and_then(|(root, location)| list_item(root, &location.item_indexes));
                let start = Position { line: document.first_line, column: 1, len: 1 };
                let position = Some(node.map_or(start, |node| node.locate(&diagnostic.path)));
                let FieldDiagnostic { rule, path, message, hint, .. } = diagnostic.clone();
                sink.push(Diagnostic { rule, path, position, message, hint });
            }
        };
        let bytes = |diagnostic: &FieldDiagnostic| location(diagnostic).map(|location| location.bytes.clone());
        for diagnostics in field_diagnostics.chunk_by(|a, b| bytes(a) == bytes(b)) {
            if let Some(document) = diagnostics.first().and_then(location) {
                add_of_document(diagnostics, document);
            }
        }
        Diagnostics::new(&self.source, &self.text, sink)
    }
}

/// Reads `text`, which came from `source` and has objects of `kinds`.
///
/// # Errors
/// Returns all diagnostics if any of them is an error.
pub fn parse(kinds: &[KindType], source: &str, text: &str) -> Result<Manifest, Diagnostics> {
    let manifest = Manifest::read(kinds, source, text);
    if manifest.has_errors() { Err(manifest.diagnostics()) } else { Ok(manifest) }
}

/// Returns the node that a path of item indexes through nested Lists leads to.
fn list_item<'n, 't>(root: &'n YamlNode<'t>, items: &[usize]) -> Option<&'n YamlNode<'t>> {
    items.iter().try_fold(root, |node, item| node.get("items")?.items().get(*item))
}

/// Returns the byte offset of `part` within `text`, of which it is a subslice.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// Reports the first control character: YAML and JSON allow none, and the YAML parser would stop at a NUL.
fn control_character(text: &str) -> Option<Diagnostic> {
    let is_forbidden = |c: &char| *c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let (offset, c) = text.char_indices().find(|(_, c)| is_forbidden(c))?;
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    let position = Some(Position { line: before.matches('\n').count() + 1, column, len: 1 });
    let message = format!("the character U+{:04X} is not allowed in a manifest", u32::from(c));
    Some(Diagnostic { rule: Rule::Syntax, path: String::new(), position, message, hint: None })
}

/// Removes byte order marks from the beginnings of documents: of the text, before `---` and after a line with it.
fn without_byte_order_marks(text: &str) -> Cow<'_, str> {
    const MARK: char = '\u{feff}';
    let text = text.strip_prefix(MARK).unwrap_or(text);
    if !text.contains(MARK) {
        return text.into();
    }
    let mut after_separator = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let begins = after_separator || line.trim_start_matches(MARK).starts_with("---");
        after_separator = line.trim_start_matches(MARK).starts_with("---");
        if begins { line.trim_start_matches(MARK) } else { line }
    });
    lines.collect::<String>().into()
}

/// Splits a stream of JSON objects, each with the number of its first line. From the first error on, the text is one part.
fn split_json(text: &str) -> Vec<(&str, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let (mut parts, mut start, mut line) = (Vec::new(), 0, 1);
    while let Some(Ok(_)) = values.next() {
        let end = values.byte_offset();
        let part = text.get(start..end).unwrap_or_default();
        parts.push((part, line));
        line += part.matches('\n').count();
        start = end;
    }
    let rest = text.get(start..).unwrap_or_default();
    if parts.is_empty() || !rest.trim().is_empty() {
        parts.push((rest, line));
    }
    parts
}

/// Returns whether `text` is meant as JSON.
fn is_json(source: &str, text: &str) -> bool {
    let mut characters = text.chars().filter(|c| !c.is_whitespace());
    match characters.next() {
        Some('{') => matches!(characters.next(), Some('"')) || source.ends_with(".json"),
        _ => source.ends_with(".json"),
    }
}

/// Replaces the first syntax error with that of a JSON parser: JSON is read as YAML, whose errors speak of flow
/// mappings.
fn replace_with_json_error(text: &str, sink: &mut DiagnosticSink) {
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let Some(error) = values.filter_map(Result::err).next().filter(|_| !text.contains("\n---")) else { return };
    let whole = error.to_string();
    let message = whole.split(" at line ").next().unwrap_or(&whole);
    let position = Position { line: error.line().max(1), column: error.column().max(1), len: 1 };
    let mut replaced = false;
    sink.for_each_mut(|diagnostic| {
        if diagnostic.rule == Rule::Syntax && !std::mem::replace(&mut replaced, true) {
            diagnostic.message = format!("not valid JSON: {message}");
            (diagnostic.position, diagnostic.hint) = (Some(position), None);
        }
    });
}

/// The content of a part of the text.
#[derive(Default)]
struct Chunk {
    objects: Vec<(ManifestObject, ObjectLocation)>,
    /// The number of objects, those with errors included.
    object_count: usize,
    sink: DiagnosticSink,
    documents: usize,
}

impl Chunk {
    fn read(kinds: &[KindType], text: &str, line: usize, offset: usize) -> Chunk {
        let mut chunk = Chunk::default();
        yaml::read(text, line, |document| chunk.add(kinds, document, offset));
        chunk
    }

    fn add(&mut self, kinds: &[KindType], document: Document<'_>, offset: usize) {
        self.documents += 1;
        let Document { root, bytes, line } = document;
        match root {
            Ok(root) => {
                let bytes = bytes.start + offset..bytes.end + offset;
                let location = ObjectLocation { bytes, first_line: line, item_indexes: Vec::new() };
                self.add_object(kinds, &root, &location, None);
            }
            Err(error) => {
                let prefix = if error.rule == Rule::Syntax { "not valid YAML: " } else { "" };
                self.sink.push(Diagnostic { message: format!("{prefix}{}", error.message), ..error });
            }
        }
    }

    /// Adds the object at `node`, or the items of a List. Items of a list of kind `item` may omit their header.
    fn add_object(
        &mut self,
        kinds: &[KindType],
        node: &YamlNode<'_>,
        location: &ObjectLocation,
        item: Option<KindType>,
    ) {
        let lookup = match header::read_header(kinds, node, item) {
            Header::Complete(version, kind) => look_up(kinds, version, kind),
            Header::Missing(diagnostics, likely) => {
                self.object_count += usize::from(matches!(node.value, Value::Map(_)));
                diagnostics.into_iter().for_each(|diagnostic| self.push(location, diagnostic));
                // Checked only: without its header the document yields no object.
                return likely.into_iter().for_each(|kind| drop(self.read_as(kind, node, location)));
            }
        };
        self.object_count += usize::from(!matches!(lookup, KindLookup::List(_)));
        match lookup {
            KindLookup::Kind(kind) => {
                let object = self.read_as(kind, node, location);
                self.objects.extend(object.map(|object| (object, location.clone())));
            }
            KindLookup::List(item) => self.add_items(kinds, node, location, item),
            unsupported => {
                let diagnostic = header::unsupported_kind(node, &unsupported);
                diagnostic.into_iter().for_each(|diagnostic| self.push(location, diagnostic));
            }
        }
    }

    fn add_items(
        &mut self,
        kinds: &[KindType],
        node: &YamlNode<'_>,
        location: &ObjectLocation,
        item: Option<KindType>,
    ) {
        match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => {
                for (i, node) in items.iter().enumerate() {
                    let mut location = location.clone();
                    location.item_indexes.push(i);
                    self.add_object(kinds, node, &location, item);
                }
            }
            Some(Value::Null) | None => {}
            Some(_) => self.push(
                location,
                header::diagnostic_at(node, Rule::WrongType, "items", "expected a list of objects", None),
            ),
        }
    }

    /// Reads `node` as a `kind` and adds the diagnostics.
    fn read_as(&mut self, kind: KindType, node: &YamlNode<'_>, location: &ObjectLocation) -> Option<ManifestObject> {
        let (object, mut sink) = kind.read(node);
        sink.for_each_mut(|diagnostic| diagnostic.path = location.document_path(&diagnostic.path));
        self.sink.append(sink);
        object
    }

    fn push(&mut self, location: &ObjectLocation, diagnostic: Diagnostic) {
        self.sink.push(Diagnostic { path: location.document_path(&diagnostic.path), ..diagnostic });
    }
}

impl ObjectLocation {
    /// Returns the path in the document of the object's `field`.
    fn document_path(&self, field: &str) -> String {
        let mut path: Vec<String> = self.item_indexes.iter().map(|i| format!("items[{i}]")).collect();
        path.extend((!field.is_empty()).then(|| field.to_string()));
        path.join(".")
    }
}

#[cfg(test)]
mod tests;
