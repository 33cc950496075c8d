//! Points in time, as values. Nothing here reads a clock.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use jiff::Timestamp;

/// A point in monotonic time, counted from an origin that the whole process shares.
///
/// A point plus a span is a point, and the difference of two points is a span; two points do not add.
/// All arithmetic saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(Duration);

impl MonoTime {
    /// The earliest point.
    pub const ORIGIN: MonoTime = MonoTime(Duration::ZERO);

    /// Returns the point `span` after the origin.
    pub const fn from_origin(span: Duration) -> MonoTime {
        MonoTime(span)
    }

    /// Returns the span between the origin and this point.
    pub const fn since_origin(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for MonoTime {
    type Output = MonoTime;

    fn add(self, span: Duration) -> MonoTime {
        MonoTime(self.0.saturating_add(span))
    }
}

impl AddAssign<Duration> for MonoTime {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for MonoTime {
    type Output = MonoTime;

    fn sub(self, span: Duration) -> MonoTime {
        MonoTime(self.0.saturating_sub(span))
    }
}

impl Sub<MonoTime> for MonoTime {
    type Output = Duration;

    fn sub(self, earlier: MonoTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The current moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// Monotonic time, for intervals and deadlines.
    pub mono: MonoTime,
    /// Wall-clock time, for statuses and events; it may jump.
    pub wall: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let (early, late) = (MonoTime::from_origin(Duration::from_secs(1)), MonoTime::from_origin(Duration::MAX));
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(early - Duration::from_secs(2), MonoTime::ORIGIN);
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early + Duration::from_secs(2) - early, Duration::from_secs(2));
    }
}
