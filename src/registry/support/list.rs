//! The table as a list for readers.

use std::fmt::Write;

use super::table::{Row, State};

/// The list in Markdown: what works, and what does not with its reason.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::new();
    let sections: [(&str, fn(State) -> bool); 5] = [
        ("Works", |state| state == State::Enforced),
        ("Not yet: the pod runs, with a warning", |state| matches!(state, State::NotEnforced(_))),
        ("Not yet: the pod is refused", |state| matches!(state, State::NotYet(_))),
        ("Means nothing here: the pod runs, with a warning", |state| matches!(state, State::Inert(_))),
        ("Refused for good", |state| matches!(state, State::Refused(_))),
    ];
    for (title, is_in) in sections {
        // Writing to a String does not fail.
        let _ = writeln!(text, "**{title}**\n");
        for row in rows.iter().filter(|row| is_in(row.state)) {
            let fields: Vec<String> = row.fields.iter().map(|field| format!("`{}`", shown(field))).collect();
            let why = row.state.why();
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            let _ = writeln!(text, "- {}{why}", fields.join(", "));
        }
        text.push('\n');
    }
    text
}

/// A field as manifests have it, without the marks of the table.
fn shown(field: &str) -> String {
    let field = field.strip_suffix(".**").unwrap_or(field);
    let field = field.strip_prefix("container.").map_or(field.to_string(), |field| format!("containers[].{field}"));
    field.replace('=', ": ").trim_end_matches("[]").to_string()
}
