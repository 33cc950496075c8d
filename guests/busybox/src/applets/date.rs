//! The calendar: UTC only, since a guest knows no time zones. Owns date, and the conversions that
//! ls, stat, tar, touch and find need.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Options, Outcome, fail, usage};
use crate::proc::{Proc, strerror};

/// A moment in parts.
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// Sunday is 0.
    pub weekday: u32,
    /// January 1st is 0.
    pub yearday: u32,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

pub fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// Days since 1970 of a date; years begin in March here, so that the leap day comes last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

pub fn civil(seconds: i64) -> Civil {
    let days = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400) as u32;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * march_month + 2) / 5 + 1) as u32;
    let month = (if march_month < 10 { march_month + 3 } else { march_month - 9 }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil {
        year,
        month,
        day,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: (days + 4).rem_euclid(7) as u32,
        yearday: (days - days_from_civil(year, 1, 1)) as u32,
    }
}

/// Year and number of the ISO week.
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

/// strftime.
pub fn format(pattern: &str, time: i64, nanos: u32) -> String {
    let c = civil(time);
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
        let day = DAYS.get(c.weekday as usize).copied().unwrap_or_default();
        let month = MONTHS.get(c.month as usize - 1).copied().unwrap_or_default();
        let hour12 = (c.hour + 11) % 12 + 1;
        let within = |p: &str| format(p, time, nanos);
        let piece = match conversion {
            None => "%".into(),
            Some('a') => day[..3].into(),
            Some('A') => day.into(),
            Some('b' | 'h') => month[..3].into(),
            Some('B') => month.into(),
            Some('c') => within("%a %b %e %H:%M:%S %Y"),
            Some('C') => format!("{:02}", c.year / 100),
            Some('d') => format!("{:02}", c.day),
            Some('D' | 'x') => within("%m/%d/%y"),
            Some('e') => format!("{:2}", c.day),
            Some('F') => within("%Y-%m-%d"),
            Some('g') => format!("{:02}", iso_week(&c).0.rem_euclid(100)),
            Some('G') => iso_week(&c).0.to_string(),
            Some('H') => format!("{:02}", c.hour),
            Some('I') => format!("{hour12:02}"),
            Some('j') => format!("{:03}", c.yearday + 1),
            Some('k') => format!("{:2}", c.hour),
            Some('l') => format!("{hour12:2}"),
            Some('m') => format!("{:02}", c.month),
            Some('M') => format!("{:02}", c.minute),
            Some('n') => "\n".into(),
            Some('N') => format!("{nanos:09}"),
            Some('p') => if c.hour < 12 { "AM" } else { "PM" }.into(),
            Some('P') => if c.hour < 12 { "am" } else { "pm" }.into(),
            Some('r') => within("%I:%M:%S %p"),
            Some('R') => within("%H:%M"),
            Some('s') => time.to_string(),
            Some('S') => format!("{:02}", c.second),
            Some('t') => "\t".into(),
            Some('T' | 'X') => within("%H:%M:%S"),
            Some('u') => ((c.weekday + 6) % 7 + 1).to_string(),
            Some('U') => format!("{:02}", (c.yearday + 7 - c.weekday) / 7),
            Some('V') => format!("{:02}", iso_week(&c).1),
            Some('w') => c.weekday.to_string(),
            Some('W') => format!("{:02}", (c.yearday + 7 - (c.weekday + 6) % 7) / 7),
            Some('y') => format!("{:02}", c.year.rem_euclid(100)),
            Some('Y') => c.year.to_string(),
            Some('z') => "+0000".into(),
            Some('Z') => "UTC".into(),
            Some('%') => "%".into(),
            Some(other) => format!("%{other}"),
        };
        let piece = piece.as_str();
        let short = piece.trim_start_matches([' ', '0']);
        out.push_str(if unpadded { if short.is_empty() { "0" } else { short } } else { piece });
    }
    out
}

/// A moment from `@N`, `YYYY-MM-DD[ hh:mm[:ss]][zone]`, `hh:mm[:ss]` or `[[CC]YY]MMDDhhmm[.ss]`.
pub fn parse(text: &str, now: i64) -> Option<i64> {
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
        return compact(text, now);
    }
    let (rest, offset) = zone(text);
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

fn checked_days(year: i64, month: u32, day: u32) -> Option<i64> {
    let days = days_from_civil(year, month, day);
    let back = civil(days * 86_400);
    (back.month == month && back.day == day && (0..=9999).contains(&year)).then_some(days)
}

/// Splits a zone off the end: its offset in seconds.
fn zone(text: &str) -> (&str, i64) {
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

/// `[[CC]YY]MMDDhhmm[.ss]`, as `touch -t` takes it; `YYYYMMDD` too.
pub fn compact(text: &str, now: i64) -> Option<i64> {
    let (digits, second) = text.split_once('.').unwrap_or((text, "0"));
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match digits.len() {
        8 => (civil(now).year, 0),
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
    let o = Options::of(&p, "uRI::(iso-8601)d:(date)r:(reference)D:s:").await?;
    let now = SystemTime::now();
    let mut time = seconds(now);
    let mut nanos = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    if let Some(text) = o.get('d') {
        nanos = 0;
        time = match parse(text, time) {
            Some(time) => time,
            None => return fail(&p, 1, &format!("invalid date '{text}'")).await,
        };
    }
    if let Some(file) = o.get('r') {
        nanos = 0;
        time = match std::fs::metadata(p.path(file)).and_then(|m| m.modified()) {
            Ok(modified) => seconds(modified),
            Err(error) => {
                let why = format!("can't stat '{file}': {}", strerror(&error));
                return fail(&p, 1, &why).await;
            }
        };
    }
    if o.has('s') || o.rest.len() > 1 {
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
    p.stdout.write_all((format(pattern, time, nanos) + "\n").as_bytes()).await?;
    Ok(0)
}
