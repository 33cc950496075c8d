//! sleep, timeout, and the time limit that nc and wget share.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use wstd::time::Duration;

use super::{Options, Outcome, fail, run, usage};
use crate::proc::Proc;

/// SIGKILL.
const KILL: i32 = 9;

/// Parses `1.5`, `10s`, `2m`, `1h`, `1d` or `infinity` to seconds.
pub fn parse_duration(text: &str) -> Option<f64> {
    if matches!(text, "infinity" | "inf") {
        return Some(f64::INFINITY);
    }
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        None => (text, 1.0),
        Some(number) => match text.as_bytes().last() {
            Some(b'm') => (number, 60.0),
            Some(b'h') => (number, 3600.0),
            Some(b'd') => (number, 86_400.0),
            _ => (number, 1.0),
        },
    };
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    number.parse::<f64>().ok().map(|n| n * factor)
}

/// Waits this many seconds; for ever if the clock can't count them.
pub async fn wait(seconds: f64) {
    // Below the 2^64 ns that the clock takes, far beyond any pod.
    const LONG: u64 = 1 << 33;
    loop {
        let part = if seconds < LONG as f64 { (seconds * 1e9) as u64 } else { LONG * 1_000_000_000 };
        wstd::task::sleep(Duration::from_nanos(part)).await;
        if seconds < LONG as f64 {
            return;
        }
    }
}

/// Returns the result of `work`, or `None` after this many seconds; the caller then drops `work`.
pub async fn within<T>(seconds: f64, mut work: Pin<&mut dyn Future<Output = T>>) -> Option<T> {
    let mut clock = pin!(wait(seconds));
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        clock.as_mut().poll(cx).map(|()| None)
    })
    .await
}

pub async fn sleep(p: Proc) -> Outcome {
    let times = p.args.get(1..).unwrap_or_default();
    if times.is_empty() {
        return usage(&p).await;
    }
    let mut total = 0.0;
    for text in times {
        match parse_duration(text) {
            Some(seconds) => total += seconds,
            None => return fail(&p, 1, &format!("invalid number '{text}'")).await,
        }
    }
    wait(total).await;
    Ok(0)
}

/// The exit code of a command that took too long.
const TIMED_OUT: i32 = 124;

/// Runs a command within a time. A command is not a process that could handle a signal: it ends at once, so `-k` never
/// has to.
pub async fn timeout(p: Proc) -> Outcome {
    let spec = "+s:(signal)k:(kill-after)t:p(preserve-status)f(foreground)v(verbose)";
    let o = Options::parse(&p, spec).await?;
    let [limit, command @ ..] = o.operands.as_slice() else { return usage(&p).await };
    if command.is_empty() {
        return usage(&p).await;
    }
    let signal_name = o.get('s').unwrap_or("TERM");
    let Some(signal) = crate::shell::signal_number(signal_name) else {
        return fail(&p, 1, &format!("bad signal name '{signal_name}'")).await;
    };
    for text in [limit.as_str()].into_iter().chain(o.get('k')) {
        if parse_duration(text).is_none() {
            return fail(&p, 1, &format!("invalid number '{text}'")).await;
        }
    }
    let seconds = parse_duration(limit).unwrap_or(0.0);
    let mut child = run(Proc { args: command.to_vec(), ..p });
    if seconds == 0.0 {
        return Ok(child.await);
    }
    // Dropping the future terminates the child, which owns nothing else.
    let timed_out = if o.has('p') || signal == KILL { 128 + signal } else { TIMED_OUT };
    Ok(within(seconds, child.as_mut()).await.unwrap_or(timed_out))
}
