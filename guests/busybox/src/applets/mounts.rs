//! df and mount: the directories that the host has opened for the guest. WASI tells neither their sizes nor where they
//! come from, so these are shown as `-`.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::DescriptorFlags;

use super::{Options, Outcome, Output, fail};
use crate::proc::{Proc, strerror};

#[derive(Debug, PartialEq)]
struct Mount {
    path: String,
    writable: bool,
}

/// Returns the mounts, sorted by path.
fn mounts() -> Vec<Mount> {
    let directories = get_directories();
    let writes = |flags: DescriptorFlags| flags.contains(DescriptorFlags::MUTATE_DIRECTORY);
    let mut mounts: Vec<Mount> = directories
        .iter()
        .map(|(directory, path)| Mount { path: path.clone(), writable: directory.get_flags().is_ok_and(writes) })
        .collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    mounts.dedup();
    mounts
}

/// Returns the mount that holds an absolute path: the one with the longest matching path.
fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let holds = |mount: &&Mount| {
        let prefix = mount.path.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(holds).max_by_key(|mount| mount.path.len())
}

/// Returns the lines of df.
fn format_df<'a>(mounts: impl Iterator<Item = &'a Mount>, blocks: &str, with_type: bool, posix: bool) -> String {
    let kind = |text: &str| if with_type { format!(" {text:<10}") } else { String::new() };
    let portion = if posix { "Capacity" } else { "Use%" };
    let width = portion.len();
    let mut out = format!(
        "Filesystem          {} {blocks:>10} {:>9} {:>9} {portion} Mounted on\n",
        kind("Type"),
        "Used",
        "Available"
    );
    for mount in mounts {
        out += &format!(
            "wasi                {} {:>10} {:>9} {:>9} {:>width$} {}\n",
            kind("wasi"),
            "-",
            "-",
            "-",
            "-",
            mount.path
        );
    }
    out
}

pub async fn df(p: Proc) -> Outcome {
    let o = Options::parse(&p, "hHkmPTait:B:").await?;
    let mounts = mounts();
    let blocks = if o.has('i') {
        "Inodes"
    } else if o.has('h') || o.has('H') {
        "Size"
    } else if o.has('m') {
        "1M-blocks"
    } else if o.has('P') {
        "1024-blocks"
    } else {
        "1K-blocks"
    };
    let mut code = 0;
    let mut chosen = Vec::new();
    for operand in &o.operands {
        let path = p.path(operand);
        match std::fs::metadata(&path) {
            Ok(_) => chosen.extend(mount_of(&mounts, &path.to_string_lossy())),
            Err(error) => {
                p.print_error(format_args!("{operand}: can't find mount point: {}", strerror(&error))).await;
                code = 1;
            }
        }
    }
    let text = if o.operands.is_empty() {
        format_df(mounts.iter(), blocks, o.has('T'), o.has('P'))
    } else {
        format_df(chosen.into_iter(), blocks, o.has('T'), o.has('P'))
    };
    let mut out = Output::new(&p);
    out.put(text).await?;
    out.end(code).await
}

pub async fn mount(p: Proc) -> Outcome {
    let o = Options::parse(&p, "alvrwt:o:").await?;
    if !o.operands.is_empty() || o.has('o') {
        return fail(&p, 1, "not permitted; volumes are mounted by the pod's manifest (volumeMounts)").await;
    }
    let mut out = Output::new(&p);
    for mount in mounts() {
        let mode = if mount.writable { "rw" } else { "ro" };
        out.put(format!("wasi on {} type wasi ({mode})\n", mount.path)).await?;
    }
    out.end(0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts_at(paths: &[&str]) -> Vec<Mount> {
        paths.iter().map(|path| Mount { path: (*path).into(), writable: true }).collect()
    }

    #[test]
    fn the_longest_mount_holds_a_path() {
        let mounts = mounts_at(&["/", "/data", "/data/a"]);
        let of = |path: &str| mount_of(&mounts, path).map(|mount| mount.path.as_str());
        assert_eq!(of("/data/a/b"), Some("/data/a"));
        assert_eq!(of("/data"), Some("/data"));
        assert_eq!(of("/database"), Some("/"));
        assert_eq!(mount_of(&mounts_at(&["/data"]), "/x"), None);
    }

    #[test]
    fn unknown_sizes_are_dashes() {
        let text = format_df(mounts_at(&["/"]).iter(), "1K-blocks", false, false);
        let expected = "Filesystem            1K-blocks      Used Available Use% Mounted on\n\
                        wasi                          -         -         -    - /\n";
        assert_eq!(text, expected);
    }
}
