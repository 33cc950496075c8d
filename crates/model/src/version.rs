//! The Kubernetes version that the API server and the node report.

/// Major version of the reproduced Kubernetes release.
pub const MAJOR: &str = "1";
/// Minor version of the reproduced Kubernetes release: its types, messages and responses.
pub const MINOR: &str = "36";
/// Kubernetes' version, with wasmpod's as build metadata; clients compare only the part before the plus sign.
pub const GIT_VERSION: &str = concat!("v1.36.3+wasmpod-", env!("CARGO_PKG_VERSION"));

/// Returns the machine's architecture by its Go name, as Kubernetes reports it.
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
    fn version_constants_agree() {
        assert!(GIT_VERSION.starts_with(&format!("v{MAJOR}.{MINOR}.")));
    }
}
