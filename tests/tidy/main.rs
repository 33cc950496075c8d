//! Checks the source against the rules of the project: layers, file lengths, names, phrases, honest tests, reasons for
//! dependencies, documented invariants. CONTRIBUTING.md explains the rules; each module here tests its own.
#![expect(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod dependencies;
mod documents;
mod layers;
mod names;
mod phrases;
mod source;
mod testing;
mod tokens;

use std::collections::BTreeSet;

use source::{Finding, Source, documents, read, sources};

type Rule = fn(&Source) -> Vec<Finding>;

/// Rules for all sources.
const RULES: &[Rule] = &[
    source::length,
    source::tunnels,
    layers::imports,
    layers::impurities,
    layers::wasmtime_uses,
    names::empty_names,
    names::limits,
    names::predicates,
    testing::ignored,
    testing::long_names,
    testing::sleeps,
];

/// Fails with a line for each finding.
fn assert_none(findings: impl IntoIterator<Item = (String, Vec<Finding>)>) {
    let lines = findings.into_iter().flat_map(|(path, findings)| {
        findings.into_iter().map(move |Finding { line, message }| format!("{path}:{line}: {message}"))
    });
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// Returns the names of all tests.
fn tests() -> BTreeSet<String> {
    sources().iter().flat_map(testing::tests).map(|(_, name)| name).collect()
}

#[test]
fn source_follows_the_rules() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "found no source");
    let check = |source: &Source| RULES.iter().flat_map(|rule| rule(source)).collect();
    assert_none(sources.iter().map(|source| (source.path.clone(), check(source))));
}

#[test]
fn layers_are_the_existing_modules() {
    let differences = layers::table(&sources(), &read("ARCHITECTURE.md"));
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

#[test]
fn phrases_are_plain() {
    let kubernetes_texts = phrases::KubernetesTexts::read();
    let check = |source: Source| (source.path.clone(), phrases::banned(&source, &kubernetes_texts));
    assert_none(sources().into_iter().chain(documents()).map(check));
}

#[test]
fn kubernetes_texts_are_all_needed() {
    let texts: Vec<String> = sources().into_iter().chain(documents()).flat_map(|s| phrases::paragraphs(&s)).collect();
    assert_none([("tests/tidy/kubernetes-texts.txt".into(), phrases::KubernetesTexts::read().unused(&texts))]);
}

#[test]
fn dependencies_have_reasons() {
    let manifests = [
        "Cargo.toml",
        "crates/lifecycle/Cargo.toml",
        "crates/model/Cargo.toml",
        "tests/clients/Cargo.toml",
        "tests/support/Cargo.toml",
    ];
    assert_none(manifests.map(|path| (path.into(), dependencies::reasons(&read(path)))));
}

#[test]
fn invariants_name_existing_tests() {
    let findings = documents::invariants(&read("ARCHITECTURE.md"), &tests());
    assert_none([("ARCHITECTURE.md".into(), findings)]);
}

#[test]
fn kubernetes_rows_name_existing_tests() {
    const PATH: &str = "docs/kubernetes-behaviour.md";
    assert_none([(PATH.into(), documents::kubernetes_rows(&read(PATH), &tests()))]);
}
