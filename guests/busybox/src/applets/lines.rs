//! Applets that rearrange lines: nl, tac, rev, fold, expand, paste, split.

use std::fmt;
use std::io;

use super::options::parse_size;
use super::stream::{each_file, each_line, open, read_fairly, without_newline};
use super::{Lines, Options, Outcome, Output, fail};
use crate::proc::{Proc, Writer, strerror};

pub async fn nl(p: Proc) -> Outcome {
    let o = Options::parse(&p, "b:s:w:v:i:n:").await?;
    let width = o.number(&p, 'w').await?.unwrap_or(6) as usize;
    let mut number = o.number(&p, 'v').await?.unwrap_or(1);
    let step = o.number(&p, 'i').await?.unwrap_or(1);
    let separator = o.get('s').unwrap_or("\t");
    let style = o.get('b').unwrap_or("t");
    let mut out = Output::new(&p);
    let mut lines = each_line(&p, o.files());
    while let Some(line) = lines.next(&mut out).await? {
        let line = without_newline(line);
        if style == "a" || (style == "t" && !line.is_empty()) {
            match o.get('n') {
                Some("ln") => out.add(format!("{number:<width$}{separator}")),
                Some("rz") => out.add(format!("{number:0width$}{separator}")),
                _ => out.add(format!("{number:width$}{separator}")),
            }
            number += step;
        } else {
            out.add(" ".repeat(width + separator.len()));
        }
        out.add(line);
        out.put("\n").await?;
    }
    out.end(lines.code()).await
}

pub async fn tac(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let mut out = Output::new(&p);
    let mut files = each_file(&p, o.files());
    while let Some((_, reader)) = files.next().await {
        let text = reader.read_to_end().await?;
        for line in text.split_inclusive(|b| *b == b'\n').rev() {
            out.put(line).await?;
        }
    }
    out.end(files.code).await
}

pub async fn rev(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let mut out = Output::new(&p);
    let mut lines = each_line(&p, o.files());
    while let Some(line) = lines.next(&mut out).await? {
        let bare = without_newline(line);
        out.add(String::from_utf8_lossy(bare).chars().rev().collect::<String>());
        out.put(line.get(bare.len()..).unwrap_or_default()).await?;
    }
    out.end(lines.code()).await
}

pub async fn fold(p: Proc) -> Outcome {
    let o = Options::parse(&p, "bsw:").await?;
    let width = o.number(&p, 'w').await?.unwrap_or(80).max(1) as usize;
    let mut out = Output::new(&p);
    let mut lines = each_line(&p, o.files());
    while let Some(line) = lines.next(&mut out).await? {
        let mut rest = line;
        while without_newline(rest).len() > width {
            let piece = rest.get(..width).unwrap_or_default();
            let blank = piece.iter().rposition(|b| *b == b' ').filter(|_| o.has('s'));
            let end = blank.map_or(width, |at| at + 1);
            out.add(rest.get(..end).unwrap_or_default());
            out.put("\n").await?;
            rest = rest.get(end..).unwrap_or_default();
        }
        out.put(rest).await?;
    }
    out.end(lines.code()).await
}

pub async fn expand(p: Proc) -> Outcome {
    let o = Options::parse(&p, "it:").await?;
    let stop = o.number(&p, 't').await?.unwrap_or(8).max(1) as usize;
    let mut out = Output::new(&p);
    let mut lines = each_line(&p, o.files());
    while let Some(line) = lines.next(&mut out).await? {
        let mut column = 0;
        let mut leading = true;
        for byte in line {
            leading &= byte.is_ascii_whitespace();
            if *byte == b'\t' && (leading || !o.has('i')) {
                let blanks = stop - column % stop;
                out.add(" ".repeat(blanks));
                column += blanks;
            } else {
                out.add([*byte]);
                column += 1;
            }
        }
        out.put("").await?;
    }
    out.end(lines.code()).await
}

pub async fn paste(p: Proc) -> Outcome {
    let o = Options::parse(&p, "sd:").await?;
    let mut between = Vec::new();
    super::echo::unescape(o.get('d').unwrap_or("\t").as_bytes(), &mut between, false);
    let delimiter = |i: usize| between.get(i % between.len().max(1)).map_or(vec![], |b| vec![*b]);
    let mut out = Output::new(&p);
    let mut inputs = Vec::new();
    for file in o.files() {
        match open(&p, &file).await {
            Some(reader) => inputs.push(Lines::new(reader)),
            None => return Ok(1),
        }
    }
    if o.has('s') {
        for mut input in inputs {
            let mut n = 0;
            while let Some(line) = input.bare(&mut out).await? {
                if n > 0 {
                    out.add(delimiter(n - 1));
                }
                n += 1;
                out.put(line).await?;
            }
            out.put("\n").await?;
        }
        return out.end(0).await;
    }
    loop {
        let mut row = Vec::new();
        let mut ended = 0;
        let count = inputs.len();
        for (i, input) in inputs.iter_mut().enumerate() {
            match input.bare(&mut out).await? {
                Some(line) => row.extend_from_slice(line),
                None => ended += 1,
            }
            if i + 1 < count {
                row.extend(delimiter(i));
            }
        }
        if ended == count {
            return out.end(0).await;
        }
        out.add(row);
        out.put("\n").await?;
    }
}

/// How split divides its input.
enum PartSize {
    Lines(u64),
    Bytes(u64),
}

/// Why split cannot create its next file.
enum SplitError {
    SuffixesExhausted,
    CannotOpen { name: String, error: io::Error },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::SuffixesExhausted => f.write_str("suffixes exhausted"),
            SplitError::CannotOpen { name, error } => write!(f, "can't open '{name}': {}", strerror(error)),
        }
    }
}

/// The output files of split, named in sequence.
struct Parts<'a> {
    p: &'a Proc,
    prefix: &'a str,
    /// Length of the suffix.
    letters: u32,
    /// Number of files that exist.
    created: u64,
}

impl Parts<'_> {
    /// Creates the next file.
    fn create(&mut self) -> Result<Output, SplitError> {
        if self.created >= 26u64.pow(self.letters) {
            return Err(SplitError::SuffixesExhausted);
        }
        let mut name = self.prefix.to_string();
        for i in (0..self.letters).rev() {
            name.push((b'a' + (self.created / 26u64.pow(i) % 26) as u8) as char);
        }
        self.created += 1;
        match std::fs::File::create(self.p.path(&name)) {
            Ok(file) => Ok(Output::from_writer(Writer::from_file(file))),
            Err(error) => Err(SplitError::CannotOpen { name, error }),
        }
    }
}

pub async fn split(p: Proc) -> Outcome {
    let o = Options::parse(&p, "b:l:a:").await?;
    let lines = o.number(&p, 'l').await?.unwrap_or(1000).max(1);
    let part_size = match o.get('b').map(parse_size) {
        Some(None | Some(0)) => return fail(&p, 1, "invalid number").await,
        Some(Some(n)) => PartSize::Bytes(n),
        None => PartSize::Lines(lines),
    };
    let letters = o.number(&p, 'a').await?.unwrap_or(2).clamp(1, 8) as u32;
    let mut parts = Parts { p: &p, prefix: o.operand(1).unwrap_or("x"), letters, created: 0 };
    let Some(reader) = open(&p, o.operand(0).unwrap_or("-")).await else { return Ok(1) };
    let mut current: Option<Output> = None;
    let mut filled = 0;
    let mut lines = Lines::new(reader.clone());
    let mut nowhere = Output::from_writer(Writer::null());
    let mut buf = vec![0; 16 * 1024];
    loop {
        let (piece, added, full) = match part_size {
            PartSize::Bytes(most) => {
                let want = buf.len().min((most - filled) as usize);
                let n = read_fairly(&reader, buf.get_mut(..want).unwrap_or_default()).await?;
                (buf.get(..n).unwrap_or_default(), n as u64, most)
            }
            PartSize::Lines(most) => (lines.next(&mut nowhere).await?.unwrap_or_default(), 1, most),
        };
        if piece.is_empty() {
            break;
        }
        let mut out = match current.take() {
            Some(out) => out,
            None => match parts.create() {
                Ok(out) => out,
                Err(error) => return fail(&p, 1, &error.to_string()).await,
            },
        };
        out.put(piece).await?;
        filled += added;
        if filled >= full {
            filled = 0;
            out.end(0).await?;
        } else {
            current = Some(out);
        }
    }
    match current {
        Some(out) => out.end(0).await,
        None => Ok(0),
    }
}
