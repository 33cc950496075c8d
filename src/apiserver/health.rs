//! `/livez`, `/readyz` and `/healthz`.

use axum::http::StatusCode;
use axum::response::Response;

use super::response::{self, TEXT};

/// The reason why a health check fails.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unhealthy(pub String);

impl From<&str> for Unhealthy {
    fn from(reason: &str) -> Unhealthy {
        Unhealthy(reason.into())
    }
}

/// One health check.
pub struct HealthCheck {
    /// Name in verbose responses and in paths (`/readyz/ping`).
    pub name: &'static str,
    /// Runs the check.
    pub run: Box<dyn Fn() -> Result<(), Unhealthy> + Send + Sync>,
}

impl HealthCheck {
    /// Creates a check from a function.
    pub fn new(name: &'static str, run: impl Fn() -> Result<(), Unhealthy> + Send + Sync + 'static) -> HealthCheck {
        HealthCheck { name, run: Box::new(run) }
    }

    /// Returns a check that always passes.
    pub fn ping() -> HealthCheck {
        HealthCheck::new("ping", || Ok(()))
    }
}

/// Runs all `checks`, or the one named `only`, and responds for `endpoint` (`livez`).
pub fn respond(endpoint: &str, checks: &[HealthCheck], only: Option<&str>, verbose: bool) -> Response {
    let selected: Vec<&HealthCheck> =
        checks.iter().filter(|check| only.is_none_or(|name| check.name == name)).collect();
    if selected.is_empty() {
        return response::with_status_code(StatusCode::NOT_FOUND, TEXT, "404 page not found\n");
    }
    let mut lines = String::new();
    let mut failed = false;
    for check in selected {
        match (check.run)() {
            Ok(()) => lines += &format!("[+]{} ok\n", check.name),
            Err(reason) => {
                failed = true;
                lines += &format!("[-]{} failed: {reason}\n", check.name);
            }
        }
    }
    match (failed, verbose) {
        (true, _) => {
            let text = format!("{lines}{endpoint} check failed\n");
            response::with_status_code(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
        (false, true) => response::ok(TEXT, format!("{lines}{endpoint} check passed\n")),
        (false, false) => response::ok(TEXT, "ok"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn response(only: Option<&str>, verbose: bool, node: Result<(), Unhealthy>) -> (u16, String) {
        let checks = [HealthCheck::ping(), HealthCheck::new("node", move || node.clone())];
        let response = respond("readyz", &checks, only, verbose);
        let code = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1024).await.expect("a body");
        (code, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn responses_match_kubernetes() {
        let ok = || Ok(());
        assert_eq!(response(None, false, ok()).await, (200, "ok".into()));
        assert_eq!(response(None, true, ok()).await, (200, "[+]ping ok\n[+]node ok\nreadyz check passed\n".into()));
        assert_eq!(response(Some("ping"), false, Err(Unhealthy("down".into()))).await, (200, "ok".into()));
        assert_eq!(response(Some("etcd"), false, ok()).await.0, 404);
        let failed = "[+]ping ok\n[-]node failed: down\nreadyz check failed\n";
        assert_eq!(response(None, false, Err(Unhealthy("down".into()))).await, (500, failed.into()));
    }
}
