//! tr.

use super::echo::escape;
use super::pattern::class_test;
use super::stream::read_fairly;
use super::{Options, Out, Outcome, fail, usage};
use crate::proc::Proc;

/// A string of tr, its ranges, classes and escapes expanded; `most` bounds `[x*]`.
fn expand(text: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    let unit = |at: &mut usize| -> Option<u8> {
        let byte = *text.get(*at)?;
        *at += 1;
        if byte == b'\\' {
            match escape(text.get(*at..).unwrap_or_default(), false) {
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
    };
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(inner) = rest.strip_prefix(b"[:") {
            let end = inner.windows(2).position(|w| w == b":]");
            let name = end.and_then(|e| std::str::from_utf8(&inner[..e]).ok());
            if let (Some(end), Some(test)) = (end, name.and_then(class_test)) {
                out.extend((0..=127u8).filter(|b| test(b)));
                at += end + 4;
                continue;
            }
        }
        if rest.first() == Some(&b'[') && rest.get(2) == Some(&b'*') {
            if let Some(end) = rest.iter().position(|b| *b == b']') {
                let digits = std::str::from_utf8(&rest[3..end.max(3)]).unwrap_or_default();
                let count = match digits.parse::<usize>() {
                    Ok(n) if n > 0 => n,
                    _ => most.saturating_sub(out.len()),
                };
                out.extend(std::iter::repeat_n(rest[1], count.min(1 << 16)));
                at += end + 1;
                continue;
            }
        }
        if rest.len() >= 5 && rest.starts_with(b"[=") && rest[3..].starts_with(b"=]") {
            out.push(rest[2]);
            at += 5;
            continue;
        }
        let Some(from) = unit(&mut at) else { break };
        if text.get(at) == Some(&b'-') && at + 1 < text.len() {
            at += 1;
            match unit(&mut at) {
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

pub async fn tr(p: Proc) -> Outcome {
    let o = Options::of(&p, "+cCds").await?;
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
    if o.rest.len() > 2 {
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
    let mut out = Out::new(&p);
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
