//! env, printenv, and the wrappers that change nothing here: nice and nohup.

use super::{Options, Outcome, Output, run, usage};
use crate::proc::Proc;

pub async fn env(mut p: Proc) -> Outcome {
    let o = Options::parse(&p, "+i(ignore-environment)u:(unset)0").await?;
    let mut rest = o.operands.as_slice();
    if o.has('i') {
        p.env.clear();
    }
    if let Some(("-", behind)) = rest.split_first().map(|(a, b)| (a.as_str(), b)) {
        p.env.clear();
        rest = behind;
    }
    for name in o.all('u') {
        p.env.remove(name);
    }
    while let Some((first, behind)) = rest.split_first() {
        let Some((name, value)) = first.split_once('=') else { break };
        p.env.insert(name.into(), value.into());
        rest = behind;
    }
    if rest.is_empty() {
        let mut out = Output::new(&p);
        for (name, value) in &p.env {
            out.put(format!("{name}={value}{}", if o.has('0') { '\0' } else { '\n' })).await?;
        }
        return out.end(0).await;
    }
    p.args = rest.to_vec();
    Ok(run(p).await)
}

pub async fn printenv(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let mut out = Output::new(&p);
    let mut code = 0;
    if o.operands.is_empty() {
        for (name, value) in &p.env {
            out.put(format!("{name}={value}\n")).await?;
        }
    }
    for name in &o.operands {
        match p.env.get(name) {
            Some(value) => out.put(format!("{value}\n")).await?,
            None => code = 1,
        }
    }
    out.end(code).await
}

/// Runs a command; there are no priorities.
pub async fn nice(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+n:").await?;
    if o.operands.is_empty() {
        p.stdout.write_all(b"0\n").await?;
        return Ok(0);
    }
    Ok(run(Proc { args: o.operands, ..p }).await)
}

/// Runs a command; no terminal hangs up.
pub async fn nohup(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    Ok(run(Proc { args: o.operands, ..p }).await)
}
