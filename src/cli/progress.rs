//! Waiting: says that something takes time, once it does, and gives up when the time is over.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// What is done sooner is not worth a word.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits for `work`; past half a second says what is going on.
pub async fn watched<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let since = Instant::now() - PATIENCE;
    tell!("{what} …");
    let done = work.await;
    tell!("{what}: done after {:.1} s", since.elapsed().as_secs_f64());
    done
}

/// Waits for `deadline`, for ever if there is none.
pub async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
