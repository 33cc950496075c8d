//! The layers: a file imports from its own module and from lower layers; layers 0 and 1 touch nothing outside.

use std::collections::BTreeSet;

use crate::source::{Finding, Source};
use crate::tokens::{Named, named};

/// The modules of each layer. A module never imports from another module of its own layer.
const LAYERS: &[(usize, &[&str])] = &[
    (0, &["model"]),
    (1, &["lifecycle", "control", "budget"]),
    (2, &["clock", "store", "files", "network", "logs"]),
    (3, &["events", "registry", "images", "volumes", "gateway", "streams"]),
    (4, &["runtime", "prober"]),
    (5, &["node", "controllers"]),
    (6, &["embedded", "apiserver"]),
    (7, &["cli"]),
];

/// Paths that layers 0 and 1 may not name: files, sockets, the system's clock and random numbers.
const IMPURE: &str = "std::fs TcpListener TcpStream UdpSocket UnixDatagram UnixListener UnixStream \
    Instant::now SystemTime Timestamp::now Zoned::now";
/// Crates that layers 0 and 1 may not name, with their families: `tokio` stands for `tokio_util`, too.
const IMPURE_CRATES: &[&str] = &["axum", "getrandom", "hyper", "rand", "tokio", "uuid", "wasmtime"];

/// The only module that names wasmtime and its family of crates.
const WASMTIME_MODULE: &str = "runtime";

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(layer, _)| *layer)
}

/// Finds differences between the table of the layers, the modules that exist and the rows of ARCHITECTURE.md
/// (`| 2 | `store` | … |`).
pub fn table(sources: &[Source], architecture: &str) -> Vec<String> {
    let rows = architecture.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.parse::<usize>().ok()?, cells.next()?.split('`').nth(1)?))
    });
    let documented: BTreeSet<(usize, &str)> = rows.collect();
    let listed: BTreeSet<(usize, &str)> =
        LAYERS.iter().flat_map(|(layer, modules)| modules.iter().map(|module| (*layer, *module))).collect();
    let existing: BTreeSet<String> = sources
        .iter()
        .filter_map(|source| module_path(&source.path)?.first().map(ToString::to_string))
        .filter(|module| module != "main" && module != "lib")
        .collect();
    let names: BTreeSet<String> = listed.iter().map(|(_, module)| (*module).to_string()).collect();
    let missing = names.difference(&existing).map(|module| format!("LAYERS names `{module}`, which does not exist"));
    let unlisted = existing.difference(&names).map(|module| format!("`{module}` is in no layer: add it to LAYERS"));
    let undocumented = listed.symmetric_difference(&documented);
    let undocumented = undocumented
        .map(|(layer, module)| format!("`{module}` is in layer {layer} of only one of LAYERS and ARCHITECTURE.md"));
    missing.chain(unlisted).chain(undocumented).collect()
}

/// Returns the module path of a file below src: `a/b/mod.rs` and `a/b.rs` are both in a::b. A crate of the workspace
/// has the name of the module as which the main crate re-exports it.
fn module_path(path: &str) -> Option<Vec<&str>> {
    if let Some((name, path)) = path.strip_prefix("crates/").and_then(|path| path.split_once("/src/")) {
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        return Some(std::iter::once(name).chain(path.split('/').filter(|part| *part != "lib")).collect());
    }
    let path = path.strip_prefix("src/")?.trim_end_matches(".rs");
    Some(path.strip_suffix("/mod").unwrap_or(path).split('/').collect())
}

/// Finds imports that do not go down. Cargo checks those of the workspace's other crates.
pub fn imports(source: &Source) -> Vec<Finding> {
    let path = module_path(&source.path).filter(|_| source.path.starts_with("src/"));
    let Some(path) = path else { return Vec::new() };
    let (module, mut findings) = (path.first().copied().unwrap_or_default(), Vec::new());
    if layer(module).is_none() && module != "main" && module != "lib" {
        let message = format!("`{module}` is in no layer: add it to LAYERS in tests/tidy and to ARCHITECTURE.md");
        findings.push(Finding::new(1, message));
    }
    for Named { line, path: imported, within, .. } in named(&source.text) {
        let supers = imported.iter().take_while(|part| **part == "super").count();
        let other = match imported.as_slice() {
            ["crate", other, ..] => other,
            ["wasmpod", other, ..] if module == "main" => other,
            _ if supers > 0 && supers == path.len() + within.len() => imported.get(supers).unwrap_or(&module),
            _ => continue,
        };
        findings.extend(objection(module, other).map(|message| Finding::new(line, message)));
    }
    findings
}

/// Returns why `module` may not import `other`, if it may not.
fn objection(module: &str, other: &str) -> Option<String> {
    match (layer(module), layer(other)) {
        _ if other == module || module == "lib" => None,
        (None, _) if module == "main" && other == "cli" => None,
        (None, _) if module == "main" => Some(format!("main imports only cli, not {other}")),
        (_, None) => Some(format!("`{other}` is in no layer: import from the module that owns the item")),
        (Some(own), Some(others)) if own == others => {
            Some(format!("{module} imports {other}, both in layer {own}: a higher layer connects them"))
        }
        (Some(own), Some(others)) if own < others => {
            Some(format!("{module} in layer {own} imports {other} in layer {others}: imports go down"))
        }
        _ => None,
    }
}

/// Finds paths in layers 0 and 1 that touch the outside.
pub fn impurities(source: &Source) -> Vec<Finding> {
    let module = module_path(&source.path).and_then(|path| path.first().copied()).unwrap_or_default();
    if layer(module).is_none_or(|layer| layer > 1) {
        return Vec::new();
    }
    let is_impure = |named: &Named| {
        let first = crate_family(named);
        let of_crate = IMPURE_CRATES.contains(&first) || first == "futures" && module != "control";
        let path = format!("::{}::", named.path.join("::"));
        of_crate && named.path.len() > 1 || IMPURE.split(' ').any(|part| path.contains(&format!("::{part}::")))
    };
    let finding = |named: &Named| Finding::new(named.line, format!("{module} is pure: no {}", named.path.join("::")));
    named(&source.text).iter().filter(|named| is_impure(named)).map(finding).collect()
}

/// Finds uses of wasmtime outside of its module.
pub fn wasmtime_uses(source: &Source) -> Vec<Finding> {
    let module = module_path(&source.path).and_then(|path| path.first().copied()).unwrap_or(WASMTIME_MODULE);
    let is_use = |named: &&Named| crate_family(named) == "wasmtime" && named.path.len() > 1;
    let finding = |named: &Named| {
        Finding::new(
            named.line,
            format!("{module} uses {}: only {WASMTIME_MODULE} uses wasmtime", named.path.join("::")),
        )
    };
    named(&source.text).iter().filter(|named| is_use(named) && module != WASMTIME_MODULE).map(finding).collect()
}

/// Returns the first part of a path up to its underscore: `tokio` for `tokio_util::sync`.
fn crate_family<'a>(named: &'a Named) -> &'a str {
    named.path.first().map_or("", |first| first.split('_').next().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::{LAYERS, imports, impurities, table, wasmtime_uses};
    use crate::source::{Source, assert_findings};

    #[test]
    fn layers_that_differ_from_the_modules_are_found() {
        let modules = || LAYERS.iter().flat_map(|(layer, modules)| modules.iter().map(move |module| (layer, module)));
        let all = || modules().map(|(_, module)| Source::new(&format!("src/{module}/mod.rs"), "")).collect::<Vec<_>>();
        let rows: String = modules().map(|(layer, module)| format!("| {layer} | `{module}` | objects |\n")).collect();
        assert_eq!(table(&all(), &rows), [""; 0]);
        let mut sources = all();
        sources.retain(|source| source.path != "src/store/mod.rs");
        sources.extend(["src/attic.rs", "src/main.rs", "crates/model/src/lib.rs"].map(|path| Source::new(path, "")));
        let found = table(&sources, &rows.replace("| 2 | `logs`", "| 3 | `logs`"));
        let wanted = [
            "LAYERS names `store`, which does not exist",
            "`attic` is in no layer: add it to LAYERS",
            "`logs` is in layer 2 of only one of LAYERS and ARCHITECTURE.md",
            "`logs` is in layer 3 of only one of LAYERS and ARCHITECTURE.md",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn imports_follow_the_layers() {
        let rows = [
            ("src/node/mod.rs", "use crate::{runtime::World, node::worker, clock::Clock};", 0),
            ("src/node/mod.rs", "use crate::{controllers::Scheduler, model::{names, pods}};", 1),
            ("src/store/mod.rs", "use crate::clock::Clock;", 1),
            ("src/control/pods.rs", "fn f() -> crate::cli::Flags { todo() }", 1),
            ("src/control/pods.rs", "// crate::cli\nconst X: &str = \"crate::cli\";", 0),
            ("src/control/pods.rs", "use super::super::cli; use super::names;", 1),
            ("src/control/pods.rs", "mod tests { use super::super::names; use super::super::super::cli; }", 1),
            ("src/control/mod.rs", "pub(super) fn f() {} mod tests { use super::*; }", 0),
            ("src/registry/mod.rs", "use crate::attic::Old;", 1),
            ("src/attic/mod.rs", "", 1),
            ("src/main.rs", "use wasmpod::cli; fn main() { wasmpod::cli::main() }", 0),
            ("src/main.rs", "use wasmpod::node::Node;", 1),
            ("src/lib.rs", "pub use crate::node::Node;", 0),
            ("tests/all/main.rs", "use crate::anything;", 0),
        ];
        assert_findings(imports, &rows);
    }

    #[test]
    fn pure_layers_name_nothing_impure() {
        let pure = "crates/lifecycle/src/pod.rs";
        let rows = [
            (pure, "use std::{fs, time::{Duration, Instant}}; use std::net::IpAddr;", 1),
            (pure, "let a = Instant::now(); let b = Timestamp::now();", 2),
            (pure, "use tokio::time; use wasmtime_wasi::p2::X; use futures_util::Stream;", 3),
            (pure, "let rand = 4; fn now(now: Now) -> SystemTime {}", 1),
            ("src/control/mod.rs", "use futures_util::Stream;", 0),
            ("src/store/mod.rs", "use tokio::sync::Notify;", 0),
        ];
        assert_findings(impurities, &rows);
    }
    #[test]
    fn only_the_runtime_names_wasmtime() {
        let rows = [
            ("src/runtime/mod.rs", "use wasmtime::Engine; use wasmtime_wasi::p2;", 0),
            ("src/node/mod.rs", "use wasmtime::Engine; use wasmtime_wasi::p2;", 2),
            ("src/node/mod.rs", "let wasmtime = 48;", 0),
            ("tests/all/main.rs", "use wasmtime::Engine;", 0),
        ];
        assert_findings(wasmtime_uses, &rows);
    }
}
