//! Answers to the commands, flags and files of other tools: names what to use instead.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::args::ForeignRunArgs;
use super::exit::{Outcome, bad_input};
use crate::images::Images;

/// Prints the version, as `--version` does.
pub fn print_version() -> anyhow::Result<Outcome> {
    super::terminal_text::print(concat!("wasmpod ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Outcome::Success)
}

/// A command of another tool.
#[derive(Debug, Clone, Copy)]
pub enum ForeignCommand {
    Up,
    Down,
    Compose,
    Stop,
    Rm,
}

impl ForeignCommand {
    /// Returns the error that names wasmpod's own command.
    pub fn error(self) -> anyhow::Error {
        bad_input(match self {
            ForeignCommand::Up => {
                "`up` is not a command of wasmpod; use `wasmpod run FILE` to run the pods of a Kubernetes manifest, or \
                 `wasmpod serve --builtin-images FILE` to keep them running"
            }
            ForeignCommand::Compose => {
                "Compose files are not supported; describe the containers in a Pod manifest, and use `wasmpod run FILE`"
            }
            ForeignCommand::Down | ForeignCommand::Stop | ForeignCommand::Rm => {
                "use `wasmpod delete POD` to stop a pod and remove it; Ctrl-C stops the pods of `wasmpod run`"
            }
        })
    }
}

/// Checks flags that `run` has only in other tools. A single program (`is_program`) is always attached to the terminal.
///
/// # Errors
///
/// Fails with what to use instead.
pub fn check_run_flags(flags: &ForeignRunArgs, is_program: bool) -> anyhow::Result<()> {
    if flags.detach {
        let message = "--detach is not a flag of `wasmpod run`; use `wasmpod serve --builtin-images FILE` to keep pods running, and \
                       `wasmpod ps` and `wasmpod logs` to look at them";
        return Err(bad_input(message));
    }
    if (flags.interactive || flags.tty) && !is_program {
        let message = "-i and -t are not flags of `wasmpod run FILE`; use `wasmpod exec POD -it -- sh` in another \
                       terminal, or set `stdin` and `tty` of the container and use `wasmpod attach POD -it`";
        return Err(bad_input(message));
    }
    Ok(())
}

/// Checks that a file of `run` is not one for another tool: an image's name or a native program.
///
/// # Errors
///
/// Fails with what to use instead.
pub fn check_run_file(path: &Path) -> anyhow::Result<()> {
    let name = path.to_string_lossy();
    if !path.exists() && is_image_name(&name) {
        let stand_in = Images::new(Default::default(), true).find(&name, Path::new(".")).is_ok();
        let hint = match stand_in {
            true => format!("; a manifest can use `image: {name}`, for which wasmpod has a built-in program"),
            false => String::new(),
        };
        let message = "file does not exist; `wasmpod run` runs manifests and .wasm files, and no Linux images";
        return Err(bad_input(format!("{name}: {message}{hint}")));
    }
    // Of a .wasm file, the engine says what is wrong with it.
    if path.extension().is_none_or(|extension| extension != "wasm") && is_native_program(path) {
        let message = "an ELF file, not a WebAssembly program; build it with `--target wasm32-wasip2`";
        return Err(bad_input(format!("cannot run {name}: {message}")));
    }
    Ok(())
}

fn is_native_program(path: &Path) -> bool {
    read_header(path) == Some(*b"\x7fELF")
}

/// Returns the first bytes of a regular file. Others are left alone: a pipe can be read only once.
pub fn read_header(path: &Path) -> Option<[u8; 4]> {
    let mut header = [0; 4];
    path.is_file().then(|| File::open(path)?.read_exact(&mut header)).and_then(Result::ok)?;
    Some(header)
}

/// Returns whether `name` is more likely that of an image than of a file.
fn is_image_name(name: &str) -> bool {
    let is_path = name.starts_with(['/', '.', '-']) || name.ends_with('/');
    let last = name.rsplit('/').next().unwrap_or(name);
    let (stem, tag) = last.split_once([':', '@']).unwrap_or((last, ""));
    !is_path && !stem.is_empty() && (!tag.is_empty() || !stem.contains('.'))
}

/// Returns whether a manifest's text is a Compose file.
pub fn is_compose_file(text: &str) -> bool {
    let has_field =
        |name: &str| text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
    has_field("services") && !has_field("kind") && !has_field("apiVersion")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_from_files_by_their_names() {
        for (name, expected) in [
            ("nginx", true),
            ("nginx:1.27", true),
            ("docker.io/library/nginx", true),
            ("ghcr.io/a/b@sha256:00", true),
            ("pod.yaml", false),
            ("app.wasm", false),
            ("dir/pod.yaml", false),
            ("./nginx", false),
            ("/tmp/nginx", false),
            ("manifests/", false),
            ("-", false),
        ] {
            assert_eq!(is_image_name(name), expected, "{name}");
        }
    }

    #[test]
    fn compose_files_are_recognized() {
        assert!(is_compose_file("version: '3'\nservices:\n  web: {image: nginx}\n"));
        assert!(!is_compose_file("kind: Pod\nservices: x\n"));
        assert!(!is_compose_file("spec:\n  services: x\n"));
    }
}
