//! Reading archives: lists members or creates them below the base directory. Skips names that lead out of it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{BLOCK, Header, Job};
use crate::applets::date::{format_time, system_time};
use crate::applets::stream::{read_fairly, read_full};
use crate::applets::{EarlyExit, Outcome, Output, fail, posix};
use crate::proc::{Reader, Writer, strerror};

/// The longest name in bytes; names are held in memory.
const MAX_NAME: u64 = 64 * 1024;

/// Reads an archive from `source` and lists or extracts its members.
pub async fn extract(job: &Job, source: Reader) -> Outcome {
    let mut extractor = Extractor {
        job,
        source,
        out: Output::new(&job.p),
        long_name: None,
        long_link: None,
        pax_size: None,
        directories: vec![],
        code: 0,
    };
    let mut block = [0; BLOCK];
    let mut first = true;
    loop {
        match read_full(&extractor.source, &mut block).await? {
            0 if !first => break,
            BLOCK if block.iter().all(|b| *b == 0) => break,
            BLOCK => {}
            _ => return fail(&job.p, 1, "short read").await,
        }
        first = false;
        match Header::decode(&block) {
            Some(header) if header.extends_next() => extractor.read_extension(&header).await?,
            Some(header) => extractor.read_member(header).await?,
            None => return fail(&job.p, 1, "invalid tar magic").await,
        }
    }
    extractor.finish().await
}

struct Extractor<'a> {
    job: &'a Job,
    source: Reader,
    out: Output,
    /// Values for the next member, from headers that extend it.
    long_name: Option<String>,
    long_link: Option<String>,
    pax_size: Option<u64>,
    /// Extracted directories and their times, which are set last: each file in them changes them.
    directories: Vec<(String, i64)>,
    code: i32,
}

impl Extractor<'_> {
    /// Reads the content of a header that extends the next one.
    async fn read_extension(&mut self, header: &Header) -> Result<(), EarlyExit> {
        if header.size > MAX_NAME {
            return fail(&self.job.p, 1, "extended header is too long").await;
        }
        let mut content = vec![0; header.size.next_multiple_of(BLOCK as u64) as usize];
        read_full(&self.source, &mut content).await?;
        content.truncate(header.size as usize);
        match header.kind {
            b'L' => self.long_name = Some(super::read_text(&content)),
            b'K' => self.long_link = Some(super::read_text(&content)),
            b'x' => {
                for (key, value) in parse_pax(&content) {
                    match key.as_str() {
                        "path" => self.long_name = Some(value),
                        "linkpath" => self.long_link = Some(value),
                        "size" => self.pax_size = value.parse().ok(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Lists or extracts a member, or skips it.
    async fn read_member(&mut self, mut header: Header) -> Result<(), EarlyExit> {
        header.name = self.long_name.take().unwrap_or(header.name);
        header.link = self.long_link.take().unwrap_or(header.link);
        header.size = self.pax_size.take().unwrap_or(header.size);
        if header.name.ends_with('/') && header.is_file() {
            header.kind = b'5';
        }
        let job = self.job;
        let wanted = job.selection.is_named(&header.name) && !job.selection.is_excluded(&header.name);
        let name = if wanted { strip_components(&header.name, job.extraction.strip) } else { None };
        let Some(name) = name else { return self.copy_content(&header, &Writer::null()).await };
        let sink = self.open_sink(&header, &name).await?;
        self.copy_content(&header, &sink).await?;
        if !job.extraction.list_only && !job.extraction.to_stdout && header.is_file() && job.extraction.keep_times {
            self.set_time(&name, header.time);
        }
        Ok(())
    }

    /// Lists or creates a member; returns the writer of its content.
    async fn open_sink(&mut self, header: &Header, name: &str) -> Result<Writer, EarlyExit> {
        let job = self.job;
        if job.extraction.list_only || job.verbose {
            print_entry(job, header, &mut self.out).await?;
        }
        if job.extraction.list_only {
            return Ok(Writer::null());
        }
        if name.split('/').any(|part| part == "..") {
            job.p.print_error(format_args!("name with '..' skipped: '{name}'")).await;
            return Ok(Writer::null());
        }
        if job.extraction.to_stdout {
            if !header.is_file() {
                return Ok(Writer::null());
            }
            self.out.flush().await?;
            return Ok(job.p.stdout.clone());
        }
        match create(job, header, name) {
            Ok(Some(file)) => return Ok(Writer::from_file(file)),
            Ok(None) if header.kind == b'5' && job.extraction.keep_times => {
                self.directories.push((name.into(), header.time))
            }
            Ok(None) => {}
            Err(error) => {
                self.out.flush().await?;
                job.p.print_error(format_args!("can't create '{name}': {}", strerror(&error))).await;
                self.code = 1;
            }
        }
        Ok(Writer::null())
    }

    /// Copies a member's content and skips the padding behind it.
    async fn copy_content(&mut self, header: &Header, sink: &Writer) -> Result<(), EarlyExit> {
        // Links and directories have no content, whatever their size says.
        let mut content = if matches!(header.kind, b'1' | b'2' | b'5') { 0 } else { header.size };
        let mut left = content.next_multiple_of(BLOCK as u64);
        let mut buf = vec![0; if left > 0 { 32 * 1024 } else { 0 }];
        while left > 0 {
            let most = buf.len().min(left as usize);
            let n = read_fairly(&self.source, buf.get_mut(..most).unwrap_or_default()).await?;
            if n == 0 {
                return fail(&self.job.p, 1, "short read").await;
            }
            left -= n as u64;
            let now = content.min(n as u64);
            content -= now;
            if let Err(error) = sink.write_all(buf.get(..now as usize).unwrap_or_default()).await {
                return fail(&self.job.p, 1, &format!("write error: {}", strerror(&error))).await;
            }
        }
        Ok(())
    }

    fn set_time(&self, name: &str, time: i64) {
        let time = Some(system_time(time));
        let _ = posix::set_times(&self.job.base.path(name), time, time);
    }

    /// Reads the source to its end, so that the writer at the other end of a pipe does not see it break.
    async fn finish(self) -> Outcome {
        let mut rest = vec![0; 16 * 1024];
        while read_fairly(&self.source, &mut rest).await? > 0 {}
        for (name, time) in self.directories.iter().rev() {
            self.set_time(name, *time);
        }
        self.out.end(self.code).await
    }
}

/// Returns the name without leading slashes and the first `count` parts; `None` if nothing is left.
fn strip_components(name: &str, count: usize) -> Option<String> {
    let mut rest = name.trim_start_matches('/');
    for _ in 0..count {
        rest = rest.split_once('/')?.1.trim_start_matches('/');
    }
    (!rest.is_empty()).then(|| rest.to_string())
}

/// Parses records of the form `length key=value\n`.
fn parse_pax(content: &[u8]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = content;
    while let Some(blank) = rest.iter().position(|b| *b == b' ') {
        let length = std::str::from_utf8(&rest[..blank]).ok().and_then(|t| t.parse::<usize>().ok());
        let Some(record) = length.and_then(|n| rest.get(blank + 1..n)) else { break };
        let text = String::from_utf8_lossy(record);
        if let Some((key, value)) = text.trim_end_matches('\n').split_once('=') {
            out.push((key.to_string(), value.to_string()));
        }
        rest = rest.get(length.unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    out
}

/// Writes the line of `-t` or `-v`.
async fn print_entry(job: &Job, header: &Header, out: &mut Output) -> Result<(), EarlyExit> {
    let mut line = String::new();
    if job.extraction.list_only && job.verbose {
        line.push(match header.kind {
            b'5' => 'd',
            b'2' => 'l',
            b'1' => 'h',
            _ => '-',
        });
        for shift in [6, 3, 0] {
            let bits = header.mode >> shift;
            for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
                line.push(if bits & bit != 0 { letter } else { '-' });
            }
        }
        let time = format_time("%Y-%m-%d %H:%M:%S", header.time, 0);
        line += &format!(" root/root {:9} {time} ", header.size);
    }
    line += &header.name;
    if job.extraction.list_only && job.verbose && matches!(header.kind, b'1' | b'2') {
        line += &format!(" -> {}", header.link);
    }
    line.push('\n');
    if job.extraction.to_stdout && !job.extraction.list_only {
        job.p.stderr.write_all(line.as_bytes()).await?;
        return Ok(());
    }
    Ok(out.put(line).await?)
}

/// Creates a member; returns the file for its content, if it has one.
fn create(job: &Job, header: &Header, name: &str) -> io::Result<Option<File>> {
    let path = job.base.path(name);
    if header.kind == b'5' {
        return if path.is_dir() { Ok(None) } else { fs::create_dir_all(&path).map(|()| None) };
    }
    if let Some(parent) = path.parent().filter(|dir| !dir.is_dir()) {
        fs::create_dir_all(parent)?;
    }
    let existing = fs::symlink_metadata(&path);
    if job.extraction.keep_old && existing.is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match header.kind {
        b'1' | b'2' => {
            remove(&path)?;
            if header.kind == b'2' {
                posix::symlink(&header.link, &path)?;
            } else {
                fs::hard_link(job.base.path(header.link.trim_start_matches('/')), &path)?;
            }
            Ok(None)
        }
        0 | b'0' | b'7' => {
            // An existing link is replaced, not followed.
            if existing.is_ok_and(|m| m.file_type().is_symlink()) {
                remove(&path)?;
            }
            File::create(&path).map(Some)
        }
        // Devices and pipes have no meaning here.
        _ => Ok(None),
    }
}

/// Removes a file, if it exists.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
