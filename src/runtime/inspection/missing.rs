//! Imports that wasmpod does not provide, and what to do about them.

use std::fmt;

/// A remedy for imports whose module or interface begins like this.
const ORIGINS: [(&str, &str); 8] = [
    ("wasi_unstable", "`wasi_unstable` is preview 0 of WASI; rebuild the program for `wasm32-wasip1`"),
    ("wasix_", "WASIX is not supported; rebuild the program for `wasm32-wasip1`"),
    ("wasi::", "wasi-threads is not supported; rebuild the program without threads"),
    ("gojs::", "the program was built for JavaScript; build it with `GOOS=wasip1`"),
    ("go::", "the program was built for JavaScript; build it with `GOOS=wasip1`"),
    ("wbg::", "the program was built for wasm-bindgen and JavaScript; build it for `wasm32-wasip2`"),
    ("__wbindgen", "the program was built for wasm-bindgen and JavaScript; build it for `wasm32-wasip2`"),
    ("./", "the program was built for JavaScript; build it for WASI"),
];

/// Maximum number of names in a message.
const MAX_NAMES: usize = 200;

/// The imports of a program that wasmpod does not provide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImports {
    names: Vec<String>,
}

impl MissingImports {
    /// Returns the missing imports with these names, in the order of the program; `None` if there are none.
    pub fn new(names: Vec<String>) -> Option<MissingImports> {
        (!names.is_empty()).then_some(MissingImports { names })
    }
}

impl fmt::Display for MissingImports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, hidden) = self.names.split_at(self.names.len().min(MAX_NAMES));
        write!(f, "unknown imports: {}", shown.join(", "))?;
        if !hidden.is_empty() {
            write!(f, " and {} more", hidden.len())?;
        }
        let mut remedies: Vec<String> = Vec::new();
        for name in &self.names {
            let remedy = remedy(name);
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        write!(f, "; {}", remedies.join("; "))
    }
}

fn remedy(name: &str) -> String {
    if let Some((_, version)) = name.split_once('@')
        && name.starts_with("wasi:")
    {
        let version = version.split([' ', '#']).next().unwrap_or(version);
        if let Some((released, _)) = version.split_once('-') {
            let track = released.rsplit_once('.').map_or(released, |(track, _)| track);
            return format!(
                "`{version}` is a draft of WASI {track}; rebuild the program with tools of the released version"
            );
        }
    }
    match ORIGINS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some((_, remedy)) => (*remedy).into(),
        None => "wasmpod provides WASI and `wasmpod:lifecycle` only".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_follows_the_origin_of_the_import() {
        for (name, part) in [
            ("wasi_unstable::fd_write", "preview 0"),
            ("wasi:cli/stdout@0.2.0-rc-2023-12-05", "a draft of WASI 0.2"),
            ("wasi:cli/stdout@0.3.0-rc-2026-01-06#get", "`0.3.0-rc-2026-01-06` is a draft of WASI 0.3"),
            ("wasix_32v1::fd_dup", "WASIX"),
            ("wasi::thread-spawn", "without threads"),
            ("gojs::runtime.wasmExit", "GOOS=wasip1"),
            ("wbg::__wbindgen_throw", "wasm-bindgen"),
            ("env::abort", "provides WASI and"),
            ("wasi:nn/tensor@0.2.0-rc-2024-10-28", "a draft"),
            ("wasi:keyvalue/store@0.2.0", "provides WASI and"),
        ] {
            let missing = MissingImports::new(vec![name.into(), name.into()]).expect("missing").to_string();
            assert!(missing.starts_with(&format!("unknown imports: {name}, {name}; ")), "{missing}");
            assert_eq!(missing.matches(part).count(), 1, "{missing}");
        }
    }
}
