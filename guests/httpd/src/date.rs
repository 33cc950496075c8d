//! HTTP's dates (RFC 9110, 5.6.7), in UTC.

use calendar::{Civil, MONTHS, civil_from_seconds, days_from_civil};

/// Returns the first three letters of a name.
fn abbreviate(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// Formats a time as HTTP does: `Fri, 20 Nov 2026 12:00:00 GMT`.
pub fn format_http(seconds: i64) -> String {
    let date = civil_from_seconds(seconds);
    let (weekday, month) = (abbreviate(date.day_name()), abbreviate(date.month_name()));
    format!("{weekday}, {:02} {month} {} {} GMT", date.day, date.year, format_clock(&date))
}

/// Formats a time as access logs do: `20/Nov/2026:12:00:00 +0000`.
pub fn format_log(seconds: i64) -> String {
    let date = civil_from_seconds(seconds);
    format!("{:02}/{}/{}:{} +0000", date.day, abbreviate(date.month_name()), date.year, format_clock(&date))
}

fn format_clock(date: &Civil) -> String {
    format!("{:02}:{:02}:{:02}", date.hour, date.minute, date.second)
}

/// Parses the one form of a date that clients still send; `None` for any other text.
pub fn parse(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u32 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| abbreviate(month) == name)? as u32 + 1;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}
