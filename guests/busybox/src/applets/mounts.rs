//! df and mount: the file systems of the container, as the host tells them (`wasmpod:resources`): the sizes of the host's
//! file systems, or the limits of volumes that have one.

use resources::Mount;

use super::numbers::format_size;
use super::{Options, Outcome, Output, fail};
use crate::proc::{Proc, strerror};

/// Returns the mount that holds an absolute path: the one with the longest matching path.
fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let holds = |mount: &&Mount| {
        let prefix = mount.path.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(holds).max_by_key(|mount| mount.path.len())
}

/// What df shows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    /// Blocks of so many bytes.
    Blocks(u64),
    /// Bytes with a unit.
    Human,
    Inodes,
}

impl Unit {
    fn title(self, posix: bool) -> String {
        match self {
            Unit::Blocks(1024) if posix => "1024-blocks".into(),
            Unit::Blocks(1024) => "1K-blocks".into(),
            Unit::Blocks(0x10_0000) => "1M-blocks".into(),
            Unit::Blocks(size) => format!("{size}-blocks"),
            Unit::Human => "     Size".into(),
            Unit::Inodes => "   Inodes".into(),
        }
    }

    fn show(self, amount: u64) -> String {
        match self {
            Unit::Blocks(size) => (amount / size).to_string(),
            Unit::Human => format_size(amount),
            Unit::Inodes => amount.to_string(),
        }
    }
}

/// Returns the used part in percent, rounded as busybox does; the space that only root may use counts as neither.
fn percent(used: u64, available: u64) -> u128 {
    let total = u128::from(used) + u128::from(available);
    (u128::from(used) * 100 + total / 2).checked_div(total).unwrap_or(0)
}

/// Returns the lines of df.
fn format_df<'a>(mounts: impl Iterator<Item = &'a Mount>, unit: Unit, with_type: bool, posix: bool) -> String {
    let (type_title, kind) = if with_type { ("Type       ", " wasi      ") } else { ("", "") };
    let portion = if posix { "Capacity" } else { "Use%" };
    let mut out =
        format!("Filesystem           {type_title}{:<15}Used Available {portion} Mounted on\n", unit.title(posix));
    for mount in mounts {
        let (size, free, available) = match unit {
            Unit::Inodes => (mount.inodes, mount.free_inodes, mount.free_inodes),
            Unit::Blocks(_) | Unit::Human => (mount.size, mount.free, mount.available),
        };
        let used = size.saturating_sub(free);
        let [size, shown, left] = [size, used, available].map(|amount| unit.show(amount));
        let percent = percent(used, available);
        out += &format!("{:<20}{kind} {size:>9} {shown:>9} {left:>9} {percent:>3}% {}\n", "wasi", mount.path);
    }
    out
}

/// Parses `df -B`: a number with an optional suffix.
fn parse_block_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)? {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    let number: u64 = if digits.is_empty() { 1 } else { digits.parse().ok()? };
    number.checked_mul(factor).filter(|size| *size > 0)
}

pub async fn df(p: Proc) -> Outcome {
    let o = Options::parse(&p, "hHkmPTait:B:").await?;
    let unit = match (o.get('B'), o.last_of("hHkmi")) {
        (_, Some('i')) => Unit::Inodes,
        (_, Some('h' | 'H')) => Unit::Human,
        (_, Some('m')) => Unit::Blocks(1 << 20),
        (Some(text), _) => match parse_block_size(text) {
            Some(size) => Unit::Blocks(size),
            None => return fail(&p, 1, &format!("invalid number '{text}'")).await,
        },
        _ => Unit::Blocks(1024),
    };
    let mounts = resources::mounts();
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
    if o.operands.is_empty() {
        chosen.extend(&mounts);
    }
    let mut out = Output::new(&p);
    out.put(format_df(chosen.into_iter(), unit, o.has('T'), o.has('P'))).await?;
    out.end(code).await
}

pub async fn mount(p: Proc) -> Outcome {
    let o = Options::parse(&p, "alvrwt:o:").await?;
    if !o.operands.is_empty() || o.has('o') {
        return fail(&p, 1, "not permitted; volumes are mounted by the pod's manifest (volumeMounts)").await;
    }
    let mut out = Output::new(&p);
    for mount in resources::mounts() {
        let mode = if mount.read_only { "ro" } else { "rw" };
        out.put(format!("wasi on {} type wasi ({mode})\n", mount.path)).await?;
    }
    out.end(0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts_at(paths: &[&str]) -> Vec<Mount> {
        let mount = |path: &&str| Mount {
            path: (*path).into(),
            read_only: false,
            size: 4 << 20,
            free: 3 << 20,
            available: 2 << 20,
            inodes: 100,
            free_inodes: 90,
        };
        paths.iter().map(mount).collect()
    }

    #[test]
    fn the_longest_mount_holds_a_path() {
        let mounts = mounts_at(&["/", "/data", "/data/a"]);
        let of = |path: &str| mount_of(&mounts, path).map(|mount| mount.path.clone());
        assert_eq!(of("/data/a/b"), Some("/data/a".into()));
        assert_eq!(of("/data"), Some("/data".into()));
        assert_eq!(of("/database"), Some("/".into()));
        assert!(mount_of(&mounts_at(&["/data"]), "/x").is_none());
    }

    #[test]
    fn tables_look_as_in_busybox() {
        let table = |unit, with_type, posix| format_df(mounts_at(&["/"]).iter(), unit, with_type, posix);
        let expected = "Filesystem           1K-blocks      Used Available Use% Mounted on\n\
                        wasi                      4096      1024      2048  33% /\n";
        assert_eq!(table(Unit::Blocks(1024), false, false), expected);
        let expected = "Filesystem           Type            Size      Used Available Use% Mounted on\n\
                        wasi                 wasi            4.0M      1.0M      2.0M  33% /\n";
        assert_eq!(table(Unit::Human, true, false), expected);
        let expected = "Filesystem           1024-blocks    Used Available Capacity Mounted on\n\
                        wasi                      4096      1024      2048  33% /\n";
        assert_eq!(table(Unit::Blocks(1024), false, true), expected);
        let expected = "Filesystem              Inodes      Used Available Use% Mounted on\n\
                        wasi                       100        10        90  10% /\n";
        assert_eq!(table(Unit::Inodes, false, false), expected);
    }

    #[test]
    fn block_sizes_have_suffixes() {
        let sizes = ["512", "4k", "M", "0", "x", "1x"].map(parse_block_size);
        assert_eq!(sizes, [Some(512), Some(4096), Some(1 << 20), None, None, None]);
    }
}
