//! Writes lines of names and values, indented by level, like the `PrefixWriter` of `kubectl describe`.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::tabwriter;

/// Lines whose cells are separated by tabs.
#[derive(Default)]
pub struct PrefixWriter(String);

/// Longer annotations are written on lines of their own, and truncated.
const MAX_ANNOTATION_LENGTH: usize = 140;

impl PrefixWriter {
    /// Writes a line.
    pub fn line(&mut self, level: usize, text: impl Display) {
        self.0.extend(std::iter::repeat_n("  ", level));
        self.0 += &format!("{text}\n");
    }

    /// Writes `NAME:  VALUE`.
    pub fn field(&mut self, level: usize, name: &str, value: impl Display) {
        self.line(level, format_args!("{name}:\t{value}"));
    }

    /// Writes `NAME:  VALUE`, unless the value is empty.
    pub fn field_if(&mut self, level: usize, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(level, name, value);
        }
    }

    /// Writes `NAME:` with the first value beside it and the others below, or with `<none>`.
    pub fn values(&mut self, name: &str, values: &[String]) {
        let (first, others) = values.split_first().map_or(("<none>", values), |(first, others)| (first, others));
        self.field(0, name, first);
        for other in others {
            self.line(0, format_args!("\t{other}"));
        }
    }

    /// Writes the labels as values of the form `KEY=VALUE`.
    pub fn labels(&mut self, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let all: Vec<String> = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        self.values(name, &all);
    }

    /// Writes the annotations as values of the form `KEY: VALUE`, except for the one that kubectl uses internally.
    pub fn annotations(&mut self, name: &str, annotations: Option<&BTreeMap<String, String>>) {
        let mut all = Vec::new();
        let is_printed = |key: &str| key != "kubectl.kubernetes.io/last-applied-configuration";
        for (key, value) in annotations.into_iter().flatten().filter(|(key, _)| is_printed(key)) {
            let value = value.strip_suffix('\n').unwrap_or(value);
            if key.len() + value.len() + 2 <= MAX_ANNOTATION_LENGTH && !value.contains('\n') {
                all.push(format!("{key}: {value}"));
            } else {
                all.push(format!("{key}:"));
                all.extend(value.split('\n').map(|line| format!("  {}", truncate(line))));
            }
        }
        self.values(name, &all);
    }

    /// Returns the lines with aligned columns.
    pub fn text(&self) -> String {
        tabwriter::align(&self.0, 2)
    }
}

fn truncate(line: &str) -> String {
    let max = MAX_ANNOTATION_LENGTH - 2;
    match line.len() <= max {
        true => line.into(),
        false => line.chars().take(max - 3).chain("...".chars()).collect(),
    }
}

/// Formats a time in the local time zone, in RFC 1123 format.
pub fn format_date(time: Option<&Time>) -> String {
    let at = time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    at.to_zoned(TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_annotations_are_truncated_on_their_own_lines() {
        let mut out = PrefixWriter::default();
        let long = "x".repeat(200);
        let all = [("a", "1\n"), ("b", "1\n2"), ("c", long.as_str())];
        let all: BTreeMap<String, String> = all.map(|(key, value)| (key.into(), value.into())).into();
        out.annotations("Annotations", Some(&all));
        out.labels("Labels", None);
        let truncated = format!("{}...", "x".repeat(135));
        let lines = [
            "Annotations:  a: 1",
            "              b:",
            "                1",
            "                2",
            "              c:",
            &format!("                {truncated}"),
            "Labels:       <none>",
        ];
        assert_eq!(out.text(), lines.map(|line| format!("{line}\n")).concat());
    }
}
