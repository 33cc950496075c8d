//! Applets that compare two files: cmp, comm, diff.

use std::cmp::Ordering;

use super::stream::{open, read_full};
use super::{EarlyExit, Lines, Options, Outcome, Output, fail, usage};
use crate::proc::Proc;

pub async fn cmp(p: Proc) -> Outcome {
    let o = Options::parse(&p, "lsn:").await?;
    let (Some(one), two) = (o.operand(0), o.operand(1).unwrap_or("-")) else { return usage(&p).await };
    let (Some(a), Some(b)) = (open(&p, one).await, open(&p, two).await) else { return Ok(2) };
    let mut out = Output::new(&p);
    let (mut left, mut right) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut at, mut line, mut code) = (0u64, 1u64, 0);
    loop {
        let (n, m) = (read_full(&a, &mut left).await?, read_full(&b, &mut right).await?);
        for (x, y) in left.iter().take(n).zip(right.iter().take(m)) {
            at += 1;
            if x != y {
                code = 1;
                if o.has('s') {
                    return Ok(1);
                }
                if !o.has('l') {
                    out.put(format!("{one} {two} differ: char {at}, line {line}\n")).await?;
                    return out.end(1).await;
                }
                out.put(format!("{at} {x:3o} {y:3o}\n")).await?;
            }
            line += u64::from(*x == b'\n');
        }
        if n != m {
            out.flush().await?;
            if !o.has('s') {
                p.print_error(format_args!("EOF on {}", if n < m { one } else { two })).await;
            }
            return Ok(1);
        }
        if n == 0 {
            return out.end(code).await;
        }
    }
}

pub async fn comm(p: Proc) -> Outcome {
    let o = Options::parse(&p, "123").await?;
    let [one, two] = o.operands.as_slice() else { return usage(&p).await };
    let (Some(a), Some(b)) = (open(&p, one).await, open(&p, two).await) else { return Ok(1) };
    let mut out = Output::new(&p);
    let (mut a, mut b) = (Lines::new(a), Lines::new(b));
    let mut left = a.bare(&mut out).await?.map(<[u8]>::to_vec);
    let mut right = b.bare(&mut out).await?.map(<[u8]>::to_vec);
    loop {
        let order = match (&left, &right) {
            (None, None) => return out.end(0).await,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => x.cmp(y),
        };
        let (column, tabs) = match order {
            Ordering::Less => ('1', 0),
            Ordering::Greater => ('2', usize::from(!o.has('1'))),
            Ordering::Equal => ('3', usize::from(!o.has('1')) + usize::from(!o.has('2'))),
        };
        if !o.has(column) {
            out.add("\t".repeat(tabs));
            out.add(if order == Ordering::Greater { &right } else { &left }.as_deref().unwrap_or_default());
            out.put("\n").await?;
        }
        if order != Ordering::Greater {
            left = a.bare(&mut out).await?.map(<[u8]>::to_vec);
        }
        if order != Ordering::Less {
            right = b.bare(&mut out).await?.map(<[u8]>::to_vec);
        }
    }
}

pub async fn diff(p: Proc) -> Outcome {
    let o = Options::parse(&p, "qsuU:abBiwdtTNr").await?;
    let [one, two] = o.operands.as_slice() else { return usage(&p).await };
    let mut texts = Vec::new();
    for name in [one, two] {
        match p.open(name) {
            Ok(reader) => texts.push(reader.read_to_end().await?),
            Err(error) => {
                let why = format!("can't stat '{name}': {}", crate::proc::strerror(&error));
                return fail(&p, 2, &why).await;
            }
        }
    }
    let [a, b] = texts.as_slice() else { return Ok(2) };
    let mut out = Output::new(&p);
    if a == b {
        if o.has('s') {
            out.add(format!("Files {one} and {two} are identical\n"));
        }
        return out.end(0).await;
    }
    if o.has('q') {
        out.add(format!("Files {one} and {two} differ\n"));
        return out.end(1).await;
    }
    let context = o.number(&p, 'U').await?.unwrap_or(3) as usize;
    let a: Vec<&[u8]> = a.split_inclusive(|b| *b == b'\n').collect();
    let b: Vec<&[u8]> = b.split_inclusive(|b| *b == b'\n').collect();
    out.add(format!("--- {one}\n+++ {two}\n"));
    print_hunks(&find_edits(&a, &b), context, &mut out).await?;
    out.end(1).await
}

/// Writes the hunks with their lines of context.
async fn print_hunks(edits: &[(u8, &[u8])], context: usize, out: &mut Output) -> Result<(), EarlyExit> {
    let mut i = 0;
    while let Some(first) = edits.get(i..).and_then(|e| e.iter().position(|e| e.0 != b' ')) {
        let start = i + first.saturating_sub(context);
        let mut end = i + first;
        let mut quiet = 0;
        // A hunk ends where twice the context passes without a change.
        let mut last = end;
        while let Some(edit) = edits.get(end) {
            quiet = if edit.0 == b' ' { quiet + 1 } else { 0 };
            end += 1;
            if quiet == 0 {
                last = end;
            } else if quiet > 2 * context {
                break;
            }
        }
        let end = (last + context).min(edits.len());
        let hunk = edits.get(start..end).unwrap_or_default();
        let before = |mark: u8| edits.iter().take(start).filter(|e| e.0 != mark).count();
        let inside = |mark: u8| hunk.iter().filter(|e| e.0 != mark).count();
        let range = |before: usize, count: usize| match count {
            0 => format!("{before},0"),
            1 => format!("{}", before + 1),
            _ => format!("{},{count}", before + 1),
        };
        out.add(format!("@@ -{} +{} @@\n", range(before(b'+'), inside(b'+')), range(before(b'-'), inside(b'-'))));
        for (mark, line) in hunk {
            out.add([*mark]);
            out.put(line).await?;
            if !line.ends_with(b"\n") {
                out.put("\n\\ No newline at end of file\n").await?;
            }
        }
        i = end;
    }
    Ok(())
}

/// Returns the lines of both files, each with `-`, `+` or a blank, by their longest common subsequence.
fn find_edits<'a>(a: &[&'a [u8]], b: &[&'a [u8]]) -> Vec<(u8, &'a [u8])> {
    let same_start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (head, a) = a.split_at(same_start);
    let b = b.get(same_start..).unwrap_or_default();
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, tail) = a.split_at(a.len() - same_end);
    let b = b.get(..b.len() - same_end).unwrap_or_default();
    let mut out: Vec<(u8, &[u8])> = head.iter().map(|l| (b' ', *l)).collect();
    // The table is quadratic: beyond this size the middle is replaced as a whole.
    const MAX_CELLS: usize = 8 << 20;
    let width = b.len() + 1;
    let mut table = vec![0u32; if a.len() * width < MAX_CELLS { (a.len() + 1) * width } else { 0 }];
    if !table.is_empty() {
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                table[i * width + j] = if a[i] == b[j] {
                    table[(i + 1) * width + j + 1] + 1
                } else {
                    table[(i + 1) * width + j].max(table[i * width + j + 1])
                };
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let common = |i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
        if i < a.len() && j < b.len() && !table.is_empty() && a[i] == b[j] {
            out.push((b' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || common(i + 1, j) >= common(i, j + 1)) {
            out.push((b'-', a[i]));
            i += 1;
        } else {
            out.push((b'+', b[j]));
            j += 1;
        }
    }
    out.extend(tail.iter().map(|l| (b' ', *l)));
    out
}
