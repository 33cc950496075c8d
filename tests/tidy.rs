//! The rules of the house, held against the source itself: floors, file lengths, pure rooms, names,
//! honest tests, reasons for dependencies, tests for invariants. ARCHITECTURE.md says why.
//!
//! It reads Rust by tokens, without comments and literals; that is enough for paths and names.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs, io};

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
    for guest in fs::read_dir(root.join("wasm-examples"))? {
        folders.push(guest?.path().join("src"));
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

/// A word, `::`, or one character; a literal is `""`.
struct Token<'a> {
    line: usize,
    text: &'a str,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Where the string literal that starts `text` ends, prefix (`b`, `r#`, …) included.
fn string_end(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_start_matches(['b', 'c', 'r', '#']).len();
    let (prefix, body) = (text.get(..start)?, text.get(start..)?.strip_prefix('"')?);
    let letters = prefix.trim_end_matches('#');
    let raw = letters.ends_with('r');
    if !["", "b", "c", "r", "br", "cr"].contains(&letters) || (letters != prefix && !raw) {
        return None;
    }
    let close = format!("\"{}", prefix.trim_start_matches(char::is_alphabetic));
    let escaped = |at| !raw && body.get(..at).is_some_and(|b| (b.len() - b.trim_end_matches('\\').len()) % 2 == 1);
    let end = body.match_indices(&close).find(|(at, _)| !escaped(*at)).map_or(body.len(), |(at, _)| at + close.len());
    Some(start + 1 + end)
}

/// Where the block comment that starts `text` ends; they nest.
fn comment_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, pair) in text.as_bytes().windows(2).enumerate() {
        depth += i32::from(pair == b"/*") - i32::from(pair == b"*/");
        if depth == 0 {
            return at + 2;
        }
    }
    text.len()
}

/// Where the character literal that starts `text` ends; a lifetime is none.
fn character_end(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let escaped = body.starts_with('\\');
    let close = if escaped { body.get(2..)?.find('\'')? + 2 } else { body.chars().next()?.len_utf8() };
    body.get(close..)?.starts_with('\'').then_some(close + 2)
}

fn lex(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(rest) = text.get(at..)
        && let Some(c) = rest.chars().next()
    {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (len, token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            (comment_end(rest), None)
        } else if let Some(end) = string_end(rest).or_else(|| character_end(rest)) {
            (end, Some("\"\""))
        } else if word > 0 {
            (word, rest.get(..word))
        } else if rest.starts_with("::") {
            (2, Some("::"))
        } else {
            (c.len_utf8(), rest.get(..c.len_utf8()).filter(|_| !c.is_whitespace()))
        };
        tokens.extend(token.map(|text| Token { line, text }));
        line += rest.get(..len).map_or(0, |passed| passed.matches('\n').count());
        at += len;
    }
    tokens
}

/// A path that is named: `use a::{b, c::d}` names `a::b` and `a::c::d`.
#[derive(Debug, PartialEq)]
struct Named<'a> {
    line: usize,
    path: Vec<&'a str>,
    /// The inline modules around it.
    within: Vec<&'a str>,
}

fn named(text: &str) -> Vec<Named<'_>> {
    let tokens = lex(text);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (mut found, mut at, mut depth, mut modules) = (Vec::new(), 0, 0_usize, Vec::new());
    while at < tokens.len() {
        match text(at) {
            "{" => {
                depth += 1;
                if at >= 2 && text(at - 2) == "mod" {
                    modules.push((text(at - 1), depth));
                }
            }
            "}" => {
                modules.pop_if(|(_, opened)| *opened == depth);
                depth = depth.saturating_sub(1);
            }
            // What follows `>::` ended a path with type arguments.
            word if word.starts_with(is_word) && !(at >= 2 && text(at - 1) == "::" && text(at - 2) == ">") => {
                let within: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
                at = read_path(&tokens, at, &[], &within, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path at `at`, which continues `path`, and returns where it ends.
fn read_path<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    path: &[&'a str],
    within: &[&'a str],
    found: &mut Vec<Named<'a>>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (line, mut path) = (tokens.get(at).map_or(0, |token| token.line), path.to_vec());
    loop {
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                at = match text(at) {
                    "as" => at + 2,
                    "," => at + 1,
                    _ => read_path(tokens, at, &path, within, found),
                };
            }
            return at + 1;
        }
        path.push(text(at));
        if text(at + 1) != "::" || !text(at + 2).starts_with(|c| is_word(c) || c == '{' || c == '*') {
            found.push(Named { line, path, within: within.to_vec() });
            return at + 1;
        }
        at += 2;
    }
}

// ---------------------------------------------------------------- rules

/// What a rule found wrong: lines, and what to say of them.
type Wrong = Vec<(usize, String)>;

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The modules of a file below src: `a/b/mod.rs` and `a/b.rs` are both in a::b.
fn modules(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix("src/")?.trim_end_matches(".rs");
    Some(path.strip_suffix("/mod").unwrap_or(path).split('/').collect())
}

fn imports(source: &Source) -> Wrong {
    let Some(modules) = modules(&source.path) else { return Vec::new() };
    let (room, mut wrong) = (modules.first().copied().unwrap_or_default(), Vec::new());
    let here = floor(room);
    if here.is_none() && room != "main" && room != "lib" {
        wrong.push((1, format!("`{room}` is on no floor: add it to FLOORS in tests/tidy.rs and to ARCHITECTURE.md")));
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
fn the_source_keeps_the_rules() {
    let sources = sources().expect("the source can be read");
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "found no source");
    let rules = [imports, impurities, length, names, honesty];
    none(sources.iter().map(|source| (source.path.clone(), rules.iter().flat_map(|rule| rule(source)).collect())));
}

#[test]
fn dependencies_have_reasons() {
    none([("Cargo.toml".into(), reasons(&read("Cargo.toml").expect("it is there")))]);
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
fn paths_are_read_through_groups_comments_and_literals() {
    for (text, want) in [
        ("use a::{b, c::{d as e, *}, self};", "use a::b a::c::d a::c::* a::self"),
        ("use a::{\n  b::c, // d::e\n};\nx::y()", "use a::b::c x::y"),
        ("/* a /* b */ c */ d::e", "d::e"),
        (r#""a::b" 'c' b"\"d" e::f"#, "e::f"),
        (r##"r#"a" b::c"# '\'' '"' d::e"##, "d::e"),
        ("fn f<'a>(b: &'a c::D)", "fn f a b a c::D"),
        ("Vec::<a::B>::new() + ::std::fs::read", "Vec a::B std::fs::read"),
    ] {
        let all: Vec<String> = named(text).iter().map(|named| named.path.join("::")).collect();
        assert_eq!(all.join(" "), want, "{text}");
    }
}

#[test]
fn imports_are_judged_by_floor() {
    let rows = [
        ("src/node/mod.rs", "use crate::{runtime::World, node::worker, clock::Clock};", 0),
        ("src/node/mod.rs", "use crate::{controllers::Scheduler, model::{names, pods}};", 1),
        ("src/store/mod.rs", "use crate::clock::Clock;", 1),
        ("src/model/pods.rs", "fn f() -> crate::cli::Flags { todo() }", 1),
        ("src/model/pods.rs", "// crate::cli\nconst X: &str = \"crate::cli\";", 0),
        ("src/model/pods.rs", "use super::super::cli; use super::names;", 1),
        ("src/model/pods.rs", "mod tests { use super::super::names; use super::super::super::cli; }", 1),
        ("src/model/mod.rs", "pub(super) fn f() {} mod tests { use super::*; }", 0),
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
fn pure_rooms_are_judged_by_what_they_name() {
    let inside = "src/lifecycle/pod.rs";
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
fn files_names_and_tests_are_judged() {
    judge(length, &[("src/a.rs", &"\n".repeat(500), 0), ("src/a.rs", &"\n".repeat(501), 1)]);
    let hollow = "mod helpers; struct PodManager; struct Managers; type X = M;";
    judge(names, &[("src/node/mod.rs", hollow, 2), ("src/node/utils.rs", "", 1), ("src/utilities.rs", "", 0)]);
    let sleep = "fn f() { std::thread::sleep(T) } mod tests { use std::thread; fn g() { thread::sleep(T) } }";
    judge(honesty, &[("src/a/b.rs", sleep, 1), ("src/a/tests.rs", sleep, 2), ("tests/all/x.rs", sleep, 2)]);
    judge(honesty, &[("src/a/b.rs", "#[ignore = \"slow\"] fn f() {} // #[ignore]", 1)]);
}

#[test]
fn dependencies_and_invariants_are_judged() {
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
