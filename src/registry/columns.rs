//! Columns of tables, which `kubectl get` prints, and the formats of their cells.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;
use serde_json::Value;

use crate::model::duration;

/// A column of a table (`TableColumnDefinition`).
#[derive(Debug, Serialize)]
pub struct Column {
    /// The header, in mixed case.
    pub name: &'static str,
    /// The type of the cells: `string`, `integer`, `date`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The format of the cells: `name` for the object's name.
    pub format: &'static str,
    /// What the column shows.
    pub description: &'static str,
    /// 0: always shown; 1: with `-o wide`.
    pub priority: u8,
}

impl Column {
    /// The object's name.
    pub const NAME: Column = Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "The object's name, unique among its kind in its namespace.",
        priority: 0,
    };
    /// The time since the object was created.
    pub const AGE: Column = Column::text("Age", "Time since the object was created.");
    /// The columns of kinds without their own.
    pub const NAME_AND_CREATION: &'static [Column] = &[
        Column::NAME,
        Column {
            name: "Created At",
            kind: "date",
            format: "",
            description: "Creation time of the object.",
            priority: 0,
        },
    ];

    /// A column of text.
    pub const fn text(name: &'static str, description: &'static str) -> Column {
        Column { name, kind: "string", format: "", description, priority: 0 }
    }

    /// A column of numbers.
    pub const fn integer(name: &'static str, description: &'static str) -> Column {
        Column { name, kind: "integer", format: "", description, priority: 0 }
    }

    /// A column of text that `-o wide` shows.
    pub const fn wide(name: &'static str, description: &'static str) -> Column {
        Column { name, kind: "string", format: "", description, priority: 1 }
    }
}

/// A condition of a row (`TableRowCondition`).
#[derive(Debug, Serialize)]
pub struct RowCondition {
    /// The type: `Completed`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// The machine-readable reason.
    pub reason: &'static str,
    /// The message for people.
    pub message: &'static str,
}

/// Returns the cells of [`Column::NAME_AND_CREATION`].
pub fn name_and_creation(meta: &ObjectMeta) -> Vec<Value> {
    let created = meta.creation_timestamp.as_ref().map(|Time(at)| at.strftime("%FT%TZ").to_string());
    vec![name(meta), created.into()]
}

/// Returns the cell with the object's name.
pub fn name(meta: &ObjectMeta) -> Value {
    meta.name.as_deref().unwrap_or_default().into()
}

/// Formats the time since `at`, or `<unknown>`.
pub fn age_since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "<unknown>".into(), |at| duration::human_duration(now.duration_since(at).as_secs()))
}

/// Formats the age of an object.
pub fn age(meta: &ObjectMeta, now: Timestamp) -> String {
    age_since(meta.creation_timestamp.as_ref().map(|Time(at)| *at), now)
}

/// Returns the first three of several values: `a,b,c + 2 more...`.
pub fn first_of<'v>(values: impl Iterator<Item = &'v str>) -> String {
    const SHOWN: usize = 3;
    let all: Vec<&str> = values.collect();
    match all.get(..SHOWN) {
        Some(shown) if all.len() > SHOWN => format!("{} + {} more...", shown.join(","), all.len() - SHOWN),
        _ => all.join(","),
    }
}

/// Returns the text, or `missing` if it is empty or absent.
pub fn non_empty_or<'t>(text: Option<&'t str>, missing: &'t str) -> &'t str {
    text.filter(|text| !text.is_empty()).unwrap_or(missing)
}
