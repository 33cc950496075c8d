//! `wasmpod run app.wasm`: one program, with this terminal as its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::args::{RunArgs, Until, variable};
use super::exit::{Outcome, bad_input};
use super::progress::{at, watched};
use super::report;
use super::signals::Signals;
use crate::embedded;
use crate::files::{Mount, Mounts};
use crate::images::Images;
use crate::network::{Endpoint, PodNetwork};
use crate::runtime::{DEFAULT_LIMIT, Exit, Guests, MemoryBudget, Stdio, World};

/// Runs the program to its end; its exit code is ours.
pub async fn run(path: &Path, args: &RunArgs) -> anyhow::Result<Outcome> {
    check_flags(args)?;
    let runtime = embedded::engine()?;
    let name = path.to_string_lossy().into_owned();
    let images = Images::new([(name.clone(), path.to_path_buf())].into(), false);
    let found = images.find(&name, Path::new(".")).map_err(|e| bad_input(report::chain(&e.into())))?;
    let command = found.command(&[], &args.args)?;
    let compile = runtime.program(command.program.digest, &command.program.bytes);
    let program = watched(&format!("compiling {name}"), compile).await;
    let program = program.map_err(|error| bad_input(format!("cannot run {name}: {error}")))?;
    let scratch =
        tempfile::tempdir().context("cannot make a folder for temporary files (set TMPDIR to another place)")?;
    let world = World {
        runtime,
        name,
        mounts: Arc::new(Mounts::new(Some(scratch.path().join("root")), &[], mounts(args)?)),
        endpoint: Endpoint::new(PodNetwork::new([10, 88, 0, 1].into())),
        env: environment(args)?,
        working_dir: "/".into(),
        memory: MemoryBudget::new(DEFAULT_LIMIT),
        guests: Guests::new(),
    };
    let mut signals = Signals::listen()?;
    let mut instance = world.spawn(program, &command.argv, Stdio::Inherit);
    let control = instance.control();
    let mut asked: Option<Outcome> = None;
    let deadline = args.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let exit = loop {
        tokio::select! {
            exit = instance.exited() => break exit,
            () = at(deadline), if asked != Some(Outcome::Timeout) => {
                tell!("error: the time is up (--timeout)");
                asked = Some(Outcome::Timeout);
                control.kill();
            }
            signal = signals.next() => {
                // Once asks, twice kills.
                if asked.replace(signal).is_some() { control.kill() } else { control.ask_to_exit() }
            }
        }
    };
    if let Some(message) = exit.message() {
        tell!("error: {}: {message}", world.name);
    } else if exit == Exit::OutOfMemory {
        tell!("error: {}: out of memory", world.name);
    }
    let code = u8::try_from(exit.code()).unwrap_or(u8::MAX);
    Ok(match asked {
        Some(signal) if matches!(exit, Exit::Killed | Exit::Terminated) => signal,
        _ => Outcome::Guest(code),
    })
}

fn check_flags(args: &RunArgs) -> anyhow::Result<()> {
    if args.files.len() > 1 {
        return Err(bad_input("a .wasm file is run alone: write a pod manifest to run several programs"));
    }
    let of_pods = [
        ("--output", args.output.is_some()),
        ("--max-restarts", args.max_restarts.is_some()),
        ("--restart", args.restart.is_some()),
        ("--image", !args.images.is_empty()),
        ("--watch", args.watch),
        ("--report", args.report.is_some()),
        ("--until ready", args.until == Until::Ready),
    ];
    match of_pods.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(bad_input(format!("{flag} is for manifests, not for a .wasm file"))),
        None => Ok(()),
    }
}

fn mounts(args: &RunArgs) -> anyhow::Result<Vec<Mount>> {
    let mount = |volume: &super::args::VolumeArg| {
        let host = std::fs::canonicalize(&volume.host)
            .map_err(|error| bad_input(format!("cannot use volume {}: {error}", volume.host.display())))?;
        if !host.is_dir() {
            let message = format!("cannot use volume {}: it is no folder", volume.host.display());
            return Err(bad_input(message));
        }
        let (at, read_only) = (volume.guest.trim_end_matches('/'), volume.read_only);
        let at = if at.is_empty() { "/".to_string() } else { at.to_string() };
        Ok(Mount { at, volume: host, sub_path: String::new(), read_only })
    };
    args.volumes.iter().map(mount).collect()
}

/// Files first, in their order, then `--env`, so that the command line has the last word.
fn environment(args: &RunArgs) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for path in &args.env_file {
        all.extend(env_file(path)?);
    }
    all.extend(args.env.iter().cloned());
    Ok(all)
}

fn env_file(path: &PathBuf) -> anyhow::Result<Vec<(String, String)>> {
    let text =
        std::fs::read_to_string(path).map_err(|error| bad_input(format!("cannot read {}: {error}", path.display())))?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(number, line): (usize, &str)| {
        variable(line).map_err(|error| bad_input(format!("{}:{number}: {error}", path.display())))
    };
    meant.map(read).collect()
}
