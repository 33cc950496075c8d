//! Compiles expressions: from text to a tree, and from the tree to a program.

use std::cell::RefCell;

use super::{Edge, Extent, Pattern, Set, Step, set_add, set_has};

/// A node of the tree.
pub enum Node {
    Byte(u8),
    Any,
    Set(Set),
    Edge(Edge),
    Back(usize),
    Group(usize, Box<Node>),
    All(Vec<Node>),
    Either(Vec<Node>),
    Repeat(Box<Node>, usize, Option<usize>),
}

/// The largest program; `a{1000}{1000}` exceeds it.
const MAX_STEPS: usize = 50_000;

pub fn literal(text: &[u8]) -> Node {
    Node::All(text.iter().map(|b| Node::Byte(*b)).collect())
}

pub fn tree(text: &[u8], extended: bool) -> Result<Node, &'static str> {
    let mut parser = Parser { text, at: 0, extended, groups: 0, depth: 0 };
    let node = parser.parse_either()?;
    if parser.at < text.len() {
        return Err("Unmatched ) or \\)");
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
    groups: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Whether the operator `op` follows: unescaped in extended expressions, escaped in basic ones.
    fn is_op(&self, op: u8) -> bool {
        if self.extended { self.peek(0) == Some(op) } else { self.peek(0) == Some(b'\\') && self.peek(1) == Some(op) }
    }

    fn take_op(&mut self, op: u8) -> bool {
        let found = self.is_op(op);
        if found {
            self.at += if self.extended { 1 } else { 2 };
        }
        found
    }

    fn parse_either(&mut self) -> Result<Node, &'static str> {
        let mut choices = vec![self.parse_sequence()?];
        while self.take_op(b'|') {
            choices.push(self.parse_sequence()?);
        }
        Ok(if choices.len() == 1 { choices.remove(0) } else { Node::Either(choices) })
    }

    fn parse_sequence(&mut self) -> Result<Node, &'static str> {
        let mut parts: Vec<Node> = Vec::new();
        // Whether a `*` is literal here, as at the beginning of a basic expression.
        let mut fresh = true;
        while let Some(byte) = self.peek(0) {
            if self.is_op(b'|') || (self.is_op(b')') && (self.depth > 0 || !self.extended)) {
                break;
            }
            let part = self.parse_atom(byte, fresh)?;
            fresh = matches!(part, Node::Edge(Edge::Start)) && !self.extended;
            let part = if fresh { part } else { self.parse_repetition(part)? };
            parts.push(part);
        }
        Ok(Node::All(parts))
    }

    fn parse_repetition(&mut self, mut part: Node) -> Result<Node, &'static str> {
        loop {
            let (min, max) = if self.peek(0) == Some(b'*') {
                self.at += 1;
                (0, None)
            } else if self.take_op(b'+') {
                (1, None)
            } else if self.take_op(b'?') {
                (0, Some(1))
            } else if self.is_op(b'{') {
                match self.parse_interval() {
                    Some(bounds) => bounds,
                    None if self.extended => return Ok(part),
                    None => return Err("Invalid content of \\{\\}"),
                }
            } else {
                return Ok(part);
            };
            part = Node::Repeat(Box::new(part), min, max);
        }
    }

    fn parse_interval(&mut self) -> Option<(usize, Option<usize>)> {
        let open = if self.extended { 1 } else { 2 };
        let rest = self.text.get(self.at + open..)?;
        let length = rest.iter().position(|b| *b == b'}')?;
        let inner = std::str::from_utf8(rest.get(..length)?).ok()?;
        let inner = if self.extended { inner } else { inner.strip_suffix('\\')? };
        let bounds = match inner.split_once(',') {
            None => {
                let n = inner.parse().ok()?;
                (n, Some(n))
            }
            Some(("", most)) => (0, Some(most.parse().ok()?)),
            Some((least, "")) => (least.parse().ok()?, None),
            Some((least, most)) => (least.parse().ok()?, Some(most.parse().ok()?)),
        };
        if bounds.0 > 1000 || bounds.1.is_some_and(|m| m > 1000 || m < bounds.0) {
            return None;
        }
        self.at += open + length + 1;
        Some(bounds)
    }

    fn parse_atom(&mut self, byte: u8, fresh: bool) -> Result<Node, &'static str> {
        if self.take_op(b'(') {
            self.groups += 1;
            self.depth += 1;
            let number = self.groups;
            let inner = self.parse_either()?;
            if !self.take_op(b')') {
                return Err("Unmatched ( or \\(");
            }
            self.depth -= 1;
            return Ok(Node::Group(number, Box::new(inner)));
        }
        self.at += 1;
        Ok(match byte {
            b'.' => Node::Any,
            b'[' => Node::Set(self.parse_set()?),
            b'^' if self.extended || fresh => Node::Edge(Edge::Start),
            b'$' if self.extended || self.at == self.text.len() || self.is_op(b')') || self.is_op(b'|') => {
                Node::Edge(Edge::End)
            }
            b'\\' => self.parse_escape()?,
            byte => Node::Byte(byte),
        })
    }

    fn parse_escape(&mut self) -> Result<Node, &'static str> {
        let byte = self.peek(0).ok_or("Trailing backslash")?;
        self.at += 1;
        Ok(match byte {
            b'1'..=b'9' => {
                let group = usize::from(byte - b'0');
                if group > self.groups {
                    return Err("Invalid back reference");
                }
                Node::Back(group)
            }
            b'n' => Node::Byte(b'\n'),
            b't' => Node::Byte(b'\t'),
            b'r' => Node::Byte(b'\r'),
            b'w' => Node::Set(class_set(b"_", "alnum", false)),
            b'W' => Node::Set(class_set(b"_", "alnum", true)),
            b's' => Node::Set(class_set(b"", "space", false)),
            b'S' => Node::Set(class_set(b"", "space", true)),
            b'b' => Node::Edge(Edge::Word),
            b'B' => Node::Edge(Edge::NotWord),
            b'<' => Node::Edge(Edge::WordStart),
            b'>' => Node::Edge(Edge::WordEnd),
            b'`' => Node::Edge(Edge::Start),
            b'\'' => Node::Edge(Edge::End),
            byte => Node::Byte(byte),
        })
    }

    fn parse_set(&mut self) -> Result<Set, &'static str> {
        const UNMATCHED: &str = "Unmatched [, [^, [:, [., or [=";
        let mut set = [0; 4];
        let negated = self.peek(0) == Some(b'^');
        self.at += usize::from(negated);
        let mut first = true;
        loop {
            let byte = self.peek(0).ok_or(UNMATCHED)?;
            if byte == b']' && !first {
                self.at += 1;
                break;
            }
            first = false;
            if byte == b'[' && matches!(self.peek(1), Some(b':' | b'.' | b'=')) {
                let kind = self.peek(1).unwrap_or(b':');
                let rest = self.text.get(self.at + 2..).unwrap_or_default();
                let end = super::find_bytes(rest, &[kind, b']']).ok_or(UNMATCHED)?;
                let name = std::str::from_utf8(&rest[..end]).unwrap_or_default();
                self.at += end + 4;
                if kind == b':' {
                    if !add_class(&mut set, name) {
                        return Err("Invalid character class name");
                    }
                } else {
                    name.bytes().for_each(|b| set_add(&mut set, b));
                }
                continue;
            }
            self.at += 1;
            match (self.peek(0), self.peek(1)) {
                (Some(b'-'), Some(end)) if end != b']' => {
                    self.at += 2;
                    if end < byte {
                        return Err("Invalid range end");
                    }
                    (byte..=end).for_each(|b| set_add(&mut set, b));
                }
                _ => set_add(&mut set, byte),
            }
        }
        Ok(if negated { set.map(|w: u64| !w) } else { set })
    }
}

fn class_set(extra: &[u8], name: &str, negated: bool) -> Set {
    let mut set = [0; 4];
    extra.iter().for_each(|b| set_add(&mut set, *b));
    add_class(&mut set, name);
    if negated { set.map(|w| !w) } else { set }
}

fn add_class(set: &mut Set, name: &str) -> bool {
    let Some(test) = class_test(name) else { return false };
    (0..=127).filter(test).for_each(|b| set_add(set, b));
    true
}

/// Returns the test of `[:name:]`.
pub fn class_test(name: &str) -> Option<fn(&u8) -> bool> {
    Some(match name {
        "alpha" => u8::is_ascii_alphabetic,
        "digit" => u8::is_ascii_digit,
        "alnum" => u8::is_ascii_alphanumeric,
        "upper" => u8::is_ascii_uppercase,
        "lower" => u8::is_ascii_lowercase,
        "space" => |b| b.is_ascii_whitespace() || *b == 11,
        "blank" => |b| matches!(b, b' ' | b'\t'),
        "punct" => u8::is_ascii_punctuation,
        "print" => |b| matches!(b, 32..=126),
        "graph" => u8::is_ascii_graphic,
        "cntrl" => u8::is_ascii_control,
        "xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

pub fn compile(node: Node, ignore_case: bool, extent: Extent) -> Result<Pattern, &'static str> {
    let literal = match (&node, extent) {
        (Node::All(parts), Extent::Any) if !ignore_case => {
            parts.iter().map(|n| if let Node::Byte(b) = n { Some(*b) } else { None }).collect::<Option<Vec<u8>>>()
        }
        _ => None,
    };
    let node = match extent {
        Extent::Any => node,
        Extent::Line => Node::All(vec![Node::Edge(Edge::Start), node, Node::Edge(Edge::End)]),
        Extent::Word => Node::All(vec![Node::Edge(Edge::NoWordBefore), node, Node::Edge(Edge::NoWordAfter)]),
    };
    let mut first = [0; 4];
    let may_be_empty = add_first_bytes(&node, ignore_case, &mut first);
    let mut pattern = Pattern {
        steps: vec![],
        sets: vec![],
        splits: 0,
        groups: 1,
        ignore_case,
        has_back: false,
        first: (!may_be_empty).then_some(first),
        literal,
        scratch: RefCell::default(),
    };
    pattern.steps.push(Step::Save(0));
    pattern.emit(&node)?;
    pattern.steps.push(Step::Save(1));
    pattern.steps.push(Step::Match);
    Ok(pattern)
}

fn fold_case(set: &Set) -> Set {
    let mut out = *set;
    for b in 0..=127u8 {
        if set_has(set, b) {
            set_add(&mut out, b.to_ascii_lowercase());
            set_add(&mut out, b.to_ascii_uppercase());
        }
    }
    out
}

/// Adds the bytes that a match of `node` can begin with; true if it can be empty.
fn add_first_bytes(node: &Node, ignore_case: bool, set: &mut Set) -> bool {
    let fold = |s: &Set| if ignore_case { fold_case(s) } else { *s };
    let mut add = |s: Set| set.iter_mut().zip(s).for_each(|(a, b)| *a |= b);
    match node {
        Node::Byte(b) => {
            let mut one = [0; 4];
            set_add(&mut one, *b);
            add(fold(&one));
            false
        }
        Node::Any => {
            add([u64::MAX; 4]);
            false
        }
        Node::Set(s) => {
            add(fold(s));
            false
        }
        Node::Edge(_) => true,
        Node::Back(_) => {
            add([u64::MAX; 4]);
            true
        }
        Node::Group(_, inner) => add_first_bytes(inner, ignore_case, set),
        Node::All(parts) => parts.iter().all(|n| add_first_bytes(n, ignore_case, set)),
        Node::Either(parts) => {
            let mut can_be_empty = false;
            for part in parts {
                can_be_empty |= add_first_bytes(part, ignore_case, set);
            }
            can_be_empty
        }
        Node::Repeat(inner, min, _) => add_first_bytes(inner, ignore_case, set) || *min == 0,
    }
}

impl Pattern {
    fn emit(&mut self, node: &Node) -> Result<(), &'static str> {
        if self.steps.len() > MAX_STEPS {
            return Err("Regular expression too big");
        }
        match node {
            Node::Byte(b) if self.ignore_case && b.is_ascii_alphabetic() => {
                let mut set = [0; 4];
                set_add(&mut set, *b);
                self.emit_set(&set);
            }
            Node::Byte(b) => self.steps.push(Step::Byte(*b)),
            Node::Any => self.steps.push(Step::Any),
            Node::Set(set) => self.emit_set(set),
            Node::Edge(edge) => self.steps.push(Step::Edge(*edge)),
            Node::Back(group) => {
                self.has_back = true;
                self.steps.push(Step::Back(*group));
            }
            Node::Group(number, inner) => {
                self.groups = self.groups.max(number + 1);
                self.steps.push(Step::Save(number * 2));
                self.emit(inner)?;
                self.steps.push(Step::Save(number * 2 + 1));
            }
            Node::All(parts) => {
                for part in parts {
                    self.emit(part)?;
                }
            }
            Node::Either(parts) => self.emit_either(parts)?,
            Node::Repeat(inner, min, max) => self.emit_repeat(inner, *min, *max)?,
        }
        Ok(())
    }

    fn emit_either(&mut self, parts: &[Node]) -> Result<(), &'static str> {
        let mut ends = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            if i + 1 == parts.len() {
                self.emit(part)?;
                break;
            }
            let split = self.split();
            self.emit(part)?;
            ends.push(self.steps.len());
            self.steps.push(Step::Jump(0));
            self.patch(split, self.steps.len());
        }
        for end in ends {
            self.steps[end] = Step::Jump(self.steps.len());
        }
        Ok(())
    }

    fn emit_repeat(&mut self, inner: &Node, min: usize, max: Option<usize>) -> Result<(), &'static str> {
        for _ in 0..min {
            self.emit(inner)?;
        }
        let Some(max) = max else {
            let split = self.split();
            self.emit(inner)?;
            self.steps.push(Step::Jump(split));
            self.patch(split, self.steps.len());
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.split());
            self.emit(inner)?;
        }
        for split in splits {
            self.patch(split, self.steps.len());
        }
        Ok(())
    }

    fn emit_set(&mut self, set: &Set) {
        let set = if self.ignore_case { fold_case(set) } else { *set };
        let known = self.sets.iter().position(|s| *s == set);
        self.steps.push(Step::Set(known.unwrap_or(self.sets.len())));
        if known.is_none() {
            self.sets.push(set);
        }
    }

    /// Emits a choice between the next step and one that `patch` sets.
    fn split(&mut self) -> usize {
        let at = self.steps.len();
        self.steps.push(Step::Split(at + 1, 0, self.splits));
        self.splits += 1;
        at
    }

    fn patch(&mut self, split: usize, to: usize) {
        if let Some(Step::Split(_, two, _)) = self.steps.get_mut(split) {
            *two = to;
        }
    }
}
