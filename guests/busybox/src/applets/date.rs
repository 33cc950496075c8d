//! date, and the formats of times that ls, stat, tar, touch and find use. UTC only, since guests have no time zones.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use calendar::{Civil, civil_from_seconds, days_from_civil};

use super::{Options, Outcome, fail, usage};
use crate::proc::{Proc, strerror};

/// Returns seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

/// Returns the time of these seconds since 1970.
pub fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// Returns year and number of the ISO week.
fn iso_week(c: &Civil) -> (i64, u32) {
    let monday_based = (c.weekday + 6) % 7;
    let week = (c.yearday + 10 - (monday_based + 1)) / 7;
    let weeks_in = |year: i64| {
        let first = (days_from_civil(year, 1, 1) + 4).rem_euclid(7);
        let leap = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1) == 366;
        if first == 4 || (first == 3 && leap) { 53 } else { 52 }
    };
    match week {
        0 => (c.year - 1, weeks_in(c.year - 1)),
        53 if weeks_in(c.year) == 52 => (c.year + 1, 1),
        week => (c.year, week),
    }
}

/// Formats a time as strftime does, with `%N` for nanoseconds.
pub fn format_time(pattern: &str, time: i64, nanos: u32) -> String {
    let date = civil_from_seconds(time);
    let mut out = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut conversion = letters.next();
        let unpadded = conversion == Some('-');
        if matches!(conversion, Some('-' | '_' | '0' | 'E' | 'O')) {
            conversion = letters.next();
        }
        let value = conversion.map_or("%".into(), |conversion| format_conversion(conversion, &date, time, nanos));
        let short = value.trim_start_matches([' ', '0']);
        out.push_str(match (unpadded, short) {
            (false, _) => &value,
            (true, "") => "0",
            (true, short) => short,
        });
    }
    out
}

/// Returns the value of a conversion.
fn format_conversion(conversion: char, date: &Civil, time: i64, nanos: u32) -> String {
    let hour12 = (date.hour + 11) % 12 + 1;
    let within = |pattern: &str| format_time(pattern, time, nanos);
    match conversion {
        'a' => date.day_name()[..3].into(),
        'A' => date.day_name().into(),
        'b' | 'h' => date.month_name()[..3].into(),
        'B' => date.month_name().into(),
        'c' => within("%a %b %e %H:%M:%S %Y"),
        'C' => format!("{:02}", date.year / 100),
        'd' => format!("{:02}", date.day),
        'D' | 'x' => within("%m/%d/%y"),
        'e' => format!("{:2}", date.day),
        'F' => within("%Y-%m-%d"),
        'g' => format!("{:02}", iso_week(date).0.rem_euclid(100)),
        'G' => iso_week(date).0.to_string(),
        'H' => format!("{:02}", date.hour),
        'I' => format!("{hour12:02}"),
        'j' => format!("{:03}", date.yearday + 1),
        'k' => format!("{:2}", date.hour),
        'l' => format!("{hour12:2}"),
        'm' => format!("{:02}", date.month),
        'M' => format!("{:02}", date.minute),
        'n' => "\n".into(),
        'N' => format!("{nanos:09}"),
        'p' => if date.hour < 12 { "AM" } else { "PM" }.into(),
        'P' => if date.hour < 12 { "am" } else { "pm" }.into(),
        'r' => within("%I:%M:%S %p"),
        'R' => within("%H:%M"),
        's' => time.to_string(),
        'S' => format!("{:02}", date.second),
        't' => "\t".into(),
        'T' | 'X' => within("%H:%M:%S"),
        'u' => ((date.weekday + 6) % 7 + 1).to_string(),
        'U' => format!("{:02}", (date.yearday + 7 - date.weekday) / 7),
        'V' => format!("{:02}", iso_week(date).1),
        'w' => date.weekday.to_string(),
        'W' => format!("{:02}", (date.yearday + 7 - (date.weekday + 6) % 7) / 7),
        'y' => format!("{:02}", date.year.rem_euclid(100)),
        'Y' => date.year.to_string(),
        'z' => "+0000".into(),
        'Z' => "UTC".into(),
        '%' => "%".into(),
        other => format!("%{other}"),
    }
}

/// Parses `@N`, `YYYY-MM-DD[ hh:mm[:ss]][zone]`, `hh:mm[:ss]` or `[[CC]YY]MMDDhhmm[.ss]`.
pub fn parse_time(text: &str, now: i64) -> Option<i64> {
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.split('.').next()?.parse().ok();
    }
    match text {
        "now" => return Some(now),
        "today" => return Some(now),
        "yesterday" => return Some(now - 86_400),
        "tomorrow" => return Some(now + 86_400),
        _ => {}
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return parse_compact_time(text, now);
    }
    let (rest, offset) = split_zone(text);
    let (date, clock) = match rest.split_once(['T', ' ']) {
        Some((date, clock)) => (Some(date), clock),
        None if rest.contains('-') => (Some(rest), "00:00:00"),
        None => (None, rest),
    };
    let days = match date {
        None => now.div_euclid(86_400),
        Some(date) => {
            let parts: Vec<&str> = date.split(['-', '/']).collect();
            let [year, month, day] = parts.as_slice() else { return None };
            checked_days(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?
        }
    };
    let mut fields = clock.trim().split(':');
    let hour: i64 = fields.next()?.parse().ok()?;
    let minute: i64 = fields.next()?.parse().ok()?;
    let second: i64 = match fields.next() {
        Some(second) => second.split('.').next()?.parse().ok()?,
        None => 0,
    };
    if hour > 23 || minute > 59 || second > 60 || fields.next().is_some() {
        return None;
    }
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Returns the days since 1970 of a date; `None` if it does not exist.
fn checked_days(year: i64, month: u32, day: u32) -> Option<i64> {
    let days = days_from_civil(year, month, day);
    let back = civil_from_seconds(days * 86_400);
    (back.month == month && back.day == day && (0..=9999).contains(&year)).then_some(days)
}

/// Splits a time zone off the end; returns the rest and the offset in seconds.
fn split_zone(text: &str) -> (&str, i64) {
    for name in ["Z", " UTC", " GMT", "UTC"] {
        if let Some(rest) = text.strip_suffix(name) {
            return (rest.trim_end(), 0);
        }
    }
    let Some(at) = text.rfind(['+', '-']).filter(|at| text[..*at].contains(':')) else { return (text, 0) };
    let digits: String = text[at + 1..].chars().filter(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<i64>() else { return (text, 0) };
    let offset = if digits.len() <= 2 { number * 3600 } else { number / 100 * 3600 + number % 100 * 60 };
    (text[..at].trim_end(), if text[at..].starts_with('-') { -offset } else { offset })
}

/// Parses `[[CC]YY]MMDDhhmm[.ss]`, the form of `touch -t`.
pub fn parse_compact_time(text: &str, now: i64) -> Option<i64> {
    let (digits, second) = text.split_once('.').unwrap_or((text, "0"));
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match digits.len() {
        8 => (civil_from_seconds(now).year, 0),
        10 => (part(0, 2)? + if part(0, 2)? < 69 { 2000 } else { 1900 }, 2),
        12 => (part(0, 4)?, 4),
        _ => return None,
    };
    let days = checked_days(year, part(at, at + 2)? as u32, part(at + 2, at + 4)? as u32)?;
    let (hour, minute) = (part(at + 4, at + 6)?, part(at + 6, at + 8)?);
    let second: i64 = second.parse().ok()?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

pub async fn date(p: Proc) -> Outcome {
    let o = Options::parse(&p, "uRI::(iso-8601)d:(date)r:(reference)D:s:").await?;
    let now = SystemTime::now();
    let mut time = unix_seconds(now);
    let mut nanos = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    if let Some(text) = o.get('d') {
        nanos = 0;
        time = match parse_time(text, time) {
            Some(time) => time,
            None => return fail(&p, 1, &format!("invalid date '{text}'")).await,
        };
    }
    if let Some(file) = o.get('r') {
        nanos = 0;
        time = match std::fs::metadata(p.path(file)).and_then(|m| m.modified()) {
            Ok(modified) => unix_seconds(modified),
            Err(error) => {
                let why = format!("can't stat '{file}': {}", strerror(&error));
                return fail(&p, 1, &why).await;
            }
        };
    }
    if o.has('s') || o.operands.len() > 1 {
        return fail(&p, 1, "can't set date: Operation not permitted").await;
    }
    let pattern = match o.operand(0) {
        Some(operand) => match operand.strip_prefix('+') {
            Some(pattern) => pattern,
            None => return usage(&p).await,
        },
        None if o.has('R') => "%a, %d %b %Y %H:%M:%S +0000",
        None => match o.get('I') {
            None => "%a %b %e %H:%M:%S UTC %Y",
            Some("" | "date") => "%Y-%m-%d",
            Some("hours") => "%Y-%m-%dT%H+00:00",
            Some("minutes") => "%Y-%m-%dT%H:%M+00:00",
            Some("seconds") => "%Y-%m-%dT%H:%M:%S+00:00",
            Some("ns") => "%Y-%m-%dT%H:%M:%S,%N+00:00",
            Some(_) => return usage(&p).await,
        },
    };
    p.stdout.write_all((format_time(pattern, time, nanos) + "\n").as_bytes()).await?;
    Ok(0)
}
