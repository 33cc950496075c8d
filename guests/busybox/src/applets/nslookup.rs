//! nslookup, and the resolution of names through wasi:sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::{IpAddress, resolve_addresses};
use wasip2::sockets::network::ErrorCode;
use wstd::runtime::AsyncPollable;

use super::{Options, Outcome, usage};
use crate::proc::Proc;

/// Returns all addresses of a name, IPv4 first. The pod's search domains do not complete a name that ends with a dot.
pub async fn resolve(name: &str) -> Vec<IpAddr> {
    if let Ok(address) = name.parse() {
        return vec![address];
    }
    let Ok(stream) = resolve_addresses(&instance_network(), name) else { return vec![] };
    let ready = AsyncPollable::new(stream.subscribe());
    let mut out = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => out.push(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                out.push(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)));
            }
            Err(ErrorCode::WouldBlock) => ready.wait_for().await,
            Ok(None) | Err(_) => break,
        }
    }
    let (mut first, second): (Vec<IpAddr>, Vec<IpAddr>) = out.into_iter().partition(IpAddr::is_ipv4);
    first.extend(second);
    first.dedup();
    first
}

pub async fn nslookup(p: Proc) -> Outcome {
    let args: Vec<String> =
        p.args.iter().skip(1).filter(|a| !a.starts_with("-type=") && *a != "-debug").cloned().collect();
    let o = Options::parse_args(&p, &args, "").await?;
    let Some(name) = o.operand(0) else { return usage(&p).await };
    let mut text = String::new();
    let configuration = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let configured = configuration.lines().find_map(|l| l.strip_prefix("nameserver ")).map(str::trim);
    if let Some(server) = o.operand(1).or(configured) {
        text += &format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n");
    }
    let addresses = resolve(name).await;
    for address in &addresses {
        text += &format!("Name:\t{name}\nAddress: {address}\n");
    }
    if addresses.is_empty() {
        text += &format!("** server can't find {name}: NXDOMAIN\n");
    }
    p.stdout.write_all((text + "\n").as_bytes()).await?;
    Ok(i32::from(addresses.is_empty()))
}
