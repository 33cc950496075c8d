//! Tests: their names, and that they run and do not sleep.

use std::ops::Range;

use crate::source::{Finding, Source};
use crate::tokens::{Named, Token, lex, named};

const MAX_TEST_NAME: usize = 60;

/// The file of `eventually`, the only one of the tests that sleeps.
const WAITING: &str = "tests/support/src/waiting.rs";

/// Returns the tests of a source with their lines: functions with an attribute that ends in `test`.
pub fn tests(source: &Source) -> Vec<(usize, String)> {
    let (tokens, mut found, mut is_test) = (lex(&source.text), Vec::new(), false);
    for next in tokens.windows(3) {
        let [before, word, after] = next else { continue };
        match (before.text, word.text, after.text) {
            ("[" | "::", "test", "]" | "(") => is_test = true,
            (_, "fn", name) => {
                found.extend(std::mem::take(&mut is_test).then(|| (after.line, name.to_string())));
            }
            _ => {}
        }
    }
    found
}

/// Finds test names that are too long to be read.
pub fn long_names(source: &Source) -> Vec<Finding> {
    let long = tests(source).into_iter().filter(|(_, name)| name.len() > MAX_TEST_NAME);
    long.map(|(line, name)| Finding::new(line, format!("`{name}` is longer than {MAX_TEST_NAME} characters"))).collect()
}

/// Finds ignored tests.
pub fn ignored(source: &Source) -> Vec<Finding> {
    let tokens = lex(&source.text);
    let attributes = tokens.windows(3).filter(|next| next.iter().map(|token| token.text).eq(["#", "[", "ignore"]));
    let first = attributes.filter_map(|next| next.first());
    first.map(|hash| Finding::new(hash.line, "an ignored test checks nothing")).collect()
}

/// A function with a body.
struct Function {
    /// The positions of the tokens of the body.
    body: Range<usize>,
    is_test: bool,
    /// Whether it is a test that pauses time.
    pauses_time: bool,
}

/// Returns the functions of a source, an inner one after the one around it.
fn functions(tokens: &[Token]) -> Vec<Function> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    // The attributes since the end of the last item or statement.
    let (mut found, mut is_test, mut pauses_time) = (Vec::new(), false, false);
    for at in 0..tokens.len() {
        match text(at) {
            "test" if matches!(text(at.wrapping_sub(1)), "[" | "::") && matches!(text(at + 1), "]" | "(") => {
                is_test = true
            }
            "start_paused" => pauses_time = is_test,
            "fn" => {
                found.extend(body(tokens, at).map(|body| Function { body, is_test, pauses_time }));
                (is_test, pauses_time) = (false, false);
            }
            _ => {}
        }
    }
    found
}

/// Returns the positions of the body of the function whose `fn` is at this position, if it has one.
fn body(tokens: &[Token], function: usize) -> Option<Range<usize>> {
    let rest = || tokens.iter().enumerate().skip(function);
    let (start, _) =
        rest().find(|(_, token)| matches!(token.text, "{" | ";")).filter(|(_, token)| token.text == "{")?;
    let mut depth = 0_usize;
    let end = rest().skip(start - function).find(|(_, token)| {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    Some(start..end.map_or(tokens.len(), |(end, _)| end))
}

/// Finds tests that sleep in real time. In unit tests, Tokio's sleep is allowed where time is paused: in a test that
/// pauses it, and in the other functions of a file with such a test.
pub fn sleeps(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || source.path == WAITING {
        return Vec::new();
    }
    let is_integration_test = source.path.split('/').any(|part| part == "tests");
    let is_unit_tests = source.path.ends_with("/tests.rs") || source.path.ends_with("_tests.rs");
    let functions = functions(&lex(&source.text));
    let has_paused_tests = functions.iter().any(|function| function.pauses_time);
    let mut findings = Vec::new();
    for Named { line, token, path, within } in named(&source.text) {
        let is_test = is_integration_test || is_unit_tests || within.contains(&"tests");
        let names = |pair: [&str; 2]| path.windows(2).any(|parts| parts == pair);
        let sleeps_on_tokio = names(["time", "sleep"]) || names(["time", "sleep_until"]) || names(["time", "interval"]);
        let test = functions.iter().rfind(|function| function.is_test && function.body.contains(&token));
        let is_paused = test.map_or(has_paused_tests, |test| test.pauses_time) && !is_integration_test;
        if is_test && (names(["thread", "sleep"]) || sleeps_on_tokio && !is_paused) {
            findings.push(Finding::new(line, "tests do not sleep: pause time, or wait with `eventually`"));
        }
    }
    findings
}

#[test]
fn tests_are_functions_with_a_test_attribute() {
    let text = "#[tokio::test(x)]\nasync fn a() {}\nfn b() {}\n#[test]\nfn c() {}";
    assert_eq!(tests(&Source::new("src/a.rs", text)), [(2, "a".to_string()), (5, "c".to_string())]);
}

#[test]
fn long_test_names_are_found() {
    let test = |len: usize| format!("#[test] fn {}() {{}} fn {}() {{}}", "a".repeat(len), "b".repeat(99));
    let rows = [("src/a.rs", &*test(60), 0), ("src/a.rs", &*test(61), 1)];
    crate::source::assert_findings(long_names, &rows);
}

#[test]
fn ignored_tests_are_found() {
    crate::source::assert_findings(ignored, &[("src/a.rs", "#[ignore = \"slow\"] fn f() {} // #[ignore]", 1)]);
}

#[test]
fn tests_that_sleep_are_found() {
    let thread = "fn f() { std::thread::sleep(T) } mod tests { use std::thread; fn g() { thread::sleep(T) } }";
    let tokio = "use tokio::time; async fn f() { time::sleep(T).await; tokio::time::interval(T) }";
    let paused = "#[tokio::test(start_paused = true)] async fn f() { tokio::time::sleep(T) }";
    let real = "#[tokio::test(flavor = \"multi_thread\")] async fn g() { tokio::time::sleep(T) }";
    let helper = "async fn h() { tokio::time::sleep(T) }";
    let rows = [
        ("src/a/b.rs", thread, 1),
        ("src/a/tests.rs", thread, 2),
        ("tests/all/x.rs", thread, 2),
        ("src/a/b.rs", tokio, 0),
        ("src/a/object_tests.rs", tokio, 2),
        ("src/a/tests.rs", paused, 0),
        ("src/a/tests.rs", &format!("{paused} {helper}"), 0),
        ("src/a/tests.rs", &format!("{real} {helper}"), 2),
        ("src/a/tests.rs", &format!("{paused} {real} {helper}"), 1),
        ("src/a/tests.rs", &format!("{real} {paused}"), 1),
        ("crates/a/tests/x.rs", paused, 1),
        (WAITING, tokio, 0),
        ("benches/x.rs", tokio, 0),
    ];
    crate::source::assert_findings(sleeps, &rows);
}
