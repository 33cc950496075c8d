//! The rules of the house, held against the source itself: floors, file lengths, pure rooms, names,
//! honest tests, reasons for dependencies, tests for invariants. ARCHITECTURE.md says why.

mod tokens;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs, io};

use tokens::{Named, Token, lex, named};

/// The rooms and their floors. A file imports from its own room and from lower floors; never from
/// another room of its own floor.
const FLOORS: &[(usize, &[&str])] = &[
    (0, &["model"]),
    (1, &["lifecycle", "scheduling", "control", "budget"]),
    (2, &["clock", "store", "files", "network", "logs"]),
    (3, &["events", "registry", "images", "volumes", "streams", "kube_client"]),
    (4, &["runtime", "prober"]),
    (5, &["node", "controllers"]),
    (6, &["embedded", "apiserver", "kubelet_api"]),
    (7, &["cli"]),
];

const LONGEST_FILE: usize = 500;

/// What floors 0 and 1 may not name: engines, servers, the system's clock, files, sockets and dice.
const IMPURE: &str = "std::fs TcpListener TcpStream UdpSocket UnixDatagram UnixListener UnixStream \
    Instant::now SystemTime Timestamp::now Zoned::now";
/// Crates, and their families: tokio is tokio-util, too.
const IMPURE_CRATES: &[&str] = &["axum", "getrandom", "hyper", "rand", "tokio", "uuid", "wasmtime"];

const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "util", "utils"];

struct Source {
    /// Relative to the repository's root, with slashes.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(root().join(path))
}

/// All Rust files of ours, sorted.
fn sources() -> io::Result<Vec<Source>> {
    let (mut found, root) = (Vec::new(), root());
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("benches")];
    for part in fs::read_dir(root.join("guests"))?.chain(fs::read_dir(root.join("crates"))?) {
        let path = part?.path();
        folders.extend([path.join("src"), path.join("tests")]);
    }
    while let Some(folder) = folders.pop() {
        // Not every guest has a src, and benches may be missing.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path)?;
                let path = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

// ---------------------------------------------------------------- rules

/// What a rule found wrong: lines, and what to say of them.
type Wrong = Vec<(usize, String)>;

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The modules of a file below src: `a/b/mod.rs` and `a/b.rs` are both in a::b. A crate of the workspace is named as
/// the module that the main crate re-exports it as.
fn modules(path: &str) -> Option<Vec<&str>> {
    if let Some((name, path)) = path.strip_prefix("crates/").and_then(|path| path.split_once("/src/")) {
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        return Some(std::iter::once(name).chain(path.split('/').filter(|part| *part != "lib")).collect());
    }
    let path = path.strip_prefix("src/")?.trim_end_matches(".rs");
    Some(path.strip_suffix("/mod").unwrap_or(path).split('/').collect())
}

fn imports(source: &Source) -> Wrong {
    // Cargo keeps the layers of crates.
    let Some(modules) = modules(&source.path).filter(|_| source.path.starts_with("src/")) else { return Vec::new() };
    let (room, mut wrong) = (modules.first().copied().unwrap_or_default(), Vec::new());
    let here = floor(room);
    if here.is_none() && room != "main" && room != "lib" {
        wrong.push((1, format!("`{room}` is on no floor: add it to FLOORS in tests/tidy and to ARCHITECTURE.md")));
    }
    for Named { line, path, within } in named(&source.text) {
        let supers = path.iter().take_while(|part| **part == "super").count();
        let other = match path.as_slice() {
            ["crate", other, ..] => other,
            ["wasmpod", other, ..] if room == "main" => other,
            _ if supers > 0 && supers == modules.len() + within.len() => path.get(supers).unwrap_or(&room),
            _ => continue,
        };
        let message = match (here, floor(other)) {
            _ if *other == room || room == "lib" => continue,
            (None, _) if room == "main" && *other == "cli" => continue,
            (None, _) if room == "main" => format!("main imports cli alone, not {other}"),
            (_, None) => format!("`{other}` is no room: import from the room that owns it"),
            (Some(here), Some(there)) if here == there => {
                format!("{room} imports {other}, both on floor {here}: the floor above introduces neighbours")
            }
            (Some(here), Some(there)) if here < there => {
                format!("{room} on floor {here} imports {other} on floor {there}: imports go down")
            }
            _ => continue,
        };
        wrong.push((line, message));
    }
    wrong
}

fn impurities(source: &Source) -> Wrong {
    let room = modules(&source.path).and_then(|modules| modules.first().copied()).unwrap_or_default();
    if floor(room).is_none_or(|floor| floor > 1) {
        return Vec::new();
    }
    let impure = |named: &Named| {
        let first = named.path.first().map_or("", |first| first.split('_').next().unwrap_or(first));
        let of_crate = IMPURE_CRATES.contains(&first) || first == "futures" && room != "control";
        let whole = format!("::{}::", named.path.join("::"));
        of_crate && named.path.len() > 1 || IMPURE.split(' ').any(|part| whole.contains(&format!("::{part}::")))
    };
    let say =
        |named: &Named| (named.line, format!("{room} decides and touches nothing, not {}", named.path.join("::")));
    named(&source.text).iter().filter(|named| impure(named)).map(say).collect()
}

fn length(source: &Source) -> Wrong {
    let lines = source.text.lines().count();
    if lines > LONGEST_FILE { vec![(lines, format!("more than {LONGEST_FILE} lines: split it"))] } else { Vec::new() }
}

fn names(source: &Source) -> Wrong {
    let folders = source.path.trim_end_matches(".rs").split('/').filter(|part| EMPTY_NAMES.contains(part));
    let mut wrong: Wrong = folders.map(|part| (1, format!("`{part}` says nothing: name what it owns"))).collect();
    for pair in lex(&source.text).windows(2) {
        let [keyword, Token { line, text: name }] = pair else { continue };
        if keyword.text == "mod" && EMPTY_NAMES.contains(name) {
            wrong.push((*line, format!("`mod {name}` says nothing: name what it owns")));
        }
        if ["struct", "enum", "trait", "type", "union"].contains(&keyword.text) && name.ends_with("Manager") {
            wrong.push((*line, format!("`{name}` says nothing: name what it does")));
        }
    }
    wrong
}

fn honesty(source: &Source) -> Wrong {
    let mut wrong = Vec::new();
    for next in lex(&source.text).windows(3) {
        if next.iter().map(|token| token.text).eq(["#", "[", "ignore"]) {
            wrong.extend(next.first().map(|hash| (hash.line, "an ignored test promises nothing".to_string())));
        }
    }
    let file_of_tests = source.path.starts_with("tests/") || source.path.ends_with("/tests.rs");
    for Named { line, path, within } in named(&source.text) {
        let sleeps = path.windows(2).any(|pair| pair == ["thread", "sleep"]);
        if sleeps && (file_of_tests || within.contains(&"tests")) {
            wrong.push((line, "tests don't sleep: pause time, or wait for what happens".to_string()));
        }
    }
    wrong
}

fn reasons(manifest: &str) -> Wrong {
    let (mut wrong, mut in_section, mut depth, mut before) = (Vec::new(), false, 0_isize, "");
    for (line, text) in (1..).zip(manifest.lines().map(str::trim)) {
        let mut crate_name = None;
        if depth == 0
            && let Some(header) = text.strip_prefix('[')
        {
            let header = header.trim_end_matches(']');
            in_section = header.ends_with("dependencies");
            // [dependencies.name]
            crate_name = header.rsplit_once('.').filter(|(of, _)| of.ends_with("dependencies")).map(|(_, name)| name);
        } else if !text.starts_with('#') {
            let key = text.split_once('=').map(|(key, _)| key.split('.').next().unwrap_or(key).trim());
            crate_name = key.filter(|_| in_section && depth == 0);
            depth += text.chars().map(|c| isize::from("[{".contains(c)) - isize::from("]}".contains(c))).sum::<isize>();
        }
        if let Some(name) = crate_name
            && !before.starts_with('#')
            && !text.ends_with(".workspace = true")
        {
            wrong.push((line, format!("why {name}? Give the reason in a comment above it")));
        }
        before = text;
    }
    wrong
}

/// The names of the tests in `text`: functions with an attribute that ends in `test`.
fn tests_in(text: &str) -> Vec<String> {
    let (tokens, mut found, mut is_test) = (lex(text), Vec::new(), false);
    for at in tokens.windows(3) {
        let [before, word, next] = at else { continue };
        match (before.text, word.text, next.text) {
            ("[" | "::", "test", "]" | "(") => is_test = true,
            (_, "fn", name) => found.extend(std::mem::take(&mut is_test).then(|| name.to_string())),
            _ => {}
        }
    }
    found
}

/// Invariants are the numbered lines below the heading `Invariants`, each ending in `— test: `name``.
fn invariants(architecture: &str, tests: &BTreeSet<String>) -> Wrong {
    let mut items: Vec<(usize, String)> = Vec::new();
    let lines = (1..).zip(architecture.lines());
    let below = lines.skip_while(|(_, text)| !(text.starts_with("## ") && text.ends_with("nvariants"))).skip(1);
    for (line, text) in below.take_while(|(_, text)| !text.starts_with("## ")) {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            items.push((line, text.to_string()));
        } else if let Some((_, item)) = items.last_mut() {
            *item += &format!(" {}", text.trim());
        }
    }
    let mut wrong = Vec::new();
    if items.is_empty() {
        wrong.push((1, "no numbered lines below `## Invariants`".to_string()));
    }
    for (number, (line, item)) in (1..).zip(&items) {
        if !item.starts_with(&format!("{number}. ")) {
            wrong.push((*line, format!("this is invariant {number}")));
        }
        let given = item.rsplit_once("— test: ").map_or("", |(_, given)| given);
        let names: Vec<&str> = given.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push((*line, format!("invariant {number} names no test (— test: `name`)")));
        }
        for name in names.into_iter().filter(|name| !tests.contains(*name)) {
            wrong.push((*line, format!("invariant {number} names `{name}`, which is no test")));
        }
    }
    wrong
}

// ---------------------------------------------------------------- the house

fn none(wrong: impl IntoIterator<Item = (String, Wrong)>) {
    let lines = wrong
        .into_iter()
        .flat_map(|(path, wrong)| wrong.into_iter().map(move |(n, what)| format!("{path}:{n}: {what}")));
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn source_follows_the_rules() {
    let sources = sources().expect("the source can be read");
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "found no source");
    let rules = [imports, impurities, length, names, honesty];
    none(sources.iter().map(|source| (source.path.clone(), rules.iter().flat_map(|rule| rule(source)).collect())));
}

#[test]
fn dependencies_have_reasons() {
    let manifests = ["Cargo.toml", "crates/lifecycle/Cargo.toml", "crates/model/Cargo.toml"];
    none(manifests.map(|path| (path.into(), reasons(&read(path).expect("it is there")))));
}

#[test]
fn invariants_have_tests() {
    let tests = sources().expect("the source").iter().flat_map(|source| tests_in(&source.text)).collect();
    let text = read("ARCHITECTURE.md").expect("it is there");
    none([("ARCHITECTURE.md".into(), invariants(&text, &tests))]);
}

// ---------------------------------------------------------------- the rules themselves

/// Each row is a file, what it says, and how often `rule` objects.
fn judge(rule: impl Fn(&Source) -> Wrong, rows: &[(&str, &str, usize)]) {
    for (path, text, want) in rows {
        let wrong = rule(&Source { path: (*path).into(), text: (*text).into() });
        assert_eq!(wrong.len(), *want, "{path}: {text}\n{wrong:#?}");
    }
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
    judge(imports, &rows);
}

#[test]
fn pure_layers_name_nothing_impure() {
    let inside = "crates/lifecycle/src/pod.rs";
    let rows = [
        (inside, "use std::{fs, time::{Duration, Instant}}; use std::net::IpAddr;", 1),
        (inside, "let a = Instant::now(); let b = Timestamp::now();", 2),
        (inside, "use tokio::time; use wasmtime_wasi::p2::X; use futures_util::Stream;", 3),
        (inside, "let rand = 4; fn now(now: Now) -> SystemTime {}", 1),
        ("src/control/mod.rs", "use futures_util::Stream;", 0),
        ("src/store/mod.rs", "use tokio::sync::Notify;", 0),
    ];
    judge(impurities, &rows);
}

#[test]
fn rules_object_to_long_files_empty_names_and_sleeps() {
    judge(length, &[("src/a.rs", &"\n".repeat(500), 0), ("src/a.rs", &"\n".repeat(501), 1)]);
    let hollow = "mod helpers; struct PodManager; struct Managers; type X = M;";
    judge(names, &[("src/node/mod.rs", hollow, 2), ("src/node/utils.rs", "", 1), ("src/utilities.rs", "", 0)]);
    let sleep = "fn f() { std::thread::sleep(T) } mod tests { use std::thread; fn g() { thread::sleep(T) } }";
    judge(honesty, &[("src/a/b.rs", sleep, 1), ("src/a/tests.rs", sleep, 2), ("tests/all/x.rs", sleep, 2)]);
    judge(honesty, &[("src/a/b.rs", "#[ignore = \"slow\"] fn f() {} // #[ignore]", 1)]);
}

#[test]
fn dependency_rule_objects_to_missing_reasons() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n# Why.\nc = { features = [\n\
        \"d\",\n] }\n[dependencies.e]\nversion = \"1\"\n[lints]\nf = 1\n";
    let wrong = reasons(manifest);
    assert!(matches!(wrong.as_slice(), [(6, _), (11, _)]), "{wrong:#?}");

    let tests = tests_in("#[tokio::test(x)]\nasync fn a() {}\nfn b() {}\n#[test]\nfn c() {}").into_iter().collect();
    let text = "## Invariants\n\n1. One,\n   wrapped — test: `a`\n2. Two — test: `b`\n4. Four\n\n## More\n1. Not one\n";
    let wrong = invariants(text, &tests);
    assert_eq!(wrong.len(), 3, "{wrong:#?}");
    assert_eq!(invariants("# Nothing", &tests).len(), 1);
}
