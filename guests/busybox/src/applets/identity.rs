//! hostname, id, whoami, uname, nproc. A guest has no users: it is root unless the host sets `$USER`, `$UID` and
//! `$GID`.

use super::nslookup::resolve;
use super::{Options, Outcome, fail};
use crate::proc::Proc;

async fn print_line(p: &Proc, text: &str) -> Outcome {
    p.stdout.write_all(format!("{text}\n").as_bytes()).await?;
    Ok(0)
}

fn host_name(p: &Proc) -> String {
    if let Some(name) = p.env.get("HOSTNAME") {
        return name.clone();
    }
    let text = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = text.lines().next().unwrap_or_default().trim();
    if name.is_empty() { "localhost".into() } else { name.into() }
}

pub async fn hostname(p: Proc) -> Outcome {
    let o = Options::parse(&p, "sidf").await?;
    if !o.operands.is_empty() {
        return fail(&p, 1, "sethostname: Operation not permitted").await;
    }
    let name = host_name(&p);
    let (short, domain) = name.split_once('.').unwrap_or((&name, ""));
    if o.has('i') {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let line = hosts.lines().find(|l| l.split_whitespace().skip(1).any(|n| n == name));
        let address = line.and_then(|l| l.split_whitespace().next());
        let resolved = match address {
            Some(address) => Some(address.to_string()),
            None => resolve(&name).await.first().map(ToString::to_string),
        };
        return match resolved {
            Some(address) => print_line(&p, &address).await,
            None => fail(&p, 1, &format!("{name}: Unknown host")).await,
        };
    }
    print_line(
        &p,
        if o.has('s') {
            short
        } else if o.has('d') {
            domain
        } else {
            &name
        },
    )
    .await
}

fn env_or_zero<'a>(p: &'a Proc, name: &str) -> &'a str {
    p.env.get(name).map_or("0", String::as_str)
}

fn user_name(p: &Proc) -> String {
    match env_or_zero(p, "UID") {
        "0" => "root".into(),
        uid => p.env.get("USER").cloned().unwrap_or_else(|| uid.into()),
    }
}

pub async fn id(p: Proc) -> Outcome {
    let o = Options::parse(&p, "ugGnr").await?;
    if let Some(name) = o.operand(0).filter(|n| *n != user_name(&p)) {
        return fail(&p, 1, &format!("unknown user {name}")).await;
    }
    let (uid, gid) = (env_or_zero(&p, "UID"), env_or_zero(&p, "GID"));
    let group = if gid == "0" { "root" } else { gid };
    let text = match (o.last_of("ugG"), o.has('n')) {
        (Some('u'), true) => user_name(&p),
        (Some('u'), false) => uid.into(),
        (Some(_), true) => group.into(),
        (Some(_), false) => gid.into(),
        (None, _) => format!("uid={uid}({}) gid={gid}({group}) groups={gid}({group})", user_name(&p)),
    };
    print_line(&p, &text).await
}

pub async fn whoami(p: Proc) -> Outcome {
    print_line(&p, &user_name(&p)).await
}

pub async fn nproc(p: Proc) -> Outcome {
    print_line(&p, "1").await
}

pub async fn uname(p: Proc) -> Outcome {
    let o = Options::parse(&p, "amnrspvio").await?;
    let name = host_name(&p);
    let parts = [
        ('s', "WASI"),
        ('n', name.as_str()),
        ('r', "0.2.12"),
        ('v', "wasmpod"),
        ('m', "wasm32"),
        ('p', "unknown"),
        ('i', "unknown"),
        ('o', "WASI"),
    ];
    let all = o.has('a');
    let wanted = |c: char| o.has(c) || (all && !"pi".contains(c));
    let mut words: Vec<&str> = parts.iter().filter(|(c, _)| wanted(*c)).map(|(_, w)| *w).collect();
    if words.is_empty() {
        words.push("WASI");
    }
    print_line(&p, &words.join(" ")).await
}
