//! Word expansion, in POSIX's order: braces, then tilde, parameter, command and arithmetic
//! expansion, then field splitting, pathname expansion and quote removal.

use std::pin::Pin;

use super::arith;
use super::pattern::{self, Char, Origin, push};
use super::word::{self, Context, Modifier, Piece};
use super::{Flow, Shell, brace, glob};

/// A failed expansion, whose message has been printed, and how the shell continues.
#[derive(Debug)]
pub struct Failure(pub Flow);

pub type Expansion<T> = Result<T, Failure>;

type Expanding<'a> = Pin<Box<dyn Future<Output = Expansion<()>> + 'a>>;

/// The fields of a word; before splitting, only `"$@"` makes more than one.
#[derive(Default)]
pub struct Fields {
    done: Vec<Vec<Char>>,
    current: Vec<Char>,
}

impl Fields {
    fn text(&mut self, text: &str, origin: Origin) {
        push(&mut self.current, text, origin);
    }

    /// Starts a quoted part, which makes a field even if it is empty.
    fn quoted(&mut self, text: &str) {
        if text.is_empty() {
            self.current.push(Char { c: '\0', origin: Origin::Empty });
        }
        self.text(text, Origin::Quoted);
    }

    fn next_field(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
    }

    fn finish(mut self) -> Vec<Vec<Char>> {
        self.next_field();
        self.done
    }

    /// Joins everything to one field.
    fn joined(self) -> Vec<Char> {
        let mut out = Vec::new();
        for (i, field) in self.finish().into_iter().enumerate() {
            if i > 0 {
                push(&mut out, " ", Origin::Quoted);
            }
            out.extend(field);
        }
        out
    }
}

impl Shell {
    /// Expands a command's word to its fields.
    pub async fn expand_word(&mut self, source: &str, out: &mut Vec<String>) -> Expansion<()> {
        for source in brace::expand(source) {
            let mut fields = Fields::default();
            self.expand_pieces(&word::parse(&source, Context::Word), &mut fields, false).await?;
            let ifs = self.ifs();
            for field in fields.finish() {
                for field in split_field(&field, &ifs) {
                    match !self.options.noglob && pattern::is_pattern(&field) {
                        true => out.extend(glob::expand_paths(&field, &self.cwd)),
                        false => out.push(pattern::text(&field)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Expands without splitting and globbing (assignments, here-documents, `case` words).
    pub async fn expand_text(&mut self, source: &str, context: Context) -> Expansion<String> {
        Ok(pattern::text(&self.expand_chars(source, context).await?))
    }

    /// Like [`Shell::expand_text`], but keeps the quoting (patterns).
    pub async fn expand_chars(&mut self, source: &str, context: Context) -> Expansion<Vec<Char>> {
        self.pieces_to_chars(&word::parse(source, context)).await
    }

    async fn pieces_to_chars(&mut self, pieces: &[Piece]) -> Expansion<Vec<Char>> {
        let mut fields = Fields::default();
        self.expand_pieces(pieces, &mut fields, false).await?;
        Ok(fields.joined())
    }

    async fn pieces_to_text(&mut self, pieces: &[Piece]) -> Expansion<String> {
        Ok(pattern::text(&self.pieces_to_chars(pieces).await?))
    }

    /// Returns the characters that separate fields.
    pub fn ifs(&self) -> String {
        self.variables.get("IFS").unwrap_or(" \t\n").to_string()
    }

    fn expand_pieces<'a>(&'a mut self, pieces: &'a [Piece], out: &'a mut Fields, double: bool) -> Expanding<'a> {
        Box::pin(async move {
            for piece in pieces {
                self.expand_piece(piece, out, double).await?;
            }
            Ok(())
        })
    }

    async fn expand_piece(&mut self, piece: &Piece, out: &mut Fields, double: bool) -> Expansion<()> {
        let origin = if double { Origin::Quoted } else { Origin::Expanded };
        match piece {
            Piece::Literal(text) => {
                out.text(text, if double { Origin::Quoted } else { Origin::Literal });
            }
            Piece::Split(text) => out.text(text, origin),
            Piece::Quoted(text) => out.quoted(text),
            Piece::Double(inner) => {
                // `"$@"` without parameters makes no field; only `""` does.
                let before = (out.done.len(), out.current.len());
                self.expand_pieces(inner, out, true).await?;
                let only_at = matches!(inner.as_slice(),
                    [Piece::Parameter { name, modifier: Modifier::None }] if name == "@");
                if before == (out.done.len(), out.current.len()) && !only_at {
                    out.quoted("");
                }
            }
            Piece::Tilde(user) => out.quoted(&self.expand_tilde(user)),
            Piece::Command(text) => {
                let output = self.substitute(text).await?;
                out.text(&output, origin);
            }
            Piece::Arithmetic(inner) => {
                let value = self.evaluate_arithmetic(inner).await?;
                out.text(&value.to_string(), origin);
            }
            Piece::Parameter { name, modifier } => {
                self.expand_parameter(name, modifier, out, double).await?;
            }
        }
        Ok(())
    }

    /// Evaluates an arithmetic expression after expanding its parameters.
    async fn evaluate_arithmetic(&mut self, expression: &[Piece]) -> Expansion<i64> {
        let text = self.pieces_to_text(expression).await?;
        match arith::evaluate(&text, &mut self.variables) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.report_failure(&error.to_string()).await),
        }
    }

    /// Evaluates arithmetic outside of words: `((...))`.
    pub async fn evaluate_arithmetic_text(&mut self, expression: &str) -> Expansion<i64> {
        self.evaluate_arithmetic(&word::parse(expression, Context::Double)).await
    }

    fn expand_tilde(&self, user: &str) -> String {
        let home = || self.variables.get("HOME").map(str::to_string);
        match user {
            "" => home().unwrap_or_else(|| "~".into()),
            "+" => self.cwd.to_string_lossy().into_owned(),
            "-" => self.variables.get("OLDPWD").unwrap_or("~-").to_string(),
            "root" => home().unwrap_or_else(|| "/root".into()),
            user => format!("~{user}"),
        }
    }

    /// Prints the message of a failed expansion, which ends a shell that runs a script.
    pub async fn report_failure(&mut self, message: &str) -> Failure {
        self.print_error(message).await;
        self.status = 2;
        Failure(match self.options.interactive {
            true => Flow::Abandon,
            false => Flow::Exit(2),
        })
    }

    async fn expand_parameter(
        &mut self,
        name: &str,
        modifier: &Modifier,
        out: &mut Fields,
        double: bool,
    ) -> Expansion<()> {
        if let Modifier::Bad = modifier {
            return Err(self.report_failure("syntax error: bad substitution").await);
        }
        let list = matches!(name, "@" | "*");
        let value = self.parameter(name);
        if let Modifier::Condition { test, null, word } = modifier {
            let unset = match &value {
                None => true,
                Some(value) => *null && value.is_empty(),
            };
            match (test, unset) {
                ('+', true) => return Ok(()),
                ('+', false) | ('-', true) => {
                    return self.expand_pieces(word, out, double).await;
                }
                ('=', true) => {
                    let text = self.pieces_to_text(word).await?;
                    self.assign(name, &text).await?;
                    out.text(&text, if double { Origin::Quoted } else { Origin::Expanded });
                    return Ok(());
                }
                ('?', true) => {
                    let mut text = self.pieces_to_text(word).await?;
                    if text.is_empty() {
                        let null = if *null { " or null" } else { "" };
                        text = format!("parameter not set{null}");
                    }
                    return Err(self.report_failure(&format!("{name}: {text}")).await);
                }
                _ => {}
            }
        } else if value.is_none() && self.options.nounset && !list {
            return Err(self.report_failure(&format!("{name}: parameter not set")).await);
        }
        if list && !matches!(modifier, Modifier::Length | Modifier::Substring { .. }) {
            return self.expand_list(name, modifier, out, double).await;
        }
        if list && let Modifier::Substring { offset, length } = modifier {
            let slice = self.positional_slice(offset, length.as_deref()).await?;
            self.push_list(&slice, name, out, double);
            return Ok(());
        }
        let value = match modifier {
            Modifier::Length if list => self.positional.len().to_string(),
            _ => self.apply_modifier(value.unwrap_or_default(), modifier).await?,
        };
        out.text(&value, if double { Origin::Quoted } else { Origin::Expanded });
        Ok(())
    }

    /// Returns the parameters of `${@:offset:length}`, where `$0` has the offset 0.
    async fn positional_slice(&mut self, offset: &[Piece], length: Option<&[Piece]>) -> Expansion<Vec<String>> {
        let from = self.evaluate_arithmetic(offset).await?.max(0) as usize;
        let count = match length {
            Some(length) => self.evaluate_arithmetic(length).await?.max(0) as usize,
            None => usize::MAX,
        };
        let all = std::iter::once(self.name.clone()).chain(self.positional.iter().cloned());
        Ok(all.skip(from).take(count).collect())
    }

    async fn expand_list(&mut self, name: &str, modifier: &Modifier, out: &mut Fields, double: bool) -> Expansion<()> {
        let mut values = Vec::new();
        for value in self.positional.clone() {
            values.push(self.apply_modifier(value, modifier).await?);
        }
        self.push_list(&values, name, out, double);
        Ok(())
    }

    /// Appends the parameters as `$@` or `$*`.
    fn push_list(&self, values: &[String], name: &str, out: &mut Fields, double: bool) {
        if double && name == "*" {
            let ifs = self.ifs();
            let separator: String = ifs.chars().take(1).collect();
            out.text(&values.join(&separator), Origin::Quoted);
            return;
        }
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                out.next_field();
            }
            match double {
                true => out.quoted(value),
                false => out.text(value, Origin::Expanded),
            }
        }
    }

    async fn apply_modifier(&mut self, value: String, modifier: &Modifier) -> Expansion<String> {
        let chars = || value.chars().collect::<Vec<char>>();
        Ok(match modifier {
            Modifier::None | Modifier::Condition { .. } | Modifier::Bad => value,
            Modifier::Length => value.chars().count().to_string(),
            Modifier::Remove { prefix, longest, pattern } => {
                let chars = chars();
                let pattern = self.pieces_to_chars(pattern).await?;
                match (pattern::affix(&pattern, &chars, *prefix, *longest), prefix) {
                    (None, _) => value,
                    (Some(n), true) => chars.into_iter().skip(n).collect(),
                    (Some(n), false) => {
                        let keep = chars.len() - n;
                        chars.into_iter().take(keep).collect()
                    }
                }
            }
            Modifier::Replace { all, anchor, pattern, with } => {
                let chars = chars();
                let pattern = self.pieces_to_chars(pattern).await?;
                let with = self.pieces_to_text(with).await?;
                pattern::replace(&pattern, &chars, &with, *all, *anchor)
            }
            Modifier::Substring { offset, length } => {
                let chars = chars();
                let size = chars.len() as i64;
                let from = match self.evaluate_arithmetic(offset).await? {
                    n if n < 0 => (size + n).max(0),
                    n => n.min(size),
                };
                let to = match length {
                    None => size,
                    Some(length) => match self.evaluate_arithmetic(length).await? {
                        n if n < 0 => size + n,
                        n => from.saturating_add(n).min(size),
                    },
                };
                chars.into_iter().skip(from as usize).take((to - from).max(0) as usize).collect()
            }
        })
    }
}

/// Splits fields, only in the results of expansions.
fn split_field(field: &[Char], ifs: &str) -> Vec<Vec<Char>> {
    if field.is_empty() {
        return Vec::new();
    }
    let separates = |c: &Char| c.origin == Origin::Expanded && ifs.contains(c.c);
    let blank = |c: &Char| separates(c) && matches!(c.c, ' ' | '\t' | '\n');
    let mut out = Vec::new();
    let mut current: Option<Vec<Char>> = None;
    let mut i = field.iter().take_while(|c| blank(c)).count();
    while let Some(c) = field.get(i) {
        if !separates(c) {
            current.get_or_insert_default().push(*c);
            i += 1;
            continue;
        }
        out.push(current.take().unwrap_or_default());
        // A separator consists of blanks and at most one other character between them.
        let mut other = false;
        while let Some(c) = field.get(i) {
            if !blank(c) && (other || !separates(c)) {
                break;
            }
            other |= !blank(c);
            i += 1;
        }
    }
    out.extend(current);
    out
}
