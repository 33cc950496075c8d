//! POSIX regular expressions over bytes, leftmost-longest: compiled to a small program and run by a backtracker.
//!
//! The backtracker visits each pair of choice and position once, so that time is linear in the text. Patterns with
//! back-references may take longer, up to a bound.

mod parse;

pub use parse::class_test;

use std::cell::RefCell;

/// The text that a match must cover.
#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
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

/// A condition between two bytes.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Start,
    End,
    Word,
    NotWord,
    WordStart,
    WordEnd,
    /// No word byte before, or after.
    NoWordBefore,
    NoWordAfter,
}

enum Step {
    Byte(u8),
    Any,
    Set(usize),
    /// First alternative, second alternative, and the number of this choice.
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
    /// Number of groups, including the whole match.
    groups: usize,
    ignore_case: bool,
    has_back: bool,
    /// The bytes that a match can begin with, unless it can be empty.
    first: Option<Set>,
    /// The text, where the expression is plain text.
    literal: Option<Vec<u8>>,
    scratch: RefCell<Scratch>,
}

/// The state of a search, kept for the next one.
#[derive(Default)]
struct Scratch {
    /// One mark per choice and position; kept over all starts of a search, since what failed once fails again.
    visited: Vec<u64>,
    stack: Vec<Undo>,
    /// The first position of the search, and the number of positions.
    from: usize,
    width: usize,
    /// Remaining steps of a pattern with back-references.
    steps_left: usize,
}

enum Undo {
    Try(usize, usize),
    Restore(usize, usize),
}

/// Start and end of each group; `NONE` for a group that took no part.
pub type Spans = Vec<usize>;
pub const NONE: usize = usize::MAX;

/// The most steps of a pattern with back-references.
const MAX_BACKREFERENCE_STEPS: usize = 2_000_000;

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

impl Pattern {
    /// Compiles a basic or extended expression.
    pub fn new(text: &[u8], extended: bool, ignore_case: bool, extent: Extent) -> Result<Pattern, &'static str> {
        parse::compile(parse::tree(text, extended)?, ignore_case, extent)
    }

    /// Compiles literal text.
    pub fn literal(text: &[u8], ignore_case: bool, extent: Extent) -> Result<Pattern, &'static str> {
        parse::compile(parse::literal(text), ignore_case, extent)
    }

    /// Returns the number of groups, without the whole match.
    pub fn groups(&self) -> usize {
        self.groups - 1
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        self.search(text, 0, true).is_some()
    }

    /// Returns the leftmost-longest match that begins at or after `from`.
    pub fn find(&self, text: &[u8], from: usize) -> Option<Spans> {
        self.search(text, from, false)
    }

    fn search(&self, text: &[u8], from: usize, any: bool) -> Option<Spans> {
        if let Some(literal) = &self.literal {
            let at = from + find_bytes(text.get(from..)?, literal)?;
            return Some(vec![at, at + literal.len()]);
        }
        let scratch = &mut *self.scratch.borrow_mut();
        scratch.from = from;
        scratch.width = text.len() + 1 - from.min(text.len());
        scratch.steps_left = MAX_BACKREFERENCE_STEPS;
        scratch.visited.clear();
        if !self.has_back {
            scratch.visited.resize((self.splits * scratch.width).div_ceil(64), 0);
        }
        let anchored = matches!(self.steps.get(1), Some(Step::Edge(Edge::Start)));
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
            if let Some(spans) = self.run(text, start, any, scratch) {
                return Some(spans);
            }
        }
        None
    }

    /// Returns the longest match that begins at `start`, or the first one where `any` will do.
    fn run(&self, text: &[u8], start: usize, any: bool, scratch: &mut Scratch) -> Option<Spans> {
        let mut spans = vec![NONE; self.groups * 2];
        let mut best: Option<Spans> = None;
        scratch.stack.clear();
        scratch.stack.push(Undo::Try(0, start));
        while let Some(undo) = scratch.stack.pop() {
            let (pc, at) = match undo {
                Undo::Try(pc, at) => (pc, at),
                Undo::Restore(slot, value) => {
                    spans[slot] = value;
                    continue;
                }
            };
            let Some(end) = self.follow(pc, at, text, &mut spans, scratch) else {
                if scratch.steps_left == 0 {
                    return best;
                }
                continue;
            };
            if best.as_ref().is_none_or(|b| end > b[1]) {
                best = Some(spans.clone());
            }
            if any || end == text.len() {
                return best;
            }
        }
        best
    }

    /// Follows the steps from `pc` at `at` and pushes the alternatives. Returns the end of a match; `None` when a step
    /// fails or no steps are left.
    fn follow(
        &self,
        mut pc: usize,
        mut at: usize,
        text: &[u8],
        spans: &mut Spans,
        scratch: &mut Scratch,
    ) -> Option<usize> {
        loop {
            scratch.steps_left = scratch.steps_left.saturating_sub(usize::from(self.has_back));
            if scratch.steps_left == 0 {
                return None;
            }
            match &self.steps[pc] {
                Step::Byte(b) if text.get(at) == Some(b) => at += 1,
                Step::Any if at < text.len() => at += 1,
                Step::Set(set) if text.get(at).is_some_and(|b| set_has(&self.sets[*set], *b)) => at += 1,
                Step::Byte(_) | Step::Any | Step::Set(_) => return None,
                Step::Jump(to) => {
                    pc = *to;
                    continue;
                }
                Step::Split(one, two, number) => {
                    if !self.has_back && scratch.visit(*number, at) {
                        return None;
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
                Step::Edge(_) => return None,
                Step::Back(group) => {
                    let group = text.get(spans[group * 2]..spans[group * 2 + 1])?;
                    let same = text.get(at..at + group.len())?;
                    if same != group && !(self.ignore_case && same.eq_ignore_ascii_case(group)) {
                        return None;
                    }
                    at += group.len();
                }
                Step::Match => return Some(at),
            }
            pc += 1;
        }
    }
}

impl Scratch {
    /// Marks a choice at a position as visited; returns whether it already was.
    fn visit(&mut self, choice: usize, at: usize) -> bool {
        let bit = choice * self.width + at - self.from;
        let word = &mut self.visited[bit / 64];
        let visited = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        visited
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

/// Returns the first position of `needle` in `text`.
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

/// Matches a whole name with a shell pattern (`*`, `?`, `[...]`).
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
    Pattern::new(&expression, false, false, Extent::Any).is_ok_and(|p| p.is_match(name))
}

fn quote(byte: u8, into: &mut Vec<u8>) {
    if b"\\.*[]^$".contains(&byte) {
        into.push(b'\\');
    }
    into.push(byte);
}
