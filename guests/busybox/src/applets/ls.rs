//! ls. Prints one name per line, since a container's output is not a terminal. WASI has no owners and no modes, so `-l`
//! shows root and the usual modes.

use std::cmp::Ordering;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::date::{format_time, unix_seconds};
use super::numbers::format_size;
use super::{EarlyExit, Options, Outcome, Output, posix};
use crate::proc::{Proc, strerror, yield_now};

struct Entry {
    name: String,
    path: PathBuf,
    meta: Metadata,
}

/// Returns the usual mode of a file of this kind, as text and as bits.
pub fn usual_mode(meta: &Metadata) -> (&'static str, u32) {
    let kind = meta.file_type();
    if kind.is_dir() {
        ("drwxr-xr-x", 0o755)
    } else if kind.is_symlink() {
        ("lrwxrwxrwx", 0o777)
    } else if kind.is_file() {
        ("-rw-r--r--", 0o644)
    } else {
        ("crw-rw-rw-", 0o666)
    }
}

pub fn modified_seconds(meta: &Metadata) -> i64 {
    meta.modified().map_or(0, unix_seconds)
}

/// Returns the sorted names in a directory. The only sort of names, because each instance is kilobytes of code.
pub fn sorted_names(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

struct Lister<'a> {
    p: &'a Proc,
    o: Options,
    out: Output,
    code: i32,
    now: i64,
    /// Whether directories get a title.
    titles: bool,
    /// Whether an empty line precedes the next title.
    gap: bool,
}

pub async fn ls(p: Proc) -> Outcome {
    let o = Options::parse(&p, "1AaCdFhiLlpRrStxnsHkcuvXgY(full-time)w:(width)\u{1}::(color)").await?;
    let out = Output::new(&p);
    let now = unix_seconds(SystemTime::now());
    let mut lister = Lister { p: &p, o, out, code: 0, now, titles: false, gap: false };
    let operands = if lister.o.operands.is_empty() { vec![".".into()] } else { lister.o.operands.clone() };
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for name in operands {
        let path = p.path(&name);
        // A link on the command line is followed, except with -l.
        let follow = lister.o.has('L') || lister.o.has('H') || !(lister.o.has('l') || lister.o.has('d'));
        if let Some(entry) = lister.read_entry(name, path, follow).await {
            let is_dir = entry.meta.is_dir() && !lister.o.has('d');
            if is_dir { dirs.push(entry) } else { files.push(entry) }
        }
    }
    lister.titles = files.len() + dirs.len() > 1 || lister.o.has('R');
    lister.sort(&mut files);
    lister.sort(&mut dirs);
    lister.show(&files).await?;
    lister.gap = !files.is_empty();
    let mut todo: Vec<Entry> = dirs.into_iter().rev().collect();
    while let Some(dir) = todo.pop() {
        yield_now().await;
        match sorted_names(&dir.path) {
            Ok(names) => lister.list_directory(&dir, names, &mut todo).await?,
            Err(error) => lister.report(&dir.name, &error).await,
        }
    }
    let code = lister.code;
    lister.out.end(code).await
}

impl Lister<'_> {
    /// Lists a directory; with `-R`, adds its directories to `todo`.
    async fn list_directory(
        &mut self,
        dir: &Entry,
        names: Vec<String>,
        todo: &mut Vec<Entry>,
    ) -> Result<(), EarlyExit> {
        if self.titles {
            let line = format!("{}{}:\n", if self.gap { "\n" } else { "" }, dir.name);
            self.out.put(line).await?;
        }
        self.gap = true;
        let mut entries = Vec::new();
        if self.o.has('a') {
            for dot in [".", ".."] {
                // A parent outside of the guest's file system is shown like its child.
                let path = self.p.path(&format!("{}/{dot}", dir.path.display()));
                let meta = std::fs::metadata(&path).unwrap_or_else(|_| dir.meta.clone());
                entries.push(Entry { name: dot.into(), path, meta });
            }
        }
        let hidden = self.o.has('a') || self.o.has('A');
        for name in names.into_iter().filter(|name| hidden || !name.starts_with('.')) {
            let path = dir.path.join(&name);
            let follow = self.o.has('L');
            entries.extend(self.read_entry(name, path, follow).await);
        }
        self.sort(&mut entries);
        if self.o.has('l') {
            let total: u64 = entries.iter().map(|e| e.meta.len().div_ceil(4096) * 4).sum();
            self.out.put(format!("total {total}\n")).await?;
        }
        self.show(&entries).await?;
        if self.o.has('R') {
            for entry in entries.into_iter().rev() {
                if entry.meta.is_dir() && entry.name != "." && entry.name != ".." {
                    let name = format!("{}/{}", dir.name.trim_end_matches('/'), entry.name);
                    todo.push(Entry { name, ..entry });
                }
            }
        }
        Ok(())
    }

    async fn report(&mut self, name: &str, error: &std::io::Error) {
        self.code = 1;
        self.p.print_error(format_args!("{name}: {}", strerror(error))).await;
    }

    async fn read_entry(&mut self, name: String, path: PathBuf, follow: bool) -> Option<Entry> {
        let own = std::fs::symlink_metadata(&path);
        let meta = match own {
            Ok(own) if follow && own.file_type().is_symlink() => std::fs::metadata(&path).or(Ok(own)),
            other => other,
        };
        match meta {
            Ok(meta) => Some(Entry { name, path, meta }),
            Err(error) => {
                self.report(&name, &error).await;
                None
            }
        }
    }

    fn sort(&self, entries: &mut [Entry]) {
        let order = |a: &Entry, b: &Entry| -> Ordering {
            let by = match self.o.last_of("tS") {
                Some('t') => b.meta.modified().ok().cmp(&a.meta.modified().ok()),
                Some(_) => b.meta.len().cmp(&a.meta.len()),
                None => Ordering::Equal,
            };
            let by = by.then_with(|| a.name.cmp(&b.name));
            if self.o.has('r') { by.reverse() } else { by }
        };
        entries.sort_by(order);
    }

    async fn show(&mut self, entries: &[Entry]) -> Result<(), EarlyExit> {
        for entry in entries {
            let line = self.format_line(entry);
            self.out.put(line).await?;
        }
        Ok(())
    }

    fn format_line(&self, entry: &Entry) -> String {
        let mut line = String::new();
        let meta = &entry.meta;
        if self.o.has('i') {
            let inode = posix::read_status(&entry.path, false).map_or(0, |s| s.inode);
            line += &format!("{inode:7} ");
        }
        if self.o.has('l') || self.o.has('n') || self.o.has('g') {
            line += &self.format_details(entry);
        }
        line += &entry.name;
        let is_link = meta.file_type().is_symlink();
        if is_link
            && self.o.has('l')
            && let Ok(target) = std::fs::read_link(&entry.path)
        {
            line += &format!(" -> {}", target.display());
        }
        if meta.is_dir() && (self.o.has('F') || self.o.has('p')) {
            line.push('/');
        } else if is_link && self.o.has('F') {
            line.push('@');
        }
        line.push('\n');
        line
    }

    /// Returns the columns of `-l` before the name.
    fn format_details(&self, entry: &Entry) -> String {
        let meta = &entry.meta;
        let links = posix::read_status(&entry.path, false).map_or(1, |s| s.links.max(1));
        let time = modified_seconds(meta);
        // Beyond half a year the year matters more than the hour.
        let old = !(-900..180 * 86_400).contains(&(self.now - time));
        let pattern = if self.o.has('Y') {
            "%Y-%m-%d %H:%M:%S %z"
        } else if old {
            "%b %e  %Y"
        } else {
            "%b %e %H:%M"
        };
        let size = if self.o.has('h') { format_size(meta.len()) } else { meta.len().to_string() };
        let owner = if self.o.has('n') { "0" } else { "root" };
        format!("{} {links:4} {owner:8} {owner:8} {size:>9} {} ", usual_mode(meta).0, format_time(pattern, time, 0))
    }
}
