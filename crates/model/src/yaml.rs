//! YAML, and so JSON, as trees: one per document.
//!
//! A document that is no YAML is told of, and reading goes on behind it. What aliases and depth
//! may cost is bounded here; scalars are read by the rules of `scalars`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::issue::{Issue, Position, Rule};
use super::scalars::{self, Scalar};
use super::tree::{Key, Node, Value};

/// How deep values may be nested; Kubernetes' own types stay below 30.
pub const MAX_DEPTH: usize = 100;
/// How many values a document may hold.
pub const MAX_VALUES: usize = 2_000_000;
/// How many values a document's aliases may stand for.
pub const MAX_COPIES: usize = 100_000;

/// One document of a text.
pub struct Document<'t> {
    /// Its tree, or what keeps it from having one.
    pub root: Result<Node<'t>, Issue>,
    /// Where it stands in the text, from the beginning of a line.
    pub bytes: Range<usize>,
    /// The number of its first line.
    pub line: usize,
}

/// Gives `each` the documents of `text`, whose first line has the number `line`. Empty ones are left out.
pub fn read<'t>(text: &'t str, line: usize, mut each: impl FnMut(Document<'t>)) {
    let lines_before = line.saturating_sub(1);
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { parser, lines_before, anchors: HashMap::new(), values: 0, copies: 0 };
    // Where the last broken document broke: one that breaks no later is the same once more.
    let mut broken_at = None;
    loop {
        let mut start = None;
        match reader.document(&mut start) {
            Ok(None) => return,
            Ok(Some((root, end))) => {
                if !matches!(root.value, Value::Null) {
                    let (bytes, line) = extent(text, start, end);
                    each(Document { root: Ok(root), bytes, line: line + lines_before });
                }
            }
            Err(issue) if issue.position <= broken_at => return,
            Err(issue) => {
                broken_at = issue.position;
                let (bytes, line) = extent(text, start, text.len());
                each(Document { root: Err(issue), bytes, line: line + lines_before });
                if !reader.parser.proceed_next_document().unwrap_or(false) {
                    return;
                }
            }
        }
    }
}

/// A document's bytes, from the beginning of its first line, and that line's number.
fn extent(text: &str, start: Option<Marker>, end: usize) -> (Range<usize>, usize) {
    let (at, line) = start.map_or((0, 1), |mark| (mark.byte_offset().unwrap_or(0), mark.line()));
    let before = text.get(..at).unwrap_or_default();
    (before.rfind('\n').map_or(0, |newline| newline + 1)..end.max(at), line)
}

/// Cuts a large text between documents into about `parts` pieces, each with the number of its first line.
pub fn split(text: &str, parts: usize) -> Vec<(&str, usize)> {
    let mut pieces = Vec::new();
    // Directives stand before the marker of the document that they are for.
    if parts < 2 || text.starts_with('%') || text.contains("\n%") {
        return vec![(text, 1)];
    }
    let (size, mut rest, mut line) = (text.len() / parts + 1, text, 1);
    while rest.len() > size {
        let is_marker = |at: usize| {
            let after = rest.get(at + "\n---".len()..).and_then(|after| after.chars().next());
            after.is_none_or(char::is_whitespace)
        };
        // A text may be cut anywhere but within a character.
        let from = (size..rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let found = rest.get(from..).and_then(|tail| {
            let mut markers = tail.match_indices("\n---").map(|(at, _)| from + at);
            markers.find(|at| is_marker(*at))
        });
        let Some((piece, tail)) = found.and_then(|at| rest.split_at_checked(at + 1)) else { break };
        pieces.push((piece, line));
        line += piece.bytes().filter(|b| *b == b'\n').count();
        rest = tail;
    }
    pieces.push((rest, line));
    pieces
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    lines_before: usize,
    /// What anchors of this document stand for, and how many values that is.
    anchors: HashMap<usize, (Node<'t>, usize)>,
    values: usize,
    copies: usize,
}

type Read<T> = Result<T, Issue>;

impl<'t> Reader<'t> {
    /// The next document and where it ends; `None` at the end of the text.
    fn document(&mut self, start: &mut Option<Marker>) -> Read<Option<(Node<'t>, usize)>> {
        self.anchors.clear();
        (self.values, self.copies) = (0, 0);
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) => *start = Some(span.start),
                Event::DocumentEnd => {
                    let end = span.end.byte_offset().unwrap_or(0);
                    return Ok(root.map(|root| (root, end)));
                }
                Event::StreamEnd => return Ok(None),
                Event::StreamStart => {}
                other => root = Some(self.node(other, span, 0)?),
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Read<Option<(Event<'t>, Span)>> {
        self.parser.next_event().transpose().map_err(|error| self.syntax_issue(&error))
    }

    /// The next node of a collection; `None` where the collection ends.
    fn child(&mut self, depth: usize) -> Read<Option<Node<'t>>> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, span)) => self.node(event, span, depth).map(Some),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Read<Node<'t>> {
        let position = self.position(&span);
        self.values += 1;
        if depth > MAX_DEPTH {
            return Err(limit(position, format!("nested more deeply than {MAX_DEPTH} levels")));
        }
        if self.values > MAX_VALUES {
            return Err(limit(position, format!("the document holds more than {MAX_VALUES} values")));
        }
        let before = self.values;
        let (anchor, value, written) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (value, written) = scalar(text, style, tag.as_deref(), position)?;
                (anchor, value, written)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some(item) = self.child(depth + 1)? {
                    items.push(item);
                }
                (anchor, Value::List(items), "")
            }
            Event::MappingStart(_, anchor, _) => (anchor, Value::Map(self.entries(depth)?), ""),
            Event::Alias(anchor) => return self.alias(anchor, position),
            _ => return Err(syntax(position, "a value is wanted here".into(), None)),
        };
        let node = Node { value, position, written };
        if anchor != 0 {
            // Kept beside the tree: a copy like those that aliases make.
            let values = self.values - before + 1;
            self.copies += values;
            bound(self.copies, position)?;
            self.anchors.insert(anchor, (node.clone(), values));
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Read<Vec<(Key<'t>, Node<'t>)>> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        while let Some(key) = self.child(depth + 1)? {
            let Some(value) = self.child(depth + 1)? else { break };
            if key.written == "<<" {
                merged.push(value);
            } else {
                entries.push((name(key)?, value));
            }
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(entries)
    }

    /// A copy of what `anchor` stands for, at the place of the alias.
    fn alias(&mut self, anchor: usize, position: Position) -> Read<Node<'t>> {
        let Some((node, values)) = self.anchors.get(&anchor) else {
            return Err(syntax(position, "the alias stands within what it refers to".into(), None));
        };
        self.values += values;
        self.copies += values;
        bound(self.copies, position)?;
        Ok(Node { position, ..node.clone() })
    }

    fn position(&self, span: &Span) -> Position {
        let same_line = span.start.line() == span.end.line();
        let len = if same_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        Position { line: span.start.line() + self.lines_before, column: span.start.col() + 1, len }
    }

    fn syntax_issue(&self, error: &ScanError) -> Issue {
        let mark = error.marker();
        let position = Position { line: mark.line() + self.lines_before, column: mark.col() + 1, len: 1 };
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => limit(position, format!("nested more deeply than {MAX_DEPTH} levels")),
            kind => syntax(position, error.info(), way_out(kind).map(String::from)),
        }
    }
}

fn bound(copies: usize, position: Position) -> Read<()> {
    let message = || format!("the document's aliases stand for more than {MAX_COPIES} values");
    if copies > MAX_COPIES { Err(limit(position, message())) } else { Ok(()) }
}

fn syntax(position: Position, message: String, hint: Option<String>) -> Issue {
    Issue { rule: Rule::Syntax, path: String::new(), position: Some(position), message, hint }
}

fn limit(position: Position, message: String) -> Issue {
    Issue { rule: Rule::Limit, path: String::new(), position: Some(position), message, hint: None }
}

/// What to do about the errors of syntax that people make.
fn way_out(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => "indent with spaces: YAML allows no tabs here",
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            "the keys of one mapping begin in one column: check the indentation"
        }
        ErrorKind::ExpectedBlockSequenceEntry => "the items of one list begin in one column: check the indentation",
        ErrorKind::MappingValueNotAllowed => "check the indentation, or quote the value",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "a key needs a colon and a space behind it",
        ErrorKind::UnclosedQuotedScalar => "close the quote",
        ErrorKind::UnexpectedCharacter { .. } => "quote the value",
        ErrorKind::UnknownAnchor => "an alias names an anchor that stands before it in the same document",
        _ => return None,
    })
}

/// The value of a scalar, and its text where it is plain.
fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    position: Position,
) -> Read<(Value<'t>, &'t str)> {
    let tag = tag.map(Tag::suffix);
    if tag == Some("binary") {
        let hint = "write the text itself, or base64 under `data` of a Secret".to_string();
        return Err(syntax(position, "!!binary is not supported".into(), Some(hint)));
    }
    let resolved = match tag {
        None if style == ScalarStyle::Plain => scalars::resolve(&text),
        Some("int" | "float" | "bool" | "null") => scalars::resolve(&text),
        _ => Scalar::String,
    };
    let written = match &text {
        Cow::Borrowed(text) if style == ScalarStyle::Plain => text,
        _ => "",
    };
    let value = match resolved {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Float(value) => Value::Float(value),
        Scalar::String => Value::String(text),
    };
    Ok((value, written))
}

/// A key's name. Kubernetes' keys are strings: others become one, as kubectl has it.
fn name(key: Node<'_>) -> Read<Key<'_>> {
    let Node { value, position, written } = key;
    let named = |name: String| Key { misread: (name != written).then_some(written), name: name.into(), position };
    Ok(match value {
        Value::String(name) => Key { name, position, misread: None },
        Value::Bool(value) => named(value.to_string()),
        Value::Int(value) => named(value.to_string()),
        Value::Float(value) => named(value.to_string()),
        Value::Null => return Err(syntax(position, "the key is empty".into(), Some("quote it".into()))),
        Value::List(_) | Value::Map(_) => {
            let hint = "keys are strings: quote it if it is meant as text".to_string();
            return Err(syntax(position, "the key is a list or a mapping".into(), Some(hint)));
        }
    })
}

/// Adds what `<<` brings in and is not there yet.
fn merge<'t>(entries: &mut Vec<(Key<'t>, Node<'t>)>, node: Node<'t>) -> Read<()> {
    match node.value {
        Value::Map(more) => {
            for (key, value) in more {
                if !entries.iter().any(|(known, _)| known.name == key.name) {
                    entries.push((key, value));
                }
            }
            Ok(())
        }
        Value::List(nodes) => nodes.into_iter().try_for_each(|node| merge(entries, node)),
        _ => Err(syntax(node.position, "<< merges mappings only".into(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<Document<'_>> {
        let mut all = Vec::new();
        read(text, 1, |document| all.push(document));
        all
    }

    fn fault(text: &str) -> String {
        let faults = documents(text).into_iter().filter_map(|document| document.root.err());
        faults.map(|issue| format!("{}: {}", issue.rule.id(), issue.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn documents_know_their_bytes_and_lines() {
        let text = "# one\na: 1\n---\n# nothing\n---\n  b:\n    c: 2\n...\n";
        let all = documents(text);
        let places: Vec<_> = all.iter().map(|d| (d.line, text.get(d.bytes.clone()).unwrap_or_default())).collect();
        assert_eq!(places, [(2, "a: 1\n"), (5, "---\n  b:\n    c: 2\n...")]);
    }

    #[test]
    fn reading_goes_on_behind_a_broken_document() {
        let all = documents("a: [1, 2\n---\nb: 1\n---\nc: 'x\n---\nd: 1\n");
        let read: Vec<bool> = all.iter().map(|document| document.root.is_ok()).collect();
        assert_eq!(read, [false, true, false, true]);
    }

    #[test]
    fn aliases_and_merges_copy_what_was_anchored() {
        let all = documents("base: &b {x: 1, z: 2}\nuse: *b\nmerged: {<<: *b, z: 3}\n");
        let root = all.into_iter().next().and_then(|document| document.root.ok()).expect("a tree");
        let value = |path: [&str; 2]| match root.get(path[0]).and_then(|n| n.get(path[1])).map(|n| &n.value) {
            Some(Value::Int(value)) => *value,
            other => panic!("{path:?}: {other:?}"),
        };
        assert_eq!((value(["use", "x"]), value(["merged", "x"]), value(["merged", "z"])), (1, 1, 3));
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let copies = vec![format!("*a{}", i - 1); 10].join(", ");
            laughs += &format!("a{i}: &a{i} [{copies}]\n");
        }
        assert_eq!(fault(&laughs), "limit: the document's aliases stand for more than 100000 values");
        assert_eq!(fault(&"[".repeat(100_000)), "limit: nested more deeply than 100 levels");
        assert_eq!(
            fault(&format!("a: {}", "- ".repeat(5000))),
            "syntax: block sequence entries are not allowed in this context"
        );
        assert_eq!(fault(&format!("{}x", "- ".repeat(101))), "limit: nested more deeply than 100 levels");
        assert_eq!(fault("a: &a [*a]\n"), "syntax: the alias stands within what it refers to");
        assert_eq!(fault("a: *nobody\n"), "syntax: while parsing node, found unknown anchor");
    }

    #[test]
    fn texts_are_cut_between_documents_only() {
        let text = "a: |\n  ---\n  x\n---\nb: 1\n---x: no marker\n--- {c: 1}\n---\nd: ä\n";
        for parts in 1..20 {
            let pieces = split(text, parts);
            assert_eq!(pieces.iter().map(|(piece, _)| *piece).collect::<String>(), text);
            for (piece, line) in &pieces {
                let before = text.find(piece).map_or("", |at| &text[..at]);
                assert_eq!(before.matches('\n').count() + 1, *line);
                assert!(before.is_empty() || piece.starts_with("---\n") || piece.starts_with("--- "), "{piece:?}");
            }
        }
        assert_eq!(split(text, 20).len(), 4);
        assert_eq!(split(&format!("%YAML 1.1\n{text}"), 20).len(), 1);
    }

    #[test]
    fn keys_are_strings() {
        let all = documents("{on: 1, 7: 2, 'on': 3, 010: 4}\n");
        let root = all.into_iter().next().and_then(|document| document.root.ok()).expect("a tree");
        let keys: Vec<_> = root.entries().iter().map(|(key, _)| (key.name.as_ref(), key.misread)).collect();
        assert_eq!(keys, [("true", Some("on")), ("7", None), ("on", None), ("8", Some("010"))]);
        assert_eq!(fault("{null: 1}"), "syntax: the key is empty");
        assert_eq!(fault("[a]: 1"), "syntax: the key is a list or a mapping");
    }
}
