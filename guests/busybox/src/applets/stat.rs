//! stat.

use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::date::{format_time, unix_seconds};
use super::ls::usual_mode;
use super::{Options, Outcome, Output, posix, usage};
use crate::proc::{Proc, strerror};

/// Returns a time as seconds and as text.
fn format_stamp(time: io::Result<SystemTime>) -> (i64, String) {
    let time = time.unwrap_or(SystemTime::UNIX_EPOCH);
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    (unix_seconds(time), format_time("%Y-%m-%d %H:%M:%S.%N +0000", unix_seconds(time), nanos))
}

/// The format without `-c`.
const DEFAULT: &str = "  File: %N\n  Size: %s\tBlocks: %b\tIO Block: %o   %F\n\
                       Device: %Dh/%dd\tInode: %i\tLinks: %h\n\
                       Access: (0%a/%A)  Uid: (    %u/    %U)   Gid: (    %g/    %G)\n\
                       Access: %x\nModify: %y\nChange: %z";

pub async fn stat(p: Proc) -> Outcome {
    let o = Options::parse(&p, "Lc:(format)ft").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let mut out = Output::new(&p);
    let mut code = 0;
    for name in &o.operands {
        match Entry::read(&p, name, o.has('L')) {
            Ok(entry) => out.put(entry.format(o.get('c').unwrap_or(DEFAULT)) + "\n").await?,
            Err(error) => {
                p.print_error(format_args!("can't stat '{name}': {}", strerror(&error))).await;
                code = 1;
            }
        }
    }
    out.end(code).await
}

struct Entry<'a> {
    name: &'a str,
    path: PathBuf,
    meta: Metadata,
    status: posix::Status,
}

impl Entry<'_> {
    fn read<'a>(p: &Proc, name: &'a str, follow: bool) -> io::Result<Entry<'a>> {
        let path = p.path(name);
        let meta = if follow { std::fs::metadata(&path) } else { std::fs::symlink_metadata(&path) }?;
        let status = posix::read_status(&path, follow)?;
        Ok(Entry { name, path, meta, status })
    }

    fn format(&self, format: &str) -> String {
        let mut letters = format.chars();
        let mut line = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => line += &self.format_conversion(letters.next().unwrap_or_default()),
                letter => line.push(letter),
            }
        }
        line
    }

    /// Returns the value of a conversion.
    fn format_conversion(&self, conversion: char) -> String {
        let (meta, status, kind) = (&self.meta, &self.status, self.meta.file_type());
        match conversion {
            'N' if kind.is_symlink() => {
                let target = std::fs::read_link(&self.path).unwrap_or_default();
                format!("'{}' -> '{}'", self.name, target.display())
            }
            'n' | 'N' => self.name.into(),
            's' => meta.len().to_string(),
            'b' => (meta.len().div_ceil(4096) * 8).to_string(),
            'B' => "512".into(),
            'o' => "4096".into(),
            'F' if kind.is_dir() => "directory".into(),
            'F' if kind.is_symlink() => "symbolic link".into(),
            'F' if !kind.is_file() => "character special file".into(),
            'F' if meta.len() == 0 => "regular empty file".into(),
            'F' => "regular file".into(),
            'a' => format!("{:o}", usual_mode(meta).1),
            'A' => usual_mode(meta).0.into(),
            'f' => {
                let bits = if kind.is_dir() {
                    0o040_000
                } else if kind.is_symlink() {
                    0o120_000
                } else {
                    0o100_000
                };
                format!("{:x}", bits | usual_mode(meta).1)
            }
            'u' | 'g' => "0".into(),
            'U' | 'G' => "root".into(),
            'i' => status.inode.to_string(),
            'd' => status.device.to_string(),
            'D' => format!("{:x}", status.device),
            'h' => status.links.to_string(),
            'x' => format_stamp(meta.accessed()).1,
            'X' => format_stamp(meta.accessed()).0.to_string(),
            'y' | 'z' => format_stamp(meta.modified()).1,
            'Y' | 'Z' => format_stamp(meta.modified()).0.to_string(),
            '%' => "%".into(),
            _ => "?".into(),
        }
    }
}
