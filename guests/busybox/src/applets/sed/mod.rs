//! sed: the stream editor. Owns the command line and the cycle over lines; `script` parses scripts.

mod replacement;
mod script;

pub use replacement::Replacement;

use std::fs::{File, OpenOptions};

use script::{Address, Command, Function, Substitution};

use super::pattern::NONE;
use super::stream::{FileLines, each_line, open};
use super::{EarlyExit, Options, Outcome, Output, fail, usage};
use crate::proc::{Proc, Writer, strerror, yield_now};

pub async fn sed(p: Proc) -> Outcome {
    let o = Options::parse(&p, "nrEsuze:(expression)f:(file)i::(in-place)q(quiet)q(silent)").await?;
    let mut files = o.operands.clone();
    let text = script_text(&p, &o, &mut files).await?;
    let quiet = o.has('n') || o.has('q') || text.starts_with("#n\n");
    let commands = match script::parse(&text, o.has('r') || o.has('E')) {
        Ok(commands) => commands,
        Err(error) => return fail(&p, 1, &error.to_string()).await,
    };
    if files.is_empty() {
        files.push("-".into());
    }
    let mut editor = Editor {
        p: &p,
        needs_last: commands.iter().any(Command::needs_last),
        in_range: vec![Range::Outside; commands.len()],
        commands: &commands,
        quiet,
        out: Output::new(&p),
        held: vec![],
        number: 0,
        quit: None,
    };
    if !o.has('i') {
        let mut input = Input::new(&p, files);
        editor.edit(&mut input).await?;
        let code = editor.quit.unwrap_or(input.lines.code());
        return editor.out.end(code).await;
    }
    let suffix = o.get('i').unwrap_or_default();
    let mut code = 0;
    for file in files {
        code |= editor.edit_in_place(&file, suffix).await?;
        if editor.quit.is_some() {
            break;
        }
    }
    Ok(editor.quit.unwrap_or(code))
}

/// Collects the script from `-e`, `-f` or the first operand, which it takes from `files`.
async fn script_text(p: &Proc, o: &Options, files: &mut Vec<String>) -> Result<String, EarlyExit> {
    if !o.has('e') && !o.has('f') {
        return if files.is_empty() { usage(p).await } else { Ok(files.remove(0)) };
    }
    let mut text = String::new();
    for part in o.all('e') {
        text += part;
        text.push('\n');
    }
    for file in o.all('f') {
        let Some(reader) = open(p, file).await else { return Err(EarlyExit::Code(1)) };
        text += &String::from_utf8_lossy(&reader.read_to_end().await?);
        text.push('\n');
    }
    Ok(text)
}

/// The lines of the files, read one ahead so that `$` is known.
struct Input<'a> {
    lines: FileLines<'a>,
    next: Option<Vec<u8>>,
}

impl Input<'_> {
    fn new(p: &Proc, files: Vec<String>) -> Input<'_> {
        Input { lines: each_line(p, files), next: None }
    }

    async fn fetch(&mut self, out: &mut Output) -> Result<Option<Vec<u8>>, EarlyExit> {
        Ok(self.lines.next(out).await?.map(<[u8]>::to_vec))
    }

    /// Returns the next line and moves on.
    async fn take(&mut self, out: &mut Output) -> Result<Option<Vec<u8>>, EarlyExit> {
        match self.next.take() {
            Some(line) => Ok(Some(line)),
            None => self.fetch(out).await,
        }
    }

    /// Reads ahead and returns whether the input has no further line.
    async fn peek_is_end(&mut self, out: &mut Output) -> Result<bool, EarlyExit> {
        if self.next.is_none() {
            self.next = self.fetch(out).await?;
        }
        Ok(self.next.is_none())
    }
}

/// The position of a line in the range of a command with two addresses.
#[derive(Clone, Copy, PartialEq)]
enum Range {
    Outside,
    Inside,
    /// Inside until this line.
    Until(u64),
}

struct Editor<'a> {
    p: &'a Proc,
    commands: &'a [Command],
    /// Whether a command has the address `$`.
    needs_last: bool,
    in_range: Vec<Range>,
    quiet: bool,
    out: Output,
    /// The hold space.
    held: Vec<u8>,
    /// The number of the current line.
    number: u64,
    /// Exit code of `q` or `Q`.
    quit: Option<i32>,
}

/// The state of one cycle.
struct Cycle {
    /// The pattern space, without the newline at its end.
    space: Vec<u8>,
    /// Whether the line ended with a newline.
    newline: bool,
    /// Text that `a` and `r` queue for the end of the cycle.
    appended: Vec<Vec<u8>>,
    /// Whether `s` has replaced text since the last `t`.
    replaced: bool,
}

/// How a cycle ends.
enum CycleEnd {
    Print,
    /// Without printing.
    Delete,
    /// `D`: a new cycle with the rest of the pattern space, without reading.
    Restart,
    /// Whether to print first.
    Quit(bool),
}

/// What follows a command.
enum Flow {
    NextCommand,
    Jump(usize),
    End(CycleEnd),
}

impl Cycle {
    fn new(line: Vec<u8>) -> Cycle {
        let mut cycle = Cycle { space: vec![], newline: false, appended: vec![], replaced: false };
        cycle.read(line);
        cycle
    }

    /// Replaces the pattern space by `line`.
    fn read(&mut self, mut line: Vec<u8>) {
        self.newline = line.last() == Some(&b'\n');
        if self.newline {
            line.pop();
        }
        self.space = line;
    }
}

impl Editor<'_> {
    /// Edits one file and replaces it; returns an exit code.
    async fn edit_in_place(&mut self, file: &str, suffix: &str) -> Result<i32, EarlyExit> {
        let path = self.p.path(file);
        let mut input = Input::new(self.p, vec![file.to_string()]);
        let (sink, bytes) = Writer::capture();
        self.out = Output::from_writer(sink);
        self.number = 0;
        self.edit(&mut input).await?;
        // A quit leaves the rest of the file unchanged.
        if self.quit.is_some() {
            while let Some(line) = input.take(&mut self.out).await? {
                self.out.add(line);
            }
        }
        self.out.flush().await?;
        if input.lines.code() != 0 {
            return Ok(1);
        }
        if !suffix.is_empty() {
            let _ = std::fs::copy(&path, self.p.path(&format!("{file}{suffix}")));
        }
        let bytes = std::mem::take(&mut *bytes.borrow_mut());
        match File::create(&path) {
            Ok(new) => Writer::from_file(new).write_all(&bytes).await?,
            Err(error) => return fail(self.p, 1, &format!("{file}: {}", strerror(&error))).await,
        }
        Ok(0)
    }

    async fn edit(&mut self, input: &mut Input<'_>) -> Result<(), EarlyExit> {
        let mut left = None;
        loop {
            let line = match left.take() {
                Some(line) => line,
                None => {
                    let Some(line) = input.take(&mut self.out).await? else { return Ok(()) };
                    self.number += 1;
                    line
                }
            };
            let mut cycle = Cycle::new(line);
            let end = self.run(&mut cycle, input).await?;
            if matches!(end, CycleEnd::Print | CycleEnd::Quit(true)) && !self.quiet {
                self.print(&cycle.space, cycle.newline).await?;
            }
            for text in cycle.appended {
                self.out.put(text).await?;
            }
            match end {
                CycleEnd::Quit(_) => return Ok(()),
                CycleEnd::Print | CycleEnd::Delete => {}
                CycleEnd::Restart => {
                    cycle.space.push(b'\n');
                    left = Some(cycle.space);
                }
            }
        }
    }

    async fn print(&mut self, text: &[u8], newline: bool) -> Result<(), EarlyExit> {
        self.out.add(text);
        Ok(self.out.put(if newline { "\n" } else { "" }).await?)
    }

    /// Runs the commands that select the line.
    async fn run(&mut self, cycle: &mut Cycle, input: &mut Input<'_>) -> Result<CycleEnd, EarlyExit> {
        let commands = self.commands;
        let mut at = 0;
        let mut steps = 0u32;
        while let Some(command) = commands.get(at) {
            steps += 1;
            if steps.is_multiple_of(1024) {
                yield_now().await;
            }
            let last = self.needs_last && input.peek_is_end(&mut self.out).await?;
            if self.selects(command, at, &cycle.space, last) == command.negated {
                at = if let Function::Block(end) = command.function { end } else { at + 1 };
                continue;
            }
            match self.perform(command, at, cycle, input).await? {
                Flow::NextCommand => at += 1,
                Flow::Jump(to) => at = to,
                Flow::End(end) => return Ok(end),
            }
        }
        Ok(CycleEnd::Print)
    }

    /// Performs the command at `index`.
    async fn perform(
        &mut self,
        command: &Command,
        index: usize,
        cycle: &mut Cycle,
        input: &mut Input<'_>,
    ) -> Result<Flow, EarlyExit> {
        match &command.function {
            Function::Block(_) | Function::Nothing => {}
            Function::Substitute(s) => self.substitute(s, cycle).await?,
            Function::Delete => return Ok(Flow::End(CycleEnd::Delete)),
            Function::DeleteFirst => return Ok(Flow::End(delete_first(&mut cycle.space))),
            Function::Print => self.print(&cycle.space, true).await?,
            Function::PrintFirst => {
                let first = cycle.space.split(|b| *b == b'\n').next().unwrap_or_default();
                self.print(first, true).await?;
            }
            Function::Quit(code, print) => {
                self.quit = Some(*code);
                return Ok(Flow::End(CycleEnd::Quit(*print)));
            }
            Function::Number => self.out.put(format!("{}\n", self.number)).await?,
            Function::Append(text) => cycle.appended.push(text.clone()),
            Function::Insert(text) => self.out.put(text).await?,
            Function::Change(text) => {
                // A range is changed once, at its end.
                if command.second.is_none() || command.negated || self.in_range.get(index) == Some(&Range::Outside) {
                    self.out.put(text).await?;
                }
                return Ok(Flow::End(CycleEnd::Delete));
            }
            Function::Read(file) => cycle.appended.extend(std::fs::read(self.p.path(file)).ok()),
            Function::Write(file) => self.append_to(file, &cycle.space).await?,
            Function::Next { join } => return self.next_line(*join, cycle, input).await,
            Function::Branch(to) => return Ok(Flow::Jump(*to)),
            Function::BranchIf(to, when) => {
                if std::mem::take(&mut cycle.replaced) == *when {
                    return Ok(Flow::Jump(*to));
                }
            }
            Function::Map(_)
            | Function::Get
            | Function::GetAppend
            | Function::Hold
            | Function::HoldAppend
            | Function::Exchange => self.transform(&command.function, &mut cycle.space),
        }
        Ok(Flow::NextCommand)
    }

    /// Performs the functions that only move text between the pattern space and the hold space.
    fn transform(&mut self, function: &Function, space: &mut Vec<u8>) {
        match function {
            Function::Map(map) => space.iter_mut().for_each(|b| *b = map[usize::from(*b)]),
            Function::Get => space.clone_from(&self.held),
            Function::GetAppend => {
                space.push(b'\n');
                space.extend_from_slice(&self.held);
            }
            Function::Hold => self.held.clone_from(space),
            Function::HoldAppend => {
                self.held.push(b'\n');
                self.held.extend_from_slice(space);
            }
            Function::Exchange => std::mem::swap(space, &mut self.held),
            _ => {}
        }
    }

    async fn substitute(&mut self, s: &Substitution, cycle: &mut Cycle) -> Result<(), EarlyExit> {
        let Some(text) = replaced(s, &cycle.space) else { return Ok(()) };
        cycle.space = text;
        cycle.replaced = true;
        if s.print {
            self.print(&cycle.space, cycle.newline).await?;
        }
        match &s.file {
            Some(file) => self.append_to(file, &cycle.space).await,
            None => Ok(()),
        }
    }

    /// Appends a line to a file; ignores one that can't be opened.
    async fn append_to(&self, file: &str, line: &[u8]) -> Result<(), EarlyExit> {
        if let Ok(file) = OpenOptions::new().create(true).append(true).open(self.p.path(file)) {
            Writer::from_file(file).write_all(&[line, b"\n"].concat()).await?;
        }
        Ok(())
    }

    /// Performs `n`, or `N` where it joins the lines.
    async fn next_line(&mut self, join: bool, cycle: &mut Cycle, input: &mut Input<'_>) -> Result<Flow, EarlyExit> {
        if !join && !self.quiet {
            self.print(&cycle.space, cycle.newline).await?;
        }
        for text in cycle.appended.drain(..) {
            self.out.put(text).await?;
        }
        let Some(line) = input.take(&mut self.out).await? else {
            // GNU and busybox print the pattern space when N finds no next line.
            return Ok(Flow::End(if join { CycleEnd::Print } else { CycleEnd::Delete }));
        };
        self.number += 1;
        let mut joined = std::mem::take(&mut cycle.space);
        cycle.read(line);
        if join {
            joined.push(b'\n');
            joined.append(&mut cycle.space);
            cycle.space = joined;
        }
        Ok(Flow::NextCommand)
    }

    /// Whether the addresses of the command at `index` select the line; moves its range on.
    fn selects(&mut self, command: &Command, index: usize, space: &[u8], last: bool) -> bool {
        let number = self.number;
        let hits = |address: &Address| match address {
            Address::Line(n) => *n == number,
            Address::Last => last,
            Address::Step(first, step) if *step == 0 => number == *first,
            Address::Step(first, step) => number >= *first && (number - first).is_multiple_of(*step),
            Address::Match(pattern) => pattern.is_match(space),
            Address::More(_) | Address::Multiple(_) => false,
        };
        let Some(first) = &command.first else { return true };
        let Some(second) = &command.second else { return hits(first) };
        let Some(state) = self.in_range.get_mut(index) else { return false };
        match *state {
            Range::Inside => {
                // A line number that has passed already ends the range before this line.
                if let Address::Line(n) = second
                    && number > *n
                {
                    *state = Range::Outside;
                    return hits(first);
                }
                if hits(second) {
                    *state = Range::Outside;
                }
                true
            }
            Range::Until(end) => {
                if number >= end {
                    *state = Range::Outside;
                }
                true
            }
            Range::Outside => {
                // `0,/re/` may end on the first line.
                let from_zero = matches!(first, Address::Line(0)) && number == 1;
                if from_zero {
                    if !hits(second) {
                        *state = Range::Inside;
                    }
                    return true;
                }
                if !hits(first) {
                    return false;
                }
                *state = match second {
                    Address::Line(n) if *n <= number => Range::Outside,
                    Address::Line(n) => Range::Until(*n),
                    Address::More(0) => Range::Outside,
                    Address::More(n) => Range::Until(number + n),
                    Address::Multiple(n) if *n == 0 || number.is_multiple_of(*n) => Range::Outside,
                    Address::Multiple(n) => Range::Until(number.div_ceil(*n) * n),
                    Address::Last if last => Range::Outside,
                    _ => Range::Inside,
                };
                true
            }
        }
    }
}

/// Deletes the first line of the pattern space.
fn delete_first(space: &mut Vec<u8>) -> CycleEnd {
    match space.iter().position(|b| *b == b'\n') {
        Some(end) => {
            space.drain(..=end);
            CycleEnd::Restart
        }
        None => CycleEnd::Delete,
    }
}

/// Returns the text after `s`; `None` when nothing matched.
fn replaced(s: &Substitution, text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut from, mut copied, mut count, mut done) = (0, 0, 0, false);
    // End of the last match: an empty match right after it does not count.
    let mut last_end = NONE;
    while from <= text.len() {
        let Some(spans) = s.pattern.find(text, from) else { break };
        let (start, end) = (spans[0], spans[1]);
        if start == end && start == last_end {
            from = end + 1;
            continue;
        }
        last_end = end;
        count += 1;
        if count >= s.nth {
            out.extend_from_slice(text.get(copied..start)?);
            s.replacement.append_to(text, &spans, &mut out);
            copied = end;
            done = true;
            if !s.all {
                break;
            }
        }
        from = if end > start { end } else { end + 1 };
    }
    out.extend_from_slice(text.get(copied..)?);
    done.then_some(out)
}
