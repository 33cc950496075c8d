//! `echo`.

use super::escape;
use super::{Outcome, Shell};

impl Shell {
    /// `echo [-neE] [arg...]`; escapes only with `-e`, as in busybox.
    pub async fn builtin_echo(&mut self, args: &[String]) -> Outcome {
        let mut newline = true;
        let mut escapes = false;
        let mut rest = args;
        while let Some((first, others)) = rest.split_first() {
            let letters = first.strip_prefix('-').unwrap_or_default();
            if letters.is_empty() || !letters.chars().all(|c| "neE".contains(c)) {
                break;
            }
            for letter in letters.chars() {
                match letter {
                    'n' => newline = false,
                    letter => escapes = letter == 'e',
                }
            }
            rest = others;
        }
        let text = rest.join(" ");
        let mut out = Vec::new();
        match escapes {
            false => out.extend_from_slice(text.as_bytes()),
            true => newline &= escape_into(&text, &mut out),
        }
        if newline {
            out.push(b'\n');
        }
        self.print_or_fail("echo", &out).await
    }
}

/// Appends `text` with its escapes replaced; false if `\c` ended the output.
pub fn escape_into(text: &str, out: &mut Vec<u8>) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(rest.get(..at).unwrap_or_default().as_bytes());
        match escape::parse_escape(rest.get(at + 1..).unwrap_or_default(), true, out) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    true
}
