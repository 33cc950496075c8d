//! Differences between texts as Kubernetes shows them: unified, three lines around each.
//!
//! Which lines count as kept follows the algorithm of Python's `difflib`, which Kubernetes uses, since another
//! choice would show other lines: the longest block in both texts first, then what is before and behind it. In long
//! texts lines that are everywhere start no block.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

const AROUND: usize = 3;
/// From this many lines on, lines that are everywhere start no block.
const LONG: usize = 200;

/// `new` against `old`, without a header.
pub fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    for hunk in hunks(&changes(&old, &new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let shown = span(first.old.start..last.old.end);
        let _ = writeln!(out, "@@ -{shown} +{} @@", span(first.new.start..last.new.end));
        for part in hunk {
            let lines = |texts: &[&str], range: &Range<usize>, mark: char, out: &mut String| {
                for line in texts.get(range.clone()).unwrap_or_default() {
                    let _ = writeln!(out, "{mark}{line}");
                }
            };
            if part.kept {
                lines(&old, &part.old, ' ', &mut out);
            } else {
                lines(&old, &part.old, '-', &mut out);
                lines(&new, &part.new, '+', &mut out);
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

/// Lines of both texts that were kept, or that took each other's place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    old: Range<usize>,
    new: Range<usize>,
    kept: bool,
}

impl Part {
    fn first(&self, count: usize) -> Part {
        let (old, new) = (self.old.start, self.new.start);
        Part { old: old..old + count, new: new..new + count, kept: self.kept }
    }

    fn last(&self, count: usize) -> Part {
        let (old, new) = (self.old.end, self.new.end);
        Part { old: old - count..old, new: new - count..new, kept: self.kept }
    }
}

/// The whole of both texts, in order.
fn changes(old: &[&str], new: &[&str]) -> Vec<Part> {
    let mut blocks = Vec::new();
    find_blocks(old, new, &places(new), 0..old.len(), 0..new.len(), &mut blocks);
    blocks.push((old.len(), new.len(), 0));
    let mut parts = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b, len) in blocks {
        if i < a || j < b {
            parts.push(Part { old: i..a, new: j..b, kept: false });
        }
        if len > 0 {
            parts.push(Part { old: a..a + len, new: b..b + len, kept: true });
        }
        (i, j) = (a + len, b + len);
    }
    // Blocks that touch are one.
    parts.dedup_by(|next, before| {
        let touching = next.kept && before.kept && next.old.start == before.old.end && next.new.start == before.new.end;
        if touching {
            before.old.end = next.old.end;
            before.new.end = next.new.end;
        }
        touching
    });
    parts
}

/// Where each line of `text` stands; nowhere, where it stands everywhere.
fn places<'t>(text: &[&'t str]) -> HashMap<&'t str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, line) in text.iter().enumerate() {
        places.entry(line).or_default().push(i);
    }
    if text.len() >= LONG {
        let many = text.len() / 100 + 1;
        places.retain(|_, found| found.len() <= many);
    }
    places
}

fn find_blocks(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    a: Range<usize>,
    b: Range<usize>,
    found: &mut Vec<(usize, usize, usize)>,
) {
    let (i, j, len) = longest(old, new, places, a.clone(), b.clone());
    if len == 0 {
        return;
    }
    find_blocks(old, new, places, a.start..i, b.start..j, found);
    found.push((i, j, len));
    find_blocks(old, new, places, i + len..a.end, j + len..b.end, found);
}

/// The longest block that stands in both; of several the first.
fn longest(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    a: Range<usize>,
    b: Range<usize>,
) -> (usize, usize, usize) {
    let (mut i, mut j, mut len) = (a.start, b.start, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for at in a.clone() {
        let mut next = HashMap::new();
        for &place in old.get(at).and_then(|line| places.get(line)).into_iter().flatten() {
            if !b.contains(&place) {
                continue;
            }
            let run = place.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            next.insert(place, run);
            if run > len {
                (i, j, len) = (at + 1 - run, place + 1 - run, run);
            }
        }
        lengths = next;
    }
    // Lines that start no block may still be part of one.
    while i > a.start && j > b.start && old.get(i - 1) == new.get(j - 1) {
        (i, j, len) = (i - 1, j - 1, len + 1);
    }
    while i + len < a.end && j + len < b.end && old.get(i + len) == new.get(j + len) {
        len += 1;
    }
    (i, j, len)
}

/// Changes that are near each other, with the lines around them.
fn hunks(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut hunks: Vec<Vec<Part>> = Vec::new();
    let mut hunk: Vec<Part> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        if !part.kept {
            hunk.push(part.clone());
            continue;
        }
        let len = part.old.len();
        let last = i + 1 == parts.len();
        if hunk.is_empty() {
            hunk.push(part.last(len.min(AROUND)));
        } else if last || len > 2 * AROUND {
            hunk.push(part.first(len.min(AROUND)));
            hunks.push(std::mem::take(&mut hunk));
            hunk.push(part.last(len.min(AROUND)));
        } else {
            hunk.push(part.clone());
        }
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|part| !part.kept));
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_three_lines_around() {
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
