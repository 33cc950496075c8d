//! dig, as far as wasi:sockets resolves names: to addresses only, without times to live. Names of addresses come from
//! /etc/hosts.

use std::net::IpAddr;
use std::time::Instant;

use super::nslookup::resolve;
use super::{Outcome, fail, usage};
use crate::proc::Proc;

#[derive(Clone, Copy, Debug, PartialEq)]
enum RecordType {
    A,
    Aaaa,
    /// Both.
    Any,
    Ptr,
}

impl RecordType {
    fn find(name: &str) -> Option<RecordType> {
        Some(match name.to_ascii_uppercase().as_str() {
            "A" => RecordType::A,
            "AAAA" => RecordType::Aaaa,
            "ANY" => RecordType::Any,
            "PTR" => RecordType::Ptr,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Any => "ANY",
            RecordType::Ptr => "PTR",
        }
    }
}

/// Record types that exist but that WASI does not look up.
const OTHER_TYPES: [&str; 12] =
    ["MX", "TXT", "NS", "SOA", "CNAME", "SRV", "CAA", "DS", "DNSKEY", "NAPTR", "HTTPS", "AXFR"];

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shown {
    short: bool,
    comments: bool,
    question: bool,
    answer: bool,
    statistics: bool,
}

#[derive(Debug, PartialEq)]
struct Query {
    name: String,
    kind: RecordType,
    /// `@server`, which has no effect.
    server: Option<String>,
    shown: Shown,
}

#[derive(Debug, PartialEq)]
enum QueryError {
    Usage,
    NotSupported(String),
}

/// Parses the arguments behind the command's name.
fn parse(arguments: &[String]) -> Result<Query, QueryError> {
    let all = Shown { short: false, comments: true, question: true, answer: true, statistics: true };
    let mut query = Query { name: String::new(), kind: RecordType::A, server: None, shown: all };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(server) = argument.strip_prefix('@') {
            query.server = Some(server.into());
        } else if let Some(option) = argument.strip_prefix('+') {
            set_shown(&mut query.shown, option);
        } else if let Some(option) = argument.strip_prefix('-') {
            match option {
                "4" | "6" => {}
                "x" => {
                    query.name = rest.next().ok_or(QueryError::Usage)?.clone();
                    query.kind = RecordType::Ptr;
                }
                "q" => query.name = rest.next().ok_or(QueryError::Usage)?.clone(),
                "t" => query.kind = record_type(rest.next().ok_or(QueryError::Usage)?)?,
                _ => return Err(QueryError::Usage),
            }
        } else if argument == "IN" {
            // The class.
        } else if RecordType::find(argument).is_some() || OTHER_TYPES.contains(&argument.to_ascii_uppercase().as_str())
        {
            query.kind = record_type(argument)?;
        } else {
            query.name = argument.clone();
        }
    }
    if query.name.is_empty() { Err(QueryError::Usage) } else { Ok(query) }
}

fn record_type(name: &str) -> Result<RecordType, QueryError> {
    RecordType::find(name).ok_or_else(|| QueryError::NotSupported(name.to_ascii_uppercase()))
}

fn set_shown(shown: &mut Shown, option: &str) {
    let (name, on) = option.strip_prefix("no").map_or((option, true), |name| (name, false));
    match name {
        "short" => shown.short = on,
        "all" => *shown = Shown { short: shown.short, comments: on, question: on, answer: on, statistics: on },
        "comments" | "cmd" => shown.comments = on,
        "question" => shown.question = on,
        "answer" => shown.answer = on,
        "stats" => shown.statistics = on,
        // Others are about servers and packets.
        _ => {}
    }
}

/// One line of the answer.
#[derive(Debug, PartialEq)]
struct Answer {
    kind: &'static str,
    data: String,
}

/// Returns the answers that `addresses` are for a query.
fn select(addresses: &[IpAddr], kind: RecordType) -> Vec<Answer> {
    let answer =
        |address: &IpAddr| Answer { kind: if address.is_ipv4() { "A" } else { "AAAA" }, data: address.to_string() };
    let wanted = |address: &&IpAddr| match kind {
        RecordType::A => address.is_ipv4(),
        RecordType::Aaaa => address.is_ipv6(),
        RecordType::Any => true,
        RecordType::Ptr => false,
    };
    addresses.iter().filter(wanted).map(answer).collect()
}

/// Returns the names that a hosts file gives an address.
fn names_of(hosts: &str, address: IpAddr) -> Vec<Answer> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let mut found = Vec::new();
    for mut words in lines {
        if words.next().and_then(|word| word.parse().ok()) == Some(address)
            && let Some(name) = words.next()
        {
            found.push(Answer { kind: "PTR", data: format!("{name}.") });
        }
    }
    found
}

/// Returns the name that a query for the names of an address has.
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

/// Returns the address that a name of `in-addr.arpa` means.
fn address_of(name: &str) -> Option<IpAddr> {
    let digits = name.trim_end_matches('.').strip_suffix(".in-addr.arpa")?;
    let reversed: Vec<&str> = digits.split('.').rev().collect();
    reversed.join(".").parse().ok()
}

/// Returns the text that dig prints.
fn format(query: &Query, name: &str, answers: &[Answer], status: &str, milliseconds: u128) -> String {
    let mut out = String::new();
    if query.shown.short {
        answers.iter().for_each(|answer| out += &format!("{}\n", answer.data));
        return out;
    }
    let full_name = format!("{}.", name.trim_end_matches('.'));
    if query.shown.comments {
        out += &format!("\n; <<>> DiG (wasmpod) <<>> {name}\n;; Got answer:\n");
        out += &format!(";; ->>HEADER<<- opcode: QUERY, status: {status}, id: 0\n");
        out += &format!(";; flags: qr rd ra; QUERY: 1, ANSWER: {}, AUTHORITY: 0, ADDITIONAL: 0\n\n", answers.len());
    }
    if query.shown.question {
        out += &format!(";; QUESTION SECTION:\n;{full_name}\t\tIN\t{}\n\n", query.kind.name());
    }
    if query.shown.answer && !answers.is_empty() {
        out += if query.shown.comments { ";; ANSWER SECTION:\n" } else { "" };
        for answer in answers {
            out += &format!("{full_name}\t0\tIN\t{}\t{}\n", answer.kind, answer.data);
        }
        out += if query.shown.comments { "\n" } else { "" };
    }
    if query.shown.statistics {
        out += &format!(";; Query time: {milliseconds} msec\n\n");
    }
    out
}

pub async fn dig(p: Proc) -> Outcome {
    let query = match parse(p.args.get(1..).unwrap_or_default()) {
        Ok(query) => query,
        Err(QueryError::Usage) => return usage(&p).await,
        Err(QueryError::NotSupported(kind)) => {
            let why = format!("{kind} records are not supported yet; only addresses (A, AAAA) can be looked up");
            return fail(&p, 1, &why).await;
        }
    };
    if let Some(server) = &query.server {
        let _ = p
            .stderr
            .write_all(format!(";; Warning: ignoring @{server}; the pod's resolver answers\n").as_bytes())
            .await;
    }
    let begun = Instant::now();
    let address = query.name.parse().ok().or_else(|| address_of(&query.name));
    let (name, answers, exists) = match (query.kind, address) {
        (RecordType::Ptr, None) => {
            return fail(&p, 1, &format!("'{}' is not an address; use dig -x ADDRESS", query.name)).await;
        }
        (RecordType::Ptr, Some(address)) => {
            let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            let names = names_of(&hosts, address);
            if names.is_empty() {
                let why = format!("{address} is not in /etc/hosts; other names of addresses cannot be looked up yet");
                return fail(&p, 1, &why).await;
            }
            (reverse_name(address), names, true)
        }
        _ => {
            let addresses = resolve(&query.name).await;
            (query.name.clone(), select(&addresses, query.kind), !addresses.is_empty())
        }
    };
    let status = if exists { "NOERROR" } else { "NXDOMAIN" };
    let text = format(&query, &name, &answers, status, begun.elapsed().as_millis());
    p.stdout.write_all(text.as_bytes()).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn arguments_come_in_any_order() {
        let query = parse(&words("@1.1.1.1 +noall +answer aaaa example.org")).expect("valid");
        assert_eq!(
            (query.name.as_str(), query.kind, query.server.as_deref()),
            ("example.org", RecordType::Aaaa, Some("1.1.1.1"))
        );
        assert!(query.shown.answer && !query.shown.comments && !query.shown.question);
        assert_eq!(parse(&words("-x 10.0.0.1 +short")).expect("valid").kind, RecordType::Ptr);
        assert_eq!(parse(&words("example.org MX")), Err(QueryError::NotSupported("MX".into())));
        assert_eq!(parse(&words("+short")), Err(QueryError::Usage));
    }

    #[test]
    fn answers_have_the_shape_of_a_zone_file() {
        let addresses: Vec<IpAddr> = ["10.0.0.1", "::1"].iter().map(|text| text.parse().expect("an address")).collect();
        let query = parse(&words("h +noall +answer")).expect("valid");
        assert_eq!(format(&query, "h", &select(&addresses, RecordType::A), "NOERROR", 0), "h.\t0\tIN\tA\t10.0.0.1\n");
        let query = parse(&words("h any +short")).expect("valid");
        assert_eq!(format(&query, "h", &select(&addresses, RecordType::Any), "NOERROR", 0), "10.0.0.1\n::1\n");
        let query = parse(&words("h aaaa")).expect("valid");
        let text = format(&query, "h", &[], "NXDOMAIN", 3);
        assert!(
            text.contains("status: NXDOMAIN") && text.contains(";h.\t\tIN\tAAAA\n") && !text.contains("ANSWER SECTION")
        );
    }

    #[test]
    fn addresses_have_reverse_names() {
        let address: IpAddr = "10.1.2.3".parse().expect("an address");
        assert_eq!(reverse_name(address), "3.2.1.10.in-addr.arpa");
        assert_eq!(address_of("3.2.1.10.in-addr.arpa."), Some(address));
        assert!(reverse_name("::1".parse().expect("an address")).starts_with("1.0.0.0."));
        assert_eq!(names_of("10.1.2.3 web web.local # x\n10.1.2.4 db\n", address)[0].data, "web.");
    }
}
