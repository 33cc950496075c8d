//! What is wrong with a text, where, and the way out.

use std::fmt;
use std::sync::Arc;

/// A place in a text, counted from one as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters of what is meant, at least 1.
    pub len: usize,
}

/// What kind of fault it is. Reports for other programs (SARIF) name it by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The file can't be read.
    Unreadable,
    /// The text is no YAML or JSON.
    Syntax,
    /// The text is larger, deeper or more folded than any manifest.
    Limit,
    /// There is no object, or one that does not say what it is.
    NoObject,
    /// Kubernetes has no such kind in this version, or wasmpod knows nothing of it.
    UnknownKind,
    /// The type has no such field.
    UnknownField,
    /// A mapping has one key twice.
    DuplicateKey,
    /// A value of another type is wanted.
    WrongType,
    /// The API would refuse the value.
    Invalid,
    /// wasmpod can't do what the field asks for.
    Unsupported,
    /// wasmpod will do what the field asks for, and refuses to run it so far.
    NotYet,
    /// The field is there, and nothing comes of it.
    NoEffect,
    /// YAML 1.1 reads the value as something that it does not look like.
    Misread,
}

/// Whether a fault keeps the manifest from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not; somebody should know.
    Warning,
}

impl Rule {
    /// All of them, in the order in which they are found.
    pub const ALL: [Rule; 13] = [
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
        Rule::Misread,
    ];

    /// Its stable name.
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
            Rule::Misread => "misread",
        }
    }

    /// What it says, as a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Rule::Unreadable => "The file can't be read.",
            Rule::Syntax => "The text is no YAML or JSON.",
            Rule::Limit => "The text is larger or nested more deeply than a manifest may be.",
            Rule::NoObject => "There is no object, or one without apiVersion and kind.",
            Rule::UnknownKind => "No such kind is known in this version of the API.",
            Rule::UnknownField => "The API has no such field at this place.",
            Rule::DuplicateKey => "A mapping has the same key more than once.",
            Rule::WrongType => "The field wants a value of another type.",
            Rule::Invalid => "The API refuses this value.",
            Rule::Unsupported => "wasmpod can't do what the field asks for.",
            Rule::NotYet => "wasmpod does not do yet what the field asks for, and refuses to run it.",
            Rule::NoEffect => "The field has no effect in wasmpod.",
            Rule::Misread => "YAML 1.1 reads the value as something that it does not look like.",
        }
    }

    /// Whether it keeps the manifest from being used.
    pub fn severity(self) -> Severity {
        match self {
            Rule::NotYet | Rule::NoEffect | Rule::Misread => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// What kind of fault.
    pub rule: Rule,
    /// The field, as Kubernetes writes it: `spec.containers[0].image`. Empty for the document.
    pub path: String,
    /// Where it stands; `None` for what is missing altogether.
    pub position: Option<Position>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

impl Issue {
    /// Whether it keeps the manifest from being used.
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }
}

/// Faults while they are being found: as many as anybody reads.
#[derive(Debug, Default, Clone)]
pub struct Diagnostics {
    kept: Vec<Issue>,
    errors: usize,
    /// Errors that a reader may pass over: fields that are unknown or stand twice.
    passable: usize,
    /// Faults that were counted but not kept.
    more: usize,
}

/// Of more faults than this, the rest is counted: nobody reads them, and they must fit into memory.
const MAX_ISSUES: usize = 1000;

impl Diagnostics {
    /// Adds a fault, which is made only if it is kept.
    pub fn push_with(&mut self, rule: Rule, make: impl FnOnce() -> Issue) {
        self.errors += usize::from(rule.severity() == Severity::Error);
        self.passable += usize::from(matches!(rule, Rule::UnknownField | Rule::DuplicateKey));
        if self.kept.len() < MAX_ISSUES { self.kept.push(make()) } else { self.more += 1 }
    }

    /// Adds a fault.
    pub fn push(&mut self, issue: Issue) {
        self.push_with(issue.rule, || issue);
    }

    /// Adds all that `other` has found.
    pub fn append(&mut self, other: Diagnostics) {
        let room = MAX_ISSUES.saturating_sub(self.kept.len());
        self.more += other.more + other.kept.len().saturating_sub(room);
        self.errors += other.errors;
        self.passable += other.passable;
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// Faults that are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none are kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether anything keeps the text from being used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether anything keeps the text from being used even by a reader who passes over fields.
    pub fn is_unusable(&self) -> bool {
        self.errors > self.passable
    }

    /// The faults that are kept, in the order in which they were found.
    pub fn into_kept(self) -> Vec<Issue> {
        self.kept
    }

    /// Changes the faults that are kept.
    pub fn each(&mut self, change: impl FnMut(&mut Issue)) {
        self.kept.iter_mut().for_each(change);
    }
}

impl FromIterator<Issue> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Issue>>(issues: I) -> Diagnostics {
        let mut found = Diagnostics::default();
        issues.into_iter().for_each(|issue| found.push(issue));
        found
    }
}

/// Faults of one text, printed with their source lines.
#[derive(Debug)]
pub struct Issues {
    source: String,
    text: Arc<str>,
    issues: Vec<Issue>,
    errors: usize,
    more: usize,
}

impl Issues {
    /// Faults of `text`, which came from `source` (a file name or `standard input`), in the order
    /// of the text.
    pub fn new(source: &str, text: &Arc<str>, found: Diagnostics) -> Issues {
        let Diagnostics { kept: mut issues, errors, more, .. } = found;
        issues.sort_by_key(|issue| issue.position.map(|p| (p.line, p.column)));
        Issues { source: source.into(), text: text.clone(), issues, errors, more }
    }

    /// How many of them keep the text from being used.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many of them only warn.
    pub fn warnings(&self) -> usize {
        (self.issues.len() + self.more).saturating_sub(self.errors)
    }

    /// Where the text came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The faults in the order of the text.
    pub fn all(&self) -> &[Issue] {
        &self.issues
    }

    /// How many more there were than [`Issues::all`] keeps.
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// `issue`, one of these, with its source line.
    pub fn show<'i>(&'i self, issue: &'i Issue) -> impl fmt::Display + 'i {
        let line = issue.position.and_then(|p| self.text.lines().nth(p.line.saturating_sub(1)));
        Shown { source: &self.source, line, issue }
    }
}

impl std::error::Error for Issues {}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They are sorted: one pass over the lines serves all.
        let mut lines = (1..).zip(self.text.lines()).peekable();
        for (i, issue) in self.issues.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let at = issue.position.map_or(0, |p| p.line);
            while lines.next_if(|(number, _)| *number < at).is_some() {}
            let line = lines.peek().filter(|(number, _)| *number == at).map(|(_, line)| *line);
            write!(f, "{}", Shown { source: &self.source, line, issue })?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more faults like these", self.source),
        }
    }
}

/// Longer source lines are cut here: a snippet shows a place, not a payload.
const SNIPPET_WIDTH: usize = 120;

struct Shown<'i> {
    source: &'i str,
    line: Option<&'i str>,
    issue: &'i Issue,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Issue { path, position, message, hint, .. } = self.issue;
        write!(f, "{}", self.source)?;
        if let Some(p) = position {
            write!(f, ":{}:{}", p.line, p.column)?;
        }
        if !path.is_empty() {
            write!(f, ": {path}")?;
        }
        if self.issue.severity() == Severity::Warning {
            write!(f, ": warning")?;
        }
        write!(f, ": {message}")?;
        let (Some(p), Some(line)) = (position, self.line) else {
            return hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"));
        };
        // A long line is shown around the place.
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
    fn more_faults_than_anybody_reads_are_counted() {
        let issue = |line| Issue {
            rule: Rule::UnknownField,
            path: String::new(),
            position: Some(Position { line, column: 1, len: 1 }),
            message: "wrong".into(),
            hint: None,
        };
        let text = "x\n".repeat(1500);
        let issues = Issues::new("f", &text.into(), (1..=1500).map(issue).collect());
        assert_eq!((issues.all().len(), issues.more(), issues.errors()), (1000, 500, 1500));
        let told = issues.to_string();
        assert!(told.starts_with("f:1:1: wrong\n   |\n 1 | x\n   | ^\nf:2:1: wrong"), "{told}");
        assert!(told.ends_with("f: 500 more faults like these"));
    }

    #[test]
    fn long_lines_are_shown_around_the_place() {
        let position = Some(Position { line: 1, column: 301, len: 3 });
        let (path, message) = (String::new(), "wrong".to_string());
        let issue = Issue { rule: Rule::Syntax, path, position, message, hint: Some("way out".into()) };
        let text = format!("{}abc{}", "x".repeat(300), "y".repeat(300));
        let told = Issues::new("f", &text.into(), [issue].into_iter().collect()).to_string();
        let (x, y) = ("x".repeat(59), "y".repeat(58));
        assert_eq!(told, format!("f:1:301: wrong\n   |\n 1 | …{x}abc{y}\n   | {}^^^ way out", " ".repeat(60)));
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let ids: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
    }
}
