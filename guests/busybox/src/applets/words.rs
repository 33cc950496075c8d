//! wc.

use super::stream::{open, read_fairly};
use super::{Options, Out, Outcome};
use crate::proc::Proc;

pub async fn wc(p: Proc) -> Outcome {
    let o = Options::of(&p, "c(bytes)l(lines)m(chars)w(words)L").await?;
    let mut chosen: Vec<char> = "lwmcL".chars().filter(|c| o.has(*c)).collect();
    if chosen.is_empty() {
        chosen = vec!['l', 'w', 'c'];
    }
    let mut out = Out::new(&p);
    let mut totals = [0u64; 5];
    let mut code = 0;
    // One number stands bare, several stand in columns.
    let columns = chosen.len() > 1;
    let line = |counts: &[u64; 5], name: &str| {
        let mut text = String::new();
        for c in &chosen {
            let value = counts[usize::from("lwmcL".find(*c).is_some()) * "lwmcL".find(*c).unwrap_or(0)];
            let gap = if text.is_empty() { "" } else { " " };
            let width = if columns { 9 } else { 0 };
            text += &format!("{gap}{value:width$}");
        }
        let gap = if name.is_empty() { "" } else { " " };
        text + gap + name + "\n"
    };
    for file in o.files() {
        let Some(reader) = open(&p, &file).await else {
            code = 1;
            continue;
        };
        let mut counts = [0u64; 5];
        let [lines, words, chars, bytes, longest] = &mut counts;
        let mut buf = vec![0; 32 * 1024];
        let (mut in_word, mut width) = (false, 0);
        loop {
            let n = read_fairly(&reader, &mut buf).await?;
            if n == 0 {
                break;
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
        out.put(line(&counts, if o.rest.is_empty() { "" } else { &file })).await?;
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    if o.rest.len() > 1 {
        out.put(line(&totals, "total")).await?;
    }
    out.end(code).await
}
