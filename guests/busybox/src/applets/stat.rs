//! stat.

use std::time::SystemTime;

use super::date::{format, seconds};
use super::list::mode;
use super::{Options, Out, Outcome, posix, usage};
use crate::proc::{Proc, strerror};

fn stamp(time: std::io::Result<SystemTime>) -> (i64, String) {
    let time = time.unwrap_or(SystemTime::UNIX_EPOCH);
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    (seconds(time), format("%Y-%m-%d %H:%M:%S.%N +0000", seconds(time), nanos))
}

pub async fn stat(p: Proc) -> Outcome {
    let o = Options::of(&p, "Lc:(format)ft").await?;
    if o.rest.is_empty() {
        return usage(&p).await;
    }
    let default = "  File: %N\n  Size: %s\tBlocks: %b\tIO Block: %o   %F\nDevice: %Dh/%dd\tInode: %i\tLinks: %h\n\
                   Access: (0%a/%A)  Uid: (    %u/    %U)   Gid: (    %g/    %G)\nAccess: %x\nModify: %y\nChange: %z";
    let mut out = Out::new(&p);
    let mut code = 0;
    for name in &o.rest {
        let path = p.path(name);
        let meta = if o.has('L') { std::fs::metadata(&path) } else { std::fs::symlink_metadata(&path) };
        let known = meta.and_then(|m| Ok((m, posix::status(&path, o.has('L'))?)));
        let (meta, status) = match known {
            Ok(known) => known,
            Err(error) => {
                p.complain(format_args!("can't stat '{name}': {}", strerror(&error))).await;
                code = 1;
                continue;
            }
        };
        let mut letters = o.get('c').unwrap_or(default).chars();
        let kind = meta.file_type();
        let mut line = String::new();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                line.push(letter);
                continue;
            }
            let piece = match letters.next() {
                Some('n') => name.clone(),
                Some('N') if kind.is_symlink() => {
                    let target = std::fs::read_link(&path).unwrap_or_default();
                    format!("'{name}' -> '{}'", target.display())
                }
                Some('N') => name.clone(),
                Some('s') => meta.len().to_string(),
                Some('b') => (meta.len().div_ceil(4096) * 8).to_string(),
                Some('B') => "512".into(),
                Some('o') => "4096".into(),
                Some('F') if kind.is_dir() => "directory".into(),
                Some('F') if kind.is_symlink() => "symbolic link".into(),
                Some('F') if !kind.is_file() => "character special file".into(),
                Some('F') if meta.len() == 0 => "regular empty file".into(),
                Some('F') => "regular file".into(),
                Some('a') => format!("{:o}", mode(&meta).1),
                Some('A') => mode(&meta).0.into(),
                Some('f') => {
                    let bits = if kind.is_dir() {
                        0o040_000
                    } else if kind.is_symlink() {
                        0o120_000
                    } else {
                        0o100_000
                    };
                    format!("{:x}", bits | mode(&meta).1)
                }
                Some('u' | 'g') => "0".into(),
                Some('U' | 'G') => "root".into(),
                Some('i') => status.inode.to_string(),
                Some('d') => status.device.to_string(),
                Some('D') => format!("{:x}", status.device),
                Some('h') => status.links.to_string(),
                Some('x') => stamp(meta.accessed()).1,
                Some('X') => stamp(meta.accessed()).0.to_string(),
                Some('y' | 'z') => stamp(meta.modified()).1,
                Some('Y' | 'Z') => stamp(meta.modified()).0.to_string(),
                Some('%') => "%".into(),
                _ => "?".into(),
            };
            line += &piece;
        }
        out.put(line + "\n").await?;
    }
    out.end(code).await
}
