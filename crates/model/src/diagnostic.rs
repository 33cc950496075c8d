//! Diagnostics: what is wrong with a manifest, where, and how to fix it.
//!
//! Owns the rules, their severities and the printed form with source lines. The modules that find
//! an error write its message.

use std::fmt;
use std::sync::Arc;

/// A position in a text, counted from 1 as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length of the marked text in characters, at least 1.
    pub len: usize,
}

/// The kind of a diagnostic. Machine-readable reports (JSON, SARIF) carry its [`id`](Rule::id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The file cannot be read.
    Unreadable,
    /// The file is not valid YAML or JSON.
    Syntax,
    /// The document exceeds a limit on size, nesting or aliases.
    Limit,
    /// The document has no object, or an object without `apiVersion` or `kind`.
    NoObject,
    /// Kubernetes has no such kind in this version, or wasmpod does not support it.
    UnknownKind,
    /// The type has no such field.
    UnknownField,
    /// A mapping has a duplicate key.
    DuplicateKey,
    /// The value has the wrong type.
    WrongType,
    /// The API would reject the value.
    Invalid,
    /// wasmpod does not support the field.
    Unsupported,
    /// wasmpod does not support the field or kind yet; the object is valid, but does not run.
    NotYet,
    /// The field is accepted and ignored.
    NoEffect,
    /// The API would warn about the value.
    Discouraged,
    /// YAML 1.1 reads the value as another type or number than its spelling suggests.
    Misread,
}

/// Whether a diagnostic makes the manifest unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The manifest cannot be used.
    Error,
    /// The manifest can be used.
    Warning,
}

impl Rule {
    /// All rules, in the order in which they are checked.
    pub const ALL: [Rule; 14] = [
        Rule::Unreadable,
        Rule::Syntax,
        Rule::Limit,
        Rule::NoObject,
        Rule::UnknownKind,
        Rule::UnknownField,
        Rule::DuplicateKey,
        Rule::WrongType,
        Rule::Invalid,
        Rule::Unsupported,
        Rule::NotYet,
        Rule::NoEffect,
        Rule::Discouraged,
        Rule::Misread,
    ];

    /// Returns the rule's stable identifier.
    pub fn id(self) -> &'static str {
        match self {
            Rule::Unreadable => "unreadable",
            Rule::Syntax => "syntax",
            Rule::Limit => "limit",
            Rule::NoObject => "no-object",
            Rule::UnknownKind => "unknown-kind",
            Rule::UnknownField => "unknown-field",
            Rule::DuplicateKey => "duplicate-key",
            Rule::WrongType => "wrong-type",
            Rule::Invalid => "invalid-value",
            Rule::Unsupported => "unsupported",
            Rule::NotYet => "not-yet",
            Rule::NoEffect => "no-effect",
            Rule::Discouraged => "discouraged",
            Rule::Misread => "misread",
        }
    }

    /// Returns the rule's description, one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Rule::Unreadable => "The file cannot be read.",
            Rule::Syntax => "The file is not valid YAML or JSON.",
            Rule::Limit => "The document exceeds a limit on size, nesting or aliases.",
            Rule::NoObject => "The document has no object, or an object without apiVersion or kind.",
            Rule::UnknownKind => "The kind does not exist in this API version or is not supported.",
            Rule::UnknownField => "The object has no such field.",
            Rule::DuplicateKey => "A mapping has a duplicate key.",
            Rule::WrongType => "The value has the wrong type for its field.",
            Rule::Invalid => "The Kubernetes API rejects the value.",
            Rule::Unsupported => "wasmpod does not support the field.",
            Rule::NotYet => "wasmpod does not support the field or kind yet and does not run the object.",
            Rule::NoEffect => "wasmpod ignores the field.",
            Rule::Discouraged => "The Kubernetes API warns about the value.",
            Rule::Misread => "YAML 1.1 reads the value as another type or number than its spelling suggests.",
        }
    }

    /// Returns the severity of the rule's diagnostics.
    pub fn severity(self) -> Severity {
        match self {
            Rule::NotYet | Rule::NoEffect | Rule::Discouraged | Rule::Misread => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// One problem of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of problem.
    pub rule: Rule,
    /// Field path as Kubernetes writes it, such as `spec.containers[0].image`; empty for the document.
    pub path: String,
    /// Position in the text, if the problem has one.
    pub position: Option<Position>,
    /// Description of the problem: lower case, no full stop.
    pub message: String,
    /// The remedy, if known.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Returns whether this is an error or a warning.
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }
}

/// Collects diagnostics while a text is read; keeps at most [`MAX_DIAGNOSTICS`].
#[derive(Debug, Default, Clone)]
pub struct DiagnosticSink {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// Number of errors that lenient decoding ignores: unknown and duplicate fields.
    ignorable: usize,
    /// Number of diagnostics that were counted but not kept.
    omitted: usize,
}

/// Maximum number of diagnostics to keep, to bound memory; further ones are only counted.
const MAX_DIAGNOSTICS: usize = 1000;

impl DiagnosticSink {
    /// Adds a diagnostic of `rule`; calls `make` only if it is kept.
    pub fn push_with(&mut self, rule: Rule, make: impl FnOnce() -> Diagnostic) {
        self.errors += usize::from(rule.severity() == Severity::Error);
        self.ignorable += usize::from(matches!(rule, Rule::UnknownField | Rule::DuplicateKey));
        if self.diagnostics.len() < MAX_DIAGNOSTICS { self.diagnostics.push(make()) } else { self.omitted += 1 }
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.push_with(diagnostic.rule, || diagnostic);
    }

    /// Moves all diagnostics and counts of `other` into this sink.
    pub fn append(&mut self, other: DiagnosticSink) {
        let capacity = MAX_DIAGNOSTICS.saturating_sub(self.diagnostics.len());
        self.omitted += other.omitted + other.diagnostics.len().saturating_sub(capacity);
        self.errors += other.errors;
        self.ignorable += other.ignorable;
        self.diagnostics.extend(other.diagnostics.into_iter().take(capacity));
    }

    /// Returns the number of kept diagnostics.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// Returns whether no diagnostic is kept.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Returns whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Returns whether there is an error that lenient decoding does not ignore.
    pub fn has_fatal_errors(&self) -> bool {
        self.errors > self.ignorable
    }

    /// Returns the kept diagnostics in the order in which they were added.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// Calls `change` for each kept diagnostic.
    pub fn for_each_mut(&mut self, change: impl FnMut(&mut Diagnostic)) {
        self.diagnostics.iter_mut().for_each(change);
    }
}

impl FromIterator<Diagnostic> for DiagnosticSink {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> DiagnosticSink {
        let mut sink = DiagnosticSink::default();
        diagnostics.into_iter().for_each(|diagnostic| sink.push(diagnostic));
        sink
    }
}

/// The diagnostics of one text; `Display` prints each with its source line.
#[derive(Debug)]
pub struct Diagnostics {
    source: String,
    text: Arc<str>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    omitted: usize,
}

impl Diagnostics {
    /// Sorts the diagnostics of `text` by position. `source` is a file name or `standard input`.
    pub fn new(source: &str, text: &Arc<str>, sink: DiagnosticSink) -> Diagnostics {
        let DiagnosticSink { mut diagnostics, errors, omitted, .. } = sink;
        diagnostics.sort_by_key(|diagnostic| diagnostic.position.map(|p| (p.line, p.column)));
        Diagnostics { source: source.into(), text: text.clone(), diagnostics, errors, omitted }
    }

    /// Returns the diagnostics without those of `rule`. Omitted ones are still counted.
    pub fn without(mut self, rule: Rule) -> Diagnostics {
        let before = self.diagnostics.len();
        self.diagnostics.retain(|diagnostic| diagnostic.rule != rule);
        if rule.severity() == Severity::Error {
            self.errors -= before - self.diagnostics.len();
        }
        self
    }

    /// Returns the number of errors, omitted ones included.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// Returns the number of warnings, omitted ones included.
    pub fn warning_count(&self) -> usize {
        (self.diagnostics.len() + self.omitted).saturating_sub(self.errors)
    }

    /// Returns the name of the text's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the diagnostics, sorted by position.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the number of diagnostics that were counted but not kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Returns whether there are no diagnostics.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Returns `diagnostic`, which belongs to this text, in printable form with its source line.
    pub fn display<'d>(&'d self, diagnostic: &'d Diagnostic) -> impl fmt::Display + 'd {
        let line = diagnostic.position.and_then(|p| self.text.lines().nth(p.line.saturating_sub(1)));
        Snippet { source: &self.source, line, diagnostic }
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The diagnostics are sorted, so one pass over the lines suffices.
        let mut lines = (1..).zip(self.text.lines()).peekable();
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let line_number = diagnostic.position.map_or(0, |p| p.line);
            while lines.next_if(|(number, _)| *number < line_number).is_some() {}
            let line = lines.peek().filter(|(number, _)| *number == line_number).map(|(_, line)| *line);
            write!(f, "{}", Snippet { source: &self.source, line, diagnostic })?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\n{}: {omitted} more problems not shown", self.source),
        }
    }
}

/// Maximum number of characters of a source line to print.
const SNIPPET_WIDTH: usize = 120;

/// A diagnostic with its source line and a marker below it.
struct Snippet<'d> {
    source: &'d str,
    line: Option<&'d str>,
    diagnostic: &'d Diagnostic,
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { path, position, message, hint, .. } = self.diagnostic;
        write!(f, "{}", self.source)?;
        if let Some(p) = position {
            write!(f, ":{}:{}", p.line, p.column)?;
        }
        if !path.is_empty() {
            write!(f, ": {path}")?;
        }
        if self.diagnostic.severity() == Severity::Warning {
            write!(f, ": warning")?;
        }
        write!(f, ": {message}")?;
        let (Some(p), Some(line)) = (position, self.line) else {
            return hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"));
        };
        // A long line is cut to the part around the position.
        let skipped = if p.column > SNIPPET_WIDTH { p.column - SNIPPET_WIDTH / 2 } else { 0 };
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = line.chars().skip(skipped).take(SNIPPET_WIDTH).map(plain).collect();
        let (number, before) = (p.line.to_string(), if skipped > 0 { "…" } else { "" });
        let gutter = " ".repeat(number.len());
        write!(f, "\n {gutter} |\n {number} | {before}{shown}")?;
        let column = p.column - skipped;
        let width = shown.chars().count() + 1;
        if column <= width {
            let marks = "^".repeat(p.len.clamp(1, (width - column).max(1)));
            let before = " ".repeat(before.chars().count() + column.saturating_sub(1));
            write!(f, "\n {gutter} | {before}{marks}")?;
            if let Some(hint) = hint {
                write!(f, " {hint}")?;
            }
        } else if let Some(hint) = hint {
            write!(f, "\n {gutter} = {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_over_the_maximum_are_counted() {
        let diagnostic = |line| Diagnostic {
            rule: Rule::UnknownField,
            path: String::new(),
            position: Some(Position { line, column: 1, len: 1 }),
            message: "wrong".into(),
            hint: None,
        };
        let text = "x\n".repeat(1500);
        let diagnostics = Diagnostics::new("f", &text.into(), (1..=1500).map(diagnostic).collect());
        assert_eq!((diagnostics.as_slice().len(), diagnostics.omitted(), diagnostics.error_count()), (1000, 500, 1500));
        let printed = diagnostics.to_string();
        assert!(printed.starts_with("f:1:1: wrong\n   |\n 1 | x\n   | ^\nf:2:1: wrong"), "{printed}");
        assert!(printed.ends_with("f: 500 more problems not shown"));
    }

    #[test]
    fn long_lines_are_cut_around_the_position() {
        let position = Some(Position { line: 1, column: 301, len: 3 });
        let (path, message) = (String::new(), "wrong".to_string());
        let diagnostic = Diagnostic { rule: Rule::Syntax, path, position, message, hint: Some("way out".into()) };
        let text = format!("{}abc{}", "x".repeat(300), "y".repeat(300));
        let printed = Diagnostics::new("f", &text.into(), [diagnostic].into_iter().collect()).to_string();
        let (x, y) = ("x".repeat(59), "y".repeat(58));
        assert_eq!(printed, format!("f:1:301: wrong\n   |\n 1 | …{x}abc{y}\n   | {}^^^ way out", " ".repeat(60)));
    }

    #[test]
    fn rule_ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
    }
}
