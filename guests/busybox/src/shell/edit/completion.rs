//! Completion with Tab: finds what the word before the cursor may be, and inserts names. Pure; `candidates` reads the
//! names from the shell and the file system.

use super::super::word::is_name;

/// What the word before the cursor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Command,
    File,
    /// A variable after `$`, or with `braces` after `${`.
    Variable {
        braces: bool,
    },
}

/// The part of a line that is completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub kind: Kind,
    /// The source text of the word before the last slash, with the slash.
    pub directory: String,
    /// The rest of the word, without quotes.
    pub prefix: String,
    /// The position of the rest in the line.
    pub start: usize,
    /// The quote that is open at the cursor.
    pub quote: Option<char>,
}

/// A name that a word may become.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub name: String,
    pub is_directory: bool,
}

/// The result of a completion.
#[derive(Debug, PartialEq, Eq)]
pub enum Completion {
    /// Replaces the line from the target's start to the cursor.
    Insert(String),
    /// Nothing to add: several names begin alike.
    Ambiguous,
    None,
}

/// Words after which a command follows.
const BEFORE_COMMANDS: [&str; 13] =
    ["!", "{", "do", "elif", "else", "exec", "if", "then", "time", "until", "while", "command", "env"];

/// Characters that a backslash quotes outside of quotes.
const SPECIAL: &str = " \t\n\\'\"`$&|;<>()*?[]{}#!~=";

/// Returns what the text before the cursor ends with.
pub fn find_target(line: &[char], cursor: usize) -> Target {
    let before = line.get(..cursor).unwrap_or(line);
    let mut scan = Scan::new();
    for (i, c) in before.iter().enumerate() {
        scan.take(i, *c);
    }
    scan.target(before)
}

/// Splits a line into words, as far as completion needs it.
struct Scan {
    /// Whether the current word is a command.
    is_command: bool,
    /// The start of the current word.
    start: usize,
    quote: Option<char>,
    escaped: bool,
    /// The current word without quotes.
    word: String,
    /// The position behind its last slash, in the line and in `word`.
    slash: Option<(usize, usize)>,
    /// The length of `NAME=` at the start of `word`.
    assigned: usize,
    after_redirection: bool,
}

impl Scan {
    fn new() -> Scan {
        Scan {
            is_command: true,
            start: 0,
            quote: None,
            escaped: false,
            word: String::new(),
            slash: None,
            assigned: 0,
            after_redirection: false,
        }
    }

    fn take(&mut self, i: usize, c: char) {
        if std::mem::take(&mut self.escaped) {
            self.word.push(c);
            return;
        }
        match (self.quote, c) {
            (Some('\''), c) | (Some('"'), c) if self.quote == Some(c) => self.quote = None,
            (None | Some('"'), '\\') => self.escaped = true,
            (None, '\'' | '"') => self.quote = Some(c),
            (None, ' ' | '\t') => self.end_word(i),
            (None, '|' | '&' | ';' | '(' | '\n' | '`') => {
                self.end_word(i);
                (self.is_command, self.after_redirection) = (true, false);
            }
            (None, '<' | '>') => {
                self.end_word(i);
                self.after_redirection = true;
            }
            (None, '=') if self.is_command && self.assigned == 0 && is_name(&self.word) => {
                // The value of an assignment is a file; a command follows.
                self.word.push('=');
                self.assigned = self.word.len();
                self.slash = Some((i + 1, self.word.len()));
            }
            (_, c) => {
                self.word.push(c);
                if c == '/' {
                    self.slash = Some((i + 1, self.word.len()));
                }
            }
        }
    }

    fn end_word(&mut self, i: usize) {
        let word = std::mem::take(&mut self.word);
        let is_assignment = std::mem::take(&mut self.assigned) > 0;
        self.slash = None;
        self.start = i + 1;
        if word.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.after_redirection) {
            let stays = is_assignment || BEFORE_COMMANDS.contains(&word.as_str());
            self.is_command = self.is_command && stays;
        }
    }

    fn target(self, before: &[char]) -> Target {
        if let Some(target) = self.variable(before) {
            return target;
        }
        let (start, word_start) = self.slash.unwrap_or((self.start, 0));
        // The opening quote stays where it is.
        let opening = before.get(start).is_some_and(|c| self.quote == Some(*c));
        let start = start + usize::from(opening);
        let is_command = self.is_command && !self.after_redirection && self.slash.is_none();
        Target {
            kind: if is_command { Kind::Command } else { Kind::File },
            directory: self.word.get(self.assigned..word_start).unwrap_or_default().to_string(),
            prefix: self.word.get(word_start..).unwrap_or_default().to_string(),
            start,
            quote: self.quote,
        }
    }

    fn variable(&self, before: &[char]) -> Option<Target> {
        let is_name = |c: &&char| c.is_ascii_alphanumeric() || **c == '_';
        let length = before.iter().rev().take_while(is_name).count();
        let start = before.len() - length;
        let braces = before.get(..start)?.last() == Some(&'{');
        let dollar = start.checked_sub(1 + usize::from(braces))?;
        if before.get(dollar) != Some(&'$') || self.quote == Some('\'') {
            return None;
        }
        if dollar > 0 && before.get(dollar - 1) == Some(&'\\') {
            return None;
        }
        let prefix = before.get(start..)?.iter().collect();
        Some(Target { kind: Kind::Variable { braces }, directory: String::new(), prefix, start, quote: self.quote })
    }
}

/// Completes `target` with the names that begin with its prefix.
pub fn complete(target: &Target, candidates: &[Candidate]) -> Completion {
    let [first, others @ ..] = candidates else {
        return Completion::None;
    };
    let mut common = first.name.as_str();
    for other in others {
        let same = common.chars().zip(other.name.chars()).take_while(|(a, b)| a == b);
        common = common.get(..same.map(|(c, _)| c.len_utf8()).sum()).unwrap_or_default();
    }
    if !others.is_empty() {
        return match common.len() > target.prefix.len() {
            true => Completion::Insert(quote(common, target)),
            false => Completion::Ambiguous,
        };
    }
    let mut text = quote(common, target);
    match target.kind {
        Kind::Variable { braces: true } => text.push('}'),
        Kind::Variable { braces: false } => {}
        Kind::Command | Kind::File if first.is_directory => text.push('/'),
        Kind::Command | Kind::File => {
            text.extend(target.quote);
            text.push(' ');
        }
    }
    Completion::Insert(text)
}

/// Quotes a name for the place where it is inserted.
fn quote(name: &str, target: &Target) -> String {
    if matches!(target.kind, Kind::Variable { .. }) {
        return name.to_string();
    }
    let special = match target.quote {
        Some('\'') => "",
        Some(_) => "\\\"$`",
        None => SPECIAL,
    };
    let mut out = String::new();
    for c in name.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Returns names in columns, in the order of their columns, for a terminal of this width.
pub fn list(candidates: &[Candidate], columns: usize) -> String {
    let show = |candidate: &Candidate| {
        let slash = if candidate.is_directory { "/" } else { "" };
        let mut shown = String::new();
        for c in candidate.name.chars() {
            crate::console::width::push_visible(c, 0, &mut shown);
        }
        shown + slash
    };
    let names: Vec<String> = candidates.iter().map(show).collect();
    let width_of = |name: &String| crate::console::width::of_str(name);
    let width = names.iter().map(width_of).max().unwrap_or(0) + 2;
    let per_row = (columns / width).max(1);
    let rows = names.len().div_ceil(per_row);
    let mut out = String::new();
    for row in 0..rows {
        let mut line = String::new();
        let mut used = 0;
        for (column, name) in names.iter().skip(row).step_by(rows.max(1)).enumerate() {
            line.extend(std::iter::repeat_n(' ', (column * width).saturating_sub(used)));
            line.push_str(name);
            used = column * width + width_of(name);
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(line: &str) -> Target {
        let chars: Vec<char> = line.chars().collect();
        find_target(&chars, chars.len())
    }

    #[test]
    fn target_is_found_by_position() {
        let (command, file) = (Kind::Command, Kind::File);
        for (line, kind, directory, prefix, start) in [
            ("", command, "", "", 0),
            ("ec", command, "", "ec", 0),
            ("echo a", file, "", "a", 5),
            ("echo ", file, "", "", 5),
            ("a | gr", command, "", "gr", 4),
            ("a;b&&c", command, "", "c", 5),
            ("if tr", command, "", "tr", 3),
            ("X=1 ec", command, "", "ec", 4),
            ("X=/et", file, "/", "et", 3),
            ("X=ab", file, "", "ab", 2),
            ("./scr", file, "./", "scr", 2),
            ("cat <in", file, "", "in", 5),
            (">out ec", command, "", "ec", 5),
            ("ls 'my f", file, "", "my f", 4),
            ("ls my\\ f", file, "", "my f", 3),
            ("ls my\\ dir/x\\ y", file, "my dir/", "x y", 11),
            ("echo $(l", command, "", "l", 7),
            ("cat ~/a", file, "~/", "a", 6),
            ("echo $HO", Kind::Variable { braces: false }, "", "HO", 6),
            ("echo \"${HO", Kind::Variable { braces: true }, "", "HO", 8),
            ("echo '$HO", file, "", "$HO", 6),
        ] {
            let found = target(line);
            let got = (found.kind, found.directory.as_str(), found.prefix.as_str(), found.start);
            assert_eq!(got, (kind, directory, prefix, start), "{line}");
        }
    }

    fn completed(line: &str, names: &[&str]) -> Completion {
        let candidate = |name: &&str| match name.strip_suffix('/') {
            Some(name) => Candidate { name: name.into(), is_directory: true },
            None => Candidate { name: name.to_string(), is_directory: false },
        };
        complete(&target(line), &names.iter().map(candidate).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_completed_and_quoted() {
        for (line, names, text) in [
            ("ca", ["cat"].as_slice(), "cat "),
            ("cat d", &["dir/"], "dir/"),
            ("cat m", &["my file"], "my\\ file "),
            ("cat 'm", &["my file"], "my file' "),
            ("cat \"m", &["my $file"], "my \\$file\" "),
            ("cat a", &["abc", "abd"], "ab"),
            ("cat ä", &["äö", "äü"], ""),
            ("echo $HO", &["HOME"], "HOME"),
            ("echo ${HO", &["HOME"], "HOME}"),
        ] {
            let expected = match text {
                "" => Completion::Ambiguous,
                text => Completion::Insert(text.into()),
            };
            assert_eq!(completed(line, names), expected, "{line}");
        }
        assert_eq!(completed("x", &[]), Completion::None);
    }

    #[test]
    fn candidates_are_listed_in_columns() {
        let names = ["a", "bb", "ccc", "d"].map(|name| Candidate { name: name.into(), is_directory: name == "bb" });
        assert_eq!(list(&names, 11), "a    ccc\nbb/  d\n");
        assert_eq!(list(&names, 3), "a\nbb/\nccc\nd\n");
    }
}
