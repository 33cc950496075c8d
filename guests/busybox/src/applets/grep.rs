//! grep, egrep and fgrep.

use std::collections::VecDeque;
use std::path::Path;

use super::pattern::{Extent, Pattern};
use super::stream::open;
use super::{EarlyExit, Lines, Options, Outcome, Output, fail, usage};
use crate::proc::{Proc, Reader, strerror};

struct Search {
    patterns: Vec<Pattern>,
    invert: bool,
    show: Show,
    only: bool,
    number: bool,
    with_name: bool,
    before: usize,
    after: usize,
    /// `-m`: how many lines to select.
    most: u64,
}

#[derive(PartialEq, Clone, Copy)]
enum Show {
    Lines,
    Count,
    NamesWith,
    NamesWithout,
    Nothing,
}

pub async fn grep(p: Proc) -> Outcome {
    let spec = "HhnlLoqvsriwFExcE(extended-regexp)G(basic-regexp)e:(regexp)f:(file)m:(max-count)\
                A:B:C:a(text)z(null-data)R(recursive)i(ignore-case)y\
                (ignore-case)q(quiet)v(invert-match)n(line-number)c(count)o(only-matching)";
    let args = super::options::rewrite_count_options(&p.args);
    let args: Vec<String> = args.into_iter().map(|a| context_number(&p, a)).collect();
    let o = Options::parse_args(&p, &args, spec).await.map_err(with_code_2)?;
    let mut files = o.operands.clone();
    let patterns = read_patterns(&p, &o, &mut files).await?;
    let recursive = o.has('r') || o.has('R');
    let with_name = o.last_of("Hh").map_or(files.len() > 1 || recursive, |c| c == 'H');
    let search = Search::new(&p, &o, patterns, with_name).await?;
    if files.is_empty() {
        files.push(if recursive { "." } else { "-" }.into());
    }
    let mut out = Output::new(&p);
    let (mut found, mut failed) = (false, false);
    files.reverse();
    while let Some(file) = files.pop() {
        let path = p.path(&file);
        if file != "-" && path.is_dir() {
            if recursive {
                files.extend(child_names(&path, &file));
            }
            continue;
        }
        match p.open(&file) {
            Ok(reader) => {
                let name = if file == "-" { "(standard input)" } else { &file };
                found |= search.search_file(name, reader, &mut out).await?;
                if found && search.show == Show::Nothing {
                    return Ok(0);
                }
            }
            Err(error) => {
                if !o.has('s') {
                    p.print_error(format_args!("{file}: {}", strerror(&error))).await;
                }
                failed = true;
            }
        }
    }
    out.end(if failed { 2 } else { i32::from(!found) }).await
}

/// grep's code for errors; 1 means that nothing matched.
fn with_code_2(stop: EarlyExit) -> EarlyExit {
    match stop {
        EarlyExit::Code(_) => EarlyExit::Code(2),
        other => other,
    }
}

/// Compiles the patterns of `-e`, `-f` or the first operand, which it takes from `files`.
async fn read_patterns(p: &Proc, o: &Options, files: &mut Vec<String>) -> Result<Vec<Pattern>, EarlyExit> {
    let mut sources: Vec<String> = o.all('e').map(str::to_string).collect();
    for file in o.all('f') {
        let Some(reader) = open(p, file).await else { return Err(EarlyExit::Code(2)) };
        let text = reader.read_to_end().await?;
        // An empty file holds no pattern and so matches nothing.
        sources.extend(String::from_utf8_lossy(&text).lines().map(str::to_string));
    }
    if !o.has('e') && !o.has('f') {
        if files.is_empty() {
            return usage(p).await.map_err(with_code_2);
        }
        sources.push(files.remove(0));
    }
    let fixed = o.last_of("EFG").map_or(p.name() == "fgrep", |c| c == 'F');
    let extended = o.last_of("EFG").map_or(p.name() == "egrep", |c| c == 'E');
    let extent = if o.has('x') {
        Extent::Line
    } else if o.has('w') {
        Extent::Word
    } else {
        Extent::Any
    };
    let ignore_case = o.has('i') || o.has('y');
    let mut patterns = Vec::new();
    for source in sources.iter().flat_map(|s| s.split('\n')) {
        let compiled = if fixed {
            Pattern::literal(source.as_bytes(), ignore_case, extent)
        } else {
            Pattern::new(source.as_bytes(), extended, ignore_case, extent)
        };
        match compiled {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => return fail(p, 2, &format!("bad regex '{source}': {why}")).await,
        }
    }
    Ok(patterns)
}

/// Rewrites `-n2`, which `with_count` makes of `-2`, to `-C2`: grep's number is a count of context lines.
fn context_number(p: &Proc, arg: String) -> String {
    match arg.strip_prefix("-n") {
        Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && !p.args.contains(&arg) => {
            format!("-C{n}")
        }
        _ => arg,
    }
}

/// Returns the files in a directory in reverse order.
fn child_names(path: &Path, name: &str) -> Vec<String> {
    let names = super::ls::sorted_names(path).unwrap_or_default();
    names.into_iter().rev().map(|entry| format!("{}/{entry}", name.trim_end_matches('/'))).collect()
}

impl Search {
    async fn new(p: &Proc, o: &Options, patterns: Vec<Pattern>, with_name: bool) -> Result<Search, EarlyExit> {
        let context = o.number(p, 'C').await?.unwrap_or(0);
        let show = match o.last_of("qlLc") {
            _ if o.has('q') => Show::Nothing,
            Some('l') => Show::NamesWith,
            Some('L') => Show::NamesWithout,
            Some(_) => Show::Count,
            None => Show::Lines,
        };
        Ok(Search {
            patterns,
            invert: o.has('v'),
            show,
            only: o.has('o'),
            number: o.has('n'),
            with_name,
            before: o.number(p, 'B').await?.unwrap_or(context) as usize,
            after: o.number(p, 'A').await?.unwrap_or(context) as usize,
            most: o.number(p, 'm').await?.unwrap_or(u64::MAX),
        })
    }

    /// Searches a file; returns whether it counts as found.
    async fn search_file(&self, name: &str, reader: Reader, out: &mut Output) -> Result<bool, EarlyExit> {
        let mut lines = Lines::new(reader);
        let mut earlier: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let (mut number, mut count, mut after, mut shown) = (0, 0, 0, 0);
        while let Some(line) = lines.bare(out).await? {
            number += 1;
            if self.matches(line) == self.invert {
                if after > 0 {
                    after -= 1;
                    shown = number;
                    self.print_line(name, number, b'-', line, out).await?;
                } else if self.before > 0 && self.show == Show::Lines {
                    if earlier.len() == self.before {
                        earlier.pop_front();
                    }
                    earlier.push_back((number, line.to_vec()));
                }
                continue;
            }
            count += 1;
            match self.show {
                Show::Nothing => return Ok(true),
                Show::NamesWith => {
                    out.put(format!("{name}\n")).await?;
                    return Ok(true);
                }
                Show::NamesWithout => return Ok(false),
                Show::Count => {}
                Show::Lines if self.only => self.print_matches(name, number, line, out).await?,
                Show::Lines => {
                    let first = earlier.front().map_or(number, |(n, _)| *n);
                    if shown > 0 && first > shown + 1 && (self.before > 0 || self.after > 0) {
                        out.put("--\n").await?;
                    }
                    for (n, text) in earlier.drain(..) {
                        self.print_line(name, n, b'-', &text, out).await?;
                    }
                    self.print_line(name, number, b':', line, out).await?;
                    shown = number;
                    after = self.after;
                }
            }
            if count >= self.most {
                break;
            }
        }
        match self.show {
            Show::Count if self.with_name => out.put(format!("{name}:{count}\n")).await?,
            Show::Count => out.put(format!("{count}\n")).await?,
            Show::NamesWithout => {
                out.put(format!("{name}\n")).await?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(count > 0)
    }

    fn matches(&self, line: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(line))
    }

    fn push_prefix(&self, name: &str, number: u64, mark: u8, out: &mut Output) {
        if self.with_name {
            out.add(name);
            out.add([mark]);
        }
        if self.number {
            out.add(number.to_string());
            out.add([mark]);
        }
    }

    async fn print_line(
        &self,
        name: &str,
        number: u64,
        mark: u8,
        line: &[u8],
        out: &mut Output,
    ) -> Result<(), EarlyExit> {
        self.push_prefix(name, number, mark, out);
        out.add(line);
        Ok(out.put("\n").await?)
    }

    async fn print_matches(&self, name: &str, number: u64, line: &[u8], out: &mut Output) -> Result<(), EarlyExit> {
        if self.invert {
            return Ok(());
        }
        let mut from = 0;
        while from <= line.len() {
            let found = self.patterns.iter().filter_map(|pattern| pattern.find(line, from));
            // Leftmost first, then longest.
            let Some(spans) = found.min_by_key(|s| (s[0], usize::MAX - s[1])) else { break };
            if spans[1] > spans[0] {
                self.push_prefix(name, number, b':', out);
                out.add(line.get(spans[0]..spans[1]).unwrap_or_default());
                out.put("\n").await?;
            }
            from = spans[1].max(spans[0] + 1);
        }
        Ok(())
    }
}
