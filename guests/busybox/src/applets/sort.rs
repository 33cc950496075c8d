//! sort and uniq: whole inputs in order, and neighbours that are alike.

use std::cmp::Ordering;
use std::fs::File;

use super::stream::{open, open_or_cant};
use super::{Lines, Options, Out, Outcome, fail, usage};
use crate::proc::{Proc, Writer, strerror};

#[derive(Clone, Copy, Default)]
struct How {
    numeric: bool,
    human: bool,
    general: bool,
    version: bool,
    fold: bool,
    blanks: bool,
    dictionary: bool,
    reverse: bool,
}

struct Key {
    /// Field and character, 1 the first; an end at character 0 is the field's end.
    from: (usize, usize),
    to: Option<(usize, usize)>,
    how: How,
}

impl How {
    fn set(&mut self, letter: char) -> bool {
        match letter {
            'n' => self.numeric = true,
            'h' => self.human = true,
            'g' => self.general = true,
            'V' => self.version = true,
            'f' => self.fold = true,
            'b' => self.blanks = true,
            'd' => self.dictionary = true,
            'r' => self.reverse = true,
            _ => return false,
        }
        true
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let order = if self.numeric {
            number(a).0.total_cmp(&number(b).0)
        } else if self.human {
            human(a).partial_cmp(&human(b)).unwrap_or(Ordering::Equal)
        } else if self.general {
            general(a).partial_cmp(&general(b)).unwrap_or(Ordering::Equal)
        } else if self.version {
            version(a, b)
        } else if self.fold || self.dictionary {
            let kept = |x: &&u8| !self.dictionary || x.is_ascii_alphanumeric() || **x == b' ';
            let shown = |x: &u8| if self.fold { x.to_ascii_uppercase() } else { *x };
            a.iter().filter(kept).map(shown).cmp(b.iter().filter(kept).map(shown))
        } else {
            a.cmp(b)
        };
        if self.reverse { order.reverse() } else { order }
    }
}

/// The number at the beginning and what stands behind it; no number is 0.
fn number(text: &[u8]) -> (f64, &[u8]) {
    let start = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(text.len());
    let rest = &text[start..];
    let mut end = usize::from(rest.first() == Some(&b'-'));
    let mut dots = 0;
    while let Some(byte) = rest.get(end) {
        dots += usize::from(*byte == b'.');
        if !(byte.is_ascii_digit() || (*byte == b'.' && dots == 1)) {
            break;
        }
        end += 1;
    }
    let text = std::str::from_utf8(&rest[..end]).unwrap_or("");
    // Adding zero makes -0 and 0 alike.
    (text.parse::<f64>().unwrap_or(0.0) + 0.0, &rest[end..])
}

fn human(text: &[u8]) -> (i32, f64) {
    let (value, behind) = number(text);
    let unit = behind.first().and_then(|b| b"KMGTPE".iter().position(|u| *u == b.to_ascii_uppercase()));
    let rank = unit.map_or(0, |u| u as i32 + 1);
    (
        if value < 0.0 {
            -rank
        } else if value == 0.0 {
            0
        } else {
            rank
        },
        value,
    )
}

fn general(text: &[u8]) -> f64 {
    String::from_utf8_lossy(text).split_whitespace().next().and_then(|w| w.parse().ok()).unwrap_or(f64::MIN)
}

/// Runs of digits compare as numbers.
fn version(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let run = |t: &[u8]| t.iter().position(|b| !b.is_ascii_digit()).unwrap_or(t.len());
                let ((one, ra), (two, rb)) = (a.split_at(run(a)), b.split_at(run(b)));
                let bare = |t: &[u8]| t[t.iter().position(|b| *b != b'0').unwrap_or(t.len())..].to_vec();
                let (one, two) = (bare(one), bare(two));
                match one.len().cmp(&two.len()).then_with(|| one.cmp(&two)) {
                    Ordering::Equal => (a, b) = (ra, rb),
                    order => return order,
                }
            }
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

fn key(text: &str) -> Option<Key> {
    let mut how = How::default();
    let mut place = |text: &str, default: usize| -> Option<(usize, usize)> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        for letter in text[digits.len()..].chars() {
            if !how.set(letter) {
                return None;
            }
        }
        match digits.split_once('.') {
            None => Some((digits.parse().ok()?, default)),
            Some((field, c)) => Some((field.parse().ok()?, c.parse().ok()?)),
        }
    };
    let (from, to) = match text.split_once(',') {
        None => (place(text, 1)?, None),
        Some((from, to)) => (place(from, 1)?, Some(place(to, 0)?)),
    };
    (from.0 > 0 && to.is_none_or(|t| t.0 > 0)).then_some(Key { from, to, how })
}

/// Where field `n` begins and ends. Without a separator a field begins with its blanks.
fn field(line: &[u8], n: usize, separator: Option<u8>) -> (usize, usize) {
    let mut at = 0;
    for i in 1.. {
        let start = at;
        let end = match separator {
            Some(s) => line[at..].iter().position(|b| *b == s).map_or(line.len(), |e| at + e),
            None => {
                let blanks = line[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                let word = line[at + blanks..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
                at + blanks + word
            }
        };
        if i == n {
            return (start, end);
        }
        if end >= line.len() {
            break;
        }
        at = end + usize::from(separator.is_some());
    }
    (line.len(), line.len())
}

impl Key {
    fn of<'a>(&self, line: &'a [u8], separator: Option<u8>, blanks: bool) -> &'a [u8] {
        let (mut from, end) = field(line, self.from.0, separator);
        let skip = |at: usize| line[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blanks {
            from = (from + skip(from)).min(end.max(from));
        }
        from = (from + self.from.1.max(1) - 1).min(line.len());
        let to = match self.to {
            None => line.len(),
            Some((n, 0)) => field(line, n, separator).1,
            Some((n, c)) => {
                let (start, _) = field(line, n, separator);
                (start + if blanks { skip(start) } else { 0 } + c).min(line.len())
            }
        };
        line.get(from..to.max(from)).unwrap_or_default()
    }
}

pub async fn sort(p: Proc) -> Outcome {
    let o = Options::of(&p, "nhgVfbdriuscmzMo:t:k:S:T:").await?;
    let mut all = How::default();
    "nhgVfbdr".chars().filter(|c| o.has(*c)).for_each(|c| {
        all.set(c);
    });
    let separator = o.get('t').and_then(|t| if t == "\\0" { Some(0) } else { t.bytes().next() });
    let mut keys = Vec::new();
    for text in o.all('k') {
        match key(text) {
            Some(key) => keys.push(key),
            None => return fail(&p, 2, "bad field specification").await,
        }
    }
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut out = Out::new(&p);
    let end = if o.has('z') { 0 } else { b'\n' };
    for file in o.files() {
        let Some(reader) = open(&p, &file).await else { return Ok(2) };
        let mut input = Lines::split_by(reader, end);
        while let Some(line) = input.bare(&mut out).await? {
            lines.push(line.to_vec());
        }
    }
    let by_keys = |a: &[u8], b: &[u8]| {
        if keys.is_empty() {
            return all.compare(a, b);
        }
        for key in &keys {
            let own = key.how;
            let plain = !(own.numeric
                || own.human
                || own.general
                || own.version
                || own.fold
                || own.dictionary
                || own.reverse
                || own.blanks);
            let how = if plain { all } else { own };
            let blanks = how.blanks;
            match how.compare(key.of(a, separator, blanks), key.of(b, separator, blanks)) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        Ordering::Equal
    };
    let full = |a: &Vec<u8>, b: &Vec<u8>| {
        by_keys(a, b).then_with(|| {
            if o.has('s') || o.has('u') {
                return Ordering::Equal;
            }
            // The last resort is the whole line, in the whole command's direction.
            let order = a.cmp(b);
            if all.reverse { order.reverse() } else { order }
        })
    };
    if o.has('c') {
        for (i, pair) in lines.windows(2).enumerate() {
            let [one, two] = pair else { continue };
            let order = full(one, two);
            if order == Ordering::Greater || (o.has('u') && order == Ordering::Equal) {
                let line = format!("Check line {}\n", i + 2);
                let _ = p.stderr.write_all(line.as_bytes()).await;
                return Ok(1);
            }
        }
        return Ok(0);
    }
    lines.sort_by(full);
    if o.has('u') {
        lines.dedup_by(|b, a| by_keys(a, b) == Ordering::Equal);
    }
    if let Some(file) = o.get('o') {
        match File::create(p.path(file)) {
            Ok(file) => out = Out::to(Writer::file(file)),
            Err(error) => return fail(&p, 2, &format!("{file}: {}", strerror(&error))).await,
        }
    }
    for line in lines {
        out.add(line);
        out.put([end]).await?;
    }
    out.end(0).await
}

pub async fn uniq(p: Proc) -> Outcome {
    let o = Options::of(&p, "cduziDf:s:w:").await?;
    if o.rest.len() > 2 {
        return usage(&p).await;
    }
    let fields = o.number(&p, 'f').await?.unwrap_or(0);
    let skip = o.number(&p, 's').await?.unwrap_or(0) as usize;
    let most = o.number(&p, 'w').await?.unwrap_or(u64::MAX) as usize;
    let Some(reader) = open_or_cant(&p, o.operand(0).unwrap_or("-")).await else { return Ok(1) };
    let mut out = Out::new(&p);
    if let Some(file) = o.operand(1).filter(|f| *f != "-") {
        match File::create(p.path(file)) {
            Ok(file) => out = Out::to(Writer::file(file)),
            Err(error) => return fail(&p, 1, &format!("can't open '{file}': {}", strerror(&error))).await,
        }
    }
    let compared = |line: &[u8]| {
        let mut rest = line;
        for _ in 0..fields {
            let blanks = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let word = rest[blanks..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
            rest = &rest[blanks + word..];
        }
        let rest = rest.get(skip..).unwrap_or_default();
        let mut kept = rest.get(..most.min(rest.len())).unwrap_or_default().to_vec();
        if o.has('i') {
            kept.make_ascii_lowercase();
        }
        kept
    };
    let mut lines = Lines::split_by(reader, if o.has('z') { 0 } else { b'\n' });
    let mut held: Option<(Vec<u8>, Vec<u8>, u64)> = None;
    loop {
        let line = lines.bare(&mut out).await?.map(<[u8]>::to_vec);
        let key = line.as_ref().map(|l| compared(l));
        if let (Some((_, old, count)), Some(key)) = (&mut held, &key) {
            if old == key {
                *count += 1;
                continue;
            }
        }
        if let Some((text, _, count)) = held.take() {
            if !(o.has('d') && count == 1 || o.has('u') && count > 1) {
                if o.has('c') {
                    out.add(format!("{count:7} "));
                }
                out.add(text);
                out.put("\n").await?;
            }
        }
        match (line, key) {
            (Some(line), Some(key)) => held = Some((line, key, 1)),
            _ => return out.end(0).await,
        }
    }
}
