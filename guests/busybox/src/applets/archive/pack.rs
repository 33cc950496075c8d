//! Writing archives: walks the members and streams their contents.

use std::fs::{self, File};

use super::{BLOCK, Header, Job};
use crate::applets::list::{children, mode, modified};
use crate::applets::stream::read_fairly;
use crate::applets::{Out, Outcome, Stop, posix};
use crate::proc::{Reader, Writer, strerror};

pub async fn pack(job: &Job, sink: Writer, archive: &str) -> Outcome {
    let mut out = Out::to(sink);
    let own = posix::status(&job.p.path(archive), true).ok();
    let mut failed = false;
    let mut warned = false;
    for member in &job.members {
        let mut todo = vec![member.clone()];
        while let Some(name) = todo.pop() {
            if job.excluded(&name) {
                continue;
            }
            let path = job.base.path(&name);
            let meta = match fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(error) => {
                    job.p.complain(format_args!("{name}: {}", strerror(&error))).await;
                    failed = true;
                    continue;
                }
            };
            let mut stored = name.as_str();
            while let Some(rest) = stored.strip_prefix('/').or_else(|| stored.strip_prefix("../")) {
                if !std::mem::replace(&mut warned, true) {
                    let what = &name[..name.len() - rest.len()];
                    job.p.complain(format_args!("removing leading '{what}' from member names")).await;
                }
                stored = rest;
            }
            let mut header =
                Header { name: stored.to_string(), mode: mode(&meta).1, time: modified(&meta), ..Header::default() };
            if meta.is_dir() {
                header.kind = b'5';
                header.name =
                    if stored.is_empty() { "./".into() } else { format!("{}/", stored.trim_end_matches('/')) };
                let inside = children(&path).unwrap_or_default();
                todo.extend(inside.into_iter().rev().map(|c| format!("{}/{c}", name.trim_end_matches('/'))));
            } else if meta.file_type().is_symlink() {
                header.kind = b'2';
                header.link = fs::read_link(&path).map_or(String::new(), |t| t.to_string_lossy().into_owned());
            } else if meta.is_file() {
                let status = posix::status(&path, false).ok();
                if archive != "-" && own.as_ref().zip(status).is_some_and(|(a, b)| a.inode == b.inode && a.inode != 0) {
                    job.p.complain(format_args!("{name}: file is the archive; skipping")).await;
                    continue;
                }
                header.kind = b'0';
                header.size = meta.len();
            } else {
                continue;
            }
            if job.verbose {
                let line = format!("{}\n", header.name);
                let listing = if archive == "-" { &job.p.stderr } else { &job.p.stdout };
                listing.write_all(line.as_bytes()).await?;
            }
            let content = if header.kind == b'0' {
                match File::open(&path) {
                    Ok(file) => Some(Reader::file(file)),
                    Err(error) => {
                        job.p.complain(format_args!("can't open '{name}': {}", strerror(&error))).await;
                        failed = true;
                        continue;
                    }
                }
            } else {
                None
            };
            long_name(&mut out, b'L', &header.name).await?;
            long_name(&mut out, b'K', &header.link).await?;
            out.put(header.encode()).await?;
            if let Some(reader) = content {
                body(&reader, header.size, &mut out).await?;
            }
        }
    }
    // Two empty blocks end an archive, and a record has twenty.
    out.put([0; BLOCK * 2]).await?;
    out.flush().await?;
    if failed {
        job.p.complain("error exit delayed from previous errors").await;
    }
    Ok(i32::from(failed))
}

/// GNU's way for names beyond 100 bytes: a member whose content is the name.
async fn long_name(out: &mut Out, kind: u8, name: &str) -> Result<(), Stop> {
    if name.len() <= 100 {
        return Ok(());
    }
    let header = Header { name: "././@LongLink".into(), kind, size: name.len() as u64 + 1, ..Header::default() };
    out.put(header.encode()).await?;
    out.put(name).await?;
    out.put(vec![0; BLOCK - name.len() % BLOCK]).await?;
    Ok(())
}

/// Exactly as many bytes as the header says: a file that shrinks meanwhile is filled with zeroes.
async fn body(reader: &Reader, size: u64, out: &mut Out) -> Result<(), Stop> {
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
