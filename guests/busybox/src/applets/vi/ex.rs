//! Colon commands: parses them.

/// A line in a colon command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// From 1, as typed.
    Number(usize),
    Current,
    Last,
    /// The next line that matches, or with `false` the previous one.
    Pattern(String, bool),
}

/// A line with an offset (`.+3`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub address: Address,
    pub offset: isize,
}

/// The lines that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    None,
    One(Line),
    Two(Line, Line),
    /// `%`.
    All,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A range alone: moves to its last line.
    Go,
    Write {
        file: Option<String>,
        quits: bool,
        forced: bool,
    },
    /// `x`: writes if there are changes.
    WriteIfChanged,
    Quit {
        forced: bool,
    },
    Edit {
        file: Option<String>,
        forced: bool,
    },
    Read {
        file: String,
    },
    Delete,
    Yank,
    Substitute {
        pattern: String,
        replacement: String,
        global: bool,
        ignores_case: bool,
    },
    /// `=`: the number of the line.
    Number,
    /// `f`: the name of the file.
    File,
    Set {
        option: String,
    },
    Unknown,
}

/// Parses a command without its colon.
pub fn parse(text: &str) -> (Range, Command) {
    let mut parser = Parser { rest: text.trim() };
    let range = parser.range();
    (range, command(parser.rest.trim_start()))
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn range(&mut self) -> Range {
        if self.take('%') {
            return Range::All;
        }
        let first = self.line();
        if !self.take(',') {
            return first.map_or(Range::None, Range::One);
        }
        let current = || Line { address: Address::Current, offset: 0 };
        let second = self.line();
        Range::Two(first.unwrap_or_else(current), second.unwrap_or_else(current))
    }

    fn line(&mut self) -> Option<Line> {
        self.rest = self.rest.trim_start();
        let address = match self.rest.chars().next()? {
            '.' => {
                self.take('.');
                Address::Current
            }
            '$' => {
                self.take('$');
                Address::Last
            }
            c @ ('/' | '?') => {
                let body = self.rest.get(1..).unwrap_or_default();
                let (pattern, rest) = split_at_delimiter(body, c);
                self.rest = rest;
                Address::Pattern(pattern, c == '/')
            }
            '0'..='9' => Address::Number(self.number()?),
            '+' | '-' => Address::Current,
            _ => return None,
        };
        let mut offset = 0;
        loop {
            let sign = match () {
                () if self.take('+') => 1,
                () if self.take('-') => -1,
                () => return Some(Line { address, offset }),
            };
            offset += sign * self.number().unwrap_or(1) as isize;
        }
    }

    fn number(&mut self) -> Option<usize> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits.parse().ok()
    }
}

fn command(text: &str) -> Command {
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (name, rest) = text.split_at(length);
    let (forced, argument) = match rest.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, rest.trim()),
    };
    let file = || Some(argument.to_string()).filter(|file| !file.is_empty());
    match name {
        "" if text.is_empty() => Command::Go,
        "" if text == "=" => Command::Number,
        "w" | "write" => Command::Write { file: file(), quits: false, forced },
        "wq" => Command::Write { file: file(), quits: true, forced },
        "x" | "xit" | "wqa" | "xa" => Command::WriteIfChanged,
        "q" | "quit" | "qa" => Command::Quit { forced },
        "e" | "edit" => Command::Edit { file: file(), forced },
        "r" | "read" if file().is_some() => Command::Read { file: argument.to_string() },
        "d" | "delete" => Command::Delete,
        "y" | "yank" => Command::Yank,
        "f" | "file" => Command::File,
        "set" | "se" => Command::Set { option: argument.to_string() },
        "s" | "substitute" => substitute(rest),
        // `s` may be followed by any delimiter, even a letter is not one.
        _ => Command::Unknown,
    }
}

fn substitute(text: &str) -> Command {
    let Some(delimiter) = text.chars().next().filter(|c| c.is_ascii_punctuation()) else {
        return Command::Unknown;
    };
    let (pattern, rest) = split_at_delimiter(text.get(1..).unwrap_or_default(), delimiter);
    let (replacement, flags) = split_at_delimiter(rest, delimiter);
    let flags = flags.trim();
    if flags.chars().any(|c| !"gi".contains(c)) {
        return Command::Unknown;
    }
    Command::Substitute { pattern, replacement, global: flags.contains('g'), ignores_case: flags.contains('i') }
}

/// Splits at the next delimiter that no backslash quotes; a quoted one loses its backslash.
fn split_at_delimiter(text: &str, delimiter: char) -> (String, &str) {
    let mut part = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == delimiter {
            return (part, text.get(at + c.len_utf8()..).unwrap_or_default());
        }
        if c != '\\' {
            part.push(c);
            continue;
        }
        match chars.next() {
            Some((_, next)) if next == delimiter => part.push(next),
            Some((_, next)) => part.extend(['\\', next]),
            None => part.push('\\'),
        }
    }
    (part, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(address: Address, offset: isize) -> Line {
        Line { address, offset }
    }

    #[test]
    fn commands_are_parsed() {
        let one = |address| Range::One(line(address, 0));
        for (text, range, command) in [
            ("", Range::None, Command::Go),
            ("12", one(Address::Number(12)), Command::Go),
            ("$", one(Address::Last), Command::Go),
            ("w", Range::None, Command::Write { file: None, quits: false, forced: false }),
            ("w! a b", Range::None, Command::Write { file: Some("a b".into()), quits: false, forced: true }),
            ("wq", Range::None, Command::Write { file: None, quits: true, forced: false }),
            ("q!", Range::None, Command::Quit { forced: true }),
            ("x", Range::None, Command::WriteIfChanged),
            ("e /etc/hosts", Range::None, Command::Edit { file: Some("/etc/hosts".into()), forced: false }),
            ("1,.+2d", Range::Two(line(Address::Number(1), 0), line(Address::Current, 2)), Command::Delete),
            (
                "/a\\/b/,-y",
                Range::Two(line(Address::Pattern("a/b".into(), true), 0), line(Address::Current, -1)),
                Command::Yank,
            ),
            (
                "%s/a\\/b/\\1,&/g",
                Range::All,
                Command::Substitute {
                    pattern: "a/b".into(),
                    replacement: "\\1,&".into(),
                    global: true,
                    ignores_case: false,
                },
            ),
            (
                "s,x",
                Range::None,
                Command::Substitute {
                    pattern: "x".into(),
                    replacement: String::new(),
                    global: false,
                    ignores_case: false,
                },
            ),
            ("s/x/y/z", Range::None, Command::Unknown),
            ("frob", Range::None, Command::Unknown),
        ] {
            assert_eq!(parse(text), (range, command), "{text}");
        }
    }
}
