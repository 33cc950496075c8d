//! The directories that a node writes to: flags, or the variables that systemd sets.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::cli::args::StorageArgs;

/// The directories that the user or the service manager has chosen.
#[derive(Debug, PartialEq, Eq)]
pub struct Directories {
    /// Keys and durable state.
    pub state: Option<PathBuf>,
    /// Container logs.
    pub logs: Option<PathBuf>,
    /// Compiled programs.
    pub cache: Option<PathBuf>,
}

impl Directories {
    /// Returns the directories of `flags`, and for those that are not given, of the environment (systemd.exec(5)).
    /// With a state directory, compiled programs are stored there as well unless the environment says otherwise: the
    /// user's cache may not be writable.
    pub fn new(flags: &StorageArgs, variable: impl Fn(&str) -> Option<OsString>) -> Directories {
        let of = |name: &str| variable(name).and_then(first_path);
        let state = flags.state_dir.clone().or_else(|| of("STATE_DIRECTORY"));
        let cache = of("CACHE_DIRECTORY").or_else(|| state.as_ref().map(|state| state.join("cache")));
        Directories { logs: flags.log_dir.clone().or_else(|| of("LOGS_DIRECTORY")), state, cache }
    }
}

/// Returns the first absolute path of a list that is separated by colons.
fn first_path(list: OsString) -> Option<PathBuf> {
    let first = list.as_bytes().split(|byte| *byte == b':').find(|path| !path.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(first.to_vec()))).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_precede_the_variables_of_systemd() {
        let check = |flags: [Option<&str>; 2], variables: &[(&str, &str)], expected: [Option<&str>; 3]| {
            let [state_dir, log_dir] = flags.map(|flag| flag.map(PathBuf::from));
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
            let [state, logs, cache] = expected.map(|path| path.map(PathBuf::from));
            assert_eq!(
                Directories::new(
                    &StorageArgs { state_dir, log_dir, recover: false, terminated_pod_gc_threshold: 0 },
                    variable
                ),
                Directories { state, logs, cache }
            );
        };
        let all = [("STATE_DIRECTORY", "/s:/s2"), ("LOGS_DIRECTORY", "/l"), ("CACHE_DIRECTORY", "/c:/c2")];
        check([None, None], &[], [None, None, None]);
        check([None, None], &all, [Some("/s"), Some("/l"), Some("/c")]);
        check([Some("/f"), Some("/g")], &all, [Some("/f"), Some("/g"), Some("/c")]);
        check([Some("f"), None], &[], [Some("f"), None, Some("f/cache")]);
        check([None, None], &all[..1], [Some("/s"), None, Some("/s/cache")]);
        check([None, None], &[("STATE_DIRECTORY", ""), ("LOGS_DIRECTORY", "relative")], [None, None, None]);
    }
}
