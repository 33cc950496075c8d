//! `/livez`, `/readyz` and `/healthz`: whether this process lives, and whether it takes work.

use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, TEXT};

/// One thing that must hold.
pub struct Check {
    /// As it stands in verbose answers and behind the slash (`/readyz/ping`).
    pub name: &'static str,
    /// `Err` tells why not.
    pub holds: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Check {
    /// A check by a function.
    pub fn new(name: &'static str, holds: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Check {
        Check { name, holds: Box::new(holds) }
    }

    /// That an answer comes at all.
    pub fn ping() -> Check {
        Check::new("ping", || Ok(()))
    }
}

/// Answers for `endpoint` (`livez`), all `checks` or the one named `only`.
pub fn answer(endpoint: &str, checks: &[Check], only: Option<&str>, verbose: bool) -> Response {
    let chosen: Vec<&Check> = checks.iter().filter(|check| only.is_none_or(|name| check.name == name)).collect();
    if chosen.is_empty() {
        return answer::with_code(StatusCode::NOT_FOUND, TEXT, "404 page not found\n");
    }
    let mut lines = String::new();
    let mut failed = false;
    for check in chosen {
        match (check.holds)() {
            Ok(()) => lines += &format!("[+]{} ok\n", check.name),
            Err(why) => {
                failed = true;
                lines += &format!("[-]{} failed: {why}\n", check.name);
            }
        }
    }
    match (failed, verbose) {
        (true, _) => {
            let text = format!("{lines}{endpoint} check failed\n");
            answer::with_code(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
        (false, true) => answer::body(TEXT, format!("{lines}{endpoint} check passed\n")),
        (false, false) => answer::body(TEXT, "ok"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(only: Option<&str>, verbose: bool, node: Result<(), String>) -> (u16, String) {
        let checks = [Check::ping(), Check::new("node", move || node.clone())];
        let answer = answer("readyz", &checks, only, verbose);
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.expect("a body");
        (code, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn checks_are_told_as_kubernetes_tells_them() {
        let ok = || Ok(());
        assert_eq!(told(None, false, ok()).await, (200, "ok".into()));
        assert_eq!(told(None, true, ok()).await, (200, "[+]ping ok\n[+]node ok\nreadyz check passed\n".into()));
        assert_eq!(told(Some("ping"), false, Err("down".into())).await, (200, "ok".into()));
        assert_eq!(told(Some("etcd"), false, ok()).await.0, 404);
        let failed = "[+]ping ok\n[-]node failed: down\nreadyz check failed\n";
        assert_eq!(told(None, false, Err("down".into())).await, (500, failed.into()));
    }
}
