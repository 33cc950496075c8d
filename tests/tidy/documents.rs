//! Documents that name tests: the invariants of ARCHITECTURE.md and the rows of docs/kubernetes-behaviour.md.

use std::collections::BTreeSet;

use crate::source::Finding;

/// Fewer invariants than this mean that the list was not found.
const MIN_INVARIANTS: usize = 12;

/// The number of the last row; the first is K1.
const LAST_ROW: usize = 81;

/// Checks the invariants: the list items of the section `## Invariants`, each of which ends in `— test: `name``, or in
/// `— tests: ` with several names.
pub fn invariants(document: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let items = list_items(document, "## Invariants");
    let mut findings = Vec::new();
    for (line, item) in &items {
        let named = item.rsplit_once("— test: ").or_else(|| item.rsplit_once("— tests: "));
        let names = named.map_or_else(Vec::new, |(_, named)| code_spans(named));
        if names.is_empty() {
            findings.push(Finding::new(*line, "this invariant names no test (— test: `name`)"));
        }
        findings.extend(unknown(*line, &names, tests));
    }
    if items.len() < MIN_INVARIANTS {
        let message =
            format!("{} items in the section Invariants: at least {MIN_INVARIANTS} are expected", items.len());
        findings.push(Finding::new(1, message));
    }
    findings
}

/// Checks the table of Kubernetes' rules: `| K27 | rule | source | tests |`, where the tests are names in backticks, or
/// `none:` and the reason.
pub fn kubernetes_rows(document: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
    for (line, text) in (1..).zip(document.lines()).filter(|(_, text)| text.starts_with("| K")) {
        let cells = cells(text);
        let [row, rule, origin, checks] = cells.as_slice() else {
            findings.push(Finding::new(line, format!("a row has four cells, not {}", cells.len())));
            continue;
        };
        let number = row.strip_prefix('K').and_then(|number| number.parse().ok()).unwrap_or(0);
        if !(1..=LAST_ROW).contains(&number) || !seen.insert(number) {
            findings.push(Finding::new(line, format!("{row} is out of range or listed twice")));
        }
        if rule.is_empty() {
            findings.push(Finding::new(line, format!("{row} states no rule")));
        }
        if origin.is_empty() {
            findings.push(Finding::new(line, format!("{row} names no source")));
        }
        let names = code_spans(checks);
        if checks.strip_prefix("none:").is_some_and(|reason| !reason.trim().is_empty()) {
            continue;
        }
        if names.is_empty() {
            findings.push(Finding::new(line, format!("{row} names neither a test nor a reason (none: …)")));
        }
        findings.extend(unknown(line, &names, tests));
    }
    let missing = (1..=LAST_ROW).filter(|number| !seen.contains(number));
    findings.extend(missing.map(|number| Finding::new(1, format!("K{number} is missing"))));
    findings
}

/// Finds names that no test has.
fn unknown(line: usize, names: &[&str], tests: &BTreeSet<String>) -> Vec<Finding> {
    let unknown = names.iter().filter(|name| !tests.contains(**name));
    unknown.map(|name| Finding::new(line, format!("there is no test `{name}`"))).collect()
}

/// Returns the numbered and bulleted list items of a section of the second level, with their lines. Wrapped items are
/// joined.
fn list_items(document: &str, heading: &str) -> Vec<(usize, String)> {
    let (mut items, mut is_open) = (Vec::<(usize, String)>::new(), false);
    let section = (1..).zip(document.lines()).skip_while(|(_, text)| *text != heading).skip(1);
    for (line, text) in section.take_while(|(_, text)| !text.starts_with("## ")) {
        let trimmed = text.trim();
        let number = trimmed.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_numbered = number.len() < trimmed.len() && number.starts_with(". ");
        if is_numbered || trimmed.starts_with("- ") || trimmed.starts_with("* ") {
            items.push((line, trimmed.to_string()));
            is_open = true;
        } else if trimmed.is_empty() || trimmed.starts_with(['#', '|']) {
            is_open = false;
        } else if let Some((_, item)) = items.last_mut().filter(|_| is_open) {
            *item += &format!(" {trimmed}");
        }
    }
    items
}

/// Returns the trimmed cells of a table's row. `\|` does not end a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\0");
    row.split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// Returns the texts between backticks.
fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, LAST_ROW, MIN_INVARIANTS, invariants, kubernetes_rows};

    fn tests() -> BTreeSet<String> {
        ["a", "b"].map(String::from).into()
    }

    #[test]
    fn invariants_without_an_existing_test_are_found() {
        let items = "- One,\n  wrapped\n  — test: `a`\n1. Two — tests: `a`, `b`\n\n### Layer\n\n".repeat(6);
        let sound = format!("# A\n- Not an invariant\n## Invariants\n{items}");
        assert_eq!(invariants(&sound, &tests()).len(), 0);
        let unsound = format!(
            "{sound}- Three — test: `c`\n- Four — test: later\n- Five\n\n— test: `d`, outside of a list\n## B\n- Six\n"
        );
        let lines: Vec<usize> = invariants(&unsound, &tests()).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [46, 47, 48]);
        assert_eq!(invariants("# Nothing", &tests()).len(), 1, "fewer than {MIN_INVARIANTS}");
        assert_eq!(invariants(&sound.replace("## Inv", "## Other inv"), &tests()).len(), 1, "no section");
    }

    #[test]
    fn incomplete_kubernetes_rows_are_found() {
        let row = |number| format!("| K{number} | Pods run. | `kubelet.go` | `a`, `b` |\n");
        let table: String = (1..=LAST_ROW).map(row).collect();
        let found = |table: &str| -> Vec<String> {
            kubernetes_rows(table, &tests()).into_iter().map(|finding| finding.message).collect()
        };
        assert_eq!(found(&table), [""; 0]);
        for (replacement, messages) in [
            ("", &["K27 is missing"][..]),
            ("| K26 | Pods run. | `kubelet.go` | `a` |\n", &["K26 is out of range or listed twice", "K27 is missing"]),
            ("| K27 |  | `kubelet.go` | `a` |\n", &["K27 states no rule"]),
            ("| K27 | Pods run. |  | `a` |\n", &["K27 names no source"]),
            ("| K27 | Pods run. | `kubelet.go` | `a`, `c` |\n", &["there is no test `c`"]),
            ("| K27 | Pods run. | `kubelet.go` | |\n", &["K27 names neither a test nor a reason (none: …)"]),
            ("| K27 | Pods run. | `kubelet.go` | none: |\n", &["K27 names neither a test nor a reason (none: …)"]),
            ("| K27 | Pods run. | `kubelet.go` | none: no `cgroup` here |\n", &[]),
            ("| K27 | `a \\| b` | `kubelet.go` | `a` |\n", &[]),
            ("| K27 | Pods run. | `a` |\n", &["a row has four cells, not 3", "K27 is missing"]),
        ] {
            let changed = table.replace(&row(27), replacement);
            assert_eq!(found(&changed), messages, "{replacement}");
        }
    }
}
