//! Ports of pods that `wasmpod run` opens on this machine.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::bail;

use crate::model::formats;

/// The ports to open on this machine.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options for ports")]
pub struct PublishArgs {
    /// Port of a pod to open on this machine; HOSTPORT 0 selects a free port
    ///
    /// POD is the pod's name, needed where there are several. HOSTIP defaults to --publish-address; IPv6 addresses need
    /// brackets.
    #[arg(short, long = "publish", value_name = "[POD:][HOSTIP:]HOSTPORT:PORT", value_parser = parse_published_port)]
    pub ports: Vec<PublishedPortArg>,

    /// Open every TCP port that the pods declare, on the same port of this machine or one near it
    #[arg(short = 'P', long = "publish-all")]
    pub all: bool,

    /// IP address on which to open ports and the `hostPort`s of manifests, unless they name one
    #[arg(long = "publish-address", value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST.into())]
    pub address: IpAddr,
}

/// A value of `--publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPortArg {
    /// The value as the user wrote it.
    pub text: String,
    pub pod: Option<String>,
    pub host_ip: Option<IpAddr>,
    /// The port of this machine; 0 selects a free one.
    pub host_port: u16,
    /// The port of the pod.
    pub port: u16,
}

/// Parses `[POD:][HOSTIP:]HOSTPORT:PORT[/tcp]`.
fn parse_published_port(text: &str) -> anyhow::Result<PublishedPortArg> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => {}
        protocol @ ("udp" | "sctp") => {
            bail!("{} ports cannot be published yet", protocol.to_uppercase())
        }
        _ => bail!("unknown protocol {protocol:?}; expected tcp"),
    }
    let Some((rest, port)) = ports.rsplit_once(':') else {
        bail!("expected HOSTPORT:PORT, such as 8080:{}", if is_number(ports) { ports } else { "80" });
    };
    let (place, host_port) = rest.rsplit_once(':').unwrap_or(("", rest));
    // `[::1]:80` lacks the host's port, and `web:80` as well.
    if !host_port.is_empty() && !is_number(host_port) {
        bail!("expected a host port before {port}, such as {rest}:8080:{port}, or {rest}:0:{port} for a free one");
    }
    let (pod, host_ip) = parse_place(place)?;
    let host_port = if host_port.is_empty() { 0 } else { parse_port(host_port, 0)? };
    Ok(PublishedPortArg { text: text.into(), pod, host_ip, host_port, port: parse_port(port, 1)? })
}

/// Parses `[POD:][HOSTIP]`.
fn parse_place(place: &str) -> anyhow::Result<(Option<String>, Option<IpAddr>)> {
    if place.is_empty() {
        return Ok((None, None));
    }
    if let Some((pod, ip)) = place.strip_suffix(']').and_then(|place| place.split_once('[')) {
        let ip = ip.parse::<std::net::Ipv6Addr>();
        let Ok(ip) = ip else { bail!("{place:?} has no valid IPv6 address in its brackets") };
        return Ok((parse_pod(pod.strip_suffix(':').unwrap_or(pod))?, Some(ip.into())));
    }
    match place.split_once(':') {
        None if place == "localhost" => Ok((None, Some(Ipv4Addr::LOCALHOST.into()))),
        None => match place.parse() {
            Ok(ip) => Ok((None, Some(ip))),
            Err(_) if place.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                bail!("{place:?} is not a valid IP address")
            }
            Err(_) => Ok((parse_pod(place)?, None)),
        },
        Some((pod, ip)) => match ip.parse::<Ipv4Addr>() {
            Ok(ip) => Ok((parse_pod(pod)?, Some(ip.into()))),
            Err(_) => bail!("{ip:?} is not a valid IPv4 address; IPv6 addresses need brackets, such as [::1]"),
        },
    }
}

fn parse_pod(name: &str) -> anyhow::Result<Option<String>> {
    match name {
        "" => Ok(None),
        name if formats::dns_subdomain(name).is_empty() => Ok(Some(name.into())),
        name => bail!("{name:?} is neither an IP address nor the name of a pod"),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_port(text: &str, min: u16) -> anyhow::Result<u16> {
    match text.parse() {
        Ok(port) if port >= min => Ok(port),
        _ => bail!("{text:?} is not a valid port; expected a number from {min} to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_have_optional_pod_address_and_host_port() {
        for (text, pod, ip, host_port, port) in [
            ("8080:80", None, None, 8080, 80),
            ("8080:80/tcp", None, None, 8080, 80),
            (":80", None, None, 0, 80),
            ("0:80", None, None, 0, 80),
            ("web:8080:80", Some("web"), None, 8080, 80),
            ("web::80", Some("web"), None, 0, 80),
            ("0.0.0.0:8080:80", None, Some("0.0.0.0"), 8080, 80),
            ("localhost:8080:80", None, Some("127.0.0.1"), 8080, 80),
            ("web:10.0.0.1:8080:80", Some("web"), Some("10.0.0.1"), 8080, 80),
            ("[::1]:8080:80", None, Some("::1"), 8080, 80),
            ("web:[::1]:8080:80", Some("web"), Some("::1"), 8080, 80),
            ("[::1]::80", None, Some("::1"), 0, 80),
        ] {
            let want = PublishedPortArg {
                text: text.into(),
                pod: pod.map(Into::into),
                host_ip: ip.map(|ip| ip.parse().expect("an address")),
                host_port,
                port,
            };
            assert_eq!(parse_published_port(text).expect(text), want, "{text}");
        }
    }

    #[test]
    fn invalid_published_ports_are_explained() {
        for (text, want) in [
            ("80", "expected HOSTPORT:PORT, such as 8080:80"),
            ("web", "expected HOSTPORT:PORT, such as 8080:80"),
            ("web:80", "expected a host port before 80, such as web:8080:80, or web:0:80 for a free one"),
            ("8080:80/udp", "UDP ports cannot be published yet"),
            ("8080:80/x", "unknown protocol \"x\"; expected tcp"),
            ("8080:0", "\"0\" is not a valid port; expected a number from 1 to 65535"),
            ("8080:http", "\"http\" is not a valid port; expected a number from 1 to 65535"),
            ("65536:80", "\"65536\" is not a valid port; expected a number from 0 to 65535"),
            ("::1:8080:80", "\":1\" is not a valid IPv4 address; IPv6 addresses need brackets, such as [::1]"),
            ("256.1.1.1:8080:80", "\"256.1.1.1\" is not a valid IP address"),
            ("[x]:8080:80", "\"[x]\" has no valid IPv6 address in its brackets"),
            ("We_b:8080:80", "\"We_b\" is neither an IP address nor the name of a pod"),
        ] {
            assert_eq!(parse_published_port(text).map_err(|error| error.to_string()), Err(want.into()), "{text}");
        }
    }
}
