//! The names that Tab completes: commands, files and variables.

use std::path::PathBuf;

use crate::applets;
use crate::proc::normalize;
use crate::shell::{APPLETS, Shell, builtins};

use super::completion::{Candidate, Kind, Target};

impl Shell {
    /// Returns the names that begin with the target's prefix, sorted.
    pub fn candidates(&self, target: &Target) -> Vec<Candidate> {
        let prefix = target.prefix.as_str();
        let mut found = match target.kind {
            Kind::Command => self.command_names(prefix),
            Kind::File => self.file_names(&target.directory, prefix),
            Kind::Variable { .. } => {
                let set = self.variables.iter().filter(|(name, _)| name.starts_with(prefix));
                set.map(|(name, _)| plain(name)).collect()
            }
        };
        found.sort();
        found.dedup();
        found
    }

    fn command_names(&self, prefix: &str) -> Vec<Candidate> {
        let provided = builtins::names().chain(applets::names()).chain(APPLETS).chain(["ash", "busybox", "sh"]);
        let mut found: Vec<Candidate> = provided.filter(|name| name.starts_with(prefix)).map(plain).collect();
        let own = self.functions.keys().chain(self.aliases.keys());
        found.extend(own.filter(|name| name.starts_with(prefix)).map(|name| plain(name)));
        for directory in self.variables.get("PATH").unwrap_or_default().split(':') {
            let files = self.file_names(directory, prefix);
            found.extend(files.into_iter().filter(|file| !file.is_directory));
        }
        found
    }

    /// Returns the files of a directory, which may begin with a tilde or a variable.
    fn file_names(&self, directory: &str, prefix: &str) -> Vec<Candidate> {
        let directory = normalize(&self.cwd, &self.expand_directory(directory));
        let Ok(entries) = directory.read_dir() else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(prefix) || (name.starts_with('.') && prefix.is_empty()) {
                continue;
            }
            let path: PathBuf = directory.join(&name);
            found.push(Candidate { name, is_directory: path.is_dir() });
        }
        found
    }

    fn expand_directory(&self, directory: &str) -> String {
        let (first, rest) = directory.split_once('/').unwrap_or((directory, ""));
        let name = match first.strip_prefix('$') {
            Some(name) => name.trim_start_matches('{').trim_end_matches('}'),
            None if first == "~" => "HOME",
            None => return directory.to_string(),
        };
        [self.variables.get(name).unwrap_or_default(), "/", rest].concat()
    }
}

fn plain(name: &str) -> Candidate {
    Candidate { name: name.to_string(), is_directory: false }
}
