//! A manifest: a text that holds objects, alone or in Lists, one document or many.

use std::ops::Range;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use rayon::prelude::*;

use super::header::{self, Header};
use super::issue::{Diagnostics, Issue, Issues, Position, Rule};
use super::kinds::{Kind, Known, Object, look_up};
use super::tree::{Node, Value};
use super::yaml::{self, Document};

/// The objects of one text, with their places for whoever finds faults later.
pub struct Manifest {
    source: String,
    text: Arc<str>,
    objects: Vec<(Object, Place)>,
    found: Diagnostics,
}

/// Where an object stands.
#[derive(Clone)]
struct Place {
    /// The bytes of its document, and the number of the first line.
    bytes: Range<usize>,
    line: usize,
    /// The items of Lists that lead to it.
    items: Vec<usize>,
}

/// A fault of an object that was found by its field.
pub struct Fault {
    /// The object's number in the manifest.
    pub object: usize,
    /// What kind of fault.
    pub rule: Rule,
    /// The field: `spec.containers[0].name`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// Texts above this size are read in parallel.
const LARGE: usize = 64 * 1024;

impl Manifest {
    /// Reads `text`, which came from `source`: whatever can be read of it, and all that is wrong with the rest.
    pub fn read(source: &str, text: &str) -> Manifest {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut objects, mut found) = (Vec::new(), Diagnostics::default());
        let mut documents = 0;
        if let Some(issue) = control_character(text) {
            found.push(issue);
        } else {
            let parts = if text.len() < LARGE { 1 } else { 4 * rayon::current_num_threads() };
            let pieces = yaml::split(text, parts);
            let read = |(piece, line): &(&str, usize)| Piece::read(piece, *line, offset(text, piece));
            let read: Vec<Piece> = if pieces.len() == 1 {
                pieces.iter().map(read).collect()
            } else {
                pieces.par_iter().map(read).collect()
            };
            for piece in read {
                documents += piece.documents;
                objects.extend(piece.objects);
                found.append(piece.found);
            }
            if documents == 0 {
                let hint = Some("write a Pod: apiVersion: v1, kind: Pod, metadata, spec".to_string());
                let message = "holds no object".to_string();
                found.push(Issue { rule: Rule::NoObject, path: String::new(), position: None, message, hint });
            }
        }
        if is_json(source, text) {
            in_words_of_json(text, &mut found);
        }
        Manifest { source: source.into(), text: text.into(), objects, found }
    }

    /// The objects in the order of the text.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &Object> {
        self.objects.iter().map(|(object, _)| object)
    }

    /// The Pods among them.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects().filter_map(|object| match object {
            Object::Pod(pod) => Some(pod.as_ref()),
            _ => None,
        })
    }

    /// What is wrong with the text itself, and what should be known of it.
    pub fn issues(&self) -> Issues {
        Issues::new(&self.source, &self.text, self.found.clone())
    }

    /// Whether anything keeps the text from being used as a whole.
    pub fn has_errors(&self) -> bool {
        self.found.has_errors()
    }

    /// What is wrong with the text, and `faults` of its objects, in order of the objects, with their places.
    pub fn issues_with(&self, faults: &[Fault]) -> Issues {
        let mut found = self.found.clone();
        let place = |fault: &Fault| self.objects.get(fault.object).map(|(_, place)| place);
        // All faults of a document are placed by one reading of it.
        let mut of_document = |faults: &[Fault], at: &Place| {
            let text = self.text.get(at.bytes.clone()).unwrap_or_default();
            let mut root = None;
            yaml::read(text, at.line, |document| root = root.take().or(document.root.ok()));
            for fault in faults {
                let node = root.as_ref().zip(place(fault)).and_then(|(root, place)| below(root, &place.items));
                let start = Position { line: at.line, column: 1, len: 1 };
                let position = Some(node.map_or(start, |node| node.locate(&fault.path)));
                let Fault { rule, path, message, hint, .. } = fault;
                let (path, message, hint) = (path.clone(), message.clone(), hint.clone());
                found.push(Issue { rule: *rule, path, position, message, hint });
            }
        };
        let bytes = |fault: &Fault| place(fault).map(|place| place.bytes.clone());
        for faults in faults.chunk_by(|a, b| bytes(a) == bytes(b)) {
            if let Some(at) = faults.first().and_then(place) {
                of_document(faults, at);
            }
        }
        Issues::new(&self.source, &self.text, found)
    }
}

/// Reads `text`, which came from `source`. All faults of the text are reported at once.
pub fn parse(source: &str, text: &str) -> Result<Manifest, Issues> {
    let manifest = Manifest::read(source, text);
    if manifest.has_errors() { Err(manifest.issues()) } else { Ok(manifest) }
}

/// The item of a List in a List.
fn below<'n, 't>(root: &'n Node<'t>, items: &[usize]) -> Option<&'n Node<'t>> {
    items.iter().try_fold(root, |node, item| node.get("items")?.items().get(*item))
}

/// How far `piece` begins behind the beginning of `text`, which it is a part of.
fn offset(text: &str, piece: &str) -> usize {
    (piece.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// YAML and JSON hold no control characters, and a NUL would end the text for its reader.
fn control_character(text: &str) -> Option<Issue> {
    let is_wrong = |c: &char| *c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let (at, c) = text.char_indices().find(|(_, c)| is_wrong(c))?;
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    let position = Some(Position { line: before.matches('\n').count() + 1, column, len: 1 });
    let message = format!("the character U+{:04X} is not allowed in a manifest", u32::from(c));
    Some(Issue { rule: Rule::Syntax, path: String::new(), position, message, hint: None })
}

/// Whether its writer means `text` as JSON.
fn is_json(source: &str, text: &str) -> bool {
    let mut meaning = text.chars().filter(|c| !c.is_whitespace());
    match meaning.next() {
        Some('{') => matches!(meaning.next(), Some('"')) || source.ends_with(".json"),
        _ => source.ends_with(".json"),
    }
}

/// JSON is read as YAML, but nobody who writes it wants to hear of flow mappings.
fn in_words_of_json(text: &str, found: &mut Diagnostics) {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else { return };
    let whole = error.to_string();
    let message = whole.split(" at line ").next().unwrap_or(&whole);
    let position = Position { line: error.line().max(1), column: error.column().max(1), len: 1 };
    let mut told = false;
    found.each(|issue| {
        if issue.rule == Rule::Syntax && !std::mem::replace(&mut told, true) {
            issue.message = format!("not valid JSON: {message}");
            (issue.position, issue.hint) = (Some(position), None);
        }
    });
}

/// What a part of the text holds.
#[derive(Default)]
struct Piece {
    objects: Vec<(Object, Place)>,
    found: Diagnostics,
    documents: usize,
}

impl Piece {
    fn read(text: &str, line: usize, offset: usize) -> Piece {
        let mut piece = Piece::default();
        yaml::read(text, line, |document| piece.add(document, offset));
        piece
    }

    fn add(&mut self, document: Document<'_>, offset: usize) {
        self.documents += 1;
        let Document { root, bytes, line } = document;
        match root {
            Ok(root) => {
                let bytes = bytes.start + offset..bytes.end + offset;
                self.add_object(&root, &Place { bytes, line, items: Vec::new() }, None);
            }
            Err(issue) => {
                let kind = if issue.rule == Rule::Syntax { "not valid YAML: " } else { "" };
                self.found.push(Issue { message: format!("{kind}{}", issue.message), ..issue });
            }
        }
    }

    /// Adds the object at `node`, or the items of a List. Items of a list of `item` need not say what they are.
    fn add_object(&mut self, node: &Node<'_>, place: &Place, item: Option<Kind>) {
        let header = match header::of(node, item) {
            Header::Known(version, kind) => look_up(version, kind),
            Header::Missing(issues, likely) => {
                issues.into_iter().for_each(|issue| self.push(place, issue));
                return likely.into_iter().for_each(|kind| self.read_as(kind, node, place, false));
            }
        };
        match header {
            Known::Kind(kind) => self.read_as(kind, node, place, true),
            Known::List(item) => self.add_items(node, place, item),
            unknown => header::refusal(node, &unknown).into_iter().for_each(|issue| self.push(place, issue)),
        }
    }

    fn add_items(&mut self, node: &Node<'_>, place: &Place, item: Option<Kind>) {
        match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => {
                for (i, node) in items.iter().enumerate() {
                    let mut place = place.clone();
                    place.items.push(i);
                    self.add_object(node, &place, item);
                }
            }
            Some(Value::Null) | None => {}
            Some(_) => {
                self.push(place, header::issue(node, Rule::WrongType, "items", "wanted a list of objects", None))
            }
        }
    }

    fn read_as(&mut self, kind: Kind, node: &Node<'_>, place: &Place, is_it: bool) {
        let (object, mut found) = kind.read(node);
        found.each(|issue| issue.path = place.path(&issue.path));
        self.found.append(found);
        if let Some(object) = object.filter(|_| is_it) {
            self.objects.push((object, place.clone()));
        }
    }

    fn push(&mut self, place: &Place, issue: Issue) {
        self.found.push(Issue { path: place.path(&issue.path), ..issue });
    }
}

impl Place {
    /// A field of the object as a field of its document.
    fn path(&self, field: &str) -> String {
        let mut path: Vec<String> = self.items.iter().map(|i| format!("items[{i}]")).collect();
        path.extend((!field.is_empty()).then(|| field.to_string()));
        path.join(".")
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
