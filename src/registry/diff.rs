//! Unified diffs with three lines of context, as Kubernetes' API errors show them.
//!
//! Kubernetes uses the algorithm of Python's `difflib`, and other algorithms choose other lines: it takes the longest
//! block that both texts share, then continues before and after it. In long texts, popular lines start no block.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

const CONTEXT_LINES: usize = 3;
/// Number of lines from which popular lines start no block (difflib's `autojunk`).
const MIN_LINES_FOR_POPULAR: usize = 200;

/// Returns the unified diff of two texts, without a header.
pub fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    for hunk in hunks(&opcodes(&old, &new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let shown = span(first.old.start..last.old.end);
        let _ = writeln!(out, "@@ -{shown} +{} @@", span(first.new.start..last.new.end));
        for opcode in hunk {
            let lines = |texts: &[&str], range: &Range<usize>, mark: char, out: &mut String| {
                for line in texts.get(range.clone()).unwrap_or_default() {
                    let _ = writeln!(out, "{mark}{line}");
                }
            };
            if opcode.is_equal {
                lines(&old, &opcode.old, ' ', &mut out);
            } else {
                lines(&old, &opcode.old, '-', &mut out);
                lines(&new, &opcode.new, '+', &mut out);
            }
        }
    }
    out
}

fn span(lines: Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}

/// Ranges of lines in both texts that are equal, or that replace each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opcode {
    old: Range<usize>,
    new: Range<usize>,
    is_equal: bool,
}

impl Opcode {
    fn first(&self, count: usize) -> Opcode {
        let (old, new) = (self.old.start, self.new.start);
        Opcode { old: old..old + count, new: new..new + count, is_equal: self.is_equal }
    }

    fn last(&self, count: usize) -> Opcode {
        let (old, new) = (self.old.end, self.new.end);
        Opcode { old: old - count..old, new: new - count..new, is_equal: self.is_equal }
    }
}

/// Returns the opcodes that turn `old` into `new`.
fn opcodes(old: &[&str], new: &[&str]) -> Vec<Opcode> {
    let mut blocks = Vec::new();
    collect_matching_blocks(old, new, &line_positions(new), 0..old.len(), 0..new.len(), &mut blocks);
    blocks.push((old.len(), new.len(), 0));
    let mut opcodes = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b, len) in blocks {
        if i < a || j < b {
            opcodes.push(Opcode { old: i..a, new: j..b, is_equal: false });
        }
        if len > 0 {
            opcodes.push(Opcode { old: a..a + len, new: b..b + len, is_equal: true });
        }
        (i, j) = (a + len, b + len);
    }
    // Adjacent equal blocks are merged.
    opcodes.dedup_by(|next, before| {
        let is_adjacent =
            next.is_equal && before.is_equal && next.old.start == before.old.end && next.new.start == before.new.end;
        if is_adjacent {
            before.old.end = next.old.end;
            before.new.end = next.new.end;
        }
        is_adjacent
    });
    opcodes
}

/// Returns the positions of each line of `text`, without the popular lines of a long text.
fn line_positions<'t>(text: &[&'t str]) -> HashMap<&'t str, Vec<usize>> {
    let mut positions: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, line) in text.iter().enumerate() {
        positions.entry(line).or_default().push(i);
    }
    if text.len() >= MIN_LINES_FOR_POPULAR {
        let max_occurrences = text.len() / 100 + 1;
        positions.retain(|_, occurrences| occurrences.len() <= max_occurrences);
    }
    positions
}

fn collect_matching_blocks(
    old: &[&str],
    new: &[&str],
    positions: &HashMap<&str, Vec<usize>>,
    a: Range<usize>,
    b: Range<usize>,
    blocks: &mut Vec<(usize, usize, usize)>,
) {
    let (i, j, len) = find_longest_match(old, new, positions, a.clone(), b.clone());
    if len == 0 {
        return;
    }
    collect_matching_blocks(old, new, positions, a.start..i, b.start..j, blocks);
    blocks.push((i, j, len));
    collect_matching_blocks(old, new, positions, i + len..a.end, j + len..b.end, blocks);
}

/// Returns the longest block that both ranges share, the first of several: its positions and length.
fn find_longest_match(
    old: &[&str],
    new: &[&str],
    positions: &HashMap<&str, Vec<usize>>,
    a: Range<usize>,
    b: Range<usize>,
) -> (usize, usize, usize) {
    let (mut i, mut j, mut len) = (a.start, b.start, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for line in a.clone() {
        let mut next = HashMap::new();
        for &place in old.get(line).and_then(|text| positions.get(text)).into_iter().flatten() {
            if !b.contains(&place) {
                continue;
            }
            let run = place.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            next.insert(place, run);
            if run > len {
                (i, j, len) = (line + 1 - run, place + 1 - run, run);
            }
        }
        lengths = next;
    }
    // Popular lines start no block, but may extend one.
    while i > a.start && j > b.start && old.get(i - 1) == new.get(j - 1) {
        (i, j, len) = (i - 1, j - 1, len + 1);
    }
    while i + len < a.end && j + len < b.end && old.get(i + len) == new.get(j + len) {
        len += 1;
    }
    (i, j, len)
}

/// Groups changes that are close to each other, with their context.
fn hunks(opcodes: &[Opcode]) -> Vec<Vec<Opcode>> {
    let mut hunks: Vec<Vec<Opcode>> = Vec::new();
    let mut hunk: Vec<Opcode> = Vec::new();
    for (i, opcode) in opcodes.iter().enumerate() {
        if !opcode.is_equal {
            hunk.push(opcode.clone());
            continue;
        }
        let len = opcode.old.len();
        let last = i + 1 == opcodes.len();
        if hunk.is_empty() {
            hunk.push(opcode.last(len.min(CONTEXT_LINES)));
        } else if last || len > 2 * CONTEXT_LINES {
            hunk.push(opcode.first(len.min(CONTEXT_LINES)));
            hunks.push(std::mem::take(&mut hunk));
            hunk.push(opcode.last(len.min(CONTEXT_LINES)));
        } else {
            hunk.push(opcode.clone());
        }
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|opcode| !opcode.is_equal));
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_have_three_lines_of_context() {
        let numbers = |changed: &[usize]| -> String {
            (1..=20).map(|i| if changed.contains(&i) { format!("{i}!\n") } else { format!("{i}\n") }).collect()
        };
        assert_eq!(unified(&numbers(&[]), &numbers(&[])), "");
        let one = "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+10!\n 11\n 12\n 13\n";
        assert_eq!(unified(&numbers(&[]), &numbers(&[10])), one);
        let edges = "@@ -1,4 +1,4 @@\n-1\n+1!\n 2\n 3\n 4\n@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+20!\n";
        assert_eq!(unified(&numbers(&[]), &numbers(&[1, 20])), edges);
        let near = unified(&numbers(&[]), &numbers(&[5, 10]));
        assert!(near.starts_with("@@ -2,12 +2,12 @@\n 2\n"), "{near}");
        assert_eq!(unified("a\n", "a\nb\n"), "@@ -1 +1,2 @@\n a\n+b\n");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
    }
}
