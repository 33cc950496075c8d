//! Says that something takes time, once it does.

use std::future::Future;
use std::time::Duration;

/// What is done sooner is not worth a word.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits for `work`; past half a second says what is going on.
pub async fn watched<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let since = std::time::Instant::now() - PATIENCE;
    eprintln!("{what} …");
    let done = work.await;
    eprintln!("{what}: done after {:.1} s", since.elapsed().as_secs_f64());
    done
}
