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

/// Returns the directories of the crates of the workspaces below the root.
fn crates() -> Vec<PathBuf> {
    let members = ["guests", "crates", "wasm-examples"]
        .into_iter()
        .flat_map(|workspace| fs::read_dir(root().join(workspace)).expect("the workspace"));
    members.map(|member| member.expect("an entry").path()).filter(|path| path.join("Cargo.toml").exists()).collect()
}

/// Returns the Rust files of all crates, sorted by path.
pub fn sources() -> Vec<Source> {
    let mut paths: Vec<PathBuf> =
        ["build.rs", "src", "tests", "benches", "fuzz/src"].map(|path| root().join(path)).into();
    let parts = |path: PathBuf| ["build.rs", "src", "tests", "examples"].map(|part| path.join(part));
    paths.extend(crates().into_iter().flat_map(parts));
    files(paths, "rs")
}

/// Returns the documents whose prose is checked.
pub fn documents() -> Vec<Source> {
    let paths = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "docs",
        "guests/README.md",
        "wasm-examples/README.md",
    ];
    let mut paths: Vec<PathBuf> = paths.map(|path| root().join(path)).into();
    paths.extend(crates().into_iter().map(|path| path.join("README.md")));
    files(paths, "md")
}

/// Returns these files and the files below these directories, as far as they exist, with this extension and sorted by
/// path.
fn files(mut paths: Vec<PathBuf>, extension: &str) -> Vec<Source> {
    let (mut found, root) = (Vec::new(), root());
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ext| ext == extension) && path.exists() {
            found.push(file(&root, &path));
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
