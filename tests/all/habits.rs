//! Commands, flags and files of other tools get an answer that names wasmpod's own.

use crate::support::{command, run};

#[test]
fn foreign_commands_name_the_right_one() {
    for (name, args, expected) in [
        ("up", &["-d"][..], "use `wasmpod run FILE`"),
        ("compose", &["-f", "compose.yaml", "up"], "describe the containers in a Pod manifest"),
        ("stop", &["web"], "use `wasmpod delete POD`"),
        ("down", &[], "use `wasmpod delete POD`"),
        ("rm", &["-f", "web"], "use `wasmpod delete POD`"),
    ] {
        let output = command(name).args(args).output().expect_code(2);
        assert!(output.stderr.starts_with("error: ") && output.stderr.contains(expected), "{name}: {}", output.stderr);
    }
    let help = command("--help").output().expect_code(0).stdout;
    assert!(!help.contains("compose") && !help.contains("  rm "), "{help}");
    let version = command("version").output().expect_code(0).stdout;
    assert_eq!(version, command("--version").output().expect_code(0).stdout);
}

#[test]
fn foreign_flags_and_files_of_run_name_the_right_way() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("compose.yaml"), "services:\n  web: {image: nginx}\n").expect("written");
    std::fs::write(directory.path().join("native"), b"\x7fELF\x02\x01\x01").expect("written");
    std::fs::write(directory.path().join("pod.yaml"), "").expect("written");
    for (args, expected) in [
        (&["-d", "pod.yaml"][..], "use `wasmpod serve --builtin-images FILE`"),
        (&["-it", "pod.yaml"], "use `wasmpod exec POD -it -- sh`"),
        (&["compose.yaml"], "compose.yaml: Compose files are not supported"),
        (&["nginx:1.27"], "a manifest can use `image: nginx:1.27`"),
        (&["ghcr.io/some/image"], "runs manifests and .wasm files, and no Linux images\n"),
        (&["native"], "cannot run native: an ELF file, not a WebAssembly program"),
    ] {
        let output = run().args(args).dir(directory.path()).output().expect_code(2);
        assert!(
            output.stderr.starts_with("error: ") && output.stderr.contains(expected),
            "{args:?}: {}",
            output.stderr
        );
    }
}
