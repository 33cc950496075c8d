//! The places that manifests are read from: files, directories and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::{Diagnostic, Rule, decode_text};

const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A manifest that the user named. It is read once: what a pipe has delivered is gone.
pub enum ManifestSource {
    StandardInput,
    File(PathBuf),
    /// A directory without readable manifests, and the reason.
    Unusable(PathBuf, String),
}

impl ManifestSource {
    /// Returns the name for messages.
    pub fn name(&self) -> String {
        match self {
            ManifestSource::StandardInput => "standard input".into(),
            ManifestSource::File(path) | ManifestSource::Unusable(path, _) => path.to_string_lossy().into_owned(),
        }
    }

    /// Returns the text, which is at most [`MAX_BYTES`] long.
    pub fn read(&self) -> Result<String, Diagnostic> {
        let mut bytes = Vec::new();
        let diagnostic = |rule, message| Diagnostic { rule, path: String::new(), position: None, message, hint: None };
        match self {
            ManifestSource::StandardInput => std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
            ManifestSource::File(path) => {
                std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            }
            ManifestSource::Unusable(_, reason) => return Err(diagnostic(Rule::Unreadable, reason.clone())),
        }
        .map_err(|error| diagnostic(Rule::Unreadable, format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(diagnostic(Rule::Limit, "exceeds the maximum manifest size of 64 MiB".into()));
        }
        decode_text(bytes)
    }

    /// Returns the absolute path of the file, or for other sources one in the current directory. Paths of local images are
    /// relative to its directory.
    pub fn origin(&self) -> Option<String> {
        let path = match self {
            ManifestSource::File(path) if path.is_file() => std::path::absolute(path).ok()?,
            // Not beside a pipe, which has no directory of its own.
            ManifestSource::StandardInput | ManifestSource::File(_) | ManifestSource::Unusable(..) => {
                std::env::current_dir().ok()?.join("standard-input")
            }
        };
        Some(path.to_string_lossy().into_owned())
    }
}

/// Returns the manifests that `paths` stand for: `-` is standard input, and a directory all manifests in it.
pub fn manifest_sources(paths: &[PathBuf]) -> Vec<ManifestSource> {
    let expand = |path: &PathBuf| match path {
        path if path.as_os_str() == "-" => vec![ManifestSource::StandardInput],
        path if path.is_dir() => manifests_in(path),
        path => vec![ManifestSource::File(path.clone())],
    };
    paths.iter().flat_map(expand).collect()
}

/// Returns whether the name of the file is that of a manifest.
pub fn has_manifest_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn manifests_in(directory: &Path) -> Vec<ManifestSource> {
    let unusable = |reason: String| vec![ManifestSource::Unusable(directory.to_path_buf(), reason)];
    let entries = match std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return unusable(format!("cannot be read: {error}")),
    };
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut manifests: Vec<PathBuf> = paths.filter(|path| has_manifest_extension(path) && path.is_file()).collect();
    manifests.sort();
    match manifests.is_empty() {
        true => unusable("directory contains no manifests (*.yaml, *.yml, *.json)".into()),
        false => manifests.into_iter().map(ManifestSource::File).collect(),
    }
}
