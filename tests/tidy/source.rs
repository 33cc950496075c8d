//! The repository's sources and documents, and rules for whole files.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::tokens::lex;

const MAX_FILE_LINES: usize = 500;

/// A Rust file or a document.
pub struct Source {
    /// Relative to the repository's root, with slashes.
    pub path: String,
    pub text: String,
}

/// A place where a rule is broken.
#[derive(Clone, Debug)]
pub struct Finding {
    pub line: usize,
    pub message: String,
}

impl Finding {
    pub fn new(line: usize, message: impl Into<String>) -> Finding {
        Finding { line, message: message.into() }
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Reads a file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the Rust files of all crates, sorted by path.
pub fn sources() -> Vec<Source> {
    let mut directories: Vec<PathBuf> = ["src", "tests", "benches", "fuzz/src"].map(|path| root().join(path)).into();
    for workspace in ["guests", "crates"] {
        for member in fs::read_dir(root().join(workspace)).expect("the workspace") {
            let path = member.expect("an entry").path();
            directories.extend([path.join("src"), path.join("tests")]);
        }
    }
    files(directories, "rs")
}

/// Returns the documents whose prose is checked.
pub fn documents() -> Vec<Source> {
    let names = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"];
    // Each of them may be missing from a published crate.
    let top = names.into_iter().filter(|name| root().join(name).exists());
    let mut documents: Vec<Source> = top.map(|name| Source::new(name, &read(name))).collect();
    documents.extend(files(vec![root().join("docs")], "md"));
    documents
}

/// Returns the files below `directories` with this extension, sorted by path.
fn files(mut directories: Vec<PathBuf>, extension: &str) -> Vec<Source> {
    let (mut found, root) = (Vec::new(), root());
    while let Some(directory) = directories.pop() {
        // Not every crate has all directories.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ext| ext == extension) {
                found.push(file(&root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn file(root: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    Source { text: read(&relative), path: relative }
}

/// Finds files that are too long.
pub fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let message = format!("more than {MAX_FILE_LINES} lines: split the file");
    (lines > MAX_FILE_LINES).then(|| Finding::new(lines, message)).into_iter().collect()
}

/// Finds `#[path]` attributes, which hide where a module is stored.
pub fn tunnels(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let tokens = lex(&source.text);
    let attributes = tokens.windows(3).filter(|next| next.iter().map(|token| token.text).eq(["#", "[", "path"]));
    attributes
        .filter_map(|next| next.first())
        .map(|hash| Finding::new(hash.line, "`#[path]`: store the module where its name says, or make it a crate"))
        .collect()
}

/// Checks how often `rule` objects to each source, given as path, text and number of findings.
#[track_caller]
pub fn assert_findings(rule: impl Fn(&Source) -> Vec<Finding>, rows: &[(&str, &str, usize)]) {
    for (path, text, count) in rows {
        let findings = rule(&Source::new(path, text));
        assert_eq!(findings.len(), *count, "{path}: {text}\n{findings:#?}");
    }
}

#[test]
fn long_files_are_found() {
    assert_findings(length, &[("src/a.rs", &"\n".repeat(500), 0), ("src/a.rs", &"\n".repeat(501), 1)]);
}

#[test]
fn path_attributes_are_found() {
    let text = "#[path = \"../x.rs\"] mod x; #[derive(Debug)] struct S; // #[path]\nuse path::Path;";
    assert_findings(tunnels, &[("src/a.rs", text, 1), ("README.md", text, 0)]);
}
