//! od: dumps bytes in octal and other formats.

use super::options::parse_size;
use super::stream::{each_file, read_fairly};
use super::{EarlyExit, Options, Outcome, Output, fail};
use crate::proc::Proc;

/// A format of a row: its letter, and the bytes of a unit.
#[derive(Clone, Copy)]
struct Kind {
    letter: u8,
    unit: usize,
}

impl Kind {
    /// Returns the characters per unit, including the blank before it.
    fn width(self) -> usize {
        match (self.letter, self.unit) {
            (b'c' | b'a', _) => 4,
            (b'x', n) => n * 2 + 1,
            (b'o', 1) => 4,
            (b'o', 2) => 7,
            (b'o', 4) => 12,
            (b'o', _) => 23,
            (b'u', 1) => 4,
            (b'd', 1) => 5,
            (b'u', 2) => 6,
            (b'd', 2) => 7,
            (b'u' | b'd', 4) => 12,
            (b'f', 4) => 16,
            (b'f', _) => 25,
            _ => 21,
        }
    }

    fn show(self, bytes: &[u8]) -> String {
        let mut raw = [0; 8];
        raw.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let value = u64::from_le_bytes(raw);
        let width = self.width() - 1;
        let digits = match self.letter {
            b'x' => format!("{value:0width$x}"),
            b'o' => format!("{value:0width$o}"),
            b'u' => value.to_string(),
            b'f' if self.unit == 4 => format!("{:?}", f32::from_bits(value as u32)),
            b'f' => format!("{:?}", f64::from_bits(value)),
            b'd' => {
                let shift = 64 - 8 * self.unit as u32;
                ((value << shift) as i64 >> shift).to_string()
            }
            letter => format_character(raw[0], letter == b'a'),
        };
        format!(" {digits:>width$}")
    }
}

fn format_character(byte: u8, named: bool) -> String {
    const NAMES: [&str; 33] = [
        "nul", "soh", "stx", "etx", "eot", "enq", "ack", "bel", "bs", "ht", "nl", "vt", "ff", "cr", "so", "si", "dle",
        "dc1", "dc2", "dc3", "dc4", "nak", "syn", "etb", "can", "em", "sub", "esc", "fs", "gs", "rs", "us", "sp",
    ];
    match byte {
        _ if named && byte & 127 == 127 => "del".into(),
        _ if named => match NAMES.get(usize::from(byte & 127)) {
            Some(name) => (*name).into(),
            None => ((byte & 127) as char).to_string(),
        },
        0 => "\\0".into(),
        7 => "\\a".into(),
        8 => "\\b".into(),
        9 => "\\t".into(),
        10 => "\\n".into(),
        11 => "\\v".into(),
        12 => "\\f".into(),
        13 => "\\r".into(),
        32..=126 => (byte as char).to_string(),
        _ => format!("{byte:03o}"),
    }
}

/// Parses a type string: `x1`, `cx2`, `d4`, and so on.
fn parse_kinds(text: &str) -> Option<Vec<Kind>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((letter, behind)) = rest.split_first() {
        rest = behind.strip_prefix(b"z").unwrap_or(behind);
        let mut unit = match letter {
            b'a' | b'c' => 1,
            b'd' | b'o' | b'u' | b'x' => 4,
            b'f' => 8,
            _ => return None,
        };
        if let Some((size, behind)) = rest.split_first() {
            let given = match size {
                b'1' | b'C' => 1,
                b'2' | b'S' => 2,
                b'4' | b'I' | b'F' => 4,
                b'8' | b'L' | b'D' => 8,
                _ => 0,
            };
            if given > 0 && !matches!(letter, b'a' | b'c') {
                unit = given;
                rest = behind;
            }
        }
        out.push(Kind { letter: *letter, unit });
    }
    Some(out)
}

/// Collects the kinds that the options ask for; the error is the type string that is not valid.
fn chosen_kinds(o: &Options) -> Result<Vec<Kind>, &str> {
    let mut chosen = Vec::new();
    for (option, letter, unit) in
        [('a', b'a', 1), ('b', b'o', 1), ('c', b'c', 1), ('d', b'u', 2), ('o', b'o', 2), ('x', b'x', 2)]
    {
        if o.has(option) {
            chosen.push(Kind { letter, unit });
        }
    }
    for text in o.all('t') {
        chosen.extend(parse_kinds(text).ok_or(text)?);
    }
    if chosen.is_empty() {
        chosen.push(Kind { letter: b'o', unit: 2 });
    }
    Ok(chosen)
}

/// The rows of a dump.
struct Dump {
    kinds: Vec<Kind>,
    /// Base of the addresses: `d`, `o`, `x`, or `n` for none.
    base: u8,
    row_length: usize,
    /// `-v`: shows rows that repeat the last one.
    verbose: bool,
    /// Address of the next row.
    at: u64,
    last: Option<Vec<u8>>,
    /// Whether the last row shown is a `*`.
    starred: bool,
}

impl Dump {
    fn format_address(&self) -> String {
        let at = self.at;
        match self.base {
            b'd' => format!("{at:07}"),
            b'x' => format!("{at:06x}"),
            b'n' => String::new(),
            _ => format!("{at:07o}"),
        }
    }

    /// Shows the whole rows of `bytes`, at the end of the input also a partial one, and removes them.
    async fn print_rows(&mut self, bytes: &mut Vec<u8>, at_end: bool, out: &mut Output) -> Result<(), EarlyExit> {
        let mut rest = bytes.as_slice();
        while rest.len() >= self.row_length || (at_end && !rest.is_empty()) {
            let (row, behind) = rest.split_at(self.row_length.min(rest.len()));
            rest = behind;
            if self.last.as_deref() == Some(row) && !self.verbose {
                if !std::mem::replace(&mut self.starred, true) {
                    out.put("*\n").await?;
                }
            } else {
                self.starred = false;
                self.last = Some(row.to_vec());
                for (k, kind) in self.kinds.iter().enumerate() {
                    let start = self.format_address();
                    out.add(if k == 0 { start } else { " ".repeat(start.len()) });
                    for unit in row.chunks(kind.unit) {
                        out.add(kind.show(unit));
                    }
                    out.put("\n").await?;
                }
            }
            self.at += row.len() as u64;
        }
        let done = bytes.len() - rest.len();
        bytes.drain(..done);
        Ok(())
    }
}

pub async fn od(p: Proc) -> Outcome {
    let o = Options::parse(&p, "abcdoxvA:t:N:j:w:").await?;
    let kinds = match chosen_kinds(&o) {
        Ok(kinds) => kinds,
        Err(text) => return fail(&p, 1, &format!("invalid type string '{text}'")).await,
    };
    let mut skip = o.get('j').and_then(parse_size).unwrap_or(0);
    let mut left = o.get('N').and_then(parse_size).unwrap_or(u64::MAX);
    let mut dump = Dump {
        kinds,
        base: o.get('A').and_then(|a| a.bytes().next()).unwrap_or(b'o'),
        row_length: o.number(&p, 'w').await?.unwrap_or(16).clamp(1, 4096) as usize,
        verbose: o.has('v'),
        at: skip,
        last: None,
        starred: false,
    };
    let mut out = Output::new(&p);
    let mut bytes: Vec<u8> = Vec::new();
    let mut buf = vec![0; 16 * 1024];
    let mut files = each_file(&p, o.files());
    while let Some((_, reader)) = files.next().await {
        loop {
            let n = if left > 0 { read_fairly(&reader, &mut buf).await? } else { 0 };
            if n == 0 {
                break;
            }
            let skipped = skip.min(n as u64) as usize;
            skip -= skipped as u64;
            let fresh = buf.get(skipped..n).unwrap_or_default();
            let fresh = fresh.get(..fresh.len().min(left as usize)).unwrap_or(fresh);
            left -= fresh.len() as u64;
            bytes.extend_from_slice(fresh);
            dump.print_rows(&mut bytes, false, &mut out).await?;
        }
    }
    dump.print_rows(&mut bytes, true, &mut out).await?;
    if dump.base != b'n' {
        out.put(dump.format_address() + "\n").await?;
    }
    out.end(files.code).await
}
