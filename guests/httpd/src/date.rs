//! HTTP's dates (RFC 9110, 5.6.7), in UTC.

use calendar::{Civil, MONTHS, civil, days_from_civil};

/// Returns the first three letters of a name.
fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// Formats a time as HTTP does: `Fri, 20 Nov 2026 12:00:00 GMT`.
pub fn http(seconds: i64) -> String {
    let date = civil(seconds);
    let (weekday, month) = (short(date.day_name()), short(date.month_name()));
    format!("{weekday}, {:02} {month} {} {} GMT", date.day, date.year, clock(&date))
}

/// Formats a time as access logs do: `20/Nov/2026:12:00:00 +0000`.
pub fn log(seconds: i64) -> String {
    let date = civil(seconds);
    format!("{:02}/{}/{}:{} +0000", date.day, short(date.month_name()), date.year, clock(&date))
}

fn clock(date: &Civil) -> String {
    format!("{:02}:{:02}:{:02}", date.hour, date.minute, date.second)
}

/// Parses the one form of a date that clients still send; `None` for any other text.
pub fn parse(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u32 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| short(month) == name)? as u32 + 1;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}
