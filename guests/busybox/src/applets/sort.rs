//! sort and uniq.

use std::cmp::Ordering;
use std::fs::File;

use super::stream::{open, open_like_cat};
use super::{Lines, Options, Outcome, Output, fail, usage};
use crate::proc::{Proc, Writer, strerror};

/// The letters that choose how keys compare.
#[derive(Clone, Copy, Default, PartialEq)]
struct KeyOptions {
    numeric: bool,
    human: bool,
    general: bool,
    version: bool,
    fold: bool,
    blanks: bool,
    dictionary: bool,
    reverse: bool,
}

/// A key of `-k`.
struct Key {
    /// Field and character, counted from 1; an end at character 0 is the field's end.
    from: (usize, usize),
    to: Option<(usize, usize)>,
    options: KeyOptions,
}

impl KeyOptions {
    /// Sets the option of this letter; false if there is none.
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
            parse_number(a).0.total_cmp(&parse_number(b).0)
        } else if self.human {
            parse_human_number(a).partial_cmp(&parse_human_number(b)).unwrap_or(Ordering::Equal)
        } else if self.general {
            parse_general_number(a).partial_cmp(&parse_general_number(b)).unwrap_or(Ordering::Equal)
        } else if self.version {
            compare_versions(a, b)
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

/// Returns the number at the beginning, 0 without one, and the text behind it.
fn parse_number(text: &[u8]) -> (f64, &[u8]) {
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

fn parse_human_number(text: &[u8]) -> (i32, f64) {
    let (value, behind) = parse_number(text);
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

fn parse_general_number(text: &[u8]) -> f64 {
    String::from_utf8_lossy(text).split_whitespace().next().and_then(|w| w.parse().ok()).unwrap_or(f64::MIN)
}

/// Compares runs of digits as numbers.
fn compare_versions(mut a: &[u8], mut b: &[u8]) -> Ordering {
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

/// Parses the value of `-k`.
fn parse_key(text: &str) -> Option<Key> {
    let mut options = KeyOptions::default();
    let mut position = |text: &str, default: usize| -> Option<(usize, usize)> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        for letter in text[digits.len()..].chars() {
            if !options.set(letter) {
                return None;
            }
        }
        match digits.split_once('.') {
            None => Some((digits.parse().ok()?, default)),
            Some((field, c)) => Some((field.parse().ok()?, c.parse().ok()?)),
        }
    };
    let (from, to) = match text.split_once(',') {
        None => (position(text, 1)?, None),
        Some((from, to)) => (position(from, 1)?, Some(position(to, 0)?)),
    };
    (from.0 > 0 && to.is_none_or(|t| t.0 > 0)).then_some(Key { from, to, options })
}

/// Returns the bounds of field `n`. Without a separator a field begins with its blanks.
fn field_bounds(line: &[u8], n: usize, separator: Option<u8>) -> (usize, usize) {
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
    fn extract<'a>(&self, line: &'a [u8], separator: Option<u8>, blanks: bool) -> &'a [u8] {
        let (mut from, end) = field_bounds(line, self.from.0, separator);
        let skip = |at: usize| line[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blanks {
            from = (from + skip(from)).min(end.max(from));
        }
        from = (from + self.from.1.max(1) - 1).min(line.len());
        let to = match self.to {
            None => line.len(),
            Some((n, 0)) => field_bounds(line, n, separator).1,
            Some((n, c)) => {
                let (start, _) = field_bounds(line, n, separator);
                (start + if blanks { skip(start) } else { 0 } + c).min(line.len())
            }
        };
        line.get(from..to.max(from)).unwrap_or_default()
    }
}

/// The order of lines.
struct Order {
    options: KeyOptions,
    keys: Vec<Key>,
    separator: Option<u8>,
    /// Whether lines with equal keys are compared as a whole.
    last_resort: bool,
}

impl Order {
    /// Reads the options; `None` if a key is not valid.
    fn new(o: &Options) -> Option<Order> {
        let mut options = KeyOptions::default();
        for letter in "nhgVfbdr".chars().filter(|c| o.has(*c)) {
            options.set(letter);
        }
        Some(Order {
            options,
            keys: o.all('k').map(parse_key).collect::<Option<_>>()?,
            separator: o.get('t').and_then(|t| if t == "\\0" { Some(0) } else { t.bytes().next() }),
            last_resort: !o.has('s') && !o.has('u'),
        })
    }

    fn by_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.keys.is_empty() {
            return self.options.compare(a, b);
        }
        for key in &self.keys {
            let options = if key.options == KeyOptions::default() { self.options } else { key.options };
            let key_of = |line| key.extract(line, self.separator, options.blanks);
            match options.compare(key_of(a), key_of(b)) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        Ordering::Equal
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        self.by_keys(a, b).then_with(|| match (self.last_resort, self.options.reverse) {
            (false, _) => Ordering::Equal,
            (true, false) => a.cmp(b),
            (true, true) => b.cmp(a),
        })
    }
}

pub async fn sort(p: Proc) -> Outcome {
    let o = Options::parse(&p, "nhgVfbdriuscmzMo:t:k:S:T:").await?;
    let Some(order) = Order::new(&o) else { return fail(&p, 2, "bad field specification").await };
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut out = Output::new(&p);
    let end = if o.has('z') { 0 } else { b'\n' };
    for file in o.files() {
        let Some(reader) = open(&p, &file).await else { return Ok(2) };
        let mut input = Lines::split_by(reader, end);
        while let Some(line) = input.bare(&mut out).await? {
            lines.push(line.to_vec());
        }
    }
    if o.has('c') {
        return check_order(&p, &order, &lines, o.has('u')).await;
    }
    lines.sort_by(|a, b| order.compare(a, b));
    if o.has('u') {
        lines.dedup_by(|b, a| order.by_keys(a, b) == Ordering::Equal);
    }
    if let Some(file) = o.get('o') {
        match File::create(p.path(file)) {
            Ok(file) => out = Output::from_writer(Writer::from_file(file)),
            Err(error) => return fail(&p, 2, &format!("{file}: {}", strerror(&error))).await,
        }
    }
    for line in lines {
        out.add(line);
        out.put([end]).await?;
    }
    out.end(0).await
}

/// Reports the first line that is out of order, or equal to the one before where lines must be unique.
async fn check_order(p: &Proc, order: &Order, lines: &[Vec<u8>], unique: bool) -> Outcome {
    for (i, pair) in lines.windows(2).enumerate() {
        let [one, two] = pair else { continue };
        let order = order.compare(one, two);
        if order == Ordering::Greater || (unique && order == Ordering::Equal) {
            let line = format!("Check line {}\n", i + 2);
            let _ = p.stderr.write_all(line.as_bytes()).await;
            return Ok(1);
        }
    }
    Ok(0)
}

pub async fn uniq(p: Proc) -> Outcome {
    let o = Options::parse(&p, "cduziDf:s:w:").await?;
    if o.operands.len() > 2 {
        return usage(&p).await;
    }
    let fields = o.number(&p, 'f').await?.unwrap_or(0);
    let skip = o.number(&p, 's').await?.unwrap_or(0) as usize;
    let most = o.number(&p, 'w').await?.unwrap_or(u64::MAX) as usize;
    let Some(reader) = open_like_cat(&p, o.operand(0).unwrap_or("-")).await else { return Ok(1) };
    let mut out = Output::new(&p);
    if let Some(file) = o.operand(1).filter(|f| *f != "-") {
        match File::create(p.path(file)) {
            Ok(file) => out = Output::from_writer(Writer::from_file(file)),
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
        if let (Some((_, old, count)), Some(key)) = (&mut held, &key)
            && old == key
        {
            *count += 1;
            continue;
        }
        if let Some((text, _, count)) = held.take()
            && !(o.has('d') && count == 1 || o.has('u') && count > 1)
        {
            if o.has('c') {
                out.add(format!("{count:7} "));
            }
            out.add(text);
            out.put("\n").await?;
        }
        match (line, key) {
            (Some(line), Some(key)) => held = Some((line, key, 1)),
            _ => return out.end(0).await,
        }
    }
}
