//! Image names: `nginx:1.14.2`, `registry.k8s.io/pause@sha256:…`, `./app.wasm`.

/// Returns whether `name` is the path of a file, rather than an image in a registry.
pub fn is_local_path(name: &str) -> bool {
    name.starts_with("./") || name.starts_with("../") || name.starts_with('/') || name.ends_with(".wasm")
}

/// Returns the full repository name without tag and digest (`docker.io/library/nginx`), or `None` if `name` is
/// not a valid image name.
pub fn canonical_repository(name: &str) -> Option<String> {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return None;
    }
    let last_component = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match rest.get(last_component..)?.split_once(':') {
        Some((last, tag)) => (rest.get(..last_component + last.len())?, Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    let (domain, path) = match repository.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
        _ => ("docker.io", repository),
    };
    if !path.split('/').all(is_path_component) {
        return None;
    }
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    Some(format!("{domain}/{library}{path}"))
}

/// Returns the detail that an error message appends to an invalid image name, beginning with a colon; empty if
/// there is no detail to add.
pub fn invalid_name_detail(name: &str) -> String {
    let path = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => path.to_string(),
        Some(_) => name.to_string(),
        None => format!("library/{name}"),
    };
    let repository = path.split_once(':').map_or(path.as_str(), |(repository, _)| repository);
    if repository.chars().any(char::is_uppercase) {
        return format!(": repository name ({repository}) must be lowercase");
    }
    String::new()
}

fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let allowed = |c: char| alphanumeric(c) || matches!(c, '.' | '_' | '-');
    part.starts_with(alphanumeric) && part.ends_with(alphanumeric) && part.chars().all(allowed)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = |c: char| word(c) || c == '.' || c == '-';
    tag.len() <= 128 && tag.chars().next().is_some_and(word) && tag.chars().all(rest)
}

fn is_digest(digest: &str) -> bool {
    let hex = |text: &str| text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    digest.split_once(':').is_some_and(|(algorithm, value)| !algorithm.is_empty() && hex(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_have_one_canonical_repository() {
        let digest = format!("nginx@sha256:{}", "0".repeat(64));
        for (name, expected) in [
            ("nginx", Some("docker.io/library/nginx")),
            ("nginx:1.14.2", Some("docker.io/library/nginx")),
            ("docker.io/nginx", Some("docker.io/library/nginx")),
            ("docker.io/library/nginx:latest", Some("docker.io/library/nginx")),
            (digest.as_str(), Some("docker.io/library/nginx")),
            ("someone/nginx", Some("docker.io/someone/nginx")),
            ("registry.k8s.io/pause:3.9", Some("registry.k8s.io/pause")),
            ("localhost:5000/a/b:1", Some("localhost:5000/a/b")),
            ("Nginx", None),
            ("nginx:", None),
            ("a b", None),
            ("nginx@sha256:zz", None),
            ("", None),
        ] {
            assert_eq!(canonical_repository(name).as_deref(), expected, "{name:?}");
        }
    }
}
