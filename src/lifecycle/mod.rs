//! Pure decisions.
/// This moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    pub mono: std::time::Duration,
    pub wall: jiff::Timestamp,
}
