//! Suggestions for misspelt names.

/// Returns the candidate closest to `name`, if at most a third of its letters (and at most three) differ.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distances = candidates.iter().map(|c| (edit_distance(&name.to_lowercase(), &c.to_lowercase()), *c));
    let (d, best) = distances.min_by_key(|(d, _)| *d)?;
    (d <= best.chars().count().div_ceil(3).min(3)).then_some(best)
}

/// Returns the number of edits between two words: insert, delete, replace, swap of adjacent letters.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&last, j) + usize::from(x != y)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_misspelt_names_only() {
        let fields = ["resources", "restartPolicy", "image", "livenessProbe"];
        for (typed, meant) in [
            ("resouces", Some("resources")),
            ("limage", Some("image")),
            ("RestartPolicy", Some("restartPolicy")),
            ("volumes", None),
        ] {
            assert_eq!(nearest(typed, &fields), meant, "{typed}");
        }
    }
}
