//! Programs of other proposals, formats and versions: they run, or are refused by name before they are compiled.
//!
//! `tests/programs` holds them as text (`NAME.wat`) and assembled (`NAME.wasm`, without names).

use std::fs;

use crate::support::{ProcessOutput, pod, run, test_file};

/// Runs a program of `tests/programs` by itself, with an empty compile cache. Returns its output and the number of compiled
/// programs.
fn run_program(name: &str) -> (ProcessOutput, usize) {
    let cache = tempfile::tempdir().expect("a directory");
    let program = test_file("programs").join(format!("{name}.wasm"));
    let output = run().arg(program).env("XDG_CACHE_HOME", cache.path()).dir(cache.path()).output();
    let compiled = fs::read_dir(cache.path().join("wasmpod")).map_or(0, Iterator::count);
    (output, compiled)
}

/// Returns why a program of `tests/programs` cannot run.
fn refusal(name: &str) -> String {
    let (output, compiled) = run_program(name);
    assert_eq!((output.code, output.stdout.as_str(), compiled), (2, "", 0), "{name}: {output:?}");
    let reason = output.stderr.split_once(&format!("{name}.wasm: ")).map(|(_, reason)| reason.trim_end());
    reason.unwrap_or_else(|| panic!("{name}: {}", output.stderr)).to_string()
}

#[track_caller]
fn check_refusals(cases: &[(&str, &str)]) {
    for (name, expected) in cases {
        assert_eq!(refusal(name), *expected, "{name}");
    }
}

#[test]
fn all_missing_imports_are_named_before_compiling() {
    check_refusals(&[
        (
            "core_imports",
            "unknown imports: wasi_snapshot_preview1::fd_write as (i32) -> (i32) instead of (i32, i32, i32, i32) -> \
             (i32), env::memory, env::a, wasi::thread-spawn; wasmpod provides WASI and `wasmpod:lifecycle` only; \
             wasi-threads is not supported; rebuild the program without threads",
        ),
        (
            "preview0",
            "unknown imports: wasi_unstable::fd_write, wasi_unstable::proc_exit; `wasi_unstable` is preview 0 of WASI; \
             rebuild the program for `wasm32-wasip1`",
        ),
        (
            "component_imports",
            "unknown imports: wasi:keyvalue/store@0.2.0-draft, wasi:cli/stdout@0.2.0-rc-2023-12-05, \
             wasi:cli/exit@0.2.13#exit-nicely, my:own/thing, plain; `0.2.0-draft` is a draft of WASI 0.2; rebuild the \
             program with tools of the released version; `0.2.0-rc-2023-12-05` is a draft of WASI 0.2; rebuild the \
             program with tools of the released version; wasmpod provides WASI and `wasmpod:lifecycle` only",
        ),
        (
            "wrong_import_type",
            "imports do not match: component imports instance `wasi:cli/environment@0.2.0`, but a matching \
             implementation was not found in the linker: instance export `get-arguments` has the wrong type: type \
             mismatch with results: expected `list` found `u32`; build it for WASI 0.2 or 0.3 (`--target \
             wasm32-wasip2`)",
        ),
    ]);
}

#[test]
fn entry_points_of_other_types_are_refused() {
    let start = |ty: &str| format!("exports `_start` as {ty} instead of a function () -> (); build a command instead");
    check_refusals(&[
        ("start_parameter", &start("a function (i32) -> ()")),
        ("start_result", &start("a function () -> (i32)")),
        ("start_import", &start("a function () -> (i32)")),
        ("start_memory", &start("a memory")),
        (
            "wrong_run",
            "exports `wasi:cli/run@0.2.0`, but its `run` is not a function () -> (result); build a command instead",
        ),
        (
            "draft_run",
            "exports `wasi:cli/run@0.2.0-rc-2023-12-05`, a draft of WASI; rebuild it with tools for WASI 0.2 (`--target \
             wasm32-wasip2`)",
        ),
        (
            "future_run",
            "exports `wasi:cli/run@0.4.0`, but wasmpod runs `wasi:cli/run` of WASI 0.2 and 0.3 only; build it for one of \
             them",
        ),
        ("http_handler", "wasi:http components are not supported yet; build a command instead"),
    ]);
    assert_eq!(run_program("run").0.code, 0, "the right type runs");
}

#[test]
fn unsupported_proposals_are_named() {
    let needs = |proposal: &str, remedy: &str| {
        format!("needs the WebAssembly {proposal} proposal, which wasmpod does not support; {remedy}")
    };
    check_refusals(&[
        ("threads", &needs("threads", "build it without threads")),
        ("atomics", &needs("threads", "build it without threads")),
        ("stack_switching", &needs("stack-switching", "build it without stack switching")),
        ("custom_page_sizes", &needs("custom-page-sizes", "build it with pages of 64 KiB")),
        ("legacy_exceptions", &needs("legacy exception-handling", "build it with `-wasm-use-legacy-eh=false`")),
    ]);
}

#[test]
fn programs_of_supported_proposals_run() {
    for name in [
        "exceptions",
        "garbage_collection",
        "gc_garbage",
        "reference_types",
        "function_references",
        "tail_calls",
        "memory64",
        "multi_memory",
        "wide_arithmetic",
        "relaxed_simd",
        "extended_const",
    ] {
        let (output, _) = run_program(name);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn collected_objects_count_against_the_memory_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let run_with = |name: &str, limit: &str| {
        let program = test_file("programs").join(format!("{name}.wasm"));
        let spec = format!(
            "restartPolicy: Never, containers: [{{name: c, image: {program:?}, resources: {{limits: {{memory: \
             {limit}}}}}}}]"
        );
        run().manifest(&pod("p", &spec)).args(["-o", "json"]).dir(dir.path()).output().termination("c")
    };
    assert_eq!(run_with("gc_hog", "32Mi"), (137, "OOMKilled".into()));
    assert_eq!(run_with("gc_garbage", "4Mi"), (0, "Completed".into()), "garbage is collected");
}

#[test]
fn every_program_is_assembled() {
    for entry in fs::read_dir(test_file("programs")).expect("the directory") {
        let path = entry.expect("an entry").path();
        assert!(path.with_extension("wasm").exists() && path.with_extension("wat").exists(), "{}", path.display());
    }
}
