//! Dependencies: each has its reason in a comment above it.

use crate::source::Finding;

/// Finds dependencies without a reason in a Cargo manifest. Those that a workspace declares have theirs there.
pub fn reasons(manifest: &str) -> Vec<Finding> {
    let (mut findings, mut in_section, mut depth, mut previous) = (Vec::new(), false, 0_isize, "");
    for (line, text) in (1..).zip(manifest.lines().map(str::trim)) {
        let mut dependency = None;
        if depth == 0
            && let Some(header) = text.strip_prefix('[')
        {
            let header = header.trim_end_matches(']');
            in_section = header.ends_with("dependencies");
            // [dependencies.name]
            dependency = header.rsplit_once('.').filter(|(of, _)| of.ends_with("dependencies")).map(|(_, name)| name);
        } else if !text.starts_with('#') {
            let key = text.split_once('=').map(|(key, _)| key.split('.').next().unwrap_or(key).trim());
            dependency = key.filter(|_| in_section && depth == 0);
            depth += text.chars().map(|c| isize::from("[{".contains(c)) - isize::from("]}".contains(c))).sum::<isize>();
        }
        if let Some(name) = dependency
            && !previous.starts_with('#')
            && !text.ends_with(".workspace = true")
        {
            findings.push(Finding::new(line, format!("why {name}? Give the reason in a comment above it")));
        }
        previous = text;
    }
    findings
}

#[test]
fn dependencies_without_a_reason_are_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n# Why.\nc = { features = [\n\
        \"d\",\n] }\n[dependencies.e]\nversion = \"1\"\n[lints]\nf = 1\n";
    let lines: Vec<usize> = reasons(manifest).iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [6, 11]);
}
