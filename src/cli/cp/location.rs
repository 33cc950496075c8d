//! The arguments of `cp`: local paths and `[[NAMESPACE/]POD:]PATH`.

use std::path::PathBuf;

/// A place to copy from or to.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// A path on this machine.
    Local(PathBuf),
    /// A path in a container.
    Remote(RemotePath),
}

/// A path in a container.
#[derive(Debug, PartialEq, Eq)]
pub struct RemotePath {
    /// The pod's namespace, if it is given.
    pub namespace: Option<String>,
    /// The pod's name.
    pub pod: String,
    /// The path, without slashes at its end.
    pub path: String,
}

/// An argument is not valid. The texts are kubectl's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// There is no pod before the colon, or more than a namespace and a pod.
    #[error("filespec must match the canonical format: [[namespace/]pod:]file/path")]
    Format,
    /// There is no path.
    #[error("filepath can not be empty")]
    EmptyPath,
}

impl Location {
    /// Parses an argument. What begins with `/` or `.` is a local path, even if it contains a colon.
    pub fn parse(argument: &str) -> Result<Location, LocationError> {
        let remote = argument.split_once(':').filter(|_| !argument.starts_with(['/', '.']));
        let Some((pod, path)) = remote else {
            return match argument {
                "" => Err(LocationError::EmptyPath),
                path => Ok(Location::Local(path.into())),
            };
        };
        let (namespace, pod) = match pod.split_once('/') {
            Some((namespace, pod)) => (Some(namespace.to_string()), pod),
            None => (None, pod),
        };
        if pod.is_empty() || pod.contains('/') || namespace.as_deref() == Some("") {
            return Err(LocationError::Format);
        }
        let path = match path.trim_end_matches('/') {
            "" if path.is_empty() => return Err(LocationError::EmptyPath),
            "" => "/",
            path => path,
        };
        Ok(Location::Remote(RemotePath { namespace, pod: pod.into(), path: path.into() }))
    }
}

/// Splits a path in a container into directory and name. The directory is empty if the path has none. The name is `.`
/// for a path that ends without one, such as `/` or `a/..`.
pub fn split(path: &str) -> (&str, &str) {
    let (directory, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => ("", path),
    };
    match name {
        "" | "." | ".." => (path, "."),
        name => (directory, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(namespace: Option<&str>, pod: &str, path: &str) -> Result<Location, LocationError> {
        let namespace = namespace.map(Into::into);
        Ok(Location::Remote(RemotePath { namespace, pod: pod.into(), path: path.into() }))
    }

    #[test]
    fn arguments_are_local_or_name_a_pod() {
        for (argument, expected) in [
            ("web:/a", remote(None, "web", "/a")),
            ("web:a b/", remote(None, "web", "a b")),
            ("shop/web:/", remote(Some("shop"), "web", "/")),
            ("web:/a:b", remote(None, "web", "/a:b")),
            ("file", Ok(Location::Local("file".into()))),
            ("./a:b", Ok(Location::Local("./a:b".into()))),
            ("/tmp/a:b", Ok(Location::Local("/tmp/a:b".into()))),
            (":/a", Err(LocationError::Format)),
            ("a/b/c:/a", Err(LocationError::Format)),
            ("/web:", Ok(Location::Local("/web:".into()))),
            ("web:", Err(LocationError::EmptyPath)),
            ("", Err(LocationError::EmptyPath)),
        ] {
            assert_eq!(Location::parse(argument), expected, "{argument}");
        }
    }

    #[test]
    fn paths_are_split_at_their_last_part() {
        for (path, expected) in [
            ("/a/b", ("/a", "b")),
            ("/a", ("/", "a")),
            ("a", ("", "a")),
            ("/", ("/", ".")),
            (".", (".", ".")),
            ("a/..", ("a/..", ".")),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
