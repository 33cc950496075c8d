//! The list of rows in ARCHITECTURE.md, held against the tests that it names.

use std::path::Path;

const LIST: &str = include_str!("../../ARCHITECTURE.md");

/// The text of all Rust files below `folder`.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            *text += &std::fs::read_to_string(path).expect("a source");
        }
    }
}

#[test]
fn kubernetes_rows_name_existing_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    ["src", "tests", "crates"].iter().for_each(|folder| sources(&root.join(folder), &mut text));
    let rows: Vec<&str> = LIST.lines().filter(|line| line.starts_with("| K")).collect();
    for row in (1..=72).chain([76, 77]) {
        let line = rows.iter().find(|line| line.starts_with(&format!("| K{row} ")));
        let line = line.unwrap_or_else(|| panic!("K{row} is not listed"));
        let names: Vec<&str> = line.split('`').filter(|part| part.matches('_').count() > 2).collect();
        assert!(!names.is_empty() || line.contains("not yet: "), "K{row} has neither test nor reason");
        for name in names {
            assert!(text.contains(&format!("fn {name}(")), "K{row} names `{name}`, which is no test");
        }
    }
}
