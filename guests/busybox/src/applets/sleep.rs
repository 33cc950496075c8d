//! sleep, timeout, and the time limit that nc and wget share.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use wstd::time::Duration;

use super::{Options, Outcome, fail, run, usage};
use crate::proc::Proc;

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

pub async fn timeout(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+s:k:t:").await?;
    let [limit, command @ ..] = o.operands.as_slice() else { return usage(&p).await };
    if command.is_empty() {
        return usage(&p).await;
    }
    let Some(seconds) = parse_duration(limit) else {
        return fail(&p, 1, &format!("invalid number '{limit}'")).await;
    };
    let mut child = run(Proc { args: command.to_vec(), ..p });
    if seconds == 0.0 {
        return Ok(child.await);
    }
    // Dropping the future terminates the child, which owns nothing else.
    Ok(within(seconds, child.as_mut()).await.unwrap_or(143))
}
