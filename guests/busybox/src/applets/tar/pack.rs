//! Writing archives: walks the members and streams their contents.

use std::fs::{self, File};
use std::path::Path;

use super::{BLOCK, Header, Job};
use crate::applets::ls::{modified_seconds, sorted_names, usual_mode};
use crate::applets::stream::read_fairly;
use crate::applets::{EarlyExit, Outcome, Output, posix};
use crate::proc::{Reader, Writer, strerror};

/// Writes the job's members to `sink`, the archive of that name (`-` is standard output).
pub async fn pack(job: &Job, sink: Writer, archive: &str) -> Outcome {
    let own = posix::read_status(&job.p.path(archive), true).ok().filter(|_| archive != "-");
    let listing = if archive == "-" { &job.p.stderr } else { &job.p.stdout };
    let mut packer = Packer { job, out: Output::from_writer(sink), listing, own, failed: false, warned: false };
    for member in &job.selection.members {
        let mut todo = vec![member.clone()];
        while let Some(name) = todo.pop() {
            if !job.selection.is_excluded(&name) {
                packer.pack_member(&name, &mut todo).await?;
            }
        }
    }
    // Two empty blocks end an archive, and a record has twenty.
    packer.out.put([0; BLOCK * 2]).await?;
    packer.out.flush().await?;
    if packer.failed {
        job.p.print_error("error exit delayed from previous errors").await;
    }
    Ok(i32::from(packer.failed))
}

struct Packer<'a> {
    job: &'a Job,
    out: Output,
    /// Receives the names that `-v` lists.
    listing: &'a Writer,
    /// The archive itself, where it is a file: it is not packed.
    own: Option<posix::Status>,
    failed: bool,
    /// Whether a stripped prefix has been reported.
    warned: bool,
}

impl Packer<'_> {
    /// Packs one member; adds a directory's entries to `todo`.
    async fn pack_member(&mut self, name: &str, todo: &mut Vec<String>) -> Result<(), EarlyExit> {
        let path = self.job.base.path(name);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) => return self.fail(format_args!("{name}: {}", strerror(&error))).await,
        };
        let stored = self.stored_name(name).await;
        let mut header = Header {
            name: stored.to_string(),
            mode: usual_mode(&meta).1,
            time: modified_seconds(&meta),
            ..Header::default()
        };
        if meta.is_dir() {
            header.kind = b'5';
            header.name = if stored.is_empty() { "./".into() } else { format!("{}/", stored.trim_end_matches('/')) };
            let inside = sorted_names(&path).unwrap_or_default();
            todo.extend(inside.into_iter().rev().map(|c| format!("{}/{c}", name.trim_end_matches('/'))));
        } else if meta.file_type().is_symlink() {
            header.kind = b'2';
            match fs::read_link(&path) {
                Ok(target) => header.link = target.to_string_lossy().into_owned(),
                Err(error) => return self.fail(format_args!("can't read link '{name}': {}", strerror(&error))).await,
            }
        } else if meta.is_file() {
            if self.is_archive(&path) {
                self.job.p.print_error(format_args!("{name}: file is the archive; skipping")).await;
                return Ok(());
            }
            header.kind = b'0';
            header.size = meta.len();
        } else {
            return Ok(());
        }
        if self.job.verbose {
            self.listing.write_all(format!("{}\n", header.name).as_bytes()).await?;
        }
        self.write(name, &path, &header).await
    }

    /// Reports a member that is left out.
    async fn fail(&mut self, why: std::fmt::Arguments<'_>) -> Result<(), EarlyExit> {
        self.job.p.print_error(why).await;
        self.failed = true;
        Ok(())
    }

    /// Returns the name without leading `/` and `../`, the first of which it reports.
    async fn stored_name<'n>(&mut self, name: &'n str) -> &'n str {
        let mut stored = name;
        while let Some(rest) = stored.strip_prefix('/').or_else(|| stored.strip_prefix("../")) {
            if !std::mem::replace(&mut self.warned, true) {
                let what = &name[..name.len() - rest.len()];
                self.job.p.print_error(format_args!("removing leading '{what}' from member names")).await;
            }
            stored = rest;
        }
        stored
    }

    fn is_archive(&self, path: &Path) -> bool {
        let status = posix::read_status(path, false).ok();
        self.own.as_ref().zip(status).is_some_and(|(a, b)| a.inode == b.inode && a.inode != 0)
    }

    async fn write(&mut self, name: &str, path: &Path, header: &Header) -> Result<(), EarlyExit> {
        let opened = if header.is_file() { File::open(path).map(Some) } else { Ok(None) };
        let content = match opened {
            Ok(file) => file.map(Reader::from_file),
            Err(error) => return self.fail(format_args!("can't open '{name}': {}", strerror(&error))).await,
        };
        long_name(&mut self.out, b'L', &header.name).await?;
        long_name(&mut self.out, b'K', &header.link).await?;
        self.out.put(header.encode()).await?;
        if let Some(reader) = content {
            copy_body(&reader, header.size, &mut self.out).await?;
        }
        Ok(())
    }
}

/// Writes a name beyond 100 bytes as GNU does: as the content of a member.
async fn long_name(out: &mut Output, kind: u8, name: &str) -> Result<(), EarlyExit> {
    if name.len() <= 100 {
        return Ok(());
    }
    let header = Header { name: "././@LongLink".into(), kind, size: name.len() as u64 + 1, ..Header::default() };
    out.put(header.encode()).await?;
    out.put(name).await?;
    out.put(vec![0; BLOCK - name.len() % BLOCK]).await?;
    Ok(())
}

/// Copies exactly `size` bytes, as the header says: a file that shrinks meanwhile is filled up with zeroes.
async fn copy_body(reader: &Reader, size: u64, out: &mut Output) -> Result<(), EarlyExit> {
    let mut buf = vec![0; 32 * 1024];
    let mut left = size;
    while left > 0 {
        let most = buf.len().min(left as usize);
        let mut n = read_fairly(reader, buf.get_mut(..most).unwrap_or_default()).await?;
        if n == 0 {
            buf.fill(0);
            n = most;
        }
        left -= n as u64;
        out.put(buf.get(..n).unwrap_or_default()).await?;
    }
    let rest = (size % BLOCK as u64) as usize;
    if rest > 0 {
        out.put(vec![0; BLOCK - rest]).await?;
    }
    Ok(())
}
