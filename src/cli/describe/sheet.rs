//! A sheet of names and what belongs to them, further in the deeper it is.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::tabs;

/// Lines with tabs between their cells.
#[derive(Default)]
pub struct Sheet(String);

/// Longer annotations stand on a line of their own, cut.
const LONGEST: usize = 140;

impl Sheet {
    /// A line as it is.
    pub fn line(&mut self, level: usize, text: impl Display) {
        self.0.extend(std::iter::repeat_n("  ", level));
        self.0 += &format!("{text}\n");
    }

    /// `NAME:  VALUE`
    pub fn field(&mut self, level: usize, name: &str, value: impl Display) {
        self.line(level, format_args!("{name}:\t{value}"));
    }

    /// `NAME:  VALUE` where there is one that says something.
    pub fn field_if(&mut self, level: usize, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(level, name, value);
        }
    }

    /// `NAME:`, with the first value beside it and the others below that; `<none>` where there is none.
    pub fn values(&mut self, name: &str, values: &[String]) {
        let (first, others) = values.split_first().map_or(("<none>", values), |(first, others)| (first, others));
        self.field(0, name, first);
        for other in others {
            self.line(0, format_args!("\t{other}"));
        }
    }

    /// `KEY=VALUE` of each.
    pub fn labels(&mut self, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let all: Vec<String> = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        self.values(name, &all);
    }

    /// `KEY: VALUE` of each; what kubectl keeps for itself is left out.
    pub fn annotations(&mut self, name: &str, annotations: Option<&BTreeMap<String, String>>) {
        let mut all = Vec::new();
        let told = |key: &str| key != "kubectl.kubernetes.io/last-applied-configuration";
        for (key, value) in annotations.into_iter().flatten().filter(|(key, _)| told(key)) {
            let value = value.strip_suffix('\n').unwrap_or(value);
            if key.len() + value.len() + 2 <= LONGEST && !value.contains('\n') {
                all.push(format!("{key}: {value}"));
            } else {
                all.push(format!("{key}:"));
                all.extend(value.split('\n').map(|line| format!("  {}", shortened(line))));
            }
        }
        self.values(name, &all);
    }

    /// The sheet, its columns lined up.
    pub fn text(&self) -> String {
        tabs::align(&self.0, 2)
    }
}

fn shortened(line: &str) -> String {
    let longest = LONGEST - 2;
    match line.len() <= longest {
        true => line.into(),
        false => line.chars().take(longest - 3).chain("...".chars()).collect(),
    }
}

/// A time in this machine's zone, as mail headers have it.
pub fn date(time: Option<&Time>) -> String {
    let at = time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    at.to_zoned(TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_annotations_are_cut_and_stand_alone() {
        let mut sheet = Sheet::default();
        let long = "x".repeat(200);
        let all = [("a", "1\n"), ("b", "1\n2"), ("c", long.as_str())];
        let all: BTreeMap<String, String> = all.map(|(key, value)| (key.into(), value.into())).into();
        sheet.annotations("Annotations", Some(&all));
        sheet.labels("Labels", None);
        let cut = format!("{}...", "x".repeat(135));
        let lines = [
            "Annotations:  a: 1",
            "              b:",
            "                1",
            "                2",
            "              c:",
            &format!("                {cut}"),
            "Labels:       <none>",
        ];
        assert_eq!(sheet.text(), lines.map(|line| format!("{line}\n")).concat());
    }
}
