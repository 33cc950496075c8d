//! Lists of completion indexes: `1,3-5,7`.

use std::ops::RangeInclusive;

use crate::model::go;

/// The list is not valid; the message is Kubernetes'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexesError {
    #[error(
        "the fragment {0} violates the requirement that an index interval can have at most two parts separated by '-'"
    )]
    Interval(String),
    #[error("cannot convert string to integer for index: {0}")]
    Number(String),
    #[error("too large index: {0}")]
    TooLarge(String),
    #[error("non-increasing order, previous: {previous}, current: {current}")]
    Order { previous: i64, current: i64 },
}

/// Returns the number of indexes in an increasing list, all of which are below `completions`.
///
/// # Errors
/// The list is not valid.
pub fn count(text: &str, completions: i32) -> Result<i64, IndexesError> {
    let mut total = 0;
    let mut previous: Option<i64> = None;
    if text.is_empty() {
        return Ok(0);
    }
    for interval in text.split(',') {
        let interval = parse_interval(interval, completions)?;
        if let Some(previous) = previous.filter(|previous| previous >= interval.start()) {
            return Err(IndexesError::Order { previous, current: *interval.start() });
        }
        total += interval.end() - interval.start() + 1;
        previous = Some(*interval.end());
    }
    Ok(total)
}

/// Returns the first index that valid intervals of both lists contain.
pub fn find_overlap(completed: &str, failed: &str, completions: i32) -> Option<i64> {
    let parse = |text: &str| -> Vec<RangeInclusive<i64>> {
        text.split(',').filter_map(|interval| parse_interval(interval, completions).ok()).collect()
    };
    let (completed, failed) = (parse(completed), parse(failed));
    let (mut c, mut f) = (0, 0);
    while let (Some(a), Some(b)) = (completed.get(c), failed.get(f)) {
        if a.start() <= b.end() && b.start() <= a.end() {
            return Some(*a.start().max(b.start()));
        }
        if a.start() <= b.start() {
            c += 1;
        } else {
            f += 1;
        }
    }
    None
}

fn parse_interval(text: &str, completions: i32) -> Result<RangeInclusive<i64>, IndexesError> {
    let parse = |text: &str| {
        let index = go::parse_int(text).map_err(|_| IndexesError::Number(go::quote(text)))?;
        if index >= i64::from(completions) { Err(IndexesError::TooLarge(go::quote(text))) } else { Ok(index) }
    };
    match *text.split('-').collect::<Vec<_>>().as_slice() {
        [index] => parse(index).map(|index| index..=index),
        [start, end] => {
            let (start, end) = (parse(start)?, parse(end)?);
            if start >= end {
                return Err(IndexesError::Order { previous: start, current: end });
            }
            Ok(start..=end)
        }
        _ => Err(IndexesError::Interval(go::quote(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_indexes_are_counted_or_rejected() {
        for (text, want) in [
            ("", Ok(0)),
            ("0", Ok(1)),
            ("0,2-4", Ok(4)),
            ("5", Err("too large index: \"5\"")),
            ("1-5", Err("too large index: \"5\"")),
            ("3-1", Err("non-increasing order, previous: 3, current: 1")),
            ("0-2,2", Err("non-increasing order, previous: 2, current: 2")),
            ("a", Err("cannot convert string to integer for index: \"a\"")),
            ("1,", Err("cannot convert string to integer for index: \"\"")),
            (
                "1-2-3",
                Err("the fragment \"1-2-3\" violates the requirement that an index interval can have at most two \
                     parts separated by '-'"),
            ),
        ] {
            let count = count(text, 5).map_err(|error| error.to_string());
            assert_eq!(count, want.map_err(String::from), "{text}");
        }
    }

    #[test]
    fn overlaps_of_two_lists_are_found() {
        for (completed, failed, want) in [
            ("0-3,7", "4-6", None),
            ("0-3,7", "5-8", Some(7)),
            ("0,2,4", "1,3,4", Some(4)),
            ("x,1", "1", Some(1)),
            ("", "1", None),
        ] {
            assert_eq!(find_overlap(completed, failed, 10), want, "{completed} and {failed}");
        }
    }
}
