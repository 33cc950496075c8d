//! The files of an attempt: `0.log` and its rotated predecessors, such as `0.log.20260131-120000`.
//!
//! No file stays open: it is opened for each batch of lines, and for each chunk that is read. All
//! functions block on the disk and belong on blocking threads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use parking_lot::Mutex;

use super::index::{Extent, FileIndex, IndexState, Segment};
use super::links::Link;
use super::{Line, cri, stored};

/// Limits of an attempt's files.
#[derive(Debug, Clone, Copy)]
pub(super) struct RotationLimits {
    /// Size that a file may not exceed before it is rotated.
    pub(super) max_file_bytes: u64,
    /// Number of files, including the one that lines are appended to.
    pub(super) max_files: usize,
}

/// Kubelet's defaults for `containerLogMaxSize` and `containerLogMaxFiles` (K77).
pub(super) const KUBELET_LIMITS: RotationLimits = RotationLimits { max_file_bytes: 10 * 1024 * 1024, max_files: 5 };

/// Text is written once it has at least this many bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// The log files of one attempt: the current one and its rotated predecessors.
pub(super) struct LogFiles {
    /// The file that lines are appended to.
    path: PathBuf,
    /// The link to that file, made with it.
    link: Link,
    limits: RotationLimits,
    /// Protects the index, and the files' names while one of them is opened.
    index: Mutex<FileIndex>,
}

/// Consecutive lines that were read from a file.
pub(super) struct LineChunk {
    /// Number of the first line.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
    /// Number of the line at which the next read starts; missing lines before it are unreadable.
    pub(super) end: u64,
}

/// Lines could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(super) struct AppendError {
    /// Number of lines that are missing from the file.
    pub(super) lines: u64,
    path: PathBuf,
    pub(super) source: io::Error,
}

impl LogFiles {
    /// Describes files with `path` as the current one. The first line creates it.
    pub(super) fn new(path: PathBuf, link: Link, limits: RotationLimits) -> LogFiles {
        LogFiles { path, link, limits, index: Mutex::default() }
    }

    /// Describes files that an earlier node has left, to which nothing is appended.
    pub(super) fn stored(path: PathBuf, link: Link, limits: RotationLimits) -> LogFiles {
        let index = FileIndex { state: IndexState::Unread, ..FileIndex::default() };
        LogFiles { path, link, limits, index: Mutex::new(index) }
    }

    /// Indexes files that an earlier node has left. Returns the number of the line after the last one.
    pub(super) fn index_stored(&self) -> u64 {
        let mut index = self.index.lock();
        if index.state == IndexState::Unread {
            *index = FileIndex { segments: stored::segments(&self.path), state: IndexState::Complete };
        }
        index.segments.iter().map(Segment::end).max().unwrap_or(0)
    }

    /// Appends lines, of which the first has number `first`. After [`LogFiles::remove`] it does nothing.
    ///
    /// # Errors
    ///
    /// [`AppendError`] if the file cannot be created, written or rotated; the lines that it counts are lost.
    pub(super) fn append(&self, first: u64, lines: &[Line]) -> Result<(), AppendError> {
        let mut index = self.index.lock();
        if index.state == IndexState::Removed {
            return Ok(());
        }
        if index.segments.is_empty() {
            self.link.create(&self.path);
        }
        let mut appender =
            Appender { path: &self.path, limits: self.limits, index: &mut index, file: None, written_lines: 0 };
        appender.append(first, lines).map_err(|source| {
            let lines = (lines.len() as u64).saturating_sub(appender.written_lines);
            AppendError { lines, path: self.path.clone(), source }
        })
    }

    /// Reads a chunk that starts at line `from`, or at the first line after it that is in a file.
    pub(super) fn read(&self, from: u64) -> Option<LineChunk> {
        let (extent, file) = {
            let index = self.index.lock();
            let (segment, extent) = index.find_at_or_after(from)?;
            (extent, File::open(&segment.path))
        };
        let mut chunk = read_extent(extent, file);
        let skip = usize::try_from(from.saturating_sub(chunk.first)).unwrap_or(usize::MAX);
        chunk.lines.drain(..skip.min(chunk.lines.len()));
        chunk.first = chunk.first.max(from);
        Some(chunk)
    }

    /// Reads the last chunk before line `end`.
    pub(super) fn read_back(&self, end: u64) -> Option<LineChunk> {
        let (extent, file) = {
            let index = self.index.lock();
            let (segment, extent) = index.find_before(end)?;
            (extent, File::open(&segment.path))
        };
        let mut chunk = read_extent(extent, file);
        chunk.lines.truncate(usize::try_from(end - chunk.first).unwrap_or(usize::MAX));
        Some(chunk)
    }

    /// Calls [`FileIndex::line_before_time`].
    pub(super) fn line_before_time(&self, time: Timestamp) -> Option<u64> {
        self.index.lock().line_before_time(time)
    }

    /// Removes the files; later lines are not written.
    pub(super) fn remove(&self) {
        let mut index = self.index.lock();
        let FileIndex { segments, state } = std::mem::take(&mut *index);
        index.state = IndexState::Removed;
        let paths = match state {
            IndexState::Unread => stored::paths(&self.path),
            IndexState::Complete | IndexState::Removed => segments.into_iter().map(|segment| segment.path).collect(),
        };
        self.link.remove();
        for path in paths {
            // Another process may have removed it already.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Reads the lines of an extent; unreadable ones are missing from the chunk.
fn read_extent(extent: Extent, file: io::Result<File>) -> LineChunk {
    let read = || {
        let mut text = vec![0; usize::try_from(extent.bytes).map_err(io::Error::other)?];
        file?.read_exact_at(&mut text, extent.offset)?;
        io::Result::Ok(text)
    };
    let text = read().unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot read a part of a log file");
        Vec::new()
    });
    let mut parser = cri::LineParser::default();
    let texts = text.split_inclusive(|byte| *byte == b'\n').map_while(|text| text.strip_suffix(b"\n"));
    let lines = texts.map_while(|text| parser.parse(text)).collect();
    LineChunk { first: extent.first, lines, end: extent.end() }
}

/// Appends one batch of lines to the current file.
struct Appender<'a> {
    path: &'a Path,
    limits: RotationLimits,
    index: &'a mut FileIndex,
    /// The current file; opened before the first write.
    file: Option<File>,
    written_lines: u64,
}

impl Appender<'_> {
    fn append(&mut self, first: u64, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        let mut formatter = cri::CriFormatter::default();
        // Describes `text`, except for its position in the file.
        let mut extent: Option<Extent> = None;
        for (number, line) in (first..).zip(lines) {
            let before = text.len();
            formatter.append(line, &mut text);
            let full = self.bytes() + text.len() as u64 > self.limits.max_file_bytes;
            if before >= WRITE_BYTES || (full && before > 0) {
                let last_line = text.split_off(before);
                self.write_extent(&text, extent.take())?;
                text = last_line;
            }
            if self.bytes() > 0 && self.bytes() + text.len() as u64 > self.limits.max_file_bytes {
                self.rotate(line.timestamp)?;
            }
            let empty = Extent { first: number, lines: 0, offset: 0, bytes: 0, timestamp: line.timestamp };
            extent.get_or_insert(empty).lines += 1;
        }
        self.write_extent(&text, extent)
    }

    /// Returns the length of the current file.
    fn bytes(&self) -> u64 {
        self.index.segments.back().map_or(0, Segment::bytes)
    }

    fn write_extent(&mut self, text: &[u8], extent: Option<Extent>) -> io::Result<()> {
        let Some(extent) = extent else { return Ok(()) };
        if self.index.segments.is_empty() {
            self.index.segments.push_back(Segment::new(self.path.into()));
        }
        let Some(segment) = self.index.segments.back_mut() else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_for_append(self.path, segment)?),
        };
        let offset = segment.bytes();
        if let Err(error) = file.write_all(text) {
            // The next line must not continue a partial one. If this fails too, `open_for_append`
            // truncates the file before the next write.
            let _ = file.set_len(offset);
            return Err(error);
        }
        segment.add(Extent { offset, bytes: text.len() as u64, ..extent });
        self.written_lines += extent.lines;
        Ok(())
    }

    /// Renames the current file to its rotation time, as kubelet does, and removes the oldest files
    /// beyond the limit. Names within an attempt increase, even if several files fill up in a second.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.file = None;
        let mut rotated_at = now;
        let mut name = self.rotated_path(rotated_at);
        let previous = self.index.segments.iter().rev().nth(1).map(|segment| segment.path.clone());
        while previous.as_ref().is_some_and(|previous| *previous >= name) {
            rotated_at = rotated_at.checked_add(1.second()).map_err(io::Error::other)?;
            name = self.rotated_path(rotated_at);
        }
        let Some(full) = self.index.segments.back_mut() else { return Ok(()) };
        match fs::rename(self.path, &name) {
            Ok(()) => full.path = name,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another process removed the file; the next write creates it again.
                full.clear();
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.index.segments.push_back(Segment::new(self.path.into()));
        while self.index.segments.len() > self.limits.max_files {
            if let Some(oldest) = self.index.segments.pop_front() {
                // A file that cannot be removed now is removed with its directory.
                let _ = fs::remove_file(oldest.path);
            }
        }
        Ok(())
    }

    fn rotated_path(&self, rotated_at: Timestamp) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(rotated_at.strftime(".%Y%m%d-%H%M%S").to_string());
        name.into()
    }
}

/// Opens the file to append after the lines that `segment` records. Creates the file and its
/// directories if they are missing, and undoes changes by other processes as far as possible.
fn open_for_append(path: &Path, segment: &mut Segment) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), |parent| DirBuilder::new().recursive(true).mode(0o755).create(parent))?;
            open()?
        }
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length < segment.bytes() {
        segment.clear();
    }
    if length != segment.bytes() {
        file.set_len(segment.bytes())?;
    }
    Ok(file)
}
