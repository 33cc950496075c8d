//! Facts about files that std does not report on WASI: whether a path is writable, whether two paths are the same file,
//! and where symbolic links lead.

use std::path::{Path, PathBuf};

use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, PathFlags};

use crate::proc::normalize;

/// Returns the preopened directory that contains `path`, and the relative path below it.
fn find_preopen(path: &Path) -> Option<(Descriptor, String)> {
    let inside = |(descriptor, name): (Descriptor, String)| {
        let top = normalize(Path::new("/"), &name);
        let rest = path.strip_prefix(&top).ok()?.to_string_lossy().into_owned();
        Some((top.components().count(), descriptor, rest))
    };
    let found = preopens::get_directories().into_iter().filter_map(inside);
    let (_, descriptor, rest) = found.max_by_key(|(depth, _, _)| *depth)?;
    Some((descriptor, if rest.is_empty() { ".".into() } else { rest }))
}

/// Whether the file at `path` can be changed.
pub fn is_writable(path: &Path) -> bool {
    let Some((descriptor, _)) = find_preopen(path) else {
        return false;
    };
    let flags = descriptor.get_flags();
    let mounted = flags.is_ok_and(|flags| flags.contains(DescriptorFlags::MUTATE_DIRECTORY));
    mounted && (path.is_dir() || std::fs::OpenOptions::new().write(true).open(path).is_ok())
}

/// Whether both paths lead to the same file.
pub fn is_same(a: &Path, b: &Path) -> bool {
    let hash = |path: &Path| {
        let (descriptor, rest) = find_preopen(path)?;
        let hash = descriptor.metadata_hash_at(PathFlags::SYMLINK_FOLLOW, &rest).ok()?;
        Some((hash.upper, hash.lower))
    };
    let (a, b) = (hash(a), hash(b));
    a.is_some() && a == b
}

/// Returns `path` with its symbolic links resolved.
pub fn resolve_links(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    let mut left: Vec<PathBuf> = path.components().rev().map(|c| c.as_os_str().into()).collect();
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = normalize(&out, &part.to_string_lossy());
        match next.read_link() {
            Ok(target) if links < 40 => {
                links += 1;
                left.extend(target.components().rev().map(|c| PathBuf::from(c.as_os_str())));
            }
            _ => out = next,
        }
    }
    out
}
