//! POSIX regular expressions over bytes: compiled to a small program and run by a backtracker that
//! visits each (choice, position) once, so that time stays linear in the text; only patterns with
//! back-references may take longer, up to a bound. Finds the leftmost-longest match.

mod parse;

pub use parse::class_test;

use std::cell::RefCell;

/// How much of the surrounding text a match must fill.
#[derive(Clone, Copy, PartialEq)]
pub enum Fill {
    Any,
    Word,
    Line,
}

/// A set of bytes.
pub type Set = [u64; 4];

fn set_has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

fn set_add(set: &mut Set, byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

/// What must hold between two bytes.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Start,
    End,
    Word,
    NotWord,
    WordStart,
    WordEnd,
    /// No word byte before; none after.
    NoWordBefore,
    NoWordAfter,
}

enum Step {
    Byte(u8),
    Any,
    Set(usize),
    /// First choice, second choice, number of this choice.
    Split(usize, usize, usize),
    Jump(usize),
    Save(usize),
    Edge(Edge),
    Back(usize),
    Match,
}

/// A compiled expression.
pub struct Pattern {
    steps: Vec<Step>,
    sets: Vec<Set>,
    splits: usize,
    /// Groups, the whole match included.
    groups: usize,
    ignore_case: bool,
    has_back: bool,
    /// The bytes a match can begin with, when it can't be empty.
    first: Option<Set>,
    /// Set when the expression is plain text.
    literal: Option<Vec<u8>>,
    scratch: RefCell<Scratch>,
}

#[derive(Default)]
struct Scratch {
    visited: Vec<u64>,
    stack: Vec<Undo>,
}

enum Undo {
    Try(usize, usize),
    Restore(usize, usize),
}

/// Start and end of each group; `NONE` where a group took no part.
pub type Spans = Vec<usize>;
pub const NONE: usize = usize::MAX;

/// A pattern with back-references gives up after this many steps.
const PATIENCE: usize = 2_000_000;

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

impl Pattern {
    /// Compiles a basic or extended expression.
    pub fn new(text: &[u8], extended: bool, ignore_case: bool, fill: Fill) -> Result<Pattern, &'static str> {
        parse::compile(parse::tree(text, extended)?, ignore_case, fill)
    }

    /// Compiles text that stands for itself.
    pub fn literal(text: &[u8], ignore_case: bool, fill: Fill) -> Result<Pattern, &'static str> {
        parse::compile(parse::literal(text), ignore_case, fill)
    }

    /// Groups in the expression, the whole match not counted.
    pub fn groups(&self) -> usize {
        self.groups - 1
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        self.search(text, 0, true).is_some()
    }

    /// The leftmost-longest match that begins at `from` or behind it.
    pub fn find(&self, text: &[u8], from: usize) -> Option<Spans> {
        self.search(text, from, false)
    }

    fn search(&self, text: &[u8], from: usize, any: bool) -> Option<Spans> {
        if let Some(literal) = &self.literal {
            let at = from + find_bytes(text.get(from..)?, literal)?;
            return Some(vec![at, at + literal.len()]);
        }
        let scratch = &mut *self.scratch.borrow_mut();
        // One mark per choice and position; kept over all starts, since what failed once fails again.
        let width = text.len() + 1 - from.min(text.len());
        scratch.visited.clear();
        if !self.has_back {
            scratch.visited.resize((self.splits * width).div_ceil(64), 0);
        }
        let anchored = matches!(self.steps.get(1), Some(Step::Edge(Edge::Start)));
        let mut patience = PATIENCE;
        for start in from..=text.len() {
            if anchored && start > 0 {
                return None;
            }
            if let Some(first) = &self.first {
                match text.get(start) {
                    Some(byte) if set_has(first, *byte) => {}
                    _ => continue,
                }
            }
            if let Some(spans) = self.run(text, from, start, any, scratch, &mut patience) {
                return Some(spans);
            }
        }
        None
    }

    fn run(
        &self,
        text: &[u8],
        from: usize,
        start: usize,
        any: bool,
        scratch: &mut Scratch,
        patience: &mut usize,
    ) -> Option<Spans> {
        let width = text.len() + 1 - from;
        let mut spans = vec![NONE; self.groups * 2];
        let mut best: Option<Spans> = None;
        scratch.stack.clear();
        scratch.stack.push(Undo::Try(0, start));
        while let Some(undo) = scratch.stack.pop() {
            let (mut pc, mut at) = match undo {
                Undo::Try(pc, at) => (pc, at),
                Undo::Restore(slot, value) => {
                    spans[slot] = value;
                    continue;
                }
            };
            loop {
                *patience = patience.saturating_sub(usize::from(self.has_back));
                if *patience == 0 {
                    return best;
                }
                match &self.steps[pc] {
                    Step::Byte(b) if text.get(at) == Some(b) => at += 1,
                    Step::Any if at < text.len() => at += 1,
                    Step::Set(set) if text.get(at).is_some_and(|b| set_has(&self.sets[*set], *b)) => at += 1,
                    Step::Byte(_) | Step::Any | Step::Set(_) => break,
                    Step::Jump(to) => {
                        pc = *to;
                        continue;
                    }
                    Step::Split(one, two, number) => {
                        if !self.has_back {
                            let bit = number * width + at - from;
                            let word = &mut scratch.visited[bit / 64];
                            if *word >> (bit % 64) & 1 == 1 {
                                break;
                            }
                            *word |= 1 << (bit % 64);
                        }
                        scratch.stack.push(Undo::Try(*two, at));
                        pc = *one;
                        continue;
                    }
                    Step::Save(slot) => {
                        scratch.stack.push(Undo::Restore(*slot, spans[*slot]));
                        spans[*slot] = at;
                    }
                    Step::Edge(edge) if holds(*edge, text, at) => {}
                    Step::Edge(_) => break,
                    Step::Back(group) => {
                        let (a, b) = (spans[group * 2], spans[group * 2 + 1]);
                        let Some(said) = text.get(a..b) else { break };
                        match text.get(at..at + said.len()) {
                            Some(now) if now == said => {}
                            Some(now) if self.ignore_case && now.eq_ignore_ascii_case(said) => {}
                            _ => break,
                        }
                        at += said.len();
                    }
                    Step::Match => {
                        if best.as_ref().is_none_or(|b| at > b[1]) {
                            best = Some(spans.clone());
                        }
                        if any || at == text.len() {
                            return best;
                        }
                        break;
                    }
                }
                pc += 1;
            }
        }
        best
    }
}

fn holds(edge: Edge, text: &[u8], at: usize) -> bool {
    let before = at > 0 && is_word(text.get(at - 1));
    let after = is_word(text.get(at));
    match edge {
        Edge::Start => at == 0,
        Edge::End => at == text.len(),
        Edge::Word => before != after,
        Edge::NotWord => before == after,
        Edge::WordStart => !before && after,
        Edge::WordEnd => before && !after,
        Edge::NoWordBefore => !before,
        Edge::NoWordAfter => !after,
    }
}

/// The first place of `needle` in `text`.
pub fn find_bytes(text: &[u8], needle: &[u8]) -> Option<usize> {
    let Some((first, rest)) = needle.split_first() else { return Some(0) };
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|b| b == first)?;
        if text.get(at + 1..)?.starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// A shell pattern (`*`, `?`, `[...]`) against a whole name.
pub fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let mut expression = vec![b'^'];
    let mut i = 0;
    while let Some(byte) = pattern.get(i) {
        i += 1;
        match byte {
            b'*' => expression.extend(b".*"),
            b'?' => expression.push(b'.'),
            b'[' if pattern.get(i + 1..).is_some_and(|r| r.contains(&b']')) => {
                let end = i + 1 + pattern[i + 1..].iter().position(|b| *b == b']').unwrap_or(0);
                let mut inner = pattern[i..end].to_vec();
                if inner.first() == Some(&b'!') {
                    inner[0] = b'^';
                }
                expression.push(b'[');
                expression.extend(inner);
                expression.push(b']');
                i = end + 1;
            }
            b'\\' if i < pattern.len() => {
                quote(pattern[i], &mut expression);
                i += 1;
            }
            byte => quote(*byte, &mut expression),
        }
    }
    expression.push(b'$');
    Pattern::new(&expression, false, false, Fill::Any).is_ok_and(|p| p.is_match(name))
}

fn quote(byte: u8, into: &mut Vec<u8>) {
    if b"\\.*[]^$".contains(&byte) {
        into.push(b'\\');
    }
    into.push(byte);
}
