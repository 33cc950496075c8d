//! Parsers of flag values.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::budget::MIN_RETAINED_MEMORY;
use crate::model::quantity;

/// A host directory and the path at which the program sees it.
#[derive(Debug, Clone)]
pub struct VolumeArg {
    pub host: PathBuf,
    pub guest: String,
    pub read_only: bool,
}

/// Parses `NAME=FILE`.
pub fn parse_image(text: &str) -> anyhow::Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.into(), file.into())),
        _ => bail!("expected NAME=FILE, such as web=target/web.wasm"),
    }
}

/// Parses `junit=FILE`.
pub fn parse_report(text: &str) -> anyhow::Result<PathBuf> {
    match text.split_once('=') {
        Some(("junit", file)) if !file.is_empty() => Ok(file.into()),
        _ => bail!("expected junit=FILE, such as junit=target/wasmpod.xml"),
    }
}

/// Parses `NAME=VALUE`, or `NAME` for a variable of this process, as docker and podman do.
pub fn parse_variable(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        Some(_) => bail!("expected NAME=VALUE"),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.into(), value)),
            Err(_) => bail!("{text} is not set in the environment; expected NAME=VALUE"),
        },
    }
}

/// Parses a quantity of memory for `--retained-memory`.
pub fn parse_retained_memory(text: &str) -> anyhow::Result<u64> {
    let bytes = quantity::units(&Quantity(text.into())).ok().and_then(|bytes| u64::try_from(bytes).ok());
    match bytes {
        Some(bytes) if bytes >= MIN_RETAINED_MEMORY => Ok(bytes),
        Some(_) => bail!("expected at least {}Mi", MIN_RETAINED_MEMORY >> 20),
        None => bail!("expected a quantity of bytes, such as 64Mi"),
    }
}

/// Parses `HOST:GUEST[:ro]`.
pub fn parse_volume(text: &str) -> anyhow::Result<VolumeArg> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, mode) = match parts.as_slice() {
        [host, guest] => (host, guest, "rw"),
        [host, guest, mode] => (host, guest, *mode),
        _ => bail!("expected HOST:GUEST or HOST:GUEST:ro, such as ./data:/data:ro"),
    };
    if host.is_empty() || !guest.starts_with('/') {
        bail!("HOST must not be empty and GUEST must be an absolute path, such as ./data:/data");
    }
    let read_only = match mode {
        "ro" => true,
        "rw" => false,
        other => bail!("unknown mode {other:?}; expected ro or rw"),
    };
    Ok(VolumeArg { host: host.into(), guest: guest.to_string(), read_only })
}

/// Parses a kubelet's `maxContainerRestartPeriod`.
pub fn parse_restart_period(text: &str) -> anyhow::Result<Duration> {
    let period = parse_duration(text)?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(300);
    if allowed.contains(&period) { Ok(period) } else { bail!("must be between 1s and 5m") }
}

/// Parses durations such as `500ms`, `1.5m` and `1h30m`; a number without a unit is in seconds.
pub fn parse_duration(text: &str) -> anyhow::Result<Duration> {
    let invalid = || anyhow!("expected a duration, such as 30s, 5m or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after_number) = rest.split_at(digits);
        let letters = after_number.find(|c: char| c.is_ascii_digit()).unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        total += Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())?;
        rest = after_unit;
    }
    if text.is_empty() { Err(invalid()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_memory_has_a_minimum() {
        let parsed = |text: &str| parse_retained_memory(text).map_err(|error| error.to_string());
        assert_eq!(parsed("64Mi"), Ok(64 << 20));
        assert_eq!(parsed("1Mi"), Err("expected at least 8Mi".into()));
        assert_eq!(parsed("much"), Err("expected a quantity of bytes, such as 64Mi".into()));
    }

    #[test]
    fn restart_period_accepts_1s_to_5m() {
        for (text, valid) in [("1s", true), ("5m", true), ("999ms", false), ("5m1s", false), ("soon", false)] {
            assert_eq!(parse_restart_period(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn durations_are_parsed_with_units_and_fractions() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("2", Some(2_000)),
            ("1.5m", Some(90_000)),
            ("", None),
            ("x", None),
            ("5d", None),
        ] {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), millis, "{text:?}");
        }
    }

    #[test]
    fn volumes_need_a_host_directory_and_an_absolute_guest_path() {
        for (text, valid) in
            [("a:/b", true), ("a:/b:ro", true), ("a:b", false), ("a", false), ("a:/b:x", false), (":/b", false)]
        {
            assert_eq!(parse_volume(text).is_ok(), valid, "{text:?}");
        }
    }
}
