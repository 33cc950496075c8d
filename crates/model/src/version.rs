//! Which Kubernetes this is: what `/version` says, and what the node says of its agent.

/// `1`
pub const MAJOR: &str = "1";
/// `36`: the release whose types, words and answers are reproduced.
pub const MINOR: &str = "36";
/// Kubernetes' version, and behind the plus sign ours. Clients compare what stands before it.
pub const GIT_VERSION: &str = concat!("v1.36.3+wasmpod-", env!("CARGO_PKG_VERSION"));

/// This machine's processors, as Go and so Kubernetes call them.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_in_all_its_forms() {
        assert!(GIT_VERSION.starts_with(&format!("v{MAJOR}.{MINOR}.")));
    }
}
