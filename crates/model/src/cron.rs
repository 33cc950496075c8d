//! Schedules of CronJobs: `*/5 * * * *`, `0 9 * JAN-MAR MON-FRI`, `@hourly`, `@every 90s`.
//!
//! Syntax and error messages are those of the library that Kubernetes uses (robfig/cron, `ParseStandard`).

use crate::go;

/// The schedule is not valid; the message is Kubernetes'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// A field of a schedule: its bounds, and the names of its numbers, from `min` on.
struct Field {
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field {
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Checks the syntax of a schedule. A time zone in front of it (`TZ=UTC 0 * * * *`) is not checked.
///
/// # Errors
/// The schedule is not valid.
pub fn check_schedule(schedule: &str) -> Result<(), ScheduleError> {
    if schedule.is_empty() {
        return Err(ScheduleError("empty spec string".into()));
    }
    let mut schedule = schedule;
    if schedule.starts_with("TZ=") || schedule.starts_with("CRON_TZ=") {
        let Some((_, rest)) = schedule.split_once(' ') else {
            return Err(ScheduleError("a time zone must be followed by a space and a schedule".into()));
        };
        schedule = rest.trim();
    }
    if schedule.starts_with('@') {
        return check_descriptor(schedule);
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let message = format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
        return Err(ScheduleError(message));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        text.split(',').filter(|range| !range.is_empty()).try_for_each(|range| field.check_range(range))?;
    }
    Ok(())
}

fn check_descriptor(schedule: &str) -> Result<(), ScheduleError> {
    if DESCRIPTORS.contains(&schedule) {
        return Ok(());
    }
    match schedule.strip_prefix("@every ") {
        Some(duration) => go::parse_duration(duration)
            .map(drop)
            .map_err(|error| ScheduleError(format!("failed to parse duration {schedule}: {error}"))),
        None => Err(ScheduleError(format!("unrecognized descriptor: {schedule}"))),
    }
}

impl Field {
    /// Checks `number`, `number-number`, `*` or one of these with `/step`.
    fn check_range(&self, range: &str) -> Result<(), ScheduleError> {
        let error = |message: String| Err(ScheduleError(format!("{message}: {range}")));
        let parts: Vec<&str> = range.split('/').collect();
        let ends: Vec<&str> = parts.first().map(|ends| ends.split('-').collect()).unwrap_or_default();
        let (start, mut end) = match *ends.as_slice() {
            ["*" | "?", ..] => (self.min, self.max),
            [start] => {
                let start = self.parse_number(start)?;
                (start, start)
            }
            [start, end] => (self.parse_number(start)?, self.parse_number(end)?),
            [start, ..] => {
                self.parse_number(start)?;
                return error("too many hyphens".into());
            }
            [] => return Ok(()),
        };
        let step = match *parts.as_slice() {
            [_] => 1,
            [_, step] => {
                let step = parse_integer(step)?;
                if ends.len() == 1 {
                    end = self.max;
                }
                step
            }
            _ => return error("too many slashes".into()),
        };
        if start < self.min {
            return error(format!("beginning of range ({start}) below minimum ({})", self.min));
        }
        if end > self.max {
            return error(format!("end of range ({end}) above maximum ({})", self.max));
        }
        if start > end {
            return error(format!("beginning of range ({start}) beyond end of range ({end})"));
        }
        if step == 0 {
            return error("step of range should be a positive number".into());
        }
        Ok(())
    }

    fn parse_number(&self, text: &str) -> Result<u64, ScheduleError> {
        let lower = text.to_lowercase();
        match (self.min..).zip(self.names).find(|(_, name)| **name == lower) {
            Some((number, _)) => Ok(number),
            None => parse_integer(text),
        }
    }
}

fn parse_integer(text: &str) -> Result<u64, ScheduleError> {
    let number =
        go::parse_int(text).map_err(|error| ScheduleError(format!("failed to parse int from {text}: {error}")))?;
    u64::try_from(number).map_err(|_| ScheduleError(format!("negative number ({number}) not allowed: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_of_the_standard_syntax_are_valid() {
        for schedule in [
            "* * * * *",
            "*/5 0-23/2 1,15 ? SUN-sat",
            "0 9 * JAN-MAR MON-FRI",
            "5/15 * * * 0",
            "TZ=UTC 0 * * * *",
            "@hourly",
            "@every 1h30m",
            "@every 0",
            " 0  0\t1 1 * ",
            "0, * * * *",
        ] {
            assert_eq!(check_schedule(schedule), Ok(()), "{schedule}");
        }
    }

    #[test]
    fn errors_have_the_words_of_kubernetes() {
        for (schedule, message) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("99 * * * *", "end of range (99) above maximum (59): 99"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("0 0 * * 7", "end of range (7) above maximum (6): 7"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("*/2/3 * * * *", "too many slashes: */2/3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("-1 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
            ("*/-1 * * * *", "negative number (-1) not allowed: -1"),
            (
                "99999999999999999999 * * * *",
                "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value \
                 out of range",
            ),
            ("@fortnightly", "unrecognized descriptor: @fortnightly"),
            ("@every 90", "failed to parse duration @every 90: time: missing unit in duration \"90\""),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
            ("@every 5y", "failed to parse duration @every 5y: time: unknown unit \"y\" in duration \"5y\""),
        ] {
            assert_eq!(check_schedule(schedule), Err(ScheduleError(message.into())), "{schedule}");
        }
    }
}
