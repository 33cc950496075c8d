//! tr.

use super::echo::parse_escape;
use super::pattern::class_test;
use super::stream::read_fairly;
use super::{Options, Outcome, Output, fail, usage};
use crate::proc::Proc;

/// Expands the ranges, classes and escapes of a string of tr; `max` bounds `[x*]`.
fn expand(text: &[u8], max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(used) = expand_bracketed(rest, max, &mut out) {
            at += used;
            continue;
        }
        let Some(from) = read_byte(text, &mut at) else { break };
        if text.get(at) == Some(&b'-') && at + 1 < text.len() {
            at += 1;
            match read_byte(text, &mut at) {
                Some(to) if to >= from => out.extend(from..=to),
                Some(to) => out.extend([from, b'-', to]),
                None => out.extend([from, b'-']),
            }
        } else {
            out.push(from);
        }
    }
    out
}

/// Reads one byte or escape at `at`.
fn read_byte(text: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *text.get(*at)?;
    *at += 1;
    if byte == b'\\' {
        match parse_escape(text.get(*at..).unwrap_or_default(), false) {
            (Some(value), used) => {
                *at += used;
                return Some(value);
            }
            _ if *at < text.len() => {
                *at += 1;
                return text.get(*at - 1).copied();
            }
            _ => {}
        }
    }
    Some(byte)
}

/// Expands `[:class:]`, `[x*]`, `[x*N]` or `[=x=]` at the beginning of `text`; returns the bytes read.
fn expand_bracketed(text: &[u8], max: usize, out: &mut Vec<u8>) -> Option<usize> {
    if let Some(inner) = text.strip_prefix(b"[:") {
        let end = inner.windows(2).position(|w| w == b":]");
        let name = end.and_then(|e| std::str::from_utf8(&inner[..e]).ok());
        if let (Some(end), Some(test)) = (end, name.and_then(class_test)) {
            out.extend((0..=127u8).filter(test));
            return Some(end + 4);
        }
    }
    if text.first() == Some(&b'[')
        && text.get(2) == Some(&b'*')
        && let Some(end) = text.iter().position(|b| *b == b']')
    {
        let digits = std::str::from_utf8(&text[3..end.max(3)]).unwrap_or_default();
        let count = match digits.parse::<usize>() {
            Ok(n) if n > 0 => n,
            _ => max.saturating_sub(out.len()),
        };
        out.extend(std::iter::repeat_n(text[1], count.min(1 << 16)));
        return Some(end + 1);
    }
    if text.len() >= 5 && text.starts_with(b"[=") && text[3..].starts_with(b"=]") {
        out.push(text[2]);
        return Some(5);
    }
    None
}

pub async fn tr(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+cCds").await?;
    let (complement, delete, squeeze) = (o.has('c') || o.has('C'), o.has('d'), o.has('s'));
    let Some(one) = o.operand(0) else { return usage(&p).await };
    let mut from = expand(one.as_bytes(), 0);
    if complement {
        from = (0..=255).filter(|b| !from.contains(b)).collect();
    }
    let to = match o.operand(1) {
        Some(two) => expand(two.as_bytes(), from.len()),
        None if delete || squeeze => vec![],
        None => return usage(&p).await,
    };
    if o.operands.len() > 2 {
        return usage(&p).await;
    }
    if to.is_empty() && !delete && !squeeze {
        return fail(&p, 1, "STRING2 cannot be empty").await;
    }
    let mut map: Vec<u8> = (0..=255).collect();
    let mut gone = [false; 256];
    let mut single = [false; 256];
    for (i, byte) in from.iter().enumerate() {
        gone[usize::from(*byte)] = delete;
        if let (false, Some(last)) = (delete, to.last()) {
            map[usize::from(*byte)] = *to.get(i).unwrap_or(last);
        }
    }
    if squeeze {
        let second = if to.is_empty() { &from } else { &to };
        second.iter().for_each(|b| single[usize::from(*b)] = true);
    }
    let mut out = Output::new(&p);
    let mut buf = vec![0; 16 * 1024];
    let mut last = None;
    loop {
        let n = read_fairly(&p.stdin, &mut buf).await?;
        if n == 0 {
            return out.end(0).await;
        }
        let mut kept = Vec::with_capacity(n);
        for byte in buf.iter().take(n) {
            let mapped = map[usize::from(*byte)];
            if gone[usize::from(*byte)] || (single[usize::from(mapped)] && last == Some(mapped)) {
                continue;
            }
            last = Some(mapped);
            kept.push(mapped);
        }
        out.add(kept);
        out.flush().await?;
    }
}
