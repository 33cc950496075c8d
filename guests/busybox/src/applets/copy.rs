//! cp and mv.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names::base_name;
use super::stream::pump;
use super::{EarlyExit, Options, Outcome, files, posix, usage};
use crate::proc::{Proc, Reader, Writer, strerror};

#[derive(Clone, Copy)]
struct CopyOptions {
    recursive: bool,
    times: bool,
    /// Copies links as links.
    links: bool,
    force: bool,
    no_clobber: bool,
    verbose: bool,
}

/// Why an entry is not copied or moved. Displays as busybox's messages.
enum CopyError {
    Io { action: &'static str, name: String, error: io::Error },
    SameFile(String, String),
    DirectoryInTheWay(String),
    OmittedDirectory(String),
    IntoItself(String),
}

impl CopyError {
    /// Adds the action and the file to a system error.
    fn io(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> CopyError {
        move |error| CopyError::Io { action, name: name.to_string(), error }
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Io { action, name, error } => write!(f, "{action} '{name}': {}", strerror(error)),
            CopyError::SameFile(from, to) => write!(f, "'{from}' and '{to}' are the same file"),
            CopyError::DirectoryInTheWay(to) => write!(f, "can't overwrite directory '{to}' with non-directory"),
            CopyError::OmittedDirectory(from) => write!(f, "omitting directory '{from}'"),
            CopyError::IntoItself(from) => write!(f, "recursion detected, omitting directory '{from}'"),
        }
    }
}

type Done = Result<(), CopyError>;

pub async fn cp(p: Proc) -> Outcome {
    let o = Options::parse(&p, "arRpdfinlsTuvLHPt:").await?;
    let archive = o.has('a');
    let recursive = archive || o.has('r') || o.has('R');
    let options = CopyOptions {
        recursive,
        times: archive || o.has('p'),
        links: archive || o.has('d') || o.has('P') || (recursive && !o.has('L') && !o.has('H')),
        force: o.has('f'),
        no_clobber: o.has('n'),
        verbose: o.has('v'),
    };
    for_each_source(&p, &o, |source, target| copy_tree(p.clone(), source, target, options)).await
}

pub async fn mv(p: Proc) -> Outcome {
    let o = Options::parse(&p, "finTvt:").await?;
    let keep = o.has('n');
    for_each_source(&p, &o, |source, target| rename(p.clone(), source, target, keep)).await
}

/// Calls `act` with each source and its path in the target.
async fn for_each_source<F: Future<Output = Result<Done, EarlyExit>>>(
    p: &Proc,
    o: &Options,
    act: impl Fn(String, String) -> F,
) -> Outcome {
    let mut sources = o.operands.clone();
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
        p.print_error(format_args!("target '{target}' is not a directory")).await;
        return Ok(1);
    }
    let mut code = 0;
    for source in sources {
        let path =
            if is_dir { format!("{}/{}", target.trim_end_matches('/'), base_name(&source)) } else { target.clone() };
        if let Err(why) = act(source, path).await? {
            p.print_error(why).await;
            code = 1;
        }
    }
    Ok(code)
}

/// Copies a tree. Keeps a list of the remaining entries instead of recursing, so that depth costs no stack.
async fn copy_tree(p: Proc, source: String, target: String, options: CopyOptions) -> Result<Done, EarlyExit> {
    let mut copier = Copier { p: &p, options, todo: vec![(source, target)], directories: vec![] };
    let mut done = Ok(());
    while let Some((from, to)) = copier.todo.pop() {
        let step = copier.copy_entry(&from, &to).await;
        if options.verbose && step.is_ok() {
            p.stdout.write_all(format!("'{from}' -> '{to}'\n").as_bytes()).await?;
        }
        if let Err(why) = step
            && let Err(earlier) = std::mem::replace(&mut done, Err(why))
        {
            p.print_error(earlier).await;
        }
    }
    // Directories' times come last: copying their entries changed them.
    for (from, to) in copier.directories.into_iter().rev() {
        let _ = keep_times(&p.path(&from), &p.path(&to));
    }
    Ok(done)
}

struct Copier<'a> {
    p: &'a Proc,
    options: CopyOptions,
    /// Sources and targets.
    todo: Vec<(String, String)>,
    /// Copied directories whose times are kept.
    directories: Vec<(String, String)>,
}

impl Copier<'_> {
    async fn copy_entry(&mut self, from: &str, to: &str) -> Done {
        let (source, target) = (self.p.path(from), self.p.path(to));
        let meta = if self.options.links { fs::symlink_metadata(&source) } else { fs::metadata(&source) };
        let meta = meta.map_err(CopyError::io("can't stat", from))?;
        if meta.is_dir() {
            return self.create_directory(from, to, &source, &target);
        }
        if self.options.no_clobber && target.exists() {
            return Ok(());
        }
        if same_file(&source, &target) {
            return Err(CopyError::SameFile(from.to_string(), to.to_string()));
        }
        if target.is_dir() {
            return Err(CopyError::DirectoryInTheWay(to.to_string()));
        }
        if meta.file_type().is_symlink() {
            if self.options.force || fs::symlink_metadata(&target).is_ok() {
                let _ = fs::remove_file(&target);
            }
            let created = fs::read_link(&source).and_then(|t| posix::symlink(&t.to_string_lossy(), &target));
            return created.map_err(CopyError::io("can't create symlink", to));
        }
        let input = Reader::from_file(File::open(&source).map_err(CopyError::io("can't open", from))?);
        let mut created = File::create(&target);
        if created.is_err() && self.options.force {
            let _ = fs::remove_file(&target);
            created = File::create(&target);
        }
        let output = Writer::from_file(created.map_err(CopyError::io("can't create", to))?);
        pump(&input, &output).await.map_err(CopyError::io("write error:", to))?;
        if self.options.times {
            let _ = keep_times(&source, &target);
        }
        Ok(())
    }

    /// Creates a directory and lists its entries for copying.
    fn create_directory(&mut self, from: &str, to: &str, source: &Path, target: &Path) -> Done {
        if !self.options.recursive {
            return Err(CopyError::OmittedDirectory(from.to_string()));
        }
        if target.starts_with(source) {
            return Err(CopyError::IntoItself(from.to_string()));
        }
        if !target.is_dir() {
            fs::create_dir(target).map_err(CopyError::io("can't create directory", to))?;
        }
        if self.options.times {
            self.directories.push((from.into(), to.into()));
        }
        for name in super::ls::sorted_names(source).map_err(CopyError::io("can't open", from))? {
            let inside = |dir: &str| format!("{}/{name}", dir.trim_end_matches('/'));
            self.todo.push((inside(from), inside(to)));
        }
        Ok(())
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (posix::read_status(a, true), posix::read_status(b, true)) {
        (Ok(a), Ok(b)) => a.inode != 0 && a.inode == b.inode && a.device == b.device,
        _ => a == b,
    }
}

fn keep_times(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    posix::set_times(to, meta.accessed().ok(), meta.modified().ok())
}

async fn rename(p: Proc, source: String, target: String, keep: bool) -> Result<Done, EarlyExit> {
    let (from, to): (PathBuf, PathBuf) = (p.path(&source), p.path(&target));
    if keep && to.exists() {
        return Ok(Ok(()));
    }
    if from != to && same_file(&from, &to) && !from.is_symlink() {
        return Ok(Err(CopyError::SameFile(source, target)));
    }
    let error = match fs::rename(&from, &to) {
        Ok(()) => return Ok(Ok(())),
        Err(error) => error,
    };
    // To another volume: copy, then remove.
    if error.kind() != io::ErrorKind::CrossesDevices || fs::symlink_metadata(&from).is_err() {
        return Ok(Err(CopyError::io("can't rename", &source)(error)));
    }
    let options =
        CopyOptions { recursive: true, times: true, links: true, force: true, no_clobber: false, verbose: false };
    if let Err(why) = copy_tree(p.clone(), source.clone(), target, options).await? {
        return Ok(Err(why));
    }
    Ok(files::remove_all(&from).map_err(CopyError::io("can't remove", &source)))
}
