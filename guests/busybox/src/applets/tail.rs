//! tail. WASI does not notify of changed files, so `-f` polls each file several times a second.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::options::{parse_size, rewrite_count_options};
use super::stream::{pump, read_fairly};
use super::{EarlyExit, Lines, Options, Outcome, Output, fail, posix, sleep};
use crate::proc::{Proc, Reader, strerror};

/// Seconds between two looks at a followed file.
const POLL_INTERVAL: f64 = 0.2;

#[derive(Clone, Copy)]
struct Part {
    bytes: bool,
    /// `+N`: everything from the Nth byte or line on.
    from_start: bool,
    count: u64,
}

struct Followed {
    name: String,
    file: Option<File>,
    inode: u64,
    at: u64,
}

pub async fn tail(p: Proc) -> Outcome {
    let o = Options::parse_args(&p, &expand_obsolete_options(&p), "n:(lines)c:(bytes)f(follow)Fq(quiet)v(verbose)s:")
        .await?;
    let bytes = o.last_of("nc") == Some('c');
    let text = o.get(if bytes { 'c' } else { 'n' }).unwrap_or("10");
    let Some(count) = parse_size(text.trim_start_matches(['+', '-'])) else {
        return fail(&p, 1, &format!("invalid number '{text}'")).await;
    };
    let part = Part { bytes, from_start: text.starts_with('+'), count };
    let files = o.files();
    let headers = o.last_of("qv").map_or(files.len() > 1, |c| c == 'v');
    let by_name = o.has('F');
    let mut tail = Tail { p: &p, part, headers, by_name, any_shown: false, followed: vec![], code: 0 };
    for name in &files {
        tail.show(name).await?;
    }
    if !tail.any_shown && !by_name {
        return fail(&p, 1, "no files").await;
    }
    if !(o.has('f') || by_name) || tail.followed.is_empty() {
        return Ok(tail.code);
    }
    let pause = o.get('s').and_then(sleep::parse_duration).map_or(POLL_INTERVAL, |s| s.clamp(0.01, POLL_INTERVAL));
    tail.follow(pause).await
}

/// Returns the arguments with the historic `+5` and `-5` rewritten to options.
fn expand_obsolete_options(p: &Proc) -> Vec<String> {
    let mut args = rewrite_count_options(&p.args);
    if let Some(first) = args.first_mut().filter(|a| a.strip_prefix('+').is_some_and(|n| parse_size(n).is_some())) {
        *first = format!("-n{first}");
    }
    args
}

struct Tail<'a> {
    p: &'a Proc,
    part: Part,
    headers: bool,
    /// `-F`: follows the name, not the file.
    by_name: bool,
    any_shown: bool,
    followed: Vec<Followed>,
    code: i32,
}

impl Tail<'_> {
    /// Shows the end of a file and remembers it for following.
    async fn show(&mut self, name: &str) -> Result<(), EarlyExit> {
        let p = self.p;
        // Standard input and devices have no end to seek to.
        let stream = if name == "-" { Some(p.stdin.clone()) } else { Reader::open_device(&p.path(name)) };
        let opened = if stream.is_some() { Ok(None) } else { open(p, name).map(Some) };
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                self.code = 1;
                p.print_error(format_args!("can't open '{name}': {}", strerror(&error))).await;
                if self.by_name {
                    self.followed.push(Followed { name: name.into(), file: None, inode: 0, at: 0 });
                }
                return Ok(());
            }
        };
        let mut out = Output::new(p);
        if self.headers {
            push_header(name, self.any_shown, &mut out);
        }
        self.any_shown = true;
        match file {
            None => from_stream(stream.unwrap_or_else(Reader::empty), self.part, &mut out).await?,
            Some(mut file) => {
                let start = start_offset(&mut file, self.part)?;
                file.seek(SeekFrom::Start(start))?;
                out.flush().await?;
                let reader = Reader::from_file(file.try_clone().or_else(|_| open_at(p, name, start))?);
                let at = start + pump(&reader, &p.stdout).await?;
                let inode = posix::read_status(&p.path(name), true).map_or(0, |s| s.inode);
                self.followed.push(Followed { name: name.into(), file: Some(file), inode, at });
            }
        }
        Ok(out.flush().await?)
    }

    /// Shows what the files grow by, until the process is stopped.
    async fn follow(&mut self, pause: f64) -> Outcome {
        let mut shown = self.followed.len() - 1;
        loop {
            sleep::wait(pause).await;
            for (i, file) in self.followed.iter_mut().enumerate() {
                let mut out = Output::new(self.p);
                let fresh = file.grown(self.p, self.by_name).await;
                if fresh.is_empty() {
                    continue;
                }
                if self.headers && shown != i {
                    push_header(&file.name, true, &mut out);
                }
                shown = i;
                out.add(fresh);
                out.flush().await?;
            }
        }
    }
}

fn open(p: &Proc, name: &str) -> io::Result<File> {
    let path = p.path(name);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    File::open(path)
}

fn open_at(p: &Proc, name: &str, at: u64) -> io::Result<File> {
    let mut file = open(p, name)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file)
}

fn push_header(name: &str, gap: bool, out: &mut Output) {
    let name = if name == "-" { "standard input" } else { name };
    out.add(format!("{}==> {name} <==\n", if gap { "\n" } else { "" }));
}

impl Followed {
    /// Returns what was added since the last look, at most a block. Reads a file that shrank or was replaced from its
    /// beginning.
    async fn grown(&mut self, p: &Proc, by_name: bool) -> Vec<u8> {
        let path = p.path(&self.name);
        let status = posix::read_status(&path, true);
        if by_name {
            match (&status, &self.file) {
                (Err(_), Some(_)) => {
                    self.file = None;
                    p.print_error(format_args!("{} has become inaccessible", self.name)).await;
                }
                (Ok(status), file) if file.is_none() || status.inode != self.inode => {
                    let said = if file.is_some() { "replaced" } else { "appeared" };
                    p.print_error(format_args!("{} has {said}; following end of new file", self.name)).await;
                    self.file = open(p, &self.name).ok();
                    self.inode = status.inode;
                    self.at = 0;
                }
                _ => {}
            }
        }
        let Some(file) = &mut self.file else { return vec![] };
        let length = file.metadata().map_or(self.at, |m| m.len());
        if length < self.at {
            p.print_error(format_args!("{}: file truncated", self.name)).await;
            self.at = 0;
        }
        let mut fresh = vec![0; (length - self.at).min(64 * 1024) as usize];
        let read = file.seek(SeekFrom::Start(self.at)).and_then(|_| file.read(&mut fresh)).unwrap_or(0);
        fresh.truncate(read);
        self.at += read as u64;
        fresh
    }
}

/// Returns where the wanted part of a file begins; reads blocks from the end.
fn start_offset(file: &mut File, part: Part) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut buf = vec![0; 8192];
    match part {
        Part { bytes: true, from_start: true, count } => Ok(count.saturating_sub(1).min(length)),
        Part { bytes: true, count, .. } => Ok(length.saturating_sub(count)),
        Part { from_start: true, count, .. } => {
            let mut at = 0;
            let mut left = count.saturating_sub(1);
            file.seek(SeekFrom::Start(0))?;
            while left > 0 {
                let n = file.read(&mut buf)?;
                if n == 0 {
                    break;
                }
                for byte in buf.iter().take(n) {
                    at += 1;
                    left -= u64::from(*byte == b'\n');
                    if left == 0 {
                        break;
                    }
                }
            }
            Ok(at)
        }
        Part { count, .. } => {
            let mut end = length;
            // The newline at the very end closes the last line, it does not begin another.
            let mut found = 0;
            while end > 0 && count > 0 {
                let from = end.saturating_sub(buf.len() as u64);
                let block = buf.get_mut(..(end - from) as usize).unwrap_or_default();
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(block)?;
                for (i, byte) in block.iter().enumerate().rev() {
                    let at = from + i as u64;
                    if *byte == b'\n' && at + 1 != length {
                        found += 1;
                        if found == count {
                            return Ok(at + 1);
                        }
                    }
                }
                end = from;
            }
            Ok(if count == 0 { length } else { 0 })
        }
    }
}

async fn from_stream(reader: Reader, part: Part, out: &mut Output) -> Result<(), EarlyExit> {
    if part.bytes {
        return bytes_from_stream(reader, part, out).await;
    }
    let mut lines = Lines::new(reader);
    if part.from_start {
        let mut number = 1;
        while let Some(line) = lines.next(out).await? {
            if number >= part.count {
                out.put(line).await?;
            }
            number += 1;
        }
        return Ok(());
    }
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    while let Some(line) = lines.next(out).await? {
        held.push_back(line.to_vec());
        if held.len() as u64 > part.count {
            held.pop_front();
        }
    }
    for line in held {
        out.put(line).await?;
    }
    Ok(())
}

async fn bytes_from_stream(reader: Reader, part: Part, out: &mut Output) -> Result<(), EarlyExit> {
    let mut buf = vec![0; 16 * 1024];
    let mut held: VecDeque<u8> = VecDeque::new();
    let mut skip = part.count.saturating_sub(1) as usize;
    loop {
        let n = read_fairly(&reader, &mut buf).await?;
        let block = buf.get(..n).unwrap_or_default();
        if n == 0 {
            break;
        } else if part.from_start {
            let skipped = skip.min(n);
            skip -= skipped;
            out.add(block.get(skipped..).unwrap_or_default());
            out.flush().await?;
        } else {
            held.extend(block);
            held.drain(..held.len().saturating_sub(part.count as usize));
        }
    }
    let (one, two) = held.as_slices();
    out.put(one).await?;
    Ok(out.put(two).await?)
}
