//! Unmodified programs of third parties.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{existing, pod, run, target};

fn program(name: &str) -> PathBuf {
    existing(target().join("third-party").join(name))
}

#[test]
fn ripgrep_searches_a_mounted_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("a/b")).expect("created");
    fs::write(dir.path().join("a/b/poem.txt"), "nothing\na needle in it\n").expect("written");
    fs::write(dir.path().join("other.txt"), "hay\n").expect("written");
    let spec = |pattern: &str| {
        format!(
            "restartPolicy: Never, volumes: [{{name: v, hostPath: {{path: {}}}}}], containers: [{{name: rg, image: {}, \
             args: [-n, {pattern}, /data], volumeMounts: [{{name: v, mountPath: /data, readOnly: true}}]}}]",
            Value::from(dir.path().to_string_lossy()),
            Value::from(program("rg.wasm").to_string_lossy()),
        )
    };
    let found = run().manifest(&pod("p", &spec("ne+dle"))).output().expect_code(0);
    assert_eq!(found.log("p/rg"), "/data/a/b/poem.txt:2:a needle in it\n");
    run().manifest(&pod("p", &spec("absent"))).output().expect_code(1);

    let volume = format!("{}:/data", dir.path().display());
    let bare = run().arg(program("rg.wasm")).args(["--volume", &volume, "--", "--files", "--sort", "path", "/data"]);
    assert_eq!(bare.output().expect_code(0).stdout, "/data/a/b/poem.txt\n/data/other.txt\n");
}

#[test]
fn python_component_prints_exits_and_recurses_to_an_exception() {
    let spec = format!(
        "restartPolicy: Never, containers: [{{name: py, image: {:?}, args: ['7', 'and more']}}]",
        program("hello-py.wasm")
    );
    let output = run().manifest(&pod("p", &spec)).args(["-o", "json"]).output().expect_code(0);
    assert_eq!(output.log("p/py"), "hello from Python 7 and more\n");
    assert_eq!(output.termination("py"), (0, "Completed".into()));
    // Compiling it takes seconds, so it is done once.
    let output = run().arg(program("hello-py.wasm")).args(["--", "recurse"]).output().expect_code(0);
    assert_eq!(output.stdout, "plain RecursionError\ngetattr RecursionError\nsorted RecursionError\n");
}
