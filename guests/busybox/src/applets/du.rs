//! du. WASI reports no blocks, so sizes are rounded up to the 4 KiB blocks of most file systems.

use std::path::Path;

use super::numbers::format_size;
use super::{EarlyExit, Options, Outcome, Output};
use crate::proc::{Proc, strerror, yield_now};

/// A directory that is being counted.
struct Directory {
    name: String,
    todo: Vec<String>,
    bytes: u64,
}

/// Returns the bytes that `path` occupies, and whether it is a directory.
fn allocated_bytes(path: &Path) -> std::io::Result<(u64, bool)> {
    let meta = std::fs::symlink_metadata(path)?;
    let min = u64::from(meta.is_dir());
    let short_link = meta.file_type().is_symlink();
    Ok((if short_link { 0 } else { meta.len().div_ceil(4096).max(min) * 4096 }, meta.is_dir()))
}

pub async fn du(p: Proc) -> Outcome {
    let o = Options::parse(&p, "ahkmscxLHd:(max-depth)").await?;
    let max_depth = if o.has('s') { 0 } else { o.number(&p, 'd').await?.unwrap_or(u64::MAX) };
    let operands = if o.operands.is_empty() { vec![".".into()] } else { o.operands.clone() };
    let mut usage = Usage { p: &p, o: &o, max_depth, out: Output::new(&p), stack: vec![], total: 0, code: 0 };
    for operand in operands {
        let mut next = Some(operand);
        while let Some(name) = next.take() {
            usage.visit(name).await?;
            next = usage.next().await?;
        }
    }
    if o.has('c') {
        usage.report(usage.total, "total").await?;
    }
    usage.out.end(usage.code).await
}

struct Usage<'a> {
    p: &'a Proc,
    o: &'a Options,
    max_depth: u64,
    out: Output,
    /// The open directories, from an operand downwards.
    stack: Vec<Directory>,
    total: u64,
    code: i32,
}

impl Usage<'_> {
    /// Counts a file or opens a directory.
    async fn visit(&mut self, name: String) -> Result<(), EarlyExit> {
        yield_now().await;
        let path = self.p.path(&name);
        match allocated_bytes(&path) {
            Ok((bytes, true)) => {
                let mut todo = super::ls::sorted_names(&path).unwrap_or_default();
                todo.reverse();
                self.stack.push(Directory { name, todo, bytes });
            }
            Ok((bytes, false)) => {
                let depth = self.stack.len() as u64;
                if depth == 0 || (self.o.has('a') && depth <= self.max_depth) {
                    self.report(bytes, &name).await?;
                }
                self.add(bytes);
            }
            Err(error) => {
                self.p.print_error(format_args!("{name}: {}", strerror(&error))).await;
                self.code = 1;
            }
        }
        Ok(())
    }

    /// Closes the directories that are counted and returns the next entry.
    async fn next(&mut self) -> Result<Option<String>, EarlyExit> {
        while let Some(mut directory) = self.stack.pop() {
            if let Some(child) = directory.todo.pop() {
                let name = format!("{}/{child}", directory.name.trim_end_matches('/'));
                self.stack.push(directory);
                return Ok(Some(name));
            }
            if self.stack.len() as u64 <= self.max_depth {
                self.report(directory.bytes, &directory.name).await?;
            }
            self.add(directory.bytes);
        }
        Ok(None)
    }

    fn add(&mut self, bytes: u64) {
        match self.stack.last_mut() {
            Some(parent) => parent.bytes += bytes,
            None => self.total += bytes,
        }
    }

    async fn report(&mut self, bytes: u64, name: &str) -> Result<(), EarlyExit> {
        let size = if self.o.has('h') {
            format_size(bytes)
        } else if self.o.has('m') {
            bytes.div_ceil(1 << 20).to_string()
        } else {
            bytes.div_ceil(1024).to_string()
        };
        Ok(self.out.put(format!("{size}\t{name}\n")).await?)
    }
}
