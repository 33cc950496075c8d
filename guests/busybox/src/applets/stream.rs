//! Streams: buffered output, line-wise input, and the applets that only move bytes (cat, tee).

use std::fs::OpenOptions;
use std::io;

use super::{Options, Outcome, Stop};
use crate::proc::{Proc, Reader, Writer, strerror, yield_now};

const BLOCK: usize = 32 * 1024;

/// Output collected into larger writes. What is not flushed is lost: every applet ends with `end`.
pub struct Out {
    to: Writer,
    buf: Vec<u8>,
}

impl Out {
    pub fn new(p: &Proc) -> Out {
        Out::to(p.stdout.clone())
    }

    pub fn to(to: Writer) -> Out {
        Out { to, buf: Vec::new() }
    }

    pub async fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.buf.extend_from_slice(bytes.as_ref());
        if self.buf.len() < BLOCK {
            return Ok(());
        }
        // Files and /dev/null take everything at once: without this, `yes` would be alone for ever.
        yield_now().await;
        self.flush().await
    }

    /// Adds without writing; for callers that flush soon.
    pub fn add(&mut self, bytes: impl AsRef<[u8]>) {
        self.buf.extend_from_slice(bytes.as_ref());
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let written = self.to.write_all(&self.buf).await;
        self.buf.clear();
        written
    }

    /// Flushes and ends the applet with this code.
    pub async fn end(mut self, code: i32) -> Outcome {
        self.flush().await?;
        Ok(code)
    }
}

/// A stream's lines in constant memory.
pub struct Lines {
    from: Reader,
    buf: Vec<u8>,
    start: usize,
    /// Up to here the buffer holds no separator.
    seen: usize,
    ended: bool,
    separator: u8,
}

impl Lines {
    pub fn new(from: Reader) -> Lines {
        Lines::split_by(from, b'\n')
    }

    pub fn split_by(from: Reader, separator: u8) -> Lines {
        Lines { from, buf: vec![], start: 0, seen: 0, ended: false, separator }
    }

    /// The next line with its newline, if it had one. Flushes `out` before it waits for input, so
    /// that a slow producer's lines pass at once.
    pub async fn next(&mut self, out: &mut Out) -> Result<Option<&[u8]>, Stop> {
        loop {
            let unseen = self.buf.get(self.seen..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|b| *b == self.separator) {
                let end = self.seen + at + 1;
                let start = std::mem::replace(&mut self.start, end);
                self.seen = end;
                return Ok(self.buf.get(start..end));
            }
            self.seen = self.buf.len();
            if self.ended {
                let start = std::mem::replace(&mut self.start, self.seen);
                return Ok(self.buf.get(start..).filter(|line| !line.is_empty()));
            }
            out.flush().await?;
            self.buf.drain(..self.start);
            self.start = 0;
            self.seen = self.buf.len();
            self.buf.resize(self.seen + BLOCK, 0);
            let n = read_fairly(&self.from, self.buf.get_mut(self.seen..).unwrap_or_default()).await?;
            self.buf.truncate(self.seen + n);
            self.ended = n == 0;
        }
    }

    /// The next line without its separator.
    pub async fn bare(&mut self, out: &mut Out) -> Result<Option<&[u8]>, Stop> {
        let separator = self.separator;
        Ok(self.next(out).await?.map(|line| line.strip_suffix(&[separator]).unwrap_or(line)))
    }
}

/// Reads a block and lets the other tasks run: reads from files never wait by themselves.
pub async fn read_fairly(from: &Reader, buf: &mut [u8]) -> io::Result<usize> {
    yield_now().await;
    from.read(buf).await
}

/// Passes everything on.
pub async fn pump(from: &Reader, to: &Writer) -> io::Result<u64> {
    let mut buf = vec![0; BLOCK];
    let mut total = 0;
    loop {
        let n = read_fairly(from, &mut buf).await?;
        if n == 0 {
            return Ok(total);
        }
        to.write_all(buf.get(..n).unwrap_or_default()).await?;
        total += n as u64;
    }
}

/// Opens an operand, or says why it can't: `head: x: No such file or directory`.
pub async fn open(p: &Proc, operand: &str) -> Option<Reader> {
    match p.open(operand) {
        Ok(reader) => Some(reader),
        Err(error) => {
            p.complain(format_args!("{operand}: {}", strerror(&error))).await;
            None
        }
    }
}

/// The same in the words of cat and its kin: `can't open 'x': ...`.
pub async fn open_or_cant(p: &Proc, operand: &str) -> Option<Reader> {
    match p.open(operand) {
        Ok(reader) => Some(reader),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            p.complain("read error: Is a directory").await;
            None
        }
        Err(error) => {
            p.complain(format_args!("can't open '{operand}': {}", strerror(&error))).await;
            None
        }
    }
}

pub async fn cat(p: Proc) -> Outcome {
    let o = Options::of(&p, "nbuvetA").await?;
    let mut code = 0;
    let mut line_number = 0;
    let plain = !o.has('n') && !o.has('b');
    for file in o.files() {
        let Some(reader) = open_or_cant(&p, &file).await else {
            code = 1;
            continue;
        };
        if plain {
            pump(&reader, &p.stdout).await?;
            continue;
        }
        let mut out = Out::new(&p);
        let mut lines = Lines::new(reader);
        while let Some(line) = lines.next(&mut out).await? {
            if o.has('n') || line != b"\n" {
                line_number += 1;
                out.add(format!("{line_number:6}\t"));
            }
            out.put(line).await?;
        }
        out.flush().await?;
    }
    Ok(code)
}

pub async fn tee(p: Proc) -> Outcome {
    let o = Options::of(&p, "ai").await?;
    let mut code = 0;
    let mut sinks = vec![p.stdout.clone()];
    for file in &o.rest {
        let mut how = OpenOptions::new();
        how.create(true).write(true).append(o.has('a')).truncate(!o.has('a'));
        match how.open(p.path(file)) {
            Ok(opened) => sinks.push(Writer::file(opened)),
            Err(error) => {
                p.complain(format_args!("{file}: {}", strerror(&error))).await;
                code = 1;
            }
        }
    }
    let mut buf = vec![0; BLOCK];
    loop {
        let n = read_fairly(&p.stdin, &mut buf).await?;
        if n == 0 {
            return Ok(code);
        }
        for sink in &sinks {
            sink.write_all(buf.get(..n).unwrap_or_default()).await?;
        }
    }
}
