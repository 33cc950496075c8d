//! An attempt's files: `0.log`, and beside it what was rotated, `0.log.20260131-120000`.
//!
//! Nothing keeps a file open: it is opened for a batch of lines, or for a piece that is read. All
//! of this waits for the disk and belongs on threads that may.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use parking_lot::Mutex;

use super::index::{Index, Run, Segment};
use super::{Line, cri};

/// How much of an attempt's log is kept in files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A file is rotated before it gets longer, in bytes.
    pub(super) file: u64,
    /// Files, the one that is written to among them.
    pub(super) files: usize,
}

/// Kubelet's `containerLogMaxSize` and `containerLogMaxFiles` (K77).
pub(super) const KUBELETS: Limits = Limits { file: 10 * 1024 * 1024, files: 5 };

/// So much is written at once.
const PIECE: usize = 64 * 1024;

/// See the module's documentation.
pub(super) struct Files {
    /// The file that is written to.
    path: PathBuf,
    limits: Limits,
    /// Protects the index, and the files' names against being changed while one is opened.
    index: Mutex<Index>,
}

/// Lines that follow each other.
pub(super) struct Piece {
    /// The number of the first one.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
    /// The number from which to read on; lines before it that are not here can't be read.
    pub(super) end: u64,
}

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) lines: u64,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl Files {
    /// No file is made before the first line.
    pub(super) fn new(path: PathBuf, limits: Limits) -> Files {
        Files { path, limits, index: Mutex::default() }
    }

    /// Writes lines behind those that are there; `first` is the number of the first. Once the files
    /// were removed, lines go nowhere.
    pub(super) fn append(&self, first: u64, lines: &[Line]) -> Result<(), Unwritten> {
        let mut index = self.index.lock();
        if index.gone {
            return Ok(());
        }
        let mut written = 0;
        let mut pen = Pen { path: &self.path, limits: self.limits, index: &mut index, file: None };
        pen.append(first, lines, &mut written).map_err(|source| {
            let lines = (lines.len() as u64).saturating_sub(written);
            Unwritten { lines, path: self.path.clone(), source }
        })
    }

    /// Reads a piece from line `from` on, or from the first line behind it that is there.
    pub(super) fn read(&self, from: u64) -> Option<Piece> {
        let (run, file) = {
            let index = self.index.lock();
            let (segment, run) = index.at_or_after(from)?;
            (run, File::open(&segment.path))
        };
        let mut piece = read_run(run, file);
        let skip = usize::try_from(from.saturating_sub(piece.first)).unwrap_or(usize::MAX);
        piece.lines.drain(..skip.min(piece.lines.len()));
        piece.first = piece.first.max(from);
        Some(piece)
    }

    /// Reads the last piece before line `end`.
    pub(super) fn read_back(&self, end: u64) -> Option<Piece> {
        let (run, file) = {
            let index = self.index.lock();
            let (segment, run) = index.before(end)?;
            (run, File::open(&segment.path))
        };
        let mut piece = read_run(run, file);
        piece.lines.truncate(usize::try_from(end - piece.first).unwrap_or(usize::MAX));
        Some(piece)
    }

    /// See [`Index::before_time`].
    pub(super) fn before_time(&self, time: Timestamp) -> Option<u64> {
        self.index.lock().before_time(time)
    }

    /// Removes them; nothing will be written any more.
    pub(super) fn remove(&self) {
        let mut index = self.index.lock();
        index.gone = true;
        for segment in index.segments.drain(..) {
            // Somebody may have been faster.
            let _ = fs::remove_file(&segment.path);
        }
    }
}

/// Reads what a run says; what can't be read is not in the piece.
fn read_run(run: Run, file: io::Result<File>) -> Piece {
    let read = || {
        let mut text = vec![0; usize::try_from(run.bytes).map_err(io::Error::other)?];
        file?.read_exact_at(&mut text, run.offset)?;
        io::Result::Ok(text)
    };
    let text = read().unwrap_or_else(|error| {
        tracing::debug!(%error, "a part of a log cannot be read");
        Vec::new()
    });
    let mut reader = cri::Reader::default();
    let texts = text.split_inclusive(|byte| *byte == b'\n').map_while(|text| text.strip_suffix(b"\n"));
    let lines = texts.map_while(|text| reader.read(text)).collect();
    Piece { first: run.first, lines, end: run.end() }
}

/// Writes at the end of the newest file.
struct Pen<'a> {
    path: &'a Path,
    limits: Limits,
    index: &'a mut Index,
    file: Option<File>,
}

impl Pen<'_> {
    fn append(&mut self, first: u64, lines: &[Line], written: &mut u64) -> io::Result<()> {
        let mut text = Vec::new();
        let mut writer = cri::Writer::default();
        // What `text` says, but for where.
        let mut run: Option<Run> = None;
        for (number, line) in (first..).zip(lines) {
            let before = text.len();
            writer.write(line, &mut text);
            let full = self.bytes() + text.len() as u64 > self.limits.file;
            if before >= PIECE || (full && before > 0) {
                let behind = text.split_off(before);
                self.put(&text, run.take(), written)?;
                text = behind;
            }
            if self.bytes() > 0 && self.bytes() + text.len() as u64 > self.limits.file {
                self.rotate(line.at)?;
            }
            run.get_or_insert(Run { first: number, lines: 0, offset: 0, bytes: 0, at: line.at }).lines += 1;
        }
        self.put(&text, run, written)
    }

    /// The length of the newest file.
    fn bytes(&self) -> u64 {
        self.index.segments.back().map_or(0, Segment::bytes)
    }

    fn put(&mut self, text: &[u8], run: Option<Run>, written: &mut u64) -> io::Result<()> {
        let Some(run) = run else { return Ok(()) };
        if self.index.segments.is_empty() {
            self.index.segments.push_back(Segment::new(self.path.into()));
        }
        let Some(segment) = self.index.segments.back_mut() else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(self.path, segment)?),
        };
        let offset = segment.bytes();
        if let Err(error) = file.write_all(text) {
            // Half a line would be in the way of the next one. Where this fails, too, it is tried again
            // before the next line is written.
            let _ = file.set_len(offset);
            return Err(error);
        }
        segment.add(Run { offset, bytes: text.len() as u64, ..run });
        *written += run.lines;
        Ok(())
    }

    /// Gives the newest file the name that says since when it is old, as kubelet does, and lets the
    /// oldest go. Names of an attempt's files grow, even where more than one is full in a second.
    fn rotate(&mut self, at: Timestamp) -> io::Result<()> {
        self.file = None;
        let mut at = at;
        let mut name = self.rotated(at);
        let before = self.index.segments.iter().rev().nth(1).map(|segment| segment.path.clone());
        while before.as_ref().is_some_and(|before| *before >= name) {
            at = at.checked_add(1.second()).map_err(io::Error::other)?;
            name = self.rotated(at);
        }
        let Some(full) = self.index.segments.back_mut() else { return Ok(()) };
        match fs::rename(self.path, &name) {
            Ok(()) => full.path = name,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody took it away: the next line begins it anew.
                full.forget();
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.index.segments.push_back(Segment::new(self.path.into()));
        while self.index.segments.len() > self.limits.files {
            if let Some(oldest) = self.index.segments.pop_front() {
                // One that can't be removed goes with its folder.
                let _ = fs::remove_file(oldest.path);
            }
        }
        Ok(())
    }

    fn rotated(&self, at: Timestamp) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(at.strftime(".%Y%m%d-%H%M%S").to_string());
        name.into()
    }
}

/// Opens the file for lines behind those that `segment` knows of, and makes it and its folders
/// where they are missing. What somebody else has done to it is undone as far as possible.
fn open(path: &Path, segment: &mut Segment) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
            open()?
        }
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length < segment.bytes() {
        segment.forget();
    }
    if length != segment.bytes() {
        file.set_len(segment.bytes())?;
    }
    Ok(file)
}
