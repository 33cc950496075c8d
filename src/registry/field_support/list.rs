//! The table as a Markdown list for the documentation.

use std::fmt::Write;

use super::table::{FieldRow, FieldSupport};

const ENFORCED: &str = "Supported";
const NOT_ENFORCED_YET: &str = "Not enforced yet: the pod runs, with a warning";
const KEEPS_PENDING: &str = "Not supported yet: the pod stays pending, and a run rejects it";
const NOT_SUPPORTED_YET: &str = "Not supported yet: the pod is rejected";
const IGNORED: &str = "Without effect in wasmpod: the pod runs, with a warning";
const REJECTED: &str = "Not supported: the pod is rejected";

fn section(support: FieldSupport) -> &'static str {
    match support {
        FieldSupport::Enforced => ENFORCED,
        FieldSupport::NotEnforcedYet(_) => NOT_ENFORCED_YET,
        FieldSupport::KeepsPending(_) => KEEPS_PENDING,
        FieldSupport::NotSupportedYet(_) => NOT_SUPPORTED_YET,
        FieldSupport::Ignored(_) => IGNORED,
        FieldSupport::Rejected(_) => REJECTED,
    }
}

/// Returns the list in Markdown: supported fields first, then the others with the reason.
pub fn markdown(rows: &[FieldRow]) -> String {
    let mut text = String::new();
    for title in [ENFORCED, NOT_ENFORCED_YET, KEEPS_PENDING, NOT_SUPPORTED_YET, IGNORED, REJECTED] {
        // Writing to a String does not fail.
        let _ = writeln!(text, "**{title}**\n");
        for row in rows.iter().filter(|row| section(row.support) == title) {
            let listed = |field: &&&str| row.support != FieldSupport::Enforced || is_worth_listing(rows, field);
            let fields = row.fields.iter().filter(listed);
            let fields: Vec<String> = fields.map(|field| format!("`{}`", display_name(field))).collect();
            if fields.is_empty() {
                continue;
            }
            let reason = row.support.reason();
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            wrap(&mut text, &format!("- {}{reason}", fields.join(", ")));
        }
        text.push('\n');
    }
    text
}

/// Returns whether a supported field is worth listing: not if the table lists its subfields, nor if the row is for a
/// default value.
fn is_worth_listing(rows: &[FieldRow], field: &str) -> bool {
    let object = format!("{}.", field.trim_end_matches("[]"));
    let list = format!("{}[].", field.trim_end_matches("[]"));
    let within = |other: &&str| other.starts_with(&object) || other.starts_with(&list);
    let is_object = rows.iter().flat_map(|row| row.fields).any(within) && !field.ends_with(".**");
    let is_container = field.ends_with("ontainers[]");
    !field.contains('=') && !is_object && !is_container
}

/// Width of lines, as in the other documents.
const LINE_WIDTH: usize = 120;

/// Appends a list item, wrapped between words.
fn wrap(text: &mut String, item: &str) {
    let mut column = 0;
    for word in item.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > LINE_WIDTH {
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

/// Returns the field as in manifests, without the table's notation.
fn display_name(field: &str) -> String {
    let field = field.strip_suffix(".**").unwrap_or(field);
    let field = field.strip_prefix("container.").map_or(field.to_string(), |field| format!("containers[].{field}"));
    field.replace('=', ": ").trim_end_matches("[]").to_string()
}
