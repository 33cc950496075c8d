//! Port numbers in requests, with the error texts of the kubelet.

use std::num::NonZeroU16;

/// A port is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The text is not a number of 16 bits.
    #[error("unable to parse {value:?} as a port: strconv.ParseUint: parsing {number:?}: {reason}")]
    NotANumber {
        /// The parameter or header.
        value: String,
        /// The part of it that should be the number.
        number: String,
        /// What Go's `strconv` reports.
        reason: &'static str,
    },
    /// The number is zero. Holds the parameter or header.
    #[error("port {0:?} must be > 0")]
    Zero(String),
}

/// Reads `number`, which is `value` or a part of it.
pub(super) fn parse_port(number: &str, value: &str) -> Result<NonZeroU16, PortError> {
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let reason = if is_number { "value out of range" } else { "invalid syntax" };
    let parsed = number.parse().ok().filter(|_: &u16| is_number);
    let port = parsed.ok_or_else(|| PortError::NotANumber { value: value.into(), number: number.into(), reason })?;
    NonZeroU16::new(port).ok_or_else(|| PortError::Zero(value.into()))
}
