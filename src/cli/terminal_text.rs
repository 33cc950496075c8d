//! Text on terminals: control characters that come from guests, images, manifests or servers are made visible, since they
//! could move the cursor, rename the window or type commands. Pipes and files get the text as it is.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Prints text to standard output.
///
/// # Errors
///
/// Fails if standard output is closed or full.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let text = if out.is_terminal() { escape(text) } else { text.into() };
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a line to standard error. A closed standard error is ignored.
pub fn print_error(line: fmt::Arguments<'_>) {
    let mut err = io::stderr().lock();
    let _ = match err.is_terminal() {
        true => writeln!(err, "{}", escape(&line.to_string())),
        false => writeln!(err, "{line}"),
    };
}

/// Prints the log of a container to standard output.
pub struct LogPrinter {
    escapes: bool,
    /// The beginning of a line that is not complete.
    begun: Vec<u8>,
}

impl LogPrinter {
    /// Creates a printer. With `raw`, terminals get every byte as well.
    pub fn new(raw: bool) -> LogPrinter {
        LogPrinter { escapes: !raw && io::stdout().is_terminal(), begun: Vec::new() }
    }

    /// Prints a part of the log.
    ///
    /// # Errors
    ///
    /// Fails if standard output is closed or full.
    pub fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.escapes {
            return write_flushed(bytes);
        }
        self.begun.extend_from_slice(bytes);
        match self.begun.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                let lines: Vec<u8> = self.begun.drain(..=end).collect();
                write_flushed(&escape_lines(&lines))
            }
            None => Ok(()),
        }
    }

    /// Prints a last line that has no end.
    ///
    /// # Errors
    ///
    /// Fails if standard output is closed or full.
    pub fn finish(self) -> io::Result<()> {
        write_flushed(&escape_lines(&self.begun))
    }
}

fn write_flushed(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Returns lines of a log with visible control characters; colours are kept.
fn escape_lines(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive('\n').map(|line| escape_log_line(line)).collect::<String>().into_bytes()
}

/// Returns a line of a log with visible control characters. Colours are kept, and a carriage return at the end is removed.
pub fn escape_log_line(line: &str) -> Cow<'_, str> {
    match line.strip_suffix('\n').unwrap_or(line).strip_suffix('\r') {
        Some(text) if line.ends_with('\n') => format!("{}\n", escape_with(text, colour_sequence)).into(),
        Some(text) => escape_with(text, colour_sequence),
        None => escape_with(line, colour_sequence),
    }
}

/// Returns `text` with visible control characters. Line breaks and tabs are kept.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_with(text, |_| None)
}

/// Makes control characters visible, except for the beginnings of the rest that `kept` returns.
fn escape_with(text: &str, kept: impl Fn(&str) -> Option<&str>) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return text.into();
    }
    let (mut escaped, mut rest) = (String::with_capacity(text.len() + 16), text);
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = kept(rest) {
            escaped.push_str(sequence);
            rest = rest.get(sequence.len()..).unwrap_or_default();
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            c if !is_control(c) => escaped.push(c),
            // As `cat -v` and kubectl show them: ^[ is Escape.
            c if c.is_ascii() => escaped.extend(['^', char::from(c as u8 ^ 0x40)]),
            c => escaped.extend(c.escape_unicode()),
        }
    }
    escaped.into()
}

/// Returns whether a terminal acts on a character, or shows the text around it in another order.
fn is_control(c: char) -> bool {
    let changes_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    changes_direction || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// Returns the sequence that sets colours at the beginning of `text`: `ESC [ 1 ; 31 m`.
fn colour_sequence(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    parameters.get(end..)?.starts_with('m').then(|| text.get(.."\x1b[".len() + end + 1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        for (text, escaped) in [
            ("plain — ü\n\ttext", "plain — ü\n\ttext"),
            ("\x1b]0;title\x07", "^[]0;title^G"),
            ("a\rb\x7f\0", "a^Mb^?^@"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            ("\x1b[31mred", "^[[31mred"),
        ] {
            assert_eq!(escape(text), escaped, "{text:?}");
        }
    }

    #[test]
    fn log_lines_keep_their_colours_only() {
        for (line, escaped) in [
            ("\x1b[1;31mred\x1b[0m \x1b[38:5:9mx\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38:5:9mx\x1b[m"),
            ("\x1b[2J\x1b[1;1H\x1b]52;c;aGk=\x07", "^[[2J^[[1;1H^[]52;c;aGk=^G"),
            ("from Windows\r\n", "from Windows\n"),
            ("10%\r20%\r", "10%^M20%"),
            ("\x1b[31", "^[[31"),
            ("\x1b", "^["),
        ] {
            assert_eq!(escape_log_line(line), escaped, "{line:?}");
        }
    }
}
