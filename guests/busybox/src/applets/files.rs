//! Applets that change directories: rm, rmdir, unlink, mkdir, touch, chmod, ln, truncate, mktemp.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::date::{parse_compact_time, parse_time, system_time, unix_seconds};
use super::names::base_name;
use super::options::parse_size;
use super::{Options, Outcome, fail, posix, usage};
use crate::proc::{Proc, strerror, yield_now};

/// Removes a file, a link, or a directory with all its entries.
pub fn remove_all(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    for name in super::ls::sorted_names(path)? {
        remove_all(&path.join(name))?;
    }
    fs::remove_dir(path)
}

pub async fn rm(p: Proc) -> Outcome {
    let o = Options::parse(&p, "frRiv").await?;
    let (force, recursive) = (o.has('f'), o.has('r') || o.has('R'));
    if o.operands.is_empty() && !force {
        return usage(&p).await;
    }
    let mut code = 0;
    for name in &o.operands {
        yield_now().await;
        let last = base_name(name);
        if recursive && matches!(last, "." | "..") {
            p.print_error("can't remove '.' or '..'").await;
            code = 1;
            continue;
        }
        let path = p.path(name);
        let result = match fs::symlink_metadata(&path) {
            Err(error) if force && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error),
            Ok(meta) if meta.is_dir() && !recursive => {
                p.print_error(format_args!("'{name}' is a directory")).await;
                code = 1;
                continue;
            }
            Ok(_) => remove_all(&path),
        };
        match result {
            Ok(()) if o.has('v') => {
                p.stdout.write_all(format!("removed '{name}'\n").as_bytes()).await?;
            }
            Ok(()) => {}
            Err(error) => {
                p.print_error(format_args!("can't remove '{name}': {}", strerror(&error))).await;
                code = 1;
            }
        }
    }
    Ok(code)
}

pub async fn unlink(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let [name] = o.operands.as_slice() else { return usage(&p).await };
    match fs::remove_file(p.path(name)) {
        Ok(()) => Ok(0),
        Err(error) => fail(&p, 1, &format!("can't remove file '{name}': {}", strerror(&error))).await,
    }
}

pub async fn rmdir(p: Proc) -> Outcome {
    let o = Options::parse(&p, "p(parents)v(ignore-fail-on-non-empty)").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let mut code = 0;
    for name in &o.operands {
        let mut rest = name.as_str();
        loop {
            let shown = rest;
            if let Err(error) = fs::remove_dir(p.path(rest)) {
                p.print_error(format_args!("'{shown}': {}", strerror(&error))).await;
                code = 1;
                break;
            }
            match rest.trim_end_matches('/').rsplit_once('/') {
                Some((parent, _)) if o.has('p') && !parent.is_empty() => rest = parent,
                _ => break,
            }
        }
    }
    Ok(code)
}

/// chmod. WASI's files have no modes, so this only reports missing files.
pub async fn chmod(p: Proc) -> Outcome {
    // A mode may begin with a minus like an option.
    let is_option = |arg: &&String| matches!(arg.as_str(), "-R" | "-v" | "-c" | "-f" | "--");
    let args: Vec<&String> = p.args.iter().skip(1).skip_while(is_option).collect();
    let [_mode, files @ ..] = args.as_slice() else { return usage(&p).await };
    if files.is_empty() {
        return usage(&p).await;
    }
    let mut code = 0;
    for name in files {
        if let Err(error) = fs::metadata(p.path(name)) {
            p.print_error(format_args!("{name}: {}", strerror(&error))).await;
            code = 1;
        }
    }
    Ok(code)
}

pub async fn mkdir(p: Proc) -> Outcome {
    let o = Options::parse(&p, "p(parents)m:(mode)v").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let mut code = 0;
    for name in &o.operands {
        let path = p.path(name);
        let created = if o.has('p') {
            match fs::create_dir_all(&path) {
                Err(_) if path.is_file() => Err(io::ErrorKind::AlreadyExists.into()),
                other => other,
            }
        } else {
            fs::create_dir(&path)
        };
        if let Err(error) = created {
            p.print_error(format_args!("can't create directory '{name}': {}", strerror(&error))).await;
            code = 1;
        }
    }
    Ok(code)
}

pub async fn touch(p: Proc) -> Outcome {
    let o = Options::parse(&p, "cfamd:(date)t:r:(reference)h").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let now = SystemTime::now();
    let mut time = now;
    let given = o.get('d').map(|t| (t, parse_time(t, unix_seconds(now))));
    let given = given.or_else(|| o.get('t').map(|t| (t, parse_compact_time(t, unix_seconds(now)))));
    match given {
        Some((text, None)) => return fail(&p, 1, &format!("invalid date '{text}'")).await,
        Some((_, Some(seconds))) => time = system_time(seconds),
        None => {}
    }
    if let Some(file) = o.get('r') {
        time = match fs::metadata(p.path(file)).and_then(|m| m.modified()) {
            Ok(modified) => modified,
            Err(error) => return fail(&p, 1, &format!("{file}: {}", strerror(&error))).await,
        };
    }
    let accessed = (!o.has('m') || o.has('a')).then_some(time);
    let modified = (!o.has('a') || o.has('m')).then_some(time);
    let mut code = 0;
    for name in &o.operands {
        let path = p.path(name);
        let mut done = posix::set_times(&path, accessed, modified);
        if !path.exists() {
            if o.has('c') {
                continue;
            }
            done = OpenOptions::new().create(true).append(true).open(&path).and_then(|_| {
                if given.is_none() && !o.has('r') {
                    return Ok(());
                }
                posix::set_times(&path, accessed, modified)
            });
        }
        if let Err(error) = done {
            p.print_error(format_args!("{name}: {}", strerror(&error))).await;
            code = 1;
        }
    }
    Ok(code)
}

pub async fn ln(p: Proc) -> Outcome {
    let o = Options::parse(&p, "sfnbvT").await?;
    let mut targets = o.operands.clone();
    let place = match targets.pop() {
        None => return usage(&p).await,
        Some(only) if targets.is_empty() => {
            targets.push(only);
            ".".to_string()
        }
        Some(last) => last,
    };
    let at = p.path(&place);
    let into = at.is_dir() && !o.has('T') && !(o.has('n') && at.is_symlink());
    if targets.len() > 1 && !into {
        return fail(&p, 1, &format!("target '{place}' is not a directory")).await;
    }
    let mut code = 0;
    for target in &targets {
        let name = if into { format!("{}/{}", place.trim_end_matches('/'), base_name(target)) } else { place.clone() };
        let link = p.path(&name);
        if o.has('f') {
            let _ = fs::remove_file(&link);
        }
        let created = if o.has('s') { posix::symlink(target, &link) } else { fs::hard_link(p.path(target), &link) };
        if let Err(error) = created {
            let missing = !o.has('s') && fs::symlink_metadata(p.path(target)).is_err();
            let culprit = if missing { target } else { &name };
            p.print_error(format_args!("{culprit}: {}", strerror(&error))).await;
            code = 1;
        }
    }
    Ok(code)
}

pub async fn truncate(p: Proc) -> Outcome {
    let o = Options::parse(&p, "cs:(size)").await?;
    let (Some(text), false) = (o.get('s'), o.operands.is_empty()) else { return usage(&p).await };
    let Some(number) = parse_size(text.trim_start_matches(['+', '-'])) else {
        return fail(&p, 1, &format!("invalid number '{text}'")).await;
    };
    let mut code = 0;
    for name in &o.operands {
        let opened = OpenOptions::new().write(true).create(!o.has('c')).truncate(false).open(p.path(name));
        let cut = opened.and_then(|file| {
            let old = file.metadata()?.len();
            file.set_len(match text.as_bytes().first() {
                Some(b'+') => old + number,
                Some(b'-') => old.saturating_sub(number),
                _ => number,
            })
        });
        match cut {
            Err(error) if o.has('c') && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                p.print_error(format_args!("{name}: open: {}", strerror(&error))).await;
                code = 1;
            }
            Ok(()) => {}
        }
    }
    Ok(code)
}

pub async fn mktemp(p: Proc) -> Outcome {
    let o = Options::parse(&p, "dqtup:").await?;
    let temporary = || p.env.get("TMPDIR").cloned().unwrap_or_else(|| "/tmp".into());
    let template = o.operand(0).unwrap_or("tmp.XXXXXX");
    let dir = o.get('p').map(str::to_string).or_else(|| (o.operands.is_empty() || o.has('t')).then(temporary));
    let full = match dir {
        Some(dir) => format!("{dir}/{template}"),
        None => template.to_string(),
    };
    let marks = full.len() - full.trim_end_matches('X').len();
    if marks < 3 {
        return fail(&p, 1, &format!("{full}: Invalid argument")).await;
    }
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..100 {
        let random = wasip2::random::random::get_random_bytes(marks as u64);
        let mut name = full[..full.len() - marks].to_string();
        name.extend(random.iter().map(|b| LETTERS[usize::from(*b) % 62] as char));
        let path = p.path(&name);
        let created = if o.has('u') {
            Ok(())
        } else if o.has('d') {
            fs::create_dir(&path)
        } else {
            OpenOptions::new().write(true).create_new(true).open(&path).map(drop)
        };
        match created {
            Ok(()) => {
                p.stdout.write_all((name + "\n").as_bytes()).await?;
                return Ok(0);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    fail(&p, 1, &format!("{full}: {}", strerror(&last))).await
}
