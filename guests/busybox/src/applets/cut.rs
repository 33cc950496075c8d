//! cut.

use super::stream::{each_line, without_newline};
use super::{Options, Outcome, Output, fail};
use crate::proc::Proc;

/// Parses a list such as `1-3,7-` into ranges of positions, counted from 1, sorted and joined.
fn parse_ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let bounds = match part.split_once('-') {
            None => (part.parse().ok()?, part.parse().ok()?),
            Some(("", "")) => return None,
            Some(("", to)) => (1, to.parse().ok()?),
            Some((from, "")) => (from.parse().ok()?, usize::MAX),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
        };
        if bounds.0 == 0 || bounds.1 < bounds.0 {
            return None;
        }
        let at = out.iter().take_while(|other| **other <= bounds).count();
        out.insert(at, bounds);
    }
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (from, to) in out {
        match joined.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    Some(joined)
}

pub async fn cut(p: Proc) -> Outcome {
    let spec = "b:(bytes)c:(characters)f:(fields)d:(delimiter)s(only-delimited)nO:(output-delimiter)";
    let o = Options::parse(&p, spec).await?;
    let Some(kind) = o.last_of("bcf") else {
        return fail(&p, 1, "expected a list of bytes, characters, or fields").await;
    };
    let list = o.get(kind).unwrap_or_default();
    let Some(ranges) = parse_ranges(list) else {
        return fail(&p, 1, &format!("invalid range '{list}'")).await;
    };
    let delimiter = match o.get('d').unwrap_or("\t").as_bytes() {
        [] => 0,
        [one] => *one,
        _ => return fail(&p, 1, "the delimiter must be a single character").await,
    };
    let between = o.get('O').map_or(vec![delimiter], |d| d.as_bytes().to_vec());
    let mut out = Output::new(&p);
    let mut lines = each_line(&p, o.files());
    while let Some(line) = lines.next(&mut out).await? {
        let line = without_newline(line);
        if kind != 'f' {
            for (from, to) in &ranges {
                let to = (*to).min(line.len());
                out.add(line.get(from - 1..to).unwrap_or_default());
            }
        } else if line.contains(&delimiter) {
            let chosen = |i: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&(i + 1)));
            let fields = line.split(|b| *b == delimiter).enumerate().filter(|(i, _)| chosen(*i));
            for (n, (_, field)) in fields.enumerate() {
                if n > 0 {
                    out.add(&between);
                }
                out.add(field);
            }
        } else if o.has('s') {
            continue;
        } else {
            out.add(line);
        }
        out.put("\n").await?;
    }
    out.end(lines.code()).await
}
