//! What is wrong with a text, where, and the way out.

use std::fmt;

/// A place in a text, counted from one as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters of what is meant, at least 1.
    pub len: usize,
}

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The field, as Kubernetes writes it: `spec.containers[0].image`. Empty for the document.
    pub path: String,
    /// Where it stands; `None` for what is missing altogether.
    pub position: Option<Position>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

/// All faults of one text, printed with their source lines.
#[derive(Debug)]
pub struct Issues {
    source: String,
    text: String,
    issues: Vec<Issue>,
}

impl Issues {
    /// Faults of `text`, which came from `source` (a file name or `standard input`).
    pub fn new(source: &str, text: &str, issues: Vec<Issue>) -> Issues {
        Issues { source: source.into(), text: text.into(), issues }
    }

    /// The faults in the order of the text.
    pub fn all(&self) -> &[Issue] {
        &self.issues
    }
}

impl std::error::Error for Issues {}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.issues.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            self.print(f, issue)?;
        }
        Ok(())
    }
}

/// Longer source lines are cut here: a snippet shows a place, not a payload.
const SNIPPET_WIDTH: usize = 120;

impl Issues {
    fn print(&self, f: &mut fmt::Formatter<'_>, issue: &Issue) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(p) = issue.position {
            write!(f, ":{}:{}", p.line, p.column)?;
        }
        if !issue.path.is_empty() {
            write!(f, ": {}", issue.path)?;
        }
        write!(f, ": {}", issue.message)?;
        let Some(p) = issue.position else {
            return issue.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"));
        };
        let Some(line) = self.text.lines().nth(p.line.saturating_sub(1)) else { return Ok(()) };
        let shown: String = line.chars().take(SNIPPET_WIDTH).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let number = p.line.to_string();
        let gutter = " ".repeat(number.len());
        write!(f, "\n {gutter} |\n {number} | {shown}")?;
        if p.column <= shown.chars().count() + 1 {
            let room = (shown.chars().count() + 1).saturating_sub(p.column).max(1);
            let marks = "^".repeat(p.len.clamp(1, room));
            write!(f, "\n {gutter} | {}{marks}", " ".repeat(p.column - 1))?;
            if let Some(hint) = &issue.hint {
                write!(f, " {hint}")?;
            }
        } else if let Some(hint) = &issue.hint {
            write!(f, "\n {gutter} = {hint}")?;
        }
        Ok(())
    }
}
