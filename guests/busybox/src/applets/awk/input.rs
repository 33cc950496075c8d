//! Reads records from streams.

use std::io;

use super::error::Problem;
use super::regex::Regexes;
use super::value::Bytes;
use crate::applets::stream::read_fairly;
use crate::proc::{Reader, Writer};

const BLOCK: usize = 32 * 1024;

/// A record at the beginning of unread bytes.
#[derive(Debug, PartialEq)]
enum Scan {
    /// Where the record starts and ends, and where the next one begins.
    Record {
        start: usize,
        end: usize,
        next: usize,
    },
    /// The bytes read until now do not show the record's end.
    Incomplete,
    End,
}

/// Finds the first record in `bytes` by RS; `ended` if no more bytes follow. Bytes before `searched` have been found not
/// to end a record.
fn scan(bytes: &[u8], rs: &Bytes, searched: usize, ended: bool, regexes: &mut Regexes) -> Result<Scan, Problem> {
    match &**rs {
        [byte] => Ok(match bytes.iter().skip(searched).position(|b| b == byte) {
            Some(at) => Scan::Record { start: 0, end: searched + at, next: searched + at + 1 },
            None => rest(bytes, 0, ended),
        }),
        [] => Ok(scan_paragraph(bytes, ended)),
        _ => {
            let found = regexes.get(rs, false)?.find(bytes, 0);
            Ok(match found {
                // A longer separator may follow.
                Some(spans) if spans[1] > spans[0] && (spans[1] < bytes.len() || ended) => {
                    Scan::Record { start: 0, end: spans[0], next: spans[1] }
                }
                Some(spans) if spans[1] > spans[0] => Scan::Incomplete,
                // As for lines, the last line end belongs to no record.
                _ if ended && bytes.ends_with(b"\n") => {
                    Scan::Record { start: 0, end: bytes.len() - 1, next: bytes.len() }
                }
                _ => rest(bytes, 0, ended),
            })
        }
    }
}

/// The last record, which has no separator.
fn rest(bytes: &[u8], start: usize, ended: bool) -> Scan {
    match (ended, bytes.len() > start) {
        (false, _) => Scan::Incomplete,
        (true, false) => Scan::End,
        (true, true) => Scan::Record { start, end: bytes.len(), next: bytes.len() },
    }
}

/// Finds the first paragraph; empty lines separate paragraphs.
fn scan_paragraph(bytes: &[u8], ended: bool) -> Scan {
    let start = bytes.iter().take_while(|b| **b == b'\n').count();
    let body = bytes.get(start..).unwrap_or_default();
    match crate::applets::pattern::find_bytes(body, b"\n\n") {
        Some(at) => Scan::Record { start, end: start + at, next: start + at + 2 },
        None => match rest(bytes, start, ended) {
            Scan::Record { start, end, next } if body.ends_with(b"\n") => Scan::Record { start, end: end - 1, next },
            other => other,
        },
    }
}

/// Why a record could not be read.
pub enum ReadError {
    /// RS is not valid.
    Separator(Problem),
    Read(io::Error),
    /// Standard output could not be written before waiting for input.
    Write(io::Error),
}

/// A stream of records.
pub struct Records {
    from: Reader,
    bytes: Vec<u8>,
    /// Where the unread bytes begin.
    start: usize,
    ended: bool,
}

impl Records {
    pub fn new(from: Reader) -> Records {
        Records { from, bytes: vec![], start: 0, ended: false }
    }

    /// Returns the next record, or `None` at the end. Writes `pending` to `to` before it waits for input.
    ///
    /// # Errors
    /// RS, the input or the output may fail.
    pub async fn next(
        &mut self,
        rs: &Bytes,
        regexes: &mut Regexes,
        pending: &mut Vec<u8>,
        to: &Writer,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let mut searched = 0;
        loop {
            let unread = self.bytes.get(self.start..).unwrap_or_default();
            match scan(unread, rs, searched, self.ended, regexes).map_err(ReadError::Separator)? {
                Scan::Record { start, end, next } => {
                    let record = unread.get(start..end).unwrap_or_default().to_vec();
                    self.start += next;
                    return Ok(Some(record));
                }
                Scan::End => return Ok(None),
                Scan::Incomplete => searched = unread.len(),
            }
            if !pending.is_empty() {
                to.write_all(pending).await.map_err(ReadError::Write)?;
                pending.clear();
            }
            self.bytes.drain(..self.start);
            self.start = 0;
            let filled = self.bytes.len();
            self.bytes.resize(filled + BLOCK, 0);
            let read = read_fairly(&self.from, self.bytes.get_mut(filled..).unwrap_or_default()).await;
            let count = read.map_err(ReadError::Read);
            self.bytes.truncate(filled + count.as_ref().copied().unwrap_or(0));
            self.ended = count? == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the records of a text that arrives in two parts.
    fn records(first: &str, second: &str, rs: &str) -> Vec<String> {
        let rs = Bytes::from(rs.as_bytes());
        let mut regexes = Regexes::default();
        let (mut bytes, mut parts) = (first.as_bytes().to_vec(), vec![second.as_bytes()]);
        let mut out = Vec::new();
        let mut ended = false;
        loop {
            match scan(&bytes, &rs, 0, ended, &mut regexes).expect("a valid separator") {
                Scan::Record { start, end, next } => {
                    out.push(String::from_utf8_lossy(&bytes[start..end]).into_owned());
                    bytes.drain(..next);
                }
                Scan::Incomplete => match parts.pop() {
                    Some(part) => bytes.extend(part),
                    None => ended = true,
                },
                Scan::End => return out,
            }
        }
    }

    #[test]
    fn records_end_at_separators() {
        assert_eq!(records("a\nb", "c\n", "\n"), ["a", "bc"]);
        assert_eq!(records("a;b", ";;c\n", ";"), ["a", "b", "", "c\n"]);
        assert_eq!(records("a12b1", "2c\n", "[0-9]+"), ["a", "b", "c"]);
        assert_eq!(records("", "", "\n"), [""; 0]);
    }

    #[test]
    fn empty_lines_separate_paragraphs() {
        assert_eq!(records("\n\na\nb\n", "\n\n\nc\n", ""), ["a\nb", "c"]);
        assert_eq!(records("a", "\n\n", ""), ["a"]);
        assert_eq!(records("\n", "\n", ""), [""; 0]);
    }
}
