//! find: parses the expression, walks the trees and evaluates the expression for each entry.

use std::fmt;
use std::fs::Metadata;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::SystemTime;

use super::date::unix_seconds;
use super::ls::{modified_seconds, sorted_names};
use super::names::base_name;
use super::pattern::glob;
use super::{EarlyExit, Outcome, Output, files, run, usage};
use crate::proc::{Proc, Reader, strerror, yield_now};

enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Test(Test),
    Action(Action),
}

enum Test {
    Always,
    /// The pattern, and whether it ignores case.
    Name(String, bool),
    Path(String),
    Type(char),
    /// Compares in units of so many bytes.
    Size(Compare, u64),
    /// Compares in units of so many seconds.
    Age(Compare, i64),
    Newer(i64),
    Empty,
}

enum Action {
    /// The character behind the name.
    Print(char),
    Delete,
    Prune,
    Quit,
    Exec(Vec<String>),
    /// `-exec ... +`: the index of its batch.
    ExecBatch(usize),
}

/// `+N`, `-N` or `N`.
#[derive(Clone, Copy)]
struct Compare(std::cmp::Ordering, i64);

impl Compare {
    fn parse(text: &str) -> Option<Compare> {
        use std::cmp::Ordering::*;
        let (order, digits) = match text.as_bytes().first()? {
            b'+' => (Greater, &text[1..]),
            b'-' => (Less, &text[1..]),
            _ => (Equal, text),
        };
        Some(Compare(order, digits.parse().ok()?))
    }

    fn holds(self, value: i64) -> bool {
        value.cmp(&self.1) == self.0
    }
}

/// Why an expression is not valid.
enum ExpressionError {
    Syntax,
    UnmatchedOpen,
    UnpairedClose,
    MissingArgument(String),
    InvalidNumber(String),
    FileNotFound(String),
    Unrecognized(String),
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpressionError::Syntax => f.write_str("syntax error"),
            ExpressionError::UnmatchedOpen => f.write_str("unmatched '('"),
            ExpressionError::UnpairedClose => f.write_str("unpaired ')'"),
            ExpressionError::MissingArgument(option) => write!(f, "option '{option}' requires an argument"),
            ExpressionError::InvalidNumber(text) => write!(f, "invalid number '{text}'"),
            ExpressionError::FileNotFound(name) => write!(f, "{name}: No such file or directory"),
            ExpressionError::Unrecognized(word) => write!(f, "unrecognized: {word}"),
        }
    }
}

/// A command of `-exec ... +`, and the names that it gets.
struct Batch {
    command: Vec<String>,
    names: Vec<String>,
}

struct Search {
    p: Proc,
    out: Output,
    depth_first: bool,
    max_depth: u64,
    min_depth: u64,
    now: i64,
    batches: Vec<Batch>,
    code: i32,
    pruned: bool,
    quit: bool,
}

struct Entry {
    name: String,
    path: PathBuf,
    meta: Metadata,
}

struct Parser<'a> {
    p: &'a Proc,
    words: std::iter::Peekable<std::slice::Iter<'a, String>>,
    /// Whether an action has been parsed; without one, find prints.
    has_action: bool,
    depth_first: bool,
    max_depth: u64,
    min_depth: u64,
    batches: Vec<Batch>,
}

impl Parser<'_> {
    /// Parses all words.
    fn parse(&mut self) -> Result<Expression, ExpressionError> {
        let expression = self.parse_or()?;
        match self.words.peek() {
            None => Ok(expression),
            Some(_) => Err(ExpressionError::UnpairedClose),
        }
    }

    fn parse_or(&mut self) -> Result<Expression, ExpressionError> {
        let mut parts = vec![self.parse_and()?];
        while self.words.next_if(|w| matches!(w.as_str(), "-o" | "-or")).is_some() {
            parts.push(self.parse_and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn parse_and(&mut self) -> Result<Expression, ExpressionError> {
        let mut parts = Vec::new();
        while let Some(word) = self.words.peek() {
            if matches!(word.as_str(), "-o" | "-or" | ")") {
                break;
            }
            if matches!(word.as_str(), "-a" | "-and") {
                self.words.next();
            }
            parts.push(self.parse_primary()?);
        }
        Ok(Expression::And(parts))
    }

    fn take_value(&mut self, option: &str) -> Result<String, ExpressionError> {
        self.words.next().cloned().ok_or_else(|| ExpressionError::MissingArgument(option.to_string()))
    }

    fn parse_primary(&mut self) -> Result<Expression, ExpressionError> {
        let word = self.words.next().ok_or(ExpressionError::Syntax)?;
        Ok(match word.as_str() {
            "!" | "-not" => Expression::Not(Box::new(self.parse_primary()?)),
            "-false" => Expression::Not(Box::new(Expression::Test(Test::Always))),
            "(" => {
                let inner = self.parse_or()?;
                match self.words.next() {
                    Some(close) if close == ")" => inner,
                    _ => return Err(ExpressionError::UnmatchedOpen),
                }
            }
            "-prune" => Expression::Action(Action::Prune),
            word => match self.parse_test(word)? {
                Some(test) => Expression::Test(test),
                None => {
                    self.has_action = true;
                    Expression::Action(self.parse_action(word)?)
                }
            },
        })
    }

    /// Parses a test or an option, which is always true; `None` for other words.
    fn parse_test(&mut self, word: &str) -> Result<Option<Test>, ExpressionError> {
        Ok(Some(match word {
            "-name" | "-iname" => Test::Name(self.take_value(word)?, word == "-iname"),
            "-path" | "-wholename" => Test::Path(self.take_value(word)?),
            "-type" => Test::Type(self.take_value(word)?.chars().next().unwrap_or('f')),
            "-size" => parse_size(&self.take_value(word)?)?,
            "-mtime" | "-mmin" => {
                let text = self.take_value(word)?;
                let unit = if word == "-mtime" { 86_400 } else { 60 };
                Test::Age(Compare::parse(&text).ok_or_else(|| invalid_number(&text))?, unit)
            }
            "-newer" => {
                let name = self.take_value(word)?;
                let meta = std::fs::metadata(self.p.path(&name));
                Test::Newer(modified_seconds(&meta.map_err(|_| ExpressionError::FileNotFound(name))?))
            }
            "-empty" => Test::Empty,
            "-maxdepth" | "-mindepth" => {
                let text = self.take_value(word)?;
                let number = text.parse().map_err(|_| invalid_number(&text))?;
                if word == "-maxdepth" {
                    self.max_depth = number
                } else {
                    self.min_depth = number
                }
                Test::Always
            }
            "-depth" => {
                self.depth_first = true;
                Test::Always
            }
            "-true" | "-xdev" | "-mount" | "-follow" | "-noleaf" => Test::Always,
            _ => return Ok(None),
        }))
    }

    fn parse_action(&mut self, word: &str) -> Result<Action, ExpressionError> {
        match word {
            "-print" => Ok(Action::Print('\n')),
            "-print0" => Ok(Action::Print('\0')),
            "-quit" => Ok(Action::Quit),
            "-delete" => {
                self.depth_first = true;
                Ok(Action::Delete)
            }
            "-exec" | "-ok" => self.parse_exec(),
            other => Err(ExpressionError::Unrecognized(other.to_string())),
        }
    }

    fn parse_exec(&mut self) -> Result<Action, ExpressionError> {
        let mut command: Vec<String> = Vec::new();
        loop {
            let word = self.take_value("-exec")?;
            let batched = word == "+" && command.last().is_some_and(|w| w == "{}");
            if word == ";" || batched {
                if command.is_empty() {
                    return Err(ExpressionError::MissingArgument("-exec".into()));
                }
                if !batched {
                    return Ok(Action::Exec(command));
                }
                command.pop();
                self.batches.push(Batch { command, names: vec![] });
                return Ok(Action::ExecBatch(self.batches.len() - 1));
            }
            command.push(word);
        }
    }
}

fn invalid_number(text: &str) -> ExpressionError {
    ExpressionError::InvalidNumber(text.to_string())
}

/// Parses the value of `-size`.
fn parse_size(text: &str) -> Result<Test, ExpressionError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "c" => 1,
        "w" => 2,
        "" | "b" => 512,
        "k" => 1024,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(invalid_number(text)),
    };
    Ok(Test::Size(Compare::parse(digits).ok_or_else(|| invalid_number(text))?, unit))
}

pub async fn find(p: Proc) -> Outcome {
    let given = p.args.clone();
    let mut args = given.get(1..).unwrap_or_default();
    while args.first().is_some_and(|a| matches!(a.as_str(), "-H" | "-L" | "-P")) {
        args = &args[1..];
    }
    let is_expression = |a: &String| a.starts_with('-') || a == "!" || a == "(" || a == ")";
    let count = args.iter().position(is_expression).unwrap_or(args.len());
    let (roots, words) = args.split_at(count);
    let (expression, mut search) = Search::parse(p, words).await?;
    let default = [".".to_string()];
    for root in if roots.is_empty() { &default[..] } else { roots } {
        search.walk(root, &expression).await?;
    }
    search.finish().await
}

impl Search {
    async fn parse(p: Proc, words: &[String]) -> Result<(Expression, Search), EarlyExit> {
        let mut parser = Parser {
            p: &p,
            words: words.iter().peekable(),
            has_action: false,
            depth_first: false,
            max_depth: u64::MAX,
            min_depth: 0,
            batches: vec![],
        };
        let expression = match parser.parse() {
            Ok(expression) => expression,
            Err(error) => {
                p.print_error(&error).await;
                return match error {
                    ExpressionError::Unrecognized(_) => usage(&p).await,
                    _ => Err(EarlyExit::Code(1)),
                };
            }
        };
        let Parser { has_action, depth_first, max_depth, min_depth, batches, .. } = parser;
        let expression = if has_action {
            expression
        } else {
            Expression::And(vec![expression, Expression::Action(Action::Print('\n'))])
        };
        let search = Search {
            out: Output::new(&p),
            depth_first,
            max_depth,
            min_depth,
            now: unix_seconds(SystemTime::now()),
            batches,
            code: 0,
            pruned: false,
            quit: false,
            p,
        };
        Ok((expression, search))
    }

    /// Evaluates the expression for `root` and all entries below it.
    async fn walk(&mut self, root: &str, expression: &Expression) -> Result<(), EarlyExit> {
        // An entry, its depth, and whether its contents are already done.
        let mut todo = vec![(root.to_string(), 0u64, false)];
        while let Some((name, depth, done)) = todo.pop() {
            yield_now().await;
            let path = self.p.path(&name);
            let meta = match std::fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(error) => {
                    self.report(&name, &error).await;
                    continue;
                }
            };
            let descends = meta.is_dir() && depth < self.max_depth && !done;
            let entry = Entry { name, path, meta };
            self.pruned = false;
            if depth >= self.min_depth && (done || !self.depth_first || !descends) {
                self.holds(expression, &entry).await?;
                if self.quit {
                    return Ok(());
                }
            }
            if !descends || self.pruned {
                continue;
            }
            if self.depth_first {
                todo.push((entry.name.clone(), depth, true));
            }
            match sorted_names(&entry.path) {
                Ok(names) => {
                    let parent = if entry.name == "/" { "" } else { entry.name.trim_end_matches('/') };
                    todo.extend(names.into_iter().rev().map(|n| (format!("{parent}/{n}"), depth + 1, false)));
                }
                Err(error) => self.report(&entry.name, &error).await,
            }
        }
        Ok(())
    }

    async fn report(&mut self, name: &str, error: &std::io::Error) {
        self.p.print_error(format_args!("{name}: {}", strerror(error))).await;
        self.code = 1;
    }

    /// Runs the commands of the batches.
    async fn finish(mut self) -> Outcome {
        for Batch { mut command, names } in std::mem::take(&mut self.batches) {
            if !names.is_empty() {
                command.extend(names);
                if self.execute(command).await? != 0 {
                    self.code = 1;
                }
            }
        }
        self.out.end(self.code).await
    }

    /// Evaluates the expression; performs its actions.
    fn holds<'a>(
        &'a mut self,
        expression: &'a Expression,
        entry: &'a Entry,
    ) -> Pin<Box<dyn Future<Output = Result<bool, EarlyExit>> + 'a>> {
        Box::pin(async move {
            match expression {
                Expression::And(parts) => {
                    for part in parts {
                        if !self.holds(part, entry).await? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                }
                Expression::Or(parts) => {
                    for part in parts {
                        if self.holds(part, entry).await? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                }
                Expression::Not(inner) => Ok(!self.holds(inner, entry).await?),
                Expression::Test(test) => Ok(test.holds(entry, self.now)),
                Expression::Action(action) => self.perform(action, entry).await,
            }
        })
    }

    /// Performs an action; returns whether it succeeded.
    async fn perform(&mut self, action: &Action, entry: &Entry) -> Result<bool, EarlyExit> {
        match action {
            Action::Print(end) => self.out.put(format!("{}{end}", entry.name)).await?,
            Action::Prune => self.pruned = true,
            Action::Quit => self.quit = true,
            Action::Delete => return Ok(self.delete(entry).await),
            Action::ExecBatch(index) => {
                if let Some(batch) = self.batches.get_mut(*index) {
                    batch.names.push(entry.name.clone());
                }
            }
            Action::Exec(command) => {
                let args = command.iter().map(|a| a.replace("{}", &entry.name)).collect();
                return Ok(self.execute(args).await? == 0);
            }
        }
        Ok(true)
    }

    async fn delete(&mut self, entry: &Entry) -> bool {
        if entry.name == "." {
            return true;
        }
        let removed =
            if entry.meta.is_dir() { std::fs::remove_dir(&entry.path) } else { files::remove_all(&entry.path) };
        match removed {
            Ok(()) => true,
            Err(error) => {
                self.report(&entry.name, &error).await;
                false
            }
        }
    }

    async fn execute(&mut self, args: Vec<String>) -> Result<i32, EarlyExit> {
        // Earlier output must precede the command's.
        self.out.flush().await?;
        Ok(run(Proc { args, stdin: Reader::empty(), ..self.p.clone() }).await)
    }
}

impl Test {
    fn holds(&self, entry: &Entry, now: i64) -> bool {
        match self {
            Test::Always => true,
            Test::Name(pattern, ignore_case) => {
                let (mut pattern, mut name) = (pattern.clone(), base_name(&entry.name).to_string());
                if *ignore_case {
                    pattern.make_ascii_lowercase();
                    name.make_ascii_lowercase();
                }
                glob(pattern.as_bytes(), name.as_bytes())
            }
            Test::Path(pattern) => glob(pattern.as_bytes(), entry.name.as_bytes()),
            Test::Type(letter) => {
                let kind = entry.meta.file_type();
                match letter {
                    'd' => kind.is_dir(),
                    'f' => kind.is_file(),
                    'l' => kind.is_symlink(),
                    _ => !kind.is_dir() && !kind.is_file() && !kind.is_symlink(),
                }
            }
            Test::Size(compare, unit) => compare.holds(entry.meta.len().div_ceil(*unit) as i64),
            Test::Age(compare, unit) => compare.holds((now - modified_seconds(&entry.meta)) / unit),
            Test::Newer(time) => modified_seconds(&entry.meta) > *time,
            Test::Empty if entry.meta.is_dir() => sorted_names(&entry.path).is_ok_and(|c| c.is_empty()),
            Test::Empty => entry.meta.is_file() && entry.meta.len() == 0,
        }
    }
}
