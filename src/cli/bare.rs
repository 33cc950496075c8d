//! `wasmpod run app.wasm`: one program, with this terminal as its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::time::Instant;

use super::args::{RunArgs, Until, variable};
use super::desired::GRACE;
use super::exit::{Outcome, bad_input};
use super::progress::{at, watched};
use super::report;
use super::signals::Signals;
use super::watching::Watching;
use crate::budget::{Account, AccountLimits};
use crate::clock::Clock;
use crate::embedded;
use crate::files::{Mount, Mounts};
use crate::images::{Executable, FileStamp, Images};
use crate::network::{Endpoint, PodNetwork};
use crate::runtime::{ContainerContext, Exit, Instance, InstanceSet, Program, Runtime, Stdio};

/// Runs the program to its end; its exit code is ours. With `--watch` again whenever it has changed.
pub async fn run(path: &Path, args: &RunArgs) -> anyhow::Result<Outcome> {
    check_flags(args)?;
    let engine = embedded::engine()?;
    let name = path.to_string_lossy().into_owned();
    let images = Images::new([(name.clone(), path.to_path_buf())].into(), false);
    let found = images.find(&name, Path::new(".")).map_err(|e| bad_input(report::chain(&e.into())))?;
    let command = found.command(&[], &args.args)?;
    let compile = engine.program(command.program.digest, &command.program.bytes);
    let program = watched(&format!("compiling {name}"), compile).await;
    let mut program = program.map_err(|error| bad_input(format!("cannot run {name}: {error}")))?;
    let scratch =
        tempfile::tempdir().context("cannot make a folder for temporary files (set TMPDIR to another place)")?;
    let mounts = Arc::new(Mounts::new(Some(scratch.path().join("root")), &[], mounts(args)?));
    let env = environment(args)?;
    let mut renewal = match args.watch {
        true => Some(Renewal::of(path, images.cached_stamp(path), engine.clone())?),
        false => None,
    };
    let mut signals = Signals::listen()?;
    let deadline = args.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    loop {
        let world = ContainerContext {
            runtime: engine.clone(),
            name: name.clone(),
            mounts: mounts.clone(),
            // One that was asked to end takes no more connections.
            endpoint: Endpoint::new(PodNetwork::new([10, 88, 0, 1].into())),
            env: env.clone(),
            working_dir: "/".into(),
            clock: Clock::system().faster(args.speed),
            account: Account::root(AccountLimits::NONE.of_container()),
            guests: InstanceSet::new(),
            instances: InstanceSet::new(),
        };
        let instance = world.spawn(program, &command.argv, Stdio::Inherit);
        match to_the_end(instance, &name, deadline, &mut signals, renewal.as_mut()).await {
            Ended::For(outcome) => return Ok(outcome),
            Ended::MadeWay(newer) => program = newer,
        }
    }
}

/// How an instance's time was over.
enum Ended {
    /// The command is over, too.
    For(Outcome),
    /// This runs next.
    MadeWay(Arc<Program>),
}

/// Stays with an instance until it has ended, and with `--watch` until there is something newer.
async fn to_the_end(
    mut instance: Instance,
    name: &str,
    deadline: Option<Instant>,
    signals: &mut Signals,
    mut renewal: Option<&mut Renewal>,
) -> Ended {
    let control = instance.control();
    let mut asked: Option<Outcome> = None;
    let mut newer: Option<Arc<Program>> = None;
    let mut kill_at: Option<Instant> = None;
    let exit = loop {
        tokio::select! {
            exit = instance.exited() => break exit,
            () = at(deadline), if asked != Some(Outcome::Timeout) => {
                tell!("error: the time is up (--timeout)");
                asked = Some(Outcome::Timeout);
                control.kill();
            }
            () = at(kill_at) => {
                kill_at = None;
                control.kill();
            }
            signal = signals.next() => {
                // Once asks, twice kills.
                if asked.replace(signal).is_some() { control.kill() } else { control.terminate("SIGTERM") }
            }
            program = next_program(&mut renewal), if asked.is_none() => {
                if newer.replace(program).is_none() {
                    tell!("{name} changed: running it again");
                    control.terminate("SIGTERM");
                    kill_at = Some(Instant::now() + GRACE);
                }
            }
        }
    };
    match (asked, newer) {
        (None, Some(newer)) => return Ended::MadeWay(newer),
        (Some(signal), _) if matches!(exit, Exit::Killed | Exit::Terminated) => return Ended::For(signal),
        _ => {}
    }
    if let Some(message) = exit.message() {
        tell!("error: {name}: {message}");
    } else if exit == Exit::OutOfMemory {
        tell!("error: {name}: out of memory");
    }
    let code = u8::try_from(exit.code()).unwrap_or(u8::MAX);
    if renewal.is_none() || asked.is_some() {
        return Ended::For(Outcome::Guest(code));
    }
    tell!("{name} ended with exit code {code}; waiting for changes (Ctrl-C ends)");
    tokio::select! {
        program = next_program(&mut renewal) => {
            tell!("{name} changed: running it again");
            Ended::MadeWay(program)
        }
        signal = signals.next() => Ended::For(signal),
        () = at(deadline) => Ended::For(Outcome::Timeout),
    }
}

/// The next program that is newer and can run, for ever none without `--watch`.
async fn next_program(renewal: &mut Option<&mut Renewal>) -> Arc<Program> {
    match renewal {
        Some(renewal) => renewal.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for newer programs in a file.
struct Renewal {
    path: PathBuf,
    known: Option<FileStamp>,
    engine: Arc<Runtime>,
    watching: Watching,
}

impl Renewal {
    fn of(path: &Path, known: Option<FileStamp>, engine: Arc<Runtime>) -> anyhow::Result<Renewal> {
        let mut watching = Watching::start()?;
        watching.set([path])?;
        Ok(Renewal { path: path.into(), known, engine, watching })
    }

    /// The next one that can run; what can't is told of. Cancel-safe: what is not told comes again.
    async fn next(&mut self) -> Arc<Program> {
        loop {
            let now = FileStamp::read(&self.path).ok();
            if now != self.known {
                let read = self.compile().await;
                self.known = now;
                match read {
                    Ok(program) => return program,
                    Err(why) => tell!("error: {} has changed and {why}: what runs goes on", self.path.display()),
                }
            }
            self.watching.settled().await;
            if let Err(error) = self.watching.set([self.path.as_path()]) {
                tell!("error: changes are no longer seen: {}", report::chain(&error));
                std::future::pending::<()>().await;
            }
        }
    }

    async fn compile(&self) -> Result<Arc<Program>, String> {
        let bytes = std::fs::read(&self.path).map_err(|error| format!("cannot be read ({error})"))?;
        let program = Executable::new(bytes.into());
        let compiled = self.engine.program(program.digest, &program.bytes).await;
        compiled.map_err(|error| format!("cannot run ({error})"))
    }
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
