//! find.

use std::fs::Metadata;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::SystemTime;

use super::date::seconds;
use super::list::{children, modified};
use super::names::base;
use super::pattern::glob;
use super::{Out, Outcome, Stop, fail, run, tree, usage};
use crate::proc::{Proc, Reader, strerror, yield_now};

enum Test {
    Both(Vec<Test>),
    Either(Vec<Test>),
    Not(Box<Test>),
    Always,
    Name(String, bool),
    Path(String),
    Type(char),
    /// Compares in units of so many bytes.
    Size(Compare, u64),
    /// Compares in units of so many seconds.
    Age(Compare, i64),
    Newer(i64),
    Empty,
    Print(char),
    Delete,
    Prune,
    Quit,
    /// The command, and for `+` the number of its batch.
    Exec(Vec<String>, Option<usize>),
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

struct Search {
    p: Proc,
    out: Out,
    now: i64,
    batches: Vec<(Vec<String>, Vec<String>)>,
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
    words: std::iter::Peekable<std::slice::Iter<'a, String>>,
    acts: bool,
    depth_first: bool,
    deepest: Option<u64>,
    shallowest: u64,
    batches: Vec<(Vec<String>, Vec<String>)>,
    times: Vec<(String, i64)>,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Test, String> {
        let mut parts = vec![self.both()?];
        while self.words.next_if(|w| matches!(w.as_str(), "-o" | "-or")).is_some() {
            parts.push(self.both()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Test::Either(parts) })
    }

    fn both(&mut self) -> Result<Test, String> {
        let mut parts = Vec::new();
        while let Some(word) = self.words.peek() {
            if matches!(word.as_str(), "-o" | "-or" | ")") {
                break;
            }
            if matches!(word.as_str(), "-a" | "-and") {
                self.words.next();
            }
            parts.push(self.one()?);
        }
        Ok(Test::Both(parts))
    }

    fn value(&mut self, of: &str) -> Result<String, String> {
        self.words.next().cloned().ok_or_else(|| format!("option '{of}' requires an argument"))
    }

    fn one(&mut self) -> Result<Test, String> {
        let Some(word) = self.words.next() else { return Err("syntax error".into()) };
        let bad = |value: &str| format!("invalid number '{value}'");
        Ok(match word.as_str() {
            "!" | "-not" => Test::Not(Box::new(self.one()?)),
            "(" => {
                let inner = self.either()?;
                match self.words.next() {
                    Some(close) if close == ")" => inner,
                    _ => return Err("unmatched '('".into()),
                }
            }
            "-name" | "-iname" => Test::Name(self.value(word)?, word == "-iname"),
            "-path" | "-wholename" => Test::Path(self.value(word)?),
            "-type" => {
                let letter = self.value(word)?;
                Test::Type(letter.chars().next().unwrap_or('f'))
            }
            "-size" => {
                let text = self.value(word)?;
                let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let unit = match &text[digits.len()..] {
                    "c" => 1,
                    "w" => 2,
                    "" | "b" => 512,
                    "k" => 1024,
                    "M" => 1 << 20,
                    "G" => 1 << 30,
                    _ => return Err(bad(&text)),
                };
                Test::Size(Compare::parse(digits).ok_or_else(|| bad(&text))?, unit)
            }
            "-mtime" | "-mmin" => {
                let text = self.value(word)?;
                let unit = if word == "-mtime" { 86_400 } else { 60 };
                Test::Age(Compare::parse(&text).ok_or_else(|| bad(&text))?, unit)
            }
            "-newer" => {
                let name = self.value(word)?;
                let known = self.times.iter().find(|(n, _)| *n == name);
                Test::Newer(known.map(|(_, t)| *t).ok_or_else(|| format!("{name}: No such file or directory"))?)
            }
            "-empty" => Test::Empty,
            "-true" => Test::Always,
            "-false" => Test::Not(Box::new(Test::Always)),
            "-maxdepth" | "-mindepth" => {
                let text = self.value(word)?;
                let number = text.parse().map_err(|_| bad(&text))?;
                if word == "-maxdepth" {
                    self.deepest = Some(number)
                } else {
                    self.shallowest = number
                }
                Test::Always
            }
            "-depth" => {
                self.depth_first = true;
                Test::Always
            }
            "-xdev" | "-mount" | "-follow" | "-noleaf" => Test::Always,
            "-prune" => Test::Prune,
            action => {
                self.acts = true;
                match action {
                    "-print" => Test::Print('\n'),
                    "-print0" => Test::Print('\0'),
                    "-quit" => Test::Quit,
                    "-delete" => {
                        self.depth_first = true;
                        Test::Delete
                    }
                    "-exec" | "-ok" => self.exec()?,
                    other => return Err(format!("unrecognized: {other}")),
                }
            }
        })
    }

    fn exec(&mut self) -> Result<Test, String> {
        let mut command: Vec<String> = Vec::new();
        loop {
            let word = self.value("-exec")?;
            let batched = word == "+" && command.last().is_some_and(|w| w == "{}");
            if word == ";" || batched {
                if command.is_empty() {
                    return Err("option '-exec' requires an argument".into());
                }
                if !batched {
                    return Ok(Test::Exec(command, None));
                }
                command.pop();
                self.batches.push((command, vec![]));
                return Ok(Test::Exec(vec![], Some(self.batches.len() - 1)));
            }
            command.push(word);
        }
    }
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
    let times = words
        .windows(2)
        .filter(|pair| pair[0] == "-newer")
        .filter_map(|pair| Some((pair[1].clone(), modified(&std::fs::metadata(p.path(&pair[1])).ok()?))))
        .collect();
    let mut parser = Parser {
        words: words.iter().peekable(),
        acts: false,
        depth_first: false,
        deepest: None,
        shallowest: 0,
        batches: vec![],
        times,
    };
    let test = match parser.either() {
        Ok(test) if parser.words.peek().is_none() => test,
        Ok(_) => return fail(&p, 1, "unpaired ')'").await,
        Err(why) => {
            p.complain(&why).await;
            return if why.starts_with("unrec") { usage(&p).await } else { Err(Stop::Code(1)) };
        }
    };
    let test = if parser.acts { test } else { Test::Both(vec![test, Test::Print('\n')]) };
    let Parser { depth_first, deepest, shallowest, batches, .. } = parser;
    let deepest = deepest.unwrap_or(u64::MAX);
    let mut search =
        Search { out: Out::new(&p), now: seconds(SystemTime::now()), batches, code: 0, pruned: false, quit: false, p };
    let default = [".".to_string()];
    for root in if roots.is_empty() { &default[..] } else { roots } {
        // An entry, its depth, and whether its contents are already done.
        let mut todo = vec![(root.clone(), 0u64, false)];
        while let Some((name, depth, done)) = todo.pop() {
            yield_now().await;
            let path = search.p.path(&name);
            let meta = match std::fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(error) => {
                    search.p.complain(format_args!("{name}: {}", strerror(&error))).await;
                    search.code = 1;
                    continue;
                }
            };
            let descends = meta.is_dir() && depth < deepest && !done;
            let entry = Entry { name, path, meta };
            search.pruned = false;
            if depth >= shallowest && (done || !depth_first || !descends) {
                search.check(&test, &entry).await?;
                if search.quit {
                    break;
                }
            }
            if !descends || search.pruned {
                continue;
            }
            if depth_first {
                todo.push((entry.name.clone(), depth, true));
            }
            match children(&entry.path) {
                Ok(names) => {
                    let parent = if entry.name == "/" { "" } else { entry.name.trim_end_matches('/') };
                    todo.extend(names.into_iter().rev().map(|n| (format!("{parent}/{n}"), depth + 1, false)));
                }
                Err(error) => {
                    search.p.complain(format_args!("{}: {}", entry.name, strerror(&error))).await;
                    search.code = 1;
                }
            }
        }
    }
    for (mut command, items) in std::mem::take(&mut search.batches) {
        if !items.is_empty() {
            command.extend(items);
            if search.execute(command).await? != 0 {
                search.code = 1;
            }
        }
    }
    search.out.end(search.code).await
}

impl Search {
    fn check<'a>(
        &'a mut self,
        test: &'a Test,
        entry: &'a Entry,
    ) -> Pin<Box<dyn Future<Output = Result<bool, Stop>> + 'a>> {
        Box::pin(async move {
            Ok(match test {
                Test::Both(parts) => {
                    for part in parts {
                        if !self.check(part, entry).await? {
                            return Ok(false);
                        }
                    }
                    true
                }
                Test::Either(parts) => {
                    for part in parts {
                        if self.check(part, entry).await? {
                            return Ok(true);
                        }
                    }
                    false
                }
                Test::Not(inner) => !self.check(inner, entry).await?,
                Test::Always => true,
                Test::Name(pattern, fold) => {
                    let (mut pattern, mut name) = (pattern.clone(), base(&entry.name).to_string());
                    if *fold {
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
                Test::Age(compare, unit) => compare.holds((self.now - modified(&entry.meta)) / unit),
                Test::Newer(time) => modified(&entry.meta) > *time,
                Test::Empty if entry.meta.is_dir() => children(&entry.path).is_ok_and(|c| c.is_empty()),
                Test::Empty => entry.meta.is_file() && entry.meta.len() == 0,
                Test::Print(end) => {
                    self.out.put(format!("{}{end}", entry.name)).await?;
                    true
                }
                Test::Prune => {
                    self.pruned = true;
                    true
                }
                Test::Quit => {
                    self.quit = true;
                    true
                }
                Test::Delete if entry.name == "." => true,
                Test::Delete => {
                    let removed = if entry.meta.is_dir() {
                        std::fs::remove_dir(&entry.path)
                    } else {
                        tree::remove_all(&entry.path)
                    };
                    if let Err(error) = &removed {
                        let name = &entry.name;
                        self.p.complain(format_args!("{name}: {}", strerror(error))).await;
                        self.code = 1;
                    }
                    removed.is_ok()
                }
                Test::Exec(_, Some(batch)) => {
                    if let Some((_, items)) = self.batches.get_mut(*batch) {
                        items.push(entry.name.clone());
                    }
                    true
                }
                Test::Exec(command, None) => {
                    let args = command.iter().map(|a| a.replace("{}", &entry.name)).collect();
                    self.execute(args).await? == 0
                }
            })
        })
    }

    async fn execute(&mut self, args: Vec<String>) -> Result<i32, Stop> {
        // What was printed before must stand before what the command prints.
        self.out.flush().await?;
        Ok(run(Proc { args, stdin: Reader::empty(), ..self.p.clone() }).await)
    }
}
