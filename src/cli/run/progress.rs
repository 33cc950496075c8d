//! Waits that report slow work, and waits until an optional deadline.

use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use tokio::time::Instant;

/// The message when `--timeout` expires.
pub const TIMED_OUT: &str = "error: timed out (--timeout)";

/// Work that takes longer is reported.
const REPORT_AFTER: Duration = Duration::from_millis(500);

/// Waits for `work`, and prints its start and its end if it is slow. `description` is a phrase such as
/// `compiling app.wasm`.
pub async fn report_if_slow<T>(description: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Ok(output) = tokio::time::timeout(REPORT_AFTER, &mut work).await {
        return output;
    }
    let started = Instant::now() - REPORT_AFTER;
    stderrln!("{description} …");
    let output = work.await;
    stderrln!("{description}: done after {:.1} s", started.elapsed().as_secs_f64());
    output
}

/// Like [`report_if_slow`], but reports to a terminal alone: elsewhere, standard error is the program's own.
pub async fn report_to_terminal_if_slow<T>(description: &str, work: impl Future<Output = T>) -> T {
    match std::io::stderr().is_terminal() {
        true => report_if_slow(description, work).await,
        false => work.await,
    }
}

/// Waits until `deadline`, or for ever without one. Cancel-safe.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
