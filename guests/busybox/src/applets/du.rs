//! du. WASI tells no blocks: sizes count in whole 4 KiB blocks, as most file systems hold them.

use std::path::Path;

use super::number::readable;
use super::{Options, Out, Outcome};
use crate::proc::{Proc, strerror, yield_now};

/// A directory being counted.
struct Open {
    name: String,
    todo: Vec<String>,
    bytes: u64,
}

fn blocks(path: &Path) -> std::io::Result<(u64, bool)> {
    let meta = std::fs::symlink_metadata(path)?;
    let least = u64::from(meta.is_dir());
    let short_link = meta.file_type().is_symlink();
    Ok((if short_link { 0 } else { meta.len().div_ceil(4096).max(least) * 4096 }, meta.is_dir()))
}

pub async fn du(p: Proc) -> Outcome {
    let o = Options::of(&p, "ahkmscxLHd:(max-depth)").await?;
    let deepest = if o.has('s') { 0 } else { o.number(&p, 'd').await?.unwrap_or(u64::MAX) };
    let mut out = Out::new(&p);
    let mut code = 0;
    let mut grand = 0;
    let line = |bytes: u64, name: &str| {
        let size = if o.has('h') {
            readable(bytes)
        } else if o.has('m') {
            bytes.div_ceil(1 << 20).to_string()
        } else {
            bytes.div_ceil(1024).to_string()
        };
        format!("{size}\t{name}\n")
    };
    let operands = if o.rest.is_empty() { vec![".".into()] } else { o.rest.clone() };
    for operand in operands {
        let mut stack: Vec<Open> = Vec::new();
        let mut next = Some(operand);
        loop {
            if let Some(name) = next.take() {
                yield_now().await;
                let path = p.path(&name);
                match blocks(&path) {
                    Ok((bytes, true)) => {
                        let mut todo = super::list::children(&path).unwrap_or_default();
                        todo.reverse();
                        stack.push(Open { name, todo, bytes });
                    }
                    Ok((bytes, false)) => {
                        let depth = stack.len() as u64;
                        if depth == 0 || (o.has('a') && depth <= deepest) {
                            out.put(line(bytes, &name)).await?;
                        }
                        match stack.last_mut() {
                            Some(parent) => parent.bytes += bytes,
                            None => grand += bytes,
                        }
                    }
                    Err(error) => {
                        p.complain(format_args!("{name}: {}", strerror(&error))).await;
                        code = 1;
                    }
                }
            }
            let Some(top) = stack.last_mut() else { break };
            if let Some(child) = top.todo.pop() {
                next = Some(format!("{}/{child}", top.name.trim_end_matches('/')));
                continue;
            }
            if let Some(done) = stack.pop() {
                if stack.len() as u64 <= deepest {
                    out.put(line(done.bytes, &done.name)).await?;
                }
                match stack.last_mut() {
                    Some(parent) => parent.bytes += done.bytes,
                    None => grand += done.bytes,
                }
            }
        }
    }
    if o.has('c') {
        out.put(line(grand, "total")).await?;
    }
    out.end(code).await
}
