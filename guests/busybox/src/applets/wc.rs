//! wc.

use super::stream::{each_file, read_fairly};
use super::{EarlyExit, Options, Outcome, Output};
use crate::proc::{Proc, Reader};

/// The options that choose a count; a count's index is its option's position here.
const COUNTS: &str = "lwmcL";

pub async fn wc(p: Proc) -> Outcome {
    let o = Options::parse(&p, "c(bytes)l(lines)m(chars)w(words)L").await?;
    let mut chosen: Vec<usize> = COUNTS.chars().enumerate().filter(|(_, c)| o.has(*c)).map(|(i, _)| i).collect();
    if chosen.is_empty() {
        // Lines, words and bytes.
        chosen = vec![0, 1, 3];
    }
    let mut out = Output::new(&p);
    let mut totals = [0u64; 5];
    let mut files = each_file(&p, o.files());
    while let Some((file, reader)) = files.next().await {
        let counts = count_reader(&reader).await?;
        out.put(format_line(&chosen, &counts, if o.operands.is_empty() { "" } else { &file })).await?;
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    if o.operands.len() > 1 {
        out.put(format_line(&chosen, &totals, "total")).await?;
    }
    out.end(files.code).await
}

/// Counts lines, words, characters, bytes and the longest line, in the order of [`COUNTS`].
async fn count_reader(reader: &Reader) -> Result<[u64; 5], EarlyExit> {
    let mut counts = [0u64; 5];
    let [lines, words, chars, bytes, longest] = &mut counts;
    let mut buf = vec![0; 32 * 1024];
    let (mut in_word, mut width) = (false, 0);
    loop {
        let n = read_fairly(reader, &mut buf).await?;
        if n == 0 {
            return Ok(counts);
        }
        *bytes += n as u64;
        for byte in buf.iter().take(n) {
            *lines += u64::from(*byte == b'\n');
            *chars += u64::from(*byte & 0xc0 != 0x80);
            width = if *byte == b'\n' { 0 } else { width + 1 };
            *longest = width.max(*longest);
            let blank = byte.is_ascii_whitespace() || *byte == 11;
            *words += u64::from(!blank && !in_word);
            in_word = !blank;
        }
    }
}

/// Formats the chosen counts: a single one unpadded, several in columns.
fn format_line(chosen: &[usize], counts: &[u64; 5], name: &str) -> String {
    let width = if chosen.len() > 1 { 9 } else { 0 };
    let mut text = String::new();
    for i in chosen {
        let gap = if text.is_empty() { "" } else { " " };
        text += &format!("{gap}{:width$}", counts[*i]);
    }
    let gap = if name.is_empty() { "" } else { " " };
    text + gap + name + "\n"
}
