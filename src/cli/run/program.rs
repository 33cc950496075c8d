//! `wasmpod run app.wasm`: runs a single program, attached to this terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::time::Instant;

use super::changes::{UpdateError, broken_program, watch_failed_message};
use super::desired::REPLACE_GRACE;
use super::file_watcher::FileWatcher;
use super::program_ports::ProgramPorts;
use super::progress::{TIMED_OUT, report_to_terminal_if_slow, sleep_until};
use crate::budget::{Account, AccountLimits};
use crate::cli::args::{ProgramArgs, RunArgs, Until, VolumeArg, parse_variable};
use crate::cli::exit::{Outcome, bad_input};
use crate::cli::report;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::embedded;
use crate::files::{Mount, Mounts};
use crate::images::{Executable, FileStamp, ImageError, Images};
use crate::network::{Endpoint, PodNetwork, PodNetworkOptions};
use crate::runtime::{ContainerContext, Exit, Instance, InstanceSet, ProcessView, Program, Runtime, Stdio};

/// Runs the program until it exits; the outcome is its exit code. With `--watch`, runs it again when its file changes.
pub async fn run(path: &Path, args: &RunArgs) -> anyhow::Result<Outcome> {
    check_flags(args)?;
    let engine = embedded::engine()?;
    let name = path.to_string_lossy().into_owned();
    let images = Images::new([(name.clone(), path.to_path_buf())].into(), false);
    let image = images.find(&name, Path::new(".")).map_err(|error| match error {
        ImageError::File { source, .. } => bad_input(format!("{name}: cannot be read: {source}")),
        other => bad_input(report::error_chain(&other.into())),
    })?;
    let command = image.command(&[], &args.args)?;
    let mut signals = Signals::listen()?;
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let description = format!("compiling {name}");
    let compile = engine.program(command.program.digest, &command.program.bytes);
    let program = tokio::select! {
        program = report_to_terminal_if_slow(&description, compile) => program,
        outcome = stopped(&mut signals, deadline) => return Ok(outcome),
    };
    let mut program = program.map_err(|error| bad_input(format!("cannot run {name}: {error}")))?;
    let ports = ProgramPorts::open(&args.publish, &name)?;
    let scratch =
        tempfile::tempdir().context("cannot create a temporary directory; set TMPDIR to another directory")?;
    let mounts = Arc::new(Mounts::new(Some(scratch.path().join("root")), &[], volume_mounts(&args.program)?));
    let env = environment(&args.program)?;
    let mut updates = match args.watch {
        true => Some(ProgramUpdates::new(path, images.cached_stamp(path), engine.clone())?),
        false => None,
    };
    loop {
        let options = PodNetworkOptions { on_listen: ports.observer(), ..PodNetworkOptions::default() };
        let network = PodNetwork::with_options([10, 88, 0, 1].into(), options);
        // Published until the program is replaced.
        let _published = ports.publish(&network)?;
        let context = ContainerContext {
            runtime: engine.clone(),
            name: name.clone(),
            mounts: mounts.clone(),
            // A new one for each instance: the endpoint of a terminated one accepts no connections.
            endpoint: Endpoint::new(network),
            env: env.clone(),
            working_dir: "/".into(),
            clock: Clock::system().with_speed(args.speed),
            account: Account::root(AccountLimits::NONE.with_container_defaults()),
            all_instances: InstanceSet::new(),
            instances: InstanceSet::new(),
            processes: ProcessView::default(),
        };
        let instance = context.spawn(program, &command.argv, Stdio::Inherit);
        let mut supervisor = Supervisor { name: &name, deadline, signals: &mut signals, updates: &mut updates };
        match supervisor.wait(instance).await {
            Next::Exit(outcome) => return Ok(outcome),
            Next::Run(newer) => program = newer,
        }
    }
}

/// Waits for a signal or the deadline, before there is an instance to stop.
async fn stopped(signals: &mut Signals, deadline: Option<Instant>) -> Outcome {
    tokio::select! {
        signal = signals.next() => signal,
        () = sleep_until(deadline) => {
            stderrln!("{TIMED_OUT}");
            Outcome::Timeout
        }
    }
}

/// The next step after an instance's exit.
enum Next {
    /// The command exits.
    Exit(Outcome),
    /// A newer program runs.
    Run(Arc<Program>),
}

/// Waits for instances, and stops them on signals, at the deadline and when the program has changed.
struct Supervisor<'a> {
    name: &'a str,
    deadline: Option<Instant>,
    signals: &'a mut Signals,
    /// With `--watch`.
    updates: &'a mut Option<ProgramUpdates>,
}

impl Supervisor<'_> {
    /// Waits until the instance has exited, and with `--watch` until there is a newer program.
    async fn wait(&mut self, instance: Instance) -> Next {
        let (exit, stopped_by, newer) = self.wait_for_exit(instance).await;
        match (stopped_by, newer) {
            (None, Some(newer)) => return Next::Run(newer),
            (Some(outcome), _) if matches!(exit, Exit::Killed | Exit::Terminated) => return Next::Exit(outcome),
            _ => {}
        }
        let name = self.name;
        if let Some(message) = exit.message() {
            stderrln!("error: {name}: {message}");
        } else if exit == Exit::OutOfMemory {
            stderrln!("error: {name}: out of memory");
        }
        let code = u8::try_from(exit.code()).unwrap_or(u8::MAX);
        if self.updates.is_none() || stopped_by.is_some() {
            return Next::Exit(Outcome::Program(code));
        }
        stderrln!("{name} exited with code {code}; waiting for changes (press Ctrl-C to stop)");
        tokio::select! {
            program = next_program(self.updates) => {
                stderrln!("{name} changed: running it again");
                Next::Run(program)
            }
            signal = self.signals.next() => Next::Exit(signal),
            () = sleep_until(self.deadline) => Next::Exit(Outcome::Timeout),
        }
    }

    /// Waits for the exit. Returns it with the outcome for which the instance was stopped, if it was, and the newest
    /// program, if it changed.
    async fn wait_for_exit(&mut self, mut instance: Instance) -> (Exit, Option<Outcome>, Option<Arc<Program>>) {
        let handle = instance.handle();
        let mut stopped_by: Option<Outcome> = None;
        let mut newer: Option<Arc<Program>> = None;
        let mut kill_at: Option<Instant> = None;
        loop {
            tokio::select! {
                exit = instance.wait_for_exit() => return (exit, stopped_by, newer),
                () = sleep_until(self.deadline), if stopped_by != Some(Outcome::Timeout) => {
                    stderrln!("{TIMED_OUT}");
                    stopped_by = Some(Outcome::Timeout);
                    handle.kill();
                }
                () = sleep_until(kill_at) => {
                    kill_at = None;
                    handle.kill();
                }
                signal = self.signals.next() => {
                    // The first signal terminates, the second one kills.
                    if stopped_by.replace(signal).is_some() { handle.kill() } else { handle.terminate("SIGTERM") }
                }
                program = next_program(self.updates), if stopped_by.is_none() => {
                    if newer.replace(program).is_none() {
                        stderrln!("{} changed: running it again", self.name);
                        handle.terminate("SIGTERM");
                        kill_at = Some(Instant::now() + REPLACE_GRACE);
                    }
                }
            }
        }
    }
}

/// Waits for the next version of the program that can run; for ever without `--watch`.
async fn next_program(updates: &mut Option<ProgramUpdates>) -> Arc<Program> {
    match updates {
        Some(updates) => updates.next().await,
        None => std::future::pending().await,
    }
}

/// The new versions of a program file.
struct ProgramUpdates {
    path: PathBuf,
    last: Option<FileStamp>,
    engine: Arc<Runtime>,
    watcher: FileWatcher,
}

impl ProgramUpdates {
    /// Watches `path`, whose loaded version has the stamp `last`.
    fn new(path: &Path, last: Option<FileStamp>, engine: Arc<Runtime>) -> anyhow::Result<ProgramUpdates> {
        let mut watcher = FileWatcher::new()?;
        watcher.watch([path])?;
        Ok(ProgramUpdates { path: path.into(), last, engine, watcher })
    }

    /// Waits for the next version that can run; others are reported. Cancel-safe: a version counts as seen once it is
    /// compiled.
    async fn next(&mut self) -> Arc<Program> {
        loop {
            let current = FileStamp::read(&self.path).ok();
            if current != self.last {
                let loaded = self.load().await;
                self.last = current;
                match loaded {
                    Ok(program) => return program,
                    Err(error) => stderrln!("error: {}", broken_program(&self.path.to_string_lossy(), &error)),
                }
            }
            self.watcher.changed().await;
            if let Err(error) = self.watcher.watch([self.path.as_path()]) {
                stderrln!("error: {}", watch_failed_message(&error));
                std::future::pending::<()>().await;
            }
        }
    }

    async fn load(&self) -> Result<Arc<Program>, UpdateError> {
        let bytes = std::fs::read(&self.path).map_err(UpdateError::Read)?;
        let program = Executable::new(bytes.into());
        self.engine.program(program.digest, &program.bytes).await.map_err(UpdateError::Compile)
    }
}

fn check_flags(args: &RunArgs) -> anyhow::Result<()> {
    if args.files.len() > 1 {
        return Err(bad_input("a .wasm file must be the only file; to run several programs, write a Pod manifest"));
    }
    let pod_flags = [
        ("--output", args.output.is_some()),
        ("--max-restarts", args.max_restarts.is_some()),
        ("--restart", args.restart.is_some()),
        ("--image", !args.images.is_empty()),
        ("--report", args.report.is_some()),
        ("--until ready", args.until == Until::Ready),
        ("--publish-all", args.publish.all),
    ];
    match pod_flags.iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) => Err(bad_input(format!("{flag} cannot be used with a .wasm file, only with manifests"))),
        None => Ok(()),
    }
}

fn volume_mounts(args: &ProgramArgs) -> anyhow::Result<Vec<Mount>> {
    let mount = |volume: &VolumeArg| {
        let path = volume.host.display();
        let host = std::fs::canonicalize(&volume.host);
        let host = host.map_err(|error| bad_input(format!("cannot use volume {path}: {error}")))?;
        if !host.is_dir() {
            return Err(bad_input(format!("cannot use volume {path}: not a directory")));
        }
        let (at, read_only) = (volume.guest.trim_end_matches('/'), volume.read_only);
        let at = if at.is_empty() { "/".to_string() } else { at.to_string() };
        Ok(Mount { mount_path: at, volume_dir: host, sub_path: String::new(), read_only, size_limit: None })
    };
    args.volumes.iter().map(mount).collect()
}

/// Returns the variables of `--env-file`, then those of `--env`, which override them.
fn environment(args: &ProgramArgs) -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for path in &args.env_file {
        variables.extend(read_env_file(path)?);
    }
    variables.extend(args.env.iter().cloned());
    Ok(variables)
}

fn read_env_file(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad_input(format!("{}: cannot be read: {error}", path.display())))?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let variables = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parse = |(number, line): (usize, &str)| {
        parse_variable(line).map_err(|error| bad_input(format!("{}:{number}: {error}", path.display())))
    };
    variables.map(parse).collect()
}
