//! Reads YAML, and so JSON, into one tree per document.
//!
//! A syntax error ends its document only: reading continues at the next one. Nesting, size and alias
//! expansion are bounded here; `scalars` resolves plain scalars.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::diagnostic::{Diagnostic, Position, Rule};
use super::scalars::{self, Scalar};
use super::tree::{MappingKey, Value, YamlNode};

/// Maximum nesting depth; Kubernetes' own types stay below 30.
pub const MAX_DEPTH: usize = 100;
/// Maximum number of values in a document.
pub const MAX_VALUES: usize = 2_000_000;
/// Maximum number of values that a document's aliases may expand to.
pub const MAX_COPIES: usize = 100_000;

/// One document of a text.
pub struct Document<'t> {
    /// The document's tree, or its first error.
    pub root: Result<YamlNode<'t>, Diagnostic>,
    /// Byte range in the text, from the start of a line.
    pub bytes: Range<usize>,
    /// Number of the document's first line.
    pub line: usize,
}

/// Calls `on_document` for each non-empty document of `text`, whose first line has the number `line`.
pub fn read<'t>(text: &'t str, line: usize, mut on_document: impl FnMut(Document<'t>)) {
    let lines_before = line.saturating_sub(1);
    let parser = Parser::new_from_str(text);
    let mut reader = DocumentReader { parser, lines_before, anchors: HashMap::new(), values: 0, copies: 0 };
    // Position of the last error: an error at or before it is the same one again.
    let mut last_error = None;
    loop {
        let mut start = None;
        match reader.document(&mut start) {
            Ok(None) => return,
            Ok(Some((root, end))) => {
                if !matches!(root.value, Value::Null) {
                    let (bytes, line) = extent(text, start, end);
                    on_document(Document { root: Ok(root), bytes, line: line + lines_before });
                }
            }
            Err(error) if error.position <= last_error => return,
            Err(error) => {
                last_error = error.position;
                let (bytes, line) = extent(text, start, text.len());
                on_document(Document { root: Err(error), bytes, line: line + lines_before });
                if !reader.parser.proceed_next_document().unwrap_or(false) {
                    return;
                }
            }
        }
    }
}

/// Returns a document's bytes, from the start of its first line, and that line's number.
fn extent(text: &str, start: Option<Marker>, end: usize) -> (Range<usize>, usize) {
    let (offset, line) = start.map_or((0, 1), |mark| (mark.byte_offset().unwrap_or(0), mark.line()));
    let before = text.get(..offset).unwrap_or_default();
    (before.rfind('\n').map_or(0, |newline| newline + 1)..end.max(offset), line)
}

/// Splits a text between documents into about `parts` parts, each with the number of its first line.
pub fn split_documents(text: &str, parts: usize) -> Vec<(&str, usize)> {
    let mut split = Vec::new();
    // Directives precede the marker of their document, so a text that has any is not split.
    if parts < 2 || text.starts_with('%') || text.contains("\n%") {
        return vec![(text, 1)];
    }
    let (size, mut rest, mut line) = (text.len() / parts + 1, text, 1);
    while rest.len() > size {
        let is_marker = |at: usize| {
            let after = rest.get(at + "\n---".len()..).and_then(|after| after.chars().next());
            after.is_none_or(char::is_whitespace)
        };
        // Start at a character boundary.
        let from = (size..rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let marker = rest.get(from..).and_then(|tail| {
            let mut markers = tail.match_indices("\n---").map(|(at, _)| from + at);
            markers.find(|at| is_marker(*at))
        });
        let Some((part, tail)) = marker.and_then(|at| rest.split_at_checked(at + 1)) else { break };
        split.push((part, line));
        line += part.bytes().filter(|b| *b == b'\n').count();
        rest = tail;
    }
    split.push((rest, line));
    split
}

struct DocumentReader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    lines_before: usize,
    /// The node and number of values of each anchor of the document.
    anchors: HashMap<usize, (YamlNode<'t>, usize)>,
    values: usize,
    copies: usize,
}

type ReadResult<T> = Result<T, Diagnostic>;

impl<'t> DocumentReader<'t> {
    /// Reads the next document and returns it with its end; `None` at the end of the text.
    fn document(&mut self, start: &mut Option<Marker>) -> ReadResult<Option<(YamlNode<'t>, usize)>> {
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

    fn next(&mut self) -> ReadResult<Option<(Event<'t>, Span)>> {
        self.parser.next_event().transpose().map_err(|error| self.syntax_issue(&error))
    }

    /// Reads the next node of a collection; `None` at its end.
    fn child(&mut self, depth: usize) -> ReadResult<Option<YamlNode<'t>>> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, span)) => self.node(event, span, depth).map(Some),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> ReadResult<YamlNode<'t>> {
        let position = self.position(&span);
        self.values += 1;
        if depth > MAX_DEPTH {
            return Err(limit_error(position, format!("nested more deeply than {MAX_DEPTH} levels")));
        }
        if self.values > MAX_VALUES {
            return Err(limit_error(position, format!("the document has more than {MAX_VALUES} values")));
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
            _ => return Err(syntax_error(position, "expected a value".into(), None)),
        };
        let node = YamlNode { value, position, written };
        if anchor != 0 {
            // The anchor keeps a copy, which counts like an alias.
            let values = self.values - before + 1;
            self.copies += values;
            check_copies(self.copies, position)?;
            self.anchors.insert(anchor, (node.clone(), values));
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> ReadResult<Vec<(MappingKey<'t>, YamlNode<'t>)>> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        while let Some(key) = self.child(depth + 1)? {
            let Some(value) = self.child(depth + 1)? else { break };
            if key.written == "<<" {
                merged.push(value);
            } else {
                entries.push((key_from_node(key)?, value));
            }
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(entries)
    }

    /// Returns a copy of the anchored node, at the position of the alias.
    fn alias(&mut self, anchor: usize, position: Position) -> ReadResult<YamlNode<'t>> {
        let Some((node, values)) = self.anchors.get(&anchor) else {
            return Err(syntax_error(position, "the alias refers to a node that contains it".into(), None));
        };
        self.values += values;
        self.copies += values;
        check_copies(self.copies, position)?;
        Ok(YamlNode { position, ..node.clone() })
    }

    fn position(&self, span: &Span) -> Position {
        let same_line = span.start.line() == span.end.line();
        let len = if same_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        Position { line: span.start.line() + self.lines_before, column: span.start.col() + 1, len }
    }

    fn syntax_issue(&self, error: &ScanError) -> Diagnostic {
        let mark = error.marker();
        let position = Position { line: mark.line() + self.lines_before, column: mark.col() + 1, len: 1 };
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => {
                limit_error(position, format!("nested more deeply than {MAX_DEPTH} levels"))
            }
            kind => syntax_error(position, error.info(), syntax_hint(kind).map(String::from)),
        }
    }
}

fn check_copies(copies: usize, position: Position) -> ReadResult<()> {
    let message = || format!("the document's aliases expand to more than {MAX_COPIES} values");
    if copies > MAX_COPIES { Err(limit_error(position, message())) } else { Ok(()) }
}

fn syntax_error(position: Position, message: String, hint: Option<String>) -> Diagnostic {
    Diagnostic { rule: Rule::Syntax, path: String::new(), position: Some(position), message, hint }
}

fn limit_error(position: Position, message: String) -> Diagnostic {
    Diagnostic { rule: Rule::Limit, path: String::new(), position: Some(position), message, hint: None }
}

/// Returns a hint for common syntax errors.
fn syntax_hint(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => "indent with spaces: YAML does not allow tabs here",
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            "check the indentation: all keys of a mapping must start in the same column"
        }
        ErrorKind::ExpectedBlockSequenceEntry => {
            "check the indentation: all items of a list must start in the same column"
        }
        ErrorKind::MappingValueNotAllowed => "check the indentation, or quote the value",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "put a colon and a space after the key",
        ErrorKind::UnclosedQuotedScalar => "close the quote",
        ErrorKind::UnexpectedCharacter { .. } => "quote the value",
        ErrorKind::UnknownAnchor => "define the anchor earlier in the same document",
        _ => return None,
    })
}

/// Returns the value of a scalar, and its source text if it is plain.
fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    position: Position,
) -> ReadResult<(Value<'t>, &'t str)> {
    let tag = tag.map(Tag::suffix);
    if tag == Some("binary") {
        let hint = "write plain text, or base64 under `data` of a Secret".to_string();
        return Err(syntax_error(position, "!!binary is not supported".into(), Some(hint)));
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

/// Converts a node to a key. Keys are strings; other scalars are converted as kubectl does.
fn key_from_node(key: YamlNode<'_>) -> ReadResult<MappingKey<'_>> {
    let YamlNode { value, position, written } = key;
    let named =
        |name: String| MappingKey { misread: (name != written).then_some(written), name: name.into(), position };
    Ok(match value {
        Value::String(name) => MappingKey { name, position, misread: None },
        Value::Bool(value) => named(value.to_string()),
        Value::Int(value) => named(value.to_string()),
        Value::Float(value) => named(value.to_string()),
        Value::Null => return Err(syntax_error(position, "the key is empty".into(), Some("quote it".into()))),
        Value::List(_) | Value::Map(_) => {
            let hint = "keys must be strings: quote it if it is text".to_string();
            return Err(syntax_error(position, "the key is a list or a mapping".into(), Some(hint)));
        }
    })
}

/// Adds the entries of a `<<` merge whose keys are not set yet.
fn merge<'t>(entries: &mut Vec<(MappingKey<'t>, YamlNode<'t>)>, node: YamlNode<'t>) -> ReadResult<()> {
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
        _ => Err(syntax_error(node.position, "<< can merge only mappings".into(), None)),
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

    fn errors(text: &str) -> String {
        let errors = documents(text).into_iter().filter_map(|document| document.root.err());
        errors.map(|error| format!("{}: {}", error.rule.id(), error.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn documents_have_byte_ranges_and_lines() {
        let text = "# one\na: 1\n---\n# nothing\n---\n  b:\n    c: 2\n...\n";
        let all = documents(text);
        let ranges: Vec<_> = all.iter().map(|d| (d.line, text.get(d.bytes.clone()).unwrap_or_default())).collect();
        assert_eq!(ranges, [(2, "a: 1\n"), (5, "---\n  b:\n    c: 2\n...")]);
    }

    #[test]
    fn reading_continues_after_a_syntax_error() {
        let all = documents("a: [1, 2\n---\nb: 1\n---\nc: 'x\n---\nd: 1\n");
        let read: Vec<bool> = all.iter().map(|document| document.root.is_ok()).collect();
        assert_eq!(read, [false, true, false, true]);
    }

    #[test]
    fn aliases_and_merges_copy_the_anchored_node() {
        let all = documents("base: &b {x: 1, z: 2}\nuse: *b\nmerged: {<<: *b, z: 3}\n");
        let root = all.into_iter().next().and_then(|document| document.root.ok()).expect("a tree");
        let value = |path: [&str; 2]| match root.get(path[0]).and_then(|n| n.get(path[1])).map(|n| &n.value) {
            Some(Value::Int(value)) => *value,
            other => panic!("{path:?}: {other:?}"),
        };
        assert_eq!((value(["use", "x"]), value(["merged", "x"]), value(["merged", "z"])), (1, 1, 3));
    }

    #[test]
    fn alias_and_nesting_bombs_are_rejected() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let copies = vec![format!("*a{}", i - 1); 10].join(", ");
            laughs += &format!("a{i}: &a{i} [{copies}]\n");
        }
        assert_eq!(errors(&laughs), "limit: the document's aliases expand to more than 100000 values");
        assert_eq!(errors(&"[".repeat(100_000)), "limit: nested more deeply than 100 levels");
        assert_eq!(
            errors(&format!("a: {}", "- ".repeat(5000))),
            "syntax: block sequence entries are not allowed in this context"
        );
        assert_eq!(errors(&format!("{}x", "- ".repeat(101))), "limit: nested more deeply than 100 levels");
        assert_eq!(errors("a: &a [*a]\n"), "syntax: the alias refers to a node that contains it");
        assert_eq!(errors("a: *unknown\n"), "syntax: while parsing node, found unknown anchor");
    }

    #[test]
    fn texts_are_split_between_documents_only() {
        let text = "a: |\n  ---\n  x\n---\nb: 1\n---x: no marker\n--- {c: 1}\n---\nd: ä\n";
        for parts in 1..20 {
            let split = split_documents(text, parts);
            assert_eq!(split.iter().map(|(part, _)| *part).collect::<String>(), text);
            for (part, line) in &split {
                let before = text.find(part).map_or("", |at| &text[..at]);
                assert_eq!(before.matches('\n').count() + 1, *line);
                assert!(before.is_empty() || part.starts_with("---\n") || part.starts_with("--- "), "{part:?}");
            }
        }
        assert_eq!(split_documents(text, 20).len(), 4);
        assert_eq!(split_documents(&format!("%YAML 1.1\n{text}"), 20).len(), 1);
    }

    #[test]
    fn scalar_keys_become_strings() {
        let all = documents("{on: 1, 7: 2, 'on': 3, 010: 4}\n");
        let root = all.into_iter().next().and_then(|document| document.root.ok()).expect("a tree");
        let keys: Vec<_> = root.entries().iter().map(|(key, _)| (key.name.as_ref(), key.misread)).collect();
        assert_eq!(keys, [("true", Some("on")), ("7", None), ("on", None), ("8", Some("010"))]);
        assert_eq!(errors("{null: 1}"), "syntax: the key is empty");
        assert_eq!(errors("[a]: 1"), "syntax: the key is a list or a mapping");
    }
}
