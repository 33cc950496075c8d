//! IP addresses and networks in fields of the API (`apimachinery/pkg/util/validation/ip.go`).
//!
//! Early versions of Kubernetes accepted leading zeros, IPv4 addresses mapped into IPv6, and networks with bits beyond
//! their prefix. New values must be strict; a value that the stored object has already may stay.

use std::net::IpAddr;

use super::fields::{ErrorList, FieldPath};

/// A network: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The address as written, with bits beyond the prefix.
    address: IpAddr,
    prefix_length: u8,
}

impl Network {
    /// Returns the first address of the network.
    pub fn base(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_length)).unwrap_or(0);
                IpAddr::V4((u32::from(address) & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_length)).unwrap_or(0);
                IpAddr::V6((u128::from(address) & mask).into())
            }
        }
    }

    /// Returns whether the network contains the address.
    pub fn contains(self, address: IpAddr) -> bool {
        let is_same_family = self.address.is_ipv4() == address.is_ipv4();
        is_same_family && Network { address, ..self }.base() == self.base()
    }

    /// Returns whether all addresses of `other`, and not only those, are in this network.
    pub fn is_strict_superset(self, other: Network) -> bool {
        self.contains(other.base()) && self.prefix_length < other.prefix_length
    }

    fn canonical(self) -> String {
        format!("{}/{}", self.base(), self.prefix_length)
    }
}

/// Parses an address as early versions did: with leading zeros.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| strip_leading_zeros(text)?.parse().ok())
}

/// Parses a network as early versions did: with leading zeros and bits beyond the prefix.
pub fn parse_network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    let address = parse_ip(address)?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let prefix_length: u8 = is_number.then(|| length.parse().ok())??;
    let max = if address.is_ipv4() { 32 } else { 128 };
    (prefix_length <= max).then_some(Network { address, prefix_length })
}

/// Removes the leading zeros of an IPv4 address, or of one at the end of an IPv6 address.
fn strip_leading_zeros(text: &str) -> Option<String> {
    let (head, quad) = text.split_at(text.rfind(':').map_or(0, |colon| colon + 1));
    let octets: Option<Vec<&str>> = quad.split('.').map(strip_octet).collect();
    Some(format!("{head}{}", octets?.join(".")))
}

fn strip_octet(octet: &str) -> Option<&str> {
    let is_number = !octet.is_empty() && octet.bytes().all(|byte| byte.is_ascii_digit());
    let stripped = octet.trim_start_matches('0');
    is_number.then_some(if stripped.is_empty() { "0" } else { stripped })
}

/// Returns whether the text is an IPv6 address that stands for an IPv4 address.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// Returns whether the text is an IPv4 address, however it is written.
pub fn is_ipv4(text: &str) -> bool {
    parse_ip(text).is_some_and(|address| address.to_canonical().is_ipv4())
}

/// Returns whether the text is an IPv6 address.
pub fn is_ipv6(text: &str) -> bool {
    parse_ip(text).is_some_and(|address| address.to_canonical().is_ipv6())
}

/// Validates an address that is new, as opposed to one of `existing`. Returns whether it is valid.
pub fn validate_ip(errors: &mut ErrorList, path: FieldPath<'_>, text: &str, existing: &[String]) -> bool {
    if existing.iter().any(|known| known == text) {
        return true;
    }
    let detail = match (parse_ip(text), text.parse::<IpAddr>()) {
        (None, _) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        (Some(_), Err(_)) => "must not have leading 0s",
        (Some(_), Ok(address)) if is_mapped(address) => "must not be an IPv4-mapped IPv6 address",
        (Some(_), Ok(_)) => return true,
    };
    errors.invalid(path, text, detail);
    false
}

/// Validates a network that is new, as opposed to one of `existing`.
pub fn validate_network(errors: &mut ErrorList, path: FieldPath<'_>, text: &str, existing: &[String]) {
    if existing.iter().any(|known| known == text) {
        return;
    }
    let Some(network) = parse_network(text) else {
        errors.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        return;
    };
    if !is_strict_network(text) {
        errors.invalid(path, text, "must not have leading 0s in IP or prefix length");
    } else if is_mapped(network.address) {
        errors.invalid(path, text, "must not have an IPv4-mapped IPv6 address");
    } else if network.address != network.base() {
        errors.invalid(path, text, "must not have bits set beyond the prefix length");
    }
}

/// Returns whether a parsed network is written without leading zeros.
fn is_strict_network(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        address.parse::<IpAddr>().is_ok() && (length == "0" || !length.starts_with('0'))
    })
}

/// Rejects addresses that no service or endpoint can have: unspecified, loopback and link-local ones.
pub fn validate_non_special_ip(errors: &mut ErrorList, path: FieldPath<'_>, text: &str) {
    let Some(address) = parse_ip(text).map(|address| address.to_canonical()) else {
        errors.invalid(path, text, "must be a valid IP address");
        return;
    };
    if address.is_unspecified() {
        errors.invalid(path, text, format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (is_link_local, is_link_local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), matches!(address.octets(), [224, 0, 0, _])),
        IpAddr::V6(address) => {
            (address.is_unicast_link_local(), matches!(address.octets(), [0xff, b, ..] if b & 15 == 2))
        }
    };
    if is_link_local {
        errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if is_link_local_multicast {
        errors.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// Returns the warning about an address that is not written in the standard form.
pub fn ip_warning(path: FieldPath<'_>, text: &str) -> Option<String> {
    let lenient = parse_ip(text)?;
    match text.parse::<IpAddr>() {
        Ok(address) if !is_mapped(address) => (address.is_ipv6() && address.to_string() != text)
            .then(|| format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format (\"{address}\")")),
        _ => Some(format!(
            "{path}: non-standard IP address {text:?} will be considered invalid in a future Kubernetes release: use \"{}\"",
            lenient.to_canonical()
        )),
    }
}

/// Returns the warnings about a network that is not written in the standard form.
pub fn network_warnings(path: FieldPath<'_>, text: &str) -> Vec<String> {
    let Some(network) = parse_network(text) else { return Vec::new() };
    let mut warnings = Vec::new();
    let canonical = network.canonical();
    if network.address != network.base() {
        let length = if network.address.is_ipv4() { 32 } else { 128 };
        let single = format!("{}/{length}", network.address);
        warnings.push(format!(
            "{path}: CIDR value {text:?} is ambiguous in this context (should be {canonical:?} or {single:?}?)"
        ));
    }
    if !is_strict_network(text) || is_mapped(network.address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {text:?} will be considered invalid in a future Kubernetes release: use \
             {canonical:?}"
        ));
    }
    if warnings.is_empty() && network.address.is_ipv6() && canonical != text {
        warnings
            .push(format!("{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({canonical:?})"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages<T>(validate: impl Fn(&mut ErrorList, FieldPath<'_>) -> T) -> Vec<String> {
        let mut errors = ErrorList::default();
        validate(&mut errors, FieldPath::root("f"));
        errors.into_causes().into_iter().map(|cause| cause.message).collect()
    }

    /// Returns the messages about the value `text`: none if `detail` is empty.
    fn invalid_value(text: &str, detail: &str) -> Vec<String> {
        if detail.is_empty() { Vec::new() } else { vec![format!("Invalid value: {text:?}: {detail}")] }
    }

    #[test]
    fn addresses_are_strict_unless_they_exist() {
        for (text, want) in [
            ("10.0.0.1", ""),
            ("::1", ""),
            ("010.0.0.1", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
            ("x", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            ("1.2.3", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            ("1.2.3.256", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ] {
            let actual = messages(|errors, path| validate_ip(errors, path, text, &[]));
            assert_eq!(actual, invalid_value(text, want));
            let existing = [text.to_string()];
            assert_eq!(messages(|errors, path| validate_ip(errors, path, text, &existing)), Vec::<String>::new());
        }
        assert!(is_ipv4("010.1.1.1") && is_ipv4("::ffff:1.2.3.4") && is_ipv6("fd00::1") && !is_ipv6("x"));
    }

    #[test]
    fn networks_are_strict_unless_they_exist() {
        let invalid = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        for (text, want) in [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("fd00::/8", ""),
            ("10.0.0.0", invalid),
            ("10.0.0.0/33", invalid),
            ("10.0.0.0/+8", invalid),
            ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
            ("::ffff:1.2.3.4/128", "must not have an IPv4-mapped IPv6 address"),
            ("10.1.0.0/8", "must not have bits set beyond the prefix length"),
        ] {
            let actual = messages(|errors, path| validate_network(errors, path, text, &[]));
            assert_eq!(actual, invalid_value(text, want));
        }
        let network = |text: &str| parse_network(text).expect("a network");
        assert!(network("10.0.0.0/8").is_strict_superset(network("10.1.0.0/16")));
        assert!(!network("10.0.0.0/8").is_strict_superset(network("10.0.0.0/8")));
        assert!(!network("10.0.0.0/8").is_strict_superset(network("fd00::/64")));
    }

    #[test]
    fn special_addresses_are_rejected() {
        for (text, want) in [
            ("10.0.0.1", ""),
            ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
            ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
            ("fe80::1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
            ("224.0.0.9", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
            ("ff02::1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ] {
            let actual = messages(|errors, path| validate_non_special_ip(errors, path, text));
            assert_eq!(actual, invalid_value(text, want));
        }
    }

    #[test]
    fn non_canonical_forms_get_warnings() {
        let path = FieldPath::root("f");
        assert_eq!(ip_warning(path, "fd00::1"), None);
        assert_eq!(
            ip_warning(path, "FD00:0::1").as_deref(),
            Some("f: IPv6 address \"FD00:0::1\" should be in RFC 5952 canonical format (\"fd00::1\")")
        );
        assert_eq!(
            ip_warning(path, "010.1.1.1").as_deref(),
            Some(
                "f: non-standard IP address \"010.1.1.1\" will be considered invalid in a future Kubernetes release: use \"10.1.1.1\""
            )
        );
        assert_eq!(
            network_warnings(path, "10.1.1.1/8"),
            [
                "f: CIDR value \"10.1.1.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.1.1.1/32\"?)"
            ]
        );
        assert_eq!(network_warnings(path, "10.0.0.0/8"), Vec::<String>::new());
    }
}
