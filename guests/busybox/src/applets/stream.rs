//! Streams: buffered output, line-wise input, and the applets that only move bytes (cat, tee).
//!
//! Guarantees that a long copy never blocks the other tasks of the thread.

use std::fs::OpenOptions;
use std::io;

use super::{EarlyExit, Options, Outcome};
use crate::proc::{Proc, Reader, Writer, strerror, yield_now};

const BLOCK: usize = 32 * 1024;

/// Output collected into larger writes. Unflushed output is lost, so every applet ends with `end`.
pub struct Output {
    to: Writer,
    buf: Vec<u8>,
}

impl Output {
    pub fn new(p: &Proc) -> Output {
        Output::from_writer(p.stdout.clone())
    }

    pub fn from_writer(to: Writer) -> Output {
        Output { to, buf: Vec::new() }
    }

    /// Adds `bytes` and writes the buffer once it is full.
    pub async fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.buf.extend_from_slice(bytes.as_ref());
        if self.buf.len() < BLOCK {
            return Ok(());
        }
        // Writes to files and /dev/null never wait: without this, `yes` would starve the other tasks.
        yield_now().await;
        self.flush().await
    }

    /// Adds `bytes` without writing; for callers that flush soon.
    pub fn add(&mut self, bytes: impl AsRef<[u8]>) {
        self.buf.extend_from_slice(bytes.as_ref());
    }

    /// Writes the buffer.
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
    /// Bounds of the current line in `buf`.
    start: usize,
    end: usize,
    ended: bool,
    separator: u8,
}

impl Lines {
    pub fn new(from: Reader) -> Lines {
        Lines::split_by(from, b'\n')
    }

    pub fn split_by(from: Reader, separator: u8) -> Lines {
        Lines { from, buf: vec![], start: 0, end: 0, ended: false, separator }
    }

    /// Returns the next line with its separator, if it has one. Flushes `out` before it waits for input, so that a slow
    /// producer's lines pass at once.
    pub async fn next(&mut self, out: &mut Output) -> Result<Option<&[u8]>, EarlyExit> {
        Ok(if self.advance(out).await? { Some(self.line()) } else { None })
    }

    /// The line that `advance` found.
    fn line(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    /// Moves to the next line; false at the end of the input.
    async fn advance(&mut self, out: &mut Output) -> Result<bool, EarlyExit> {
        self.start = self.end;
        let mut searched = self.end;
        loop {
            let unseen = self.buf.get(searched..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|b| *b == self.separator) {
                self.end = searched + at + 1;
                return Ok(true);
            }
            if self.ended {
                self.end = self.buf.len();
                return Ok(self.start < self.end);
            }
            out.flush().await?;
            self.buf.drain(..self.start);
            self.start = 0;
            searched = self.buf.len();
            self.buf.resize(searched + BLOCK, 0);
            let n = read_fairly(&self.from, self.buf.get_mut(searched..).unwrap_or_default()).await?;
            self.buf.truncate(searched + n);
            self.ended = n == 0;
        }
    }

    /// Returns the next line without its separator.
    pub async fn bare(&mut self, out: &mut Output) -> Result<Option<&[u8]>, EarlyExit> {
        let separator = self.separator;
        Ok(self.next(out).await?.map(|line| line.strip_suffix(&[separator]).unwrap_or(line)))
    }
}

/// Reads a block after letting the other tasks run: reads from files never wait.
pub async fn read_fairly(from: &Reader, buf: &mut [u8]) -> io::Result<usize> {
    yield_now().await;
    from.read(buf).await
}

/// Reads until the buffer is full or the input ends; returns the number of bytes.
pub async fn read_full(from: &Reader, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match read_fairly(from, buf.get_mut(filled..).unwrap_or_default()).await? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Copies `from` to `to` and returns the number of bytes.
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

/// Opens an operand or reports the error: `head: x: No such file or directory`.
pub async fn open(p: &Proc, operand: &str) -> Option<Reader> {
    match p.open(operand) {
        Ok(reader) => Some(reader),
        Err(error) => {
            p.print_error(format_args!("{operand}: {}", strerror(&error))).await;
            None
        }
    }
}

/// Like [`open`], with the message of cat and md5sum: `can't open 'x': ...`.
pub async fn open_like_cat(p: &Proc, operand: &str) -> Option<Reader> {
    match p.open(operand) {
        Ok(reader) => Some(reader),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            p.print_error("read error: Is a directory").await;
            None
        }
        Err(error) => {
            p.print_error(format_args!("can't open '{operand}': {}", strerror(&error))).await;
            None
        }
    }
}

/// Opens `operands` in turn; those that can't be opened are reported and skipped.
pub fn each_file(p: &Proc, operands: Vec<String>) -> Files<'_> {
    Files { p, operands: operands.into_iter(), code: 0 }
}

/// The files that [`each_file`] opens.
pub struct Files<'a> {
    p: &'a Proc,
    operands: std::vec::IntoIter<String>,
    /// The applet's exit code: 1 if an operand could not be opened.
    pub code: i32,
}

impl Files<'_> {
    /// Returns the next file with its name.
    pub async fn next(&mut self) -> Option<(String, Reader)> {
        loop {
            let name = self.operands.next()?;
            match open(self.p, &name).await {
                Some(reader) => return Some((name, reader)),
                None => self.code = 1,
            }
        }
    }
}

/// Reads the lines of all `operands`, which it opens as [`each_file`] does.
pub fn each_line(p: &Proc, operands: Vec<String>) -> FileLines<'_> {
    FileLines { files: each_file(p, operands), current: None }
}

/// The lines that [`each_line`] reads.
pub struct FileLines<'a> {
    files: Files<'a>,
    current: Option<Lines>,
}

impl FileLines<'_> {
    /// Returns the next line with its newline, if it has one; flushes `out` as [`Lines::next`] does.
    pub async fn next(&mut self, out: &mut Output) -> Result<Option<&[u8]>, EarlyExit> {
        loop {
            if let Some(lines) = &mut self.current
                && lines.advance(out).await?
            {
                return Ok(self.current.as_ref().map(Lines::line));
            }
            match self.files.next().await {
                Some((_, reader)) => self.current = Some(Lines::new(reader)),
                None => return Ok(None),
            }
        }
    }

    /// The applet's exit code: 1 if an operand could not be opened.
    pub fn code(&self) -> i32 {
        self.files.code
    }
}

/// Returns `line` without its newline.
pub fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

pub async fn cat(p: Proc) -> Outcome {
    let o = Options::parse(&p, "nbuvetA").await?;
    let mut code = 0;
    let mut line_number = 0;
    let plain = !o.has('n') && !o.has('b');
    for file in o.files() {
        let Some(reader) = open_like_cat(&p, &file).await else {
            code = 1;
            continue;
        };
        if plain {
            pump(&reader, &p.stdout).await?;
            continue;
        }
        let mut out = Output::new(&p);
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
    let o = Options::parse(&p, "ai").await?;
    let mut code = 0;
    let mut sinks = vec![p.stdout.clone()];
    for file in &o.operands {
        let mut how = OpenOptions::new();
        how.create(true).write(true).append(o.has('a')).truncate(!o.has('a'));
        match how.open(p.path(file)) {
            Ok(opened) => sinks.push(Writer::from_file(opened)),
            Err(error) => {
                p.print_error(format_args!("{file}: {}", strerror(&error))).await;
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
