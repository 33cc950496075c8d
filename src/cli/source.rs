//! Where manifests come from: files, folders, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::{Issue, Rule, decode};

/// Larger manifests are refused: they are something else.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// One text that the user gave.
pub enum Source {
    StandardInput,
    File(PathBuf),
    /// A folder that holds none, and why.
    Nothing(PathBuf, String),
}

impl Source {
    /// As messages name it.
    pub fn name(&self) -> String {
        match self {
            Source::StandardInput => "standard input".into(),
            Source::File(path) | Source::Nothing(path, _) => path.to_string_lossy().into_owned(),
        }
    }

    /// Its text, within bounds.
    pub fn read(&self) -> Result<String, Issue> {
        let mut bytes = Vec::new();
        let refused = |rule, message| Issue { rule, path: String::new(), position: None, message, hint: None };
        match self {
            Source::StandardInput => std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
            Source::File(path) => {
                std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            }
            Source::Nothing(_, why) => return Err(refused(Rule::Unreadable, why.clone())),
        }
        .map_err(|error| refused(Rule::Unreadable, format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refused(Rule::Limit, "is larger than 64 MiB: that is no manifest".into()));
        }
        decode(bytes)
    }

    /// The file itself, absolute; local images are relative to its folder.
    pub fn origin(&self) -> Option<String> {
        let path = match self {
            Source::StandardInput => std::env::current_dir().ok()?.join("standard-input"),
            Source::File(path) | Source::Nothing(path, _) => std::path::absolute(path).ok()?,
        };
        Some(path.to_string_lossy().into_owned())
    }
}

/// Files as they are, folders as their manifests by name.
pub fn sources(files: &[PathBuf]) -> Vec<Source> {
    let of = |path: &PathBuf| match path {
        path if path.as_os_str() == "-" => vec![Source::StandardInput],
        path if path.is_dir() => manifests(path),
        path => vec![Source::File(path.clone())],
    };
    files.iter().flat_map(of).collect()
}

fn manifests(folder: &Path) -> Vec<Source> {
    let nothing = |why: String| vec![Source::Nothing(folder.to_path_buf(), why)];
    let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return nothing(format!("cannot be read: {error}")),
    };
    let is_manifest =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") && path.is_file();
    let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_manifest).collect();
    found.sort();
    match found.is_empty() {
        true => nothing("holds no manifests (*.yaml, *.yml, *.json)".into()),
        false => found.into_iter().map(Source::File).collect(),
    }
}
