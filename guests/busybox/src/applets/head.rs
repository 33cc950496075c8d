//! head: the beginnings of files.

use std::collections::VecDeque;

use super::options::{parse_size, rewrite_count_options};
use super::stream::{each_file, read_fairly};
use super::{EarlyExit, Lines, Options, Outcome, Output, fail};
use crate::proc::{Proc, Reader};

pub async fn head(p: Proc) -> Outcome {
    let o = Options::parse_args(&p, &rewrite_count_options(&p.args), "n:(lines)c:(bytes)q(quiet)v(verbose)").await?;
    let bytes = o.last_of("nc") == Some('c');
    let text = o.get(if bytes { 'c' } else { 'n' }).unwrap_or("10");
    let (all_but, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let Some(count) = parse_size(digits) else {
        return fail(&p, 1, &format!("invalid number '{text}'")).await;
    };
    let headers = o.last_of("qv").map_or(o.operands.len() > 1, |c| c == 'v');
    let mut shown = 0;
    let mut files = each_file(&p, o.files());
    while let Some((file, reader)) = files.next().await {
        let mut out = Output::new(&p);
        if headers {
            let gap = if shown > 0 { "\n" } else { "" };
            out.put(format!("{gap}==> {} <==\n", if file == "-" { "standard input" } else { &file })).await?;
        }
        shown += 1;
        match (bytes, all_but) {
            (true, false) => first_bytes(&reader, count, &mut out).await?,
            (true, true) => all_but_bytes(&reader, count as usize, &mut out).await?,
            (false, _) => print_lines(reader, count, all_but, &mut out).await?,
        }
        out.flush().await?;
    }
    Ok(files.code)
}

async fn first_bytes(reader: &Reader, mut count: u64, out: &mut Output) -> Result<(), EarlyExit> {
    let mut buf = vec![0; 16 * 1024];
    while count > 0 {
        let most = buf.len().min(count as usize);
        let n = read_fairly(reader, &mut buf[..most]).await?;
        if n == 0 {
            break;
        }
        count -= n as u64;
        out.add(&buf[..n]);
        out.flush().await?;
    }
    Ok(())
}

async fn all_but_bytes(reader: &Reader, count: usize, out: &mut Output) -> Result<(), EarlyExit> {
    let mut held: VecDeque<u8> = VecDeque::new();
    let mut buf = vec![0; 16 * 1024];
    loop {
        let n = read_fairly(reader, &mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        held.extend(&buf[..n]);
        let passed: Vec<u8> = held.drain(..held.len().saturating_sub(count)).collect();
        out.put(passed).await?;
    }
}

async fn print_lines(reader: Reader, count: u64, all_but: bool, out: &mut Output) -> Result<(), EarlyExit> {
    let mut lines = Lines::new(reader);
    if all_but {
        let mut held: VecDeque<Vec<u8>> = VecDeque::new();
        while let Some(line) = lines.next(out).await? {
            held.push_back(line.to_vec());
            if held.len() as u64 > count {
                out.put(held.pop_front().unwrap_or_default()).await?;
            }
        }
        return Ok(());
    }
    for _ in 0..count {
        let Some(line) = lines.next(out).await? else { break };
        out.put(line).await?;
    }
    Ok(())
}
