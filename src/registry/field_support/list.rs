//! The table as a list for readers.

use std::fmt::Write;

use super::table::{FieldRow, FieldSupport};

const WORKS: &str = "Works";
const NOT_ENFORCED: &str = "Not yet: the pod runs, with a warning";
const NOT_YET: &str = "Not yet: the pod is refused";
const INERT: &str = "Means nothing here: the pod runs, with a warning";
const REFUSED: &str = "Refused for good";

fn section(state: FieldSupport) -> &'static str {
    match state {
        FieldSupport::Enforced => WORKS,
        FieldSupport::NotEnforced(_) => NOT_ENFORCED,
        FieldSupport::NotYet(_) => NOT_YET,
        FieldSupport::Inert(_) => INERT,
        FieldSupport::Refused(_) => REFUSED,
    }
}

/// The list in Markdown: what works, and what does not with its reason.
pub fn markdown(rows: &[FieldRow]) -> String {
    let mut text = String::new();
    for title in [WORKS, NOT_ENFORCED, NOT_YET, INERT, REFUSED] {
        // Writing to a String does not fail.
        let _ = writeln!(text, "**{title}**\n");
        for row in rows.iter().filter(|row| section(row.state) == title) {
            let fields = row.fields.iter().filter(|field| row.state != FieldSupport::Enforced || tells(rows, field));
            let fields: Vec<String> = fields.map(|field| format!("`{}`", shown(field))).collect();
            if fields.is_empty() {
                continue;
            }
            let why = row.state.why();
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            wrap(&mut text, &format!("- {}{why}", fields.join(", ")));
        }
        text.push('\n');
    }
    text
}

/// Whether it helps to know that the field works: what has fields of its own in the table does not tell,
/// nor does what Kubernetes fills in.
fn tells(rows: &[FieldRow], field: &str) -> bool {
    let object = format!("{}.", field.trim_end_matches("[]"));
    let list = format!("{}[].", field.trim_end_matches("[]"));
    let within = |other: &&str| other.starts_with(&object) || other.starts_with(&list);
    let is_object = rows.iter().flat_map(|row| row.fields).any(within) && !field.ends_with(".**");
    let is_container = field.ends_with("ontainers[]");
    !field.contains('=') && !is_object && !is_container
}

/// How wide lines are, as in the other documents.
const WIDTH: usize = 120;

/// Adds an item of a list, its lines broken between words.
fn wrap(text: &mut String, item: &str) {
    let mut column = 0;
    for word in item.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push_str("\n ");
            column = 1;
        }
        if column > 0 {
            text.push(' ');
        }
        text.push_str(word);
        column += length + 1;
    }
    text.push('\n');
}

/// A field as manifests have it, without the marks of the table.
fn shown(field: &str) -> String {
    let field = field.strip_suffix(".**").unwrap_or(field);
    let field = field.strip_prefix("container.").map_or(field.to_string(), |field| format!("containers[].{field}"));
    field.replace('=', ": ").trim_end_matches("[]").to_string()
}
