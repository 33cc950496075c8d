//! cp and mv.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names::base;
use super::stream::pump;
use super::{Options, Outcome, Stop, posix, tree, usage};
use crate::proc::{Proc, Reader, Writer, strerror};

#[derive(Clone, Copy)]
struct How {
    recursive: bool,
    times: bool,
    /// Copies links as links.
    links: bool,
    force: bool,
    no_clobber: bool,
    verbose: bool,
}

/// A failure with its words.
type Said = Result<(), String>;

pub async fn cp(p: Proc) -> Outcome {
    let o = Options::of(&p, "arRpdfinlsTuvLHPt:").await?;
    let archive = o.has('a');
    let recursive = archive || o.has('r') || o.has('R');
    let how = How {
        recursive,
        times: archive || o.has('p'),
        links: archive || o.has('d') || o.has('P') || (recursive && !o.has('L') && !o.has('H')),
        force: o.has('f'),
        no_clobber: o.has('n'),
        verbose: o.has('v'),
    };
    each(&p, &o, |source, target| copy(p.clone(), source, target, how)).await
}

pub async fn mv(p: Proc) -> Outcome {
    let o = Options::of(&p, "finTvt:").await?;
    let keep = o.has('n');
    each(&p, &o, |source, target| rename(p.clone(), source, target, keep)).await
}

/// Calls `act` for every source with its place in the target.
async fn each<F: Future<Output = Result<Said, Stop>>>(
    p: &Proc,
    o: &Options,
    act: impl Fn(String, String) -> F,
) -> Outcome {
    let mut sources = o.rest.clone();
    let target = match o.get('t') {
        Some(target) => target.to_string(),
        None => match sources.pop() {
            Some(target) => target,
            None => return usage(p).await,
        },
    };
    if sources.is_empty() {
        return usage(p).await;
    }
    let is_dir = p.path(&target).is_dir() && !o.has('T');
    if !is_dir && (sources.len() > 1 || o.has('t')) {
        p.complain(format_args!("target '{target}' is not a directory")).await;
        return Ok(1);
    }
    let mut code = 0;
    for source in sources {
        let place = if is_dir { format!("{}/{}", target.trim_end_matches('/'), base(&source)) } else { target.clone() };
        if let Err(why) = act(source, place).await? {
            p.complain(why).await;
            code = 1;
        }
    }
    Ok(code)
}

fn says<T>(what: &str, name: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what} '{name}': {}", strerror(&error)))
}

/// Copies a tree: a list of what is still to do instead of recursion, so that depth costs no stack.
async fn copy(p: Proc, source: String, target: String, how: How) -> Result<Said, Stop> {
    let mut todo = vec![(source.clone(), target.clone(), true)];
    let mut finished_dirs: Vec<(String, String)> = Vec::new();
    let mut said = Ok(());
    while let Some((from, to, top)) = todo.pop() {
        let step = one(&p, &from, &to, how, top, &mut todo, &mut finished_dirs).await?;
        if how.verbose && step.is_ok() {
            p.stdout.write_all(format!("'{from}' -> '{to}'\n").as_bytes()).await?;
        }
        if let Err(why) = step {
            if let Err(earlier) = std::mem::replace(&mut said, Err(why)) {
                p.complain(earlier).await;
            }
        }
    }
    // Directories' times come last: their contents changed them.
    for (from, to) in finished_dirs.into_iter().rev() {
        let _ = keep_times(&p.path(&from), &p.path(&to));
    }
    Ok(said)
}

async fn one(
    p: &Proc,
    from: &str,
    to: &str,
    how: How,
    top: bool,
    todo: &mut Vec<(String, String, bool)>,
    finished_dirs: &mut Vec<(String, String)>,
) -> Result<Said, Stop> {
    let (source, target) = (p.path(from), p.path(to));
    let follow = !how.links && (top || !how.recursive || !how.links);
    let meta = if follow { fs::metadata(&source) } else { fs::symlink_metadata(&source) };
    let meta = match says("can't stat", from, meta) {
        Ok(meta) => meta,
        Err(why) => return Ok(Err(why)),
    };
    if meta.is_dir() {
        if !how.recursive {
            return Ok(Err(format!("omitting directory '{from}'")));
        }
        if target.starts_with(&source) {
            return Ok(Err(format!("recursion detected, omitting directory '{from}'")));
        }
        if !target.is_dir() {
            if let Err(why) = says("can't create directory", to, fs::create_dir(&target)) {
                return Ok(Err(why));
            }
        }
        if how.times {
            finished_dirs.push((from.into(), to.into()));
        }
        return Ok(says("can't open", from, super::list::children(&source)).map(|names| {
            for name in names {
                let inside = |dir: &str| format!("{}/{name}", dir.trim_end_matches('/'));
                todo.push((inside(from), inside(to), false));
            }
        }));
    }
    if how.no_clobber && target.exists() {
        return Ok(Ok(()));
    }
    if same_file(&source, &target) {
        return Ok(Err(format!("'{from}' and '{to}' are the same file")));
    }
    if target.is_dir() {
        return Ok(Err(format!("can't overwrite directory '{to}' with non-directory")));
    }
    if meta.file_type().is_symlink() {
        if how.force || fs::symlink_metadata(&target).is_ok() {
            let _ = fs::remove_file(&target);
        }
        let made = fs::read_link(&source).and_then(|t| posix::symlink(&t.to_string_lossy(), &target));
        return Ok(says("can't create symlink", to, made));
    }
    let input = match says("can't open", from, File::open(&source)) {
        Ok(file) => Reader::file(file),
        Err(why) => return Ok(Err(why)),
    };
    let mut created = File::create(&target);
    if created.is_err() && how.force {
        let _ = fs::remove_file(&target);
        created = File::create(&target);
    }
    let output = match says("can't create", to, created) {
        Ok(file) => Writer::file(file),
        Err(why) => return Ok(Err(why)),
    };
    if let Err(error) = pump(&input, &output).await {
        return Ok(Err(format!("write error: '{to}': {}", strerror(&error))));
    }
    if how.times {
        let _ = keep_times(&source, &target);
    }
    Ok(Ok(()))
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (posix::status(a, true), posix::status(b, true)) {
        (Ok(a), Ok(b)) => a.inode != 0 && a.inode == b.inode && a.device == b.device,
        _ => a == b,
    }
}

fn keep_times(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    posix::set_times(to, meta.accessed().ok(), meta.modified().ok())
}

async fn rename(p: Proc, source: String, target: String, keep: bool) -> Result<Said, Stop> {
    let (from, to): (PathBuf, PathBuf) = (p.path(&source), p.path(&target));
    if keep && to.exists() {
        return Ok(Ok(()));
    }
    if from != to && same_file(&from, &to) && !from.is_symlink() {
        return Ok(Err(format!("'{source}' and '{target}' are the same file")));
    }
    let error = match fs::rename(&from, &to) {
        Ok(()) => return Ok(Ok(())),
        Err(error) => error,
    };
    // Another volume: copy, then remove. Every other failure is the answer.
    if error.kind() != io::ErrorKind::CrossesDevices || fs::symlink_metadata(&from).is_err() {
        return Ok(Err(format!("can't rename '{source}': {}", strerror(&error))));
    }
    let how = How { recursive: true, times: true, links: true, force: true, no_clobber: false, verbose: false };
    if let Err(why) = copy(p.clone(), source.clone(), target, how).await? {
        return Ok(Err(why));
    }
    Ok(says("can't remove", &source, tree::remove_all(&from)))
}
