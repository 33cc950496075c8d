//! Reading archives: lists members or makes them below the base directory, never outside of it by
//! name.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{BLOCK, Header, Job};
use crate::applets::date::{format, system_time};
use crate::applets::stream::read_fairly;
use crate::applets::{Out, Outcome, Stop, fail, posix};
use crate::proc::{Reader, Writer, strerror};

/// Names beyond this are refused: they are held in memory.
const LONGEST_NAME: u64 = 64 * 1024;

pub async fn extract(job: &Job, source: Reader) -> Outcome {
    let mut out = Out::new(&job.p);
    let mut block = [0; BLOCK];
    let (mut long_name, mut long_link, mut pax_size) = (None, None, None);
    let mut dirs = Vec::new();
    let mut code = 0;
    let mut members = 0;
    loop {
        match fill(&source, &mut block).await? {
            0 if members > 0 => break,
            BLOCK if block.iter().all(|b| *b == 0) => break,
            BLOCK => {}
            _ => return fail(&job.p, 1, "short read").await,
        }
        let Some(mut header) = Header::decode(&block) else {
            return fail(&job.p, 1, "invalid tar magic").await;
        };
        members += 1;
        if matches!(header.kind, b'L' | b'K' | b'x' | b'g') {
            if header.size > LONGEST_NAME {
                return fail(&job.p, 1, "extended header is too long").await;
            }
            let mut content = vec![0; header.size.next_multiple_of(BLOCK as u64) as usize];
            fill(&source, &mut content).await?;
            content.truncate(header.size as usize);
            match header.kind {
                b'L' => long_name = Some(super::text(&content)),
                b'K' => long_link = Some(super::text(&content)),
                b'x' => {
                    for (key, value) in pax(&content) {
                        match key.as_str() {
                            "path" => long_name = Some(value),
                            "linkpath" => long_link = Some(value),
                            "size" => pax_size = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            continue;
        }
        header.name = long_name.take().unwrap_or(header.name);
        header.link = long_link.take().unwrap_or(header.link);
        header.size = pax_size.take().unwrap_or(header.size);
        let is_file = matches!(header.kind, 0 | b'0' | b'7');
        if header.name.ends_with('/') && is_file {
            header.kind = b'5';
        }
        // Links and directories have no content, whatever their size says.
        let stored = if matches!(header.kind, b'1' | b'2' | b'5') { 0 } else { header.size };
        let member = if job.wanted(&header.name) && !job.excluded(&header.name) {
            stripped(&header.name, job.strip)
        } else {
            None
        };
        let mut sink = Writer::null();
        if let Some(name) = member {
            if job.list_only || job.verbose {
                list(job, &header, &mut out).await?;
            }
            if job.list_only {
            } else if name.split('/').any(|part| part == "..") {
                job.p.complain(format_args!("name with '..' skipped: '{name}'")).await;
            } else if job.to_stdout {
                if is_file {
                    out.flush().await?;
                    sink = job.p.stdout.clone();
                }
            } else {
                match make(job, &header, &name) {
                    Ok(Some(file)) => sink = Writer::file(file),
                    Ok(None) => {
                        if header.kind == b'5' && job.keep_times {
                            dirs.push((name.clone(), header.time));
                        }
                    }
                    Err(error) => {
                        out.flush().await?;
                        job.p.complain(format_args!("can't create '{name}': {}", strerror(&error))).await;
                        code = 1;
                    }
                }
            }
            if let Err(why) = body(&source, stored, &sink).await? {
                return fail(&job.p, 1, &why).await;
            }
            if !job.list_only && !job.to_stdout && is_file && job.keep_times {
                let time = Some(system_time(header.time));
                let _ = posix::set_times(&job.base.path(&name), time, time);
            }
        } else if let Err(why) = body(&source, stored, &sink).await? {
            return fail(&job.p, 1, &why).await;
        }
    }
    // Read what is left, so that the writer at the other end of a pipe does not see it break.
    let mut rest = vec![0; 16 * 1024];
    while read_fairly(&source, &mut rest).await? > 0 {}
    for (name, time) in dirs.into_iter().rev() {
        let time = Some(system_time(time));
        let _ = posix::set_times(&job.base.path(&name), time, time);
    }
    out.end(code).await
}

/// Reads until full; less means the end.
async fn fill(source: &Reader, buf: &mut [u8]) -> Result<usize, Stop> {
    let mut filled = 0;
    while filled < buf.len() {
        match read_fairly(source, buf.get_mut(filled..).unwrap_or_default()).await? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Passes a member's content on, and skips the padding behind it.
async fn body(source: &Reader, size: u64, sink: &Writer) -> Result<Result<(), String>, Stop> {
    let mut left = size.next_multiple_of(BLOCK as u64);
    let mut content = size;
    let mut buf = vec![0; if left > 0 { 32 * 1024 } else { 0 }];
    while left > 0 {
        let most = buf.len().min(left as usize);
        let n = read_fairly(source, buf.get_mut(..most).unwrap_or_default()).await?;
        if n == 0 {
            return Ok(Err("short read".into()));
        }
        left -= n as u64;
        let now = content.min(n as u64);
        content -= now;
        if let Err(error) = sink.write_all(buf.get(..now as usize).unwrap_or_default()).await {
            return Ok(Err(format!("write error: {}", strerror(&error))));
        }
    }
    Ok(Ok(()))
}

/// The name without leading slashes and the first `count` parts; `None` if nothing is left.
fn stripped(name: &str, count: usize) -> Option<String> {
    let mut rest = name.trim_start_matches('/');
    for _ in 0..count {
        rest = rest.split_once('/')?.1.trim_start_matches('/');
    }
    (!rest.is_empty()).then(|| rest.to_string())
}

/// Records of `length key=value\n`.
fn pax(content: &[u8]) -> Vec<(String, String)> {
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

async fn list(job: &Job, header: &Header, out: &mut Out) -> Result<(), Stop> {
    let mut line = String::new();
    if job.list_only && job.verbose {
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
        let time = format("%Y-%m-%d %H:%M:%S", header.time, 0);
        line += &format!(" root/root {:9} {time} ", header.size);
    }
    line += &header.name;
    if job.list_only && job.verbose && matches!(header.kind, b'1' | b'2') {
        line += &format!(" -> {}", header.link);
    }
    line.push('\n');
    if job.to_stdout && !job.list_only {
        job.p.stderr.write_all(line.as_bytes()).await?;
        return Ok(());
    }
    Ok(out.put(line).await?)
}

/// Makes a member; gives the file that wants its content.
fn make(job: &Job, header: &Header, name: &str) -> io::Result<Option<File>> {
    let path = job.base.path(name);
    if header.kind == b'5' {
        return if path.is_dir() { Ok(None) } else { fs::create_dir_all(&path).map(|()| None) };
    }
    if let Some(parent) = path.parent().filter(|dir| !dir.is_dir()) {
        fs::create_dir_all(parent)?;
    }
    let there = fs::symlink_metadata(&path);
    if job.keep_old && there.is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match header.kind {
        b'1' | b'2' => {
            clear(&path)?;
            if header.kind == b'2' {
                posix::symlink(&header.link, &path)?;
            } else {
                fs::hard_link(job.base.path(header.link.trim_start_matches('/')), &path)?;
            }
            Ok(None)
        }
        0 | b'0' | b'7' => {
            // A link in the way is replaced, not followed.
            if there.is_ok_and(|m| m.file_type().is_symlink()) {
                clear(&path)?;
            }
            File::create(&path).map(Some)
        }
        // Devices and pipes have no meaning here.
        _ => Ok(None),
    }
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
