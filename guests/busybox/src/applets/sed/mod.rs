//! sed: the stream editor. Owns the command line and the cycle over lines; scripts are read in
//! `script`.

mod script;

use std::fs::File;

use script::{Address, Command, What};

use super::pattern::NONE;
use super::stream::{FileLines, each_line, open};
use super::{Options, Out, Outcome, Stop, fail, usage};
use crate::proc::{Proc, Writer, strerror, yield_now};

pub async fn sed(p: Proc) -> Outcome {
    let o = Options::of(&p, "nrEsuze:(expression)f:(file)i::(in-place)q(quiet)q(silent)").await?;
    let mut rest = o.rest.clone();
    let mut text = String::new();
    for part in o.all('e') {
        text += part;
        text.push('\n');
    }
    for file in o.all('f') {
        let Some(reader) = open(&p, file).await else { return Ok(1) };
        text += &String::from_utf8_lossy(&reader.read_to_end().await?);
        text.push('\n');
    }
    if !o.has('e') && !o.has('f') {
        if rest.is_empty() {
            return usage(&p).await;
        }
        text = rest.remove(0);
    }
    let quiet = o.has('n') || o.has('q') || text.starts_with("#n\n");
    let commands = match script::parse(&text, o.has('r') || o.has('E')) {
        Ok(commands) => commands,
        Err(why) => return fail(&p, 1, &why).await,
    };
    if rest.is_empty() {
        rest.push("-".into());
    }
    let out = Out::new(&p);
    let in_range = vec![Range::Outside; commands.len()];
    let mut editor =
        Editor { p: &p, commands: &commands, in_range, quiet, out, held: vec![], number: 0, code: 0, quit: None };
    if !o.has('i') {
        let mut input = Input::new(&p, rest);
        editor.edit(&mut input).await?;
        let code = editor.quit.unwrap_or(input.lines.code());
        return editor.out.end(code).await;
    }
    for file in rest {
        let path = p.path(&file);
        let mut input = Input::new(&p, vec![file.clone()]);
        let (sink, bytes) = Writer::capture();
        editor.out = Out::to(sink);
        editor.number = 0;
        editor.edit(&mut input).await?;
        editor.out.flush().await?;
        if input.lines.code() != 0 {
            editor.code = 1;
            continue;
        }
        // A quit leaves the rest of the file as it is.
        if editor.quit.is_some() {
            while let Some(line) = input.take(&mut editor.out).await? {
                editor.out.add(line);
            }
            editor.out.flush().await?;
        }
        if let Some(suffix) = o.get('i').filter(|s| !s.is_empty()) {
            let _ = std::fs::copy(&path, p.path(&format!("{file}{suffix}")));
        }
        let bytes = std::mem::take(&mut *bytes.borrow_mut());
        match File::create(&path) {
            Ok(new) => Writer::file(new).write_all(&bytes).await?,
            Err(error) => return fail(&p, 1, &format!("{file}: {}", strerror(&error))).await,
        }
        if editor.quit.is_some() {
            break;
        }
    }
    Ok(editor.quit.unwrap_or(editor.code))
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

    async fn fetch(&mut self, out: &mut Out) -> Result<Option<Vec<u8>>, Stop> {
        Ok(self.lines.next(out).await?.map(<[u8]>::to_vec))
    }

    async fn take(&mut self, out: &mut Out) -> Result<Option<Vec<u8>>, Stop> {
        match self.next.take() {
            Some(line) => Ok(Some(line)),
            None => self.fetch(out).await,
        }
    }

    async fn is_last(&mut self, out: &mut Out) -> Result<bool, Stop> {
        if self.next.is_none() {
            self.next = self.fetch(out).await?;
        }
        Ok(self.next.is_none())
    }
}

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
    in_range: Vec<Range>,
    quiet: bool,
    out: Out,
    held: Vec<u8>,
    number: u64,
    code: i32,
    quit: Option<i32>,
}

/// How a cycle goes on.
enum Next {
    Cycle,
    /// Without printing.
    Deleted,
    /// `D`: again, with what is left and without reading.
    Again,
    /// Whether to print first.
    Quit(bool),
}

impl Editor<'_> {
    async fn edit(&mut self, input: &mut Input<'_>) -> Result<(), Stop> {
        let needs_last = self.commands.iter().any(Command::needs_last);
        let mut space = Vec::new();
        let mut again = false;
        loop {
            if !again {
                let Some(line) = input.take(&mut self.out).await? else { return Ok(()) };
                self.number += 1;
                space = line;
            }
            let mut ended = space.last() == Some(&b'\n');
            if ended {
                space.pop();
            }
            let mut appended = Vec::new();
            let next = self.cycle(&mut space, &mut ended, input, &mut appended, needs_last).await?;
            if matches!(next, Next::Cycle | Next::Quit(true)) && !self.quiet {
                self.line(&space, ended).await?;
            }
            for text in appended {
                self.out.put(text).await?;
            }
            match next {
                Next::Quit(_) => return Ok(()),
                Next::Cycle | Next::Deleted => again = false,
                Next::Again => {
                    again = true;
                    space.push(b'\n');
                }
            }
        }
    }

    async fn line(&mut self, text: &[u8], ended: bool) -> Result<(), Stop> {
        self.out.add(text);
        Ok(self.out.put(if ended { "\n" } else { "" }).await?)
    }

    async fn cycle(
        &mut self,
        space: &mut Vec<u8>,
        ended: &mut bool,
        input: &mut Input<'_>,
        appended: &mut Vec<Vec<u8>>,
        needs_last: bool,
    ) -> Result<Next, Stop> {
        let commands = self.commands;
        let mut at = 0;
        let mut replaced = false;
        let mut steps = 0u32;
        while let Some(command) = commands.get(at) {
            steps += 1;
            if steps % 1024 == 0 {
                yield_now().await;
            }
            let last = needs_last && input.is_last(&mut self.out).await?;
            if self.selects(command, at, space, last) == command.negated {
                at = if let What::Block(end) = command.what { end } else { at + 1 };
                continue;
            }
            at += 1;
            match &command.what {
                What::Block(_) | What::Nothing => {}
                What::Substitute(s) => {
                    let Some((text, print)) = substitute(s, space) else { continue };
                    *space = text;
                    replaced = true;
                    if print {
                        self.line(space, *ended).await?;
                    }
                    if let Some(sink) = &s.file {
                        let file = self.p.path(sink);
                        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
                        if let Ok(file) = opened {
                            Writer::file(file).write_all(&[space.as_slice(), b"\n"].concat()).await?;
                        }
                    }
                }
                What::Delete => return Ok(Next::Deleted),
                What::DeleteFirst => match space.iter().position(|b| *b == b'\n') {
                    Some(end) => {
                        space.drain(..=end);
                        return Ok(Next::Again);
                    }
                    None => return Ok(Next::Deleted),
                },
                What::Print => self.line(space, true).await?,
                What::PrintFirst => {
                    let first = space.split(|b| *b == b'\n').next().unwrap_or_default();
                    self.out.add(first);
                    self.out.put("\n").await?;
                }
                What::Quit(code, print) => {
                    self.quit = Some(*code);
                    return Ok(Next::Quit(*print));
                }
                What::Number => self.out.put(format!("{}\n", self.number)).await?,
                What::Append(text) => appended.push(text.clone()),
                What::Insert(text) => self.out.put(text).await?,
                What::Change(text) => {
                    // A range is changed once, at its end.
                    if command.second.is_none() || command.negated || self.in_range.get(at - 1) == Some(&Range::Outside)
                    {
                        self.out.put(text).await?;
                    }
                    return Ok(Next::Deleted);
                }
                What::Read(file) => {
                    if let Ok(text) = std::fs::read(self.p.path(file)) {
                        appended.push(text);
                    }
                }
                What::Write(file) => {
                    let opened = std::fs::OpenOptions::new().create(true).append(true).open(self.p.path(file));
                    if let Ok(file) = opened {
                        Writer::file(file).write_all(&[space.as_slice(), b"\n"].concat()).await?;
                    }
                }
                What::Map(map) => space.iter_mut().for_each(|b| *b = map[usize::from(*b)]),
                What::Next(join) => {
                    if !join && !self.quiet {
                        self.line(space, *ended).await?;
                    }
                    for text in appended.drain(..) {
                        self.out.put(text).await?;
                    }
                    let Some(mut line) = input.take(&mut self.out).await? else {
                        // GNU and busybox print what is there when N finds no next line.
                        return Ok(if *join { Next::Cycle } else { Next::Deleted });
                    };
                    self.number += 1;
                    *ended = line.last() == Some(&b'\n');
                    if *ended {
                        line.pop();
                    }
                    if *join {
                        space.push(b'\n');
                        space.extend(line);
                    } else {
                        *space = line;
                    }
                }
                What::Get => space.clone_from(&self.held),
                What::GetAppend => {
                    space.push(b'\n');
                    space.extend_from_slice(&self.held);
                }
                What::Hold => self.held.clone_from(space),
                What::HoldAppend => {
                    self.held.push(b'\n');
                    self.held.extend_from_slice(space);
                }
                What::Exchange => std::mem::swap(space, &mut self.held),
                What::Branch(to) => at = *to,
                What::BranchIf(to, when) => {
                    if std::mem::take(&mut replaced) == *when {
                        at = *to;
                    }
                }
            }
        }
        Ok(Next::Cycle)
    }

    fn selects(&mut self, command: &Command, index: usize, space: &[u8], last: bool) -> bool {
        let number = self.number;
        let hits = |address: &Address| match address {
            Address::Line(n) => *n == number,
            Address::Last => last,
            Address::Step(first, step) if *step == 0 => number == *first,
            Address::Step(first, step) => number >= *first && (number - first) % step == 0,
            Address::Match(pattern) => pattern.is_match(space),
            Address::More(_) | Address::Multiple(_) => false,
        };
        let Some(first) = &command.first else { return true };
        let Some(second) = &command.second else { return hits(first) };
        let Some(state) = self.in_range.get_mut(index) else { return false };
        match *state {
            Range::Inside => {
                // A line number that has passed already ends the range before this line.
                if let Address::Line(n) = second {
                    if number > *n {
                        *state = Range::Outside;
                        return hits(first);
                    }
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
                    Address::Multiple(n) if *n == 0 || number % n == 0 => Range::Outside,
                    Address::Multiple(n) => Range::Until(number.div_ceil(*n) * n),
                    Address::Last if last => Range::Outside,
                    _ => Range::Inside,
                };
                true
            }
        }
    }
}

/// The text after `s`, and whether to print it; `None` when nothing matched.
fn substitute(s: &script::Substitution, text: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    let (mut from, mut copied, mut count, mut done) = (0, 0, 0, false);
    // Where the last match ended: an empty match right behind it does not count.
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
            s.fill(text, &spans, &mut out);
            copied = end;
            done = true;
            if !s.all {
                break;
            }
        }
        from = if end > start { end } else { end + 1 };
    }
    out.extend_from_slice(text.get(copied..)?);
    done.then_some((out, s.print))
}
