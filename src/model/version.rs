//! Which Kubernetes this is: what `/version` says, and what the node says of its agent.

/// `1`
pub const MAJOR: &str = "1";
/// `36`: the release whose types, words and answers are reproduced.
pub const MINOR: &str = "36";
/// Kubernetes' version, and behind the plus sign ours. Clients compare what stands before it.
pub const GIT_VERSION: &str = concat!("v1.36.3+wasmpod-", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_in_all_its_forms() {
        assert!(GIT_VERSION.starts_with(&format!("v{MAJOR}.{MINOR}.")));
    }
}
