//! Applets about file names: basename, dirname, readlink, realpath, which, pwd.

use std::io;
use std::path::{Path, PathBuf};

use super::{Options, Outcome, Output, usage};
use crate::proc::{Proc, normalize, strerror};

/// Returns the last part of a path, as POSIX's basename does.
pub fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() && !path.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

fn parent_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    match trimmed.rfind('/') {
        None => ".",
        Some(at) => match trimmed[..at].trim_end_matches('/') {
            "" => "/",
            parent => parent,
        },
    }
}

pub async fn basename(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+as:").await?;
    let many = o.has('a') || o.has('s');
    let (files, suffix) = match o.operands.as_slice() {
        [] => return usage(&p).await,
        files if many => (files, o.get('s').unwrap_or("")),
        [file] => (std::slice::from_ref(file), ""),
        [_, suffix] => (&o.operands[..1], suffix.as_str()),
        _ => return usage(&p).await,
    };
    let mut out = Output::new(&p);
    for file in files {
        let name = base_name(file);
        let short = name.strip_suffix(suffix).filter(|n| !n.is_empty()).unwrap_or(name);
        out.put(format!("{short}\n")).await?;
    }
    out.end(0).await
}

pub async fn dirname(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let [name] = o.operands.as_slice() else { return usage(&p).await };
    p.stdout.write_all(format!("{}\n", parent_name(name)).as_bytes()).await?;
    Ok(0)
}

/// Returns the path with all links resolved. The last part may be missing unless `must_exist`.
pub fn resolve(path: &Path, must_exist: bool) -> io::Result<PathBuf> {
    let mut done = PathBuf::from("/");
    let mut todo: Vec<String> = path_parts(path);
    todo.reverse();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        match std::fs::symlink_metadata(&next) {
            Ok(meta) if meta.file_type().is_symlink() => {
                links += 1;
                if links > 40 {
                    return Err(io::Error::other("Symbolic link loop"));
                }
                let target = std::fs::read_link(&next)?;
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                todo.extend(path_parts(&target).into_iter().rev());
                continue;
            }
            Err(error) if must_exist || !todo.is_empty() => return Err(error),
            _ => done = next,
        }
    }
    Ok(done)
}

fn path_parts(path: &Path) -> Vec<String> {
    let text = path.to_string_lossy();
    text.split('/').filter(|p| !p.is_empty() && *p != ".").map(str::to_string).collect()
}

pub async fn readlink(p: Proc) -> Outcome {
    let o = Options::parse(&p, "fnvqse").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let mut code = 0;
    for file in &o.operands {
        let found = if o.has('f') || o.has('e') {
            resolve(&p.cwd.join(file), o.has('e'))
        } else {
            std::fs::read_link(p.path(file))
        };
        match found {
            Ok(target) => {
                let end = if o.has('n') { "" } else { "\n" };
                p.stdout.write_all(format!("{}{end}", target.display()).as_bytes()).await?;
            }
            Err(error) => {
                code = 1;
                if o.has('v') {
                    p.print_error(format_args!("{file}: {}", strerror(&error))).await;
                }
            }
        }
    }
    Ok(code)
}

pub async fn realpath(p: Proc) -> Outcome {
    let o = Options::parse(&p, "e").await?;
    let mut code = 0;
    for file in if o.operands.is_empty() { vec![".".into()] } else { o.operands.clone() } {
        match resolve(&p.cwd.join(&file), true) {
            Ok(path) => p.stdout.write_all(format!("{}\n", path.display()).as_bytes()).await?,
            Err(error) => {
                p.print_error(format_args!("{file}: {}", strerror(&error))).await;
                code = 1;
            }
        }
    }
    Ok(code)
}

pub async fn pwd(p: Proc) -> Outcome {
    p.stdout.write_all(format!("{}\n", p.cwd.display()).as_bytes()).await?;
    Ok(0)
}

/// Finds applets where an image has links to them, even if no such file exists.
pub async fn which(p: Proc) -> Outcome {
    let o = Options::parse(&p, "a").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string();
    let search = p.env.get("PATH").unwrap_or(&default);
    let mut code = 0;
    for name in &o.operands {
        let dirs: Vec<&str> = if name.contains('/') { vec!["."] } else { search.split(':').collect() };
        let file = dirs.iter().map(|d| normalize(&p.path(d), name)).find(|f| f.is_file());
        let found = match file {
            Some(file) => file.display().to_string(),
            None if is_provided(name) => {
                format!("/bin/{name}")
            }
            None => {
                code = 1;
                continue;
            }
        };
        p.stdout.write_all((found + "\n").as_bytes()).await?;
    }
    Ok(code)
}

/// Whether this program itself is what a name stands for.
fn is_provided(name: &str) -> bool {
    name == "busybox"
        || super::find(name).is_some()
        || crate::shell::is_shell(name)
        || crate::shell::find_applet(name).is_some()
}
