//! Dates of the Gregorian calendar, in UTC: conversions between seconds since 1970 and dates, and the names of days and
//! months. Owns the arithmetic; formats belong to the programs.

/// The days of the week, from Sunday.
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The months, from January.
pub const MONTHS: [&str; 12] = [
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

/// A point in time as date and time of day.
pub struct Civil {
    pub year: i64,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// From Sunday, which is 0.
    pub weekday: u32,
    /// From January 1st, which is 0.
    pub yearday: u32,
}

impl Civil {
    /// Returns the name of the day.
    pub fn day_name(&self) -> &'static str {
        DAYS.get(self.weekday as usize).copied().unwrap_or_default()
    }

    /// Returns the name of the month.
    pub fn month_name(&self) -> &'static str {
        MONTHS.get(self.month as usize - 1).copied().unwrap_or_default()
    }
}

/// Returns the days from January 1st, 1970, to a date.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Converts seconds since 1970.
pub fn civil_from_seconds(seconds: i64) -> Civil {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_convert_in_both_directions() {
        for (seconds, year, month, day, weekday, yearday) in [
            (0, 1970, 1, 1, "Thursday", 0),
            (-1, 1969, 12, 31, "Wednesday", 364),
            (951_782_400, 2000, 2, 29, "Tuesday", 59),
            (1_795_176_000, 2026, 11, 20, "Friday", 323),
            (4_107_542_400, 2100, 3, 1, "Monday", 59),
        ] {
            let date = civil_from_seconds(seconds);
            assert_eq!((date.year, date.month, date.day), (year, month, day), "{seconds}");
            assert_eq!((date.day_name(), date.yearday), (weekday, yearday), "{seconds}");
            assert_eq!(days_from_civil(year, month, day), seconds.div_euclid(86_400), "{seconds}");
        }
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut last = civil_from_seconds(-800_000 * 86_400);
        for days in -799_999..800_000 {
            let date = civil_from_seconds(days * 86_400);
            assert_eq!(days_from_civil(date.year, date.month, date.day), days);
            assert_eq!(date.weekday, (last.weekday + 1) % 7);
            last = date;
        }
    }
}
