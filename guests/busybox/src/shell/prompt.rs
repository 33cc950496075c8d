//! Prompts: the backslash escapes of `PS1` and `PS2`, and the expansion of variables in them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Shell;
use super::word::Context;

/// What the escapes stand for.
#[derive(Debug, Default)]
struct Facts {
    /// The working directory, with `~` for the home directory.
    directory: String,
    host: String,
    user: String,
    shell: String,
    /// The number of the line in the history.
    number: usize,
    seconds: u64,
}

impl Shell {
    /// Returns the prompt that a variable describes. Text without width is between `\x01` and `\x02`.
    pub async fn prompt(&mut self, variable: &str) -> String {
        let source = self.variables.get(variable).unwrap_or_default().to_string();
        let decoded = decode(&source, &self.prompt_facts());
        if !decoded.contains(['$', '`', '\\']) {
            return decoded;
        }
        // Substitutions must not change `$?`.
        let status = self.status;
        let expanded = self.expand_text(&decoded, Context::HereDocument).await;
        self.status = status;
        expanded.unwrap_or_default()
    }

    fn prompt_facts(&self) -> Facts {
        let variable = |name: &str| self.variables.get(name).unwrap_or_default();
        let home = variable("HOME");
        let cwd = self.cwd.to_string_lossy();
        let directory = match cwd.strip_prefix(home).filter(|_| !home.is_empty() && home != "/") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
            _ => cwd.into_owned(),
        };
        let or = |value: &str, other: &str| if value.is_empty() { other.to_string() } else { value.to_string() };
        Facts {
            directory,
            host: or(variable("HOSTNAME"), "localhost"),
            user: or(variable("USER"), "root"),
            shell: self.name.rsplit('/').next().unwrap_or_default().to_string(),
            number: self.history.borrow().len(),
            seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
        }
    }
}

/// Replaces the escapes. Characters in their values are quoted, so that an expansion keeps them.
fn decode(source: &str, facts: &Facts) -> String {
    let mut out = String::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (hours, minutes, seconds) = (facts.seconds / 3600 % 24, facts.seconds / 60 % 60, facts.seconds % 60);
        match chars.next() {
            Some('w') => push_quoted(&facts.directory, &mut out),
            Some('W') => {
                let last = facts.directory.rsplit('/').next().filter(|last| !last.is_empty());
                push_quoted(last.unwrap_or(&facts.directory), &mut out);
            }
            Some('h') => push_quoted(facts.host.split('.').next().unwrap_or_default(), &mut out),
            Some('H') => push_quoted(&facts.host, &mut out),
            Some('u') => push_quoted(&facts.user, &mut out),
            Some('s') => push_quoted(&facts.shell, &mut out),
            Some('$') => out.push('#'),
            Some('!') => out.push_str(&facts.number.to_string()),
            Some('t') => out.push_str(&format!("{hours:02}:{minutes:02}:{seconds:02}")),
            Some('A') => out.push_str(&format!("{hours:02}:{minutes:02}")),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\x07'),
            Some('e' | 'E') => out.push('\x1b'),
            Some('[') => out.push('\x01'),
            Some(']') => out.push('\x02'),
            Some('\\') => push_quoted("\\", &mut out),
            Some(digit @ '0'..='7') => {
                let mut code = digit.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(other) => {
                push_quoted("\\", &mut out);
                out.push(other);
            }
            None => push_quoted("\\", &mut out),
        }
    }
    out
}

fn push_quoted(text: &str, out: &mut String) {
    for c in text.chars() {
        if matches!(c, '$' | '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Removes the marks of text without width.
pub fn without_marks(prompt: &str) -> String {
    prompt.replace(['\x01', '\x02'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced() {
        let facts = Facts {
            directory: "~/a$b".into(),
            host: "web-0.default".into(),
            user: "root".into(),
            shell: "sh".into(),
            number: 7,
            seconds: 3 * 3600 + 4 * 60 + 5,
        };
        for (source, prompt) in [
            ("\\w \\$ ", "~/a\\$b # "),
            ("\\u@\\h:\\W> ", "root@web-0:a\\$b> "),
            ("\\H\\s\\!", "web-0.defaultsh7"),
            ("\\t \\A\\n", "03:04:05 03:04\n"),
            ("\\[\\e[1m\\]\\033[m", "\x01\x1b[1m\x02\x1b[m"),
            ("\\\\ \\q $PWD", "\\\\ \\\\q $PWD"),
        ] {
            assert_eq!(decode(source, &facts), prompt, "{source:?}");
        }
    }
}
