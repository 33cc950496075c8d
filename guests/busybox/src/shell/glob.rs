//! Pathname expansion.

use std::path::Path;

use super::pattern::{self, Char, Origin};

/// Returns the matching paths, sorted; the word itself if there are none.
pub fn expand_paths(word: &[Char], cwd: &Path) -> Vec<String> {
    let parts: Vec<&[Char]> = word.split(|c| c.c == '/' && c.origin != Origin::Empty).collect();
    let mut found = Vec::new();
    descend(String::new(), &parts, cwd, &mut found);
    if found.is_empty() {
        return vec![pattern::text(word)];
    }
    found.sort();
    found
}

/// Appends the paths below `prefix` that `parts` match; `prefix` is empty or ends with a slash.
fn descend(prefix: String, parts: &[&[Char]], cwd: &Path, found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        return;
    };
    if !pattern::is_pattern(part) {
        let path = prefix + &pattern::text(part);
        if !rest.is_empty() {
            descend(path + "/", rest, cwd, found);
        } else if cwd.join(&path).symlink_metadata().is_ok() {
            found.push(path);
        }
        return;
    }
    let shows_hidden = part.iter().find(|c| c.origin != Origin::Empty).is_some_and(|c| c.c == '.');
    let mut names: Vec<String> = match cwd.join(&prefix).read_dir() {
        Ok(entries) => entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
        Err(_) => return,
    };
    if shows_hidden {
        names.extend([".".into(), "..".into()]);
    }
    for name in names {
        let chars: Vec<char> = name.chars().collect();
        if (name.starts_with('.') && !shows_hidden) || !pattern::matches(part, &chars) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if rest.is_empty() {
            found.push(path);
        } else if cwd.join(&path).is_dir() {
            descend(path + "/", rest, cwd, found);
        }
    }
}
