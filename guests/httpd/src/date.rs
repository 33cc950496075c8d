//! HTTP's dates (RFC 9110, 5.6.7), in UTC.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month from 1, day from 1.
fn civil(days: i64) -> (i64, usize, i64) {
    // Years begin in March here, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let calendar = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(calendar <= 2), calendar as usize, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn parts(seconds: i64) -> (i64, &'static str, i64, String, &'static str) {
    let day_number = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(day_number);
    let clock = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    let name = |names: &'static [&'static str], i: usize| names.get(i).copied().unwrap_or_default();
    (year, name(&MONTHS, month - 1), day, clock, name(&DAYS, day_number.rem_euclid(7) as usize))
}

/// `Fri, 20 Nov 2026 12:00:00 GMT`.
pub fn http(seconds: i64) -> String {
    let (year, month, day, clock, weekday) = parts(seconds);
    format!("{weekday}, {day:02} {month} {year} {clock} GMT")
}

/// `20/Nov/2026:12:00:00 +0000`, as access logs have it.
pub fn log(seconds: i64) -> String {
    let (year, month, day, clock, _) = parts(seconds);
    format!("{day:02}/{month}/{year}:{clock} +0000")
}

/// Reads the one form that clients still send; `None` for all else.
pub fn parse(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? as i64 + 1;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}
