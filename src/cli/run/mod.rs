//! `wasmpod run`: runs the pods of manifests on a temporary node, and exits with their outcome.

mod changes;
mod compile;
mod desired;
mod file_watcher;
mod junit;
mod live;
mod log_line;
mod output;
mod pod_watcher;
mod ports;
mod private_api;
mod program;
mod program_ports;
mod progress;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, MissedTickBehavior};

use super::api_server::ApiServer;
use super::args::{ObjectFormat, RunArgs, Until};
use super::exit::{Outcome, bad_input};
use super::habits;
use super::limits;
use super::manifests::{self, LoadedManifests};
use super::report;
use super::signals::Signals;
use super::terminal_text::print;
use crate::clock::Clock;
use crate::control::{ControlPlane, DeleteOptions, Reason};
use crate::controllers::static_pods::ensure_namespace;
use crate::embedded::{self, Node, first_revision};
use crate::images::Images;
use crate::model::{emit, outcome, pods};
use crate::store::{HistoryLimits, ObjectStore};
use changes::{Change, Changes};
use desired::RunPods;
use junit::Junit;
use output::RunOutput;
use pod_watcher::{ObservedPod, PodWatcher, RunEvent};
use ports::RunPorts;
use progress::{TIMED_OUT, sleep_until};

/// Runs a single program or the pods of manifests.
pub fn main(args: RunArgs) -> anyhow::Result<Outcome> {
    let program = args.files.iter().find(|path| is_program(path)).cloned();
    habits::check_run_flags(&args.foreign, program.is_some())?;
    args.files.iter().try_for_each(|path| habits::check_run_file(path))?;
    limits::check_guest_limits()?;
    let runtime = super::node_threads()?;
    let outcome = runtime.block_on(async {
        match program {
            Some(program) => program::run(&program, &args).await,
            None => run_pods(args).await,
        }
    });
    // A guest that reads from the terminal blocks a thread until the next line; do not wait for it.
    runtime.shutdown_background();
    outcome
}

/// Returns whether `path` is a WebAssembly program rather than a manifest.
fn is_program(path: &Path) -> bool {
    habits::read_header(path) == Some(*b"\0asm") || path.extension().is_some_and(|e| e == "wasm")
}

async fn run_pods(args: RunArgs) -> anyhow::Result<Outcome> {
    check_flags(&args)?;
    let mut junit = args.report.as_deref().map(Junit::new).transpose()?;
    let outcome = run_on_node(args, &mut junit).await;
    if let Some(junit) = junit {
        match &outcome {
            Ok(_) => junit.write()?,
            Err(error) => junit.write_error(error)?,
        }
    }
    outcome
}

fn check_flags(args: &RunArgs) -> anyhow::Result<()> {
    let program_flags = [
        ("--env", !args.program.env.is_empty()),
        ("--env-file", !args.program.env_file.is_empty()),
        ("--volume", !args.program.volumes.is_empty()),
        ("-- ARGS", !args.args.is_empty()),
    ];
    let is_stream = |path: &&PathBuf| path.as_os_str() == "-" || (path.exists() && !path.is_file() && !path.is_dir());
    if let Some(stream) = args.files.iter().find(is_stream).filter(|_| args.watch) {
        let name = if stream.as_os_str() == "-" { "standard input".into() } else { stream.to_string_lossy() };
        return Err(bad_input(format!("--watch cannot be used with {name}; save the manifest to a file")));
    }
    match program_flags.iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) => {
            Err(bad_input(format!("{flag} can only be used with a .wasm file; edit the manifest instead")))
        }
        None => Ok(()),
    }
}

async fn run_on_node(args: RunArgs, junit: &mut Option<Junit>) -> anyhow::Result<Outcome> {
    let images = Images::new(args.images.iter().cloned().collect(), true);
    let images = Arc::new(if args.watch { images.with_pinned_files() } else { images });
    let LoadedManifests { pods, objects, warnings } = manifests::load(&args, &images)?;
    warnings.iter().for_each(|warning| stderrln!("warning: {warning}"));
    let ports = RunPorts::open(&args.publish, &pods)?;
    ports.addresses().iter().for_each(|line| stderrln!("{line}"));
    let mut signals = Signals::listen()?;
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let engine = embedded::engine()?;
    let mut announced = BTreeSet::new();
    // A program that fails to compile is reported when its container starts, as on any node.
    tokio::select! {
        _ = compile::compile_programs(&pods, &images, &engine, &mut announced, |notice| stderrln!("{notice}")) => {}
        signal = signals.next() => return Ok(signal),
        () = sleep_until(deadline) => {
            stderrln!("{TIMED_OUT}");
            return Ok(Outcome::Timeout);
        }
    }
    announced.extend(warnings);
    let clock = Clock::system().with_speed(args.speed);
    let store =
        ObjectStore::in_memory(HistoryLimits::within(args.limits.retained_memory()), first_revision(Timestamp::now()));
    let mut builder = Node::builder()
        .store(store.clone())
        .name(private_api::NODE_NAME)
        .images(images.clone())
        .engine(engine.clone())
        .keep_volumes(args.watch)
        .ports(ports.config());
    if let Some(period) = args.limits.max_container_restart_period {
        builder = builder.max_container_restart_period(period);
    }
    let node = builder.capacity(args.limits.capacity.unwrap_or_default()).clock(clock).start()?;
    let (control, handle) = (node.control().clone(), node.handle().clone());
    let changes = match args.watch {
        true => Some(Changes::observe(&args, images.clone(), engine, &pods, announced)?),
        false => None,
    };
    // Clients may create further pods.
    ensure_namespace(&*control, "default").await?;
    let private_server = private_api::start(&node, clock, store);
    let mut run = Run {
        output: RunOutput::new(args.output.is_some(), clock),
        watcher: PodWatcher::start(&control, handle.clone()).await?,
        pods: RunPods::new(control.clone(), handle, images),
        ports,
        control,
        changes,
        is_idle: false,
        junit: junit.take(),
        deadline,
        args,
    };
    manifests::store_objects(&*run.control, objects).await.map_err(|status| bad_input(status.to_string()))?;
    let outcome = run.run(pods, &mut signals).await;
    run.output.finish();
    *junit = run.junit.take();
    private_server.iter().for_each(ApiServer::stop);
    node.stop().await;
    if let Some(server) = private_server {
        server.stopped(None).await;
    }
    outcome
}

/// The context of an error that occurs when log lines are printed.
const CANNOT_WRITE_LOGS: &str = "cannot write the logs";

/// The state of a run.
struct Run {
    args: RunArgs,
    control: Arc<dyn ControlPlane>,
    watcher: PodWatcher,
    output: RunOutput,
    pods: RunPods,
    ports: RunPorts,
    /// With `--watch`.
    changes: Option<Changes>,
    /// With `--watch`: all pods have finished, and a note about it was printed.
    is_idle: bool,
    /// With `--report`.
    junit: Option<Junit>,
    /// With `--timeout`.
    deadline: Option<Instant>,
}

impl Run {
    /// Creates the pods, waits for the outcome, stops the pods and prints the remaining output.
    async fn run(&mut self, pods: Vec<Pod>, signals: &mut Signals) -> anyhow::Result<Outcome> {
        for pod in pods {
            self.pods.create(pod).await.map_err(|status| bad_input(status.to_string()))?;
        }
        let outcome = self.wait_for_outcome(signals).await?;
        if let Some(junit) = &mut self.junit {
            let existing = self.watcher.pods().filter(|pod| !pod.is_deleted);
            junit.add_pods(existing.map(|pod| &*pod.pod), outcome);
        }
        self.stop_pods(outcome, signals).await?;
        while let Some((source, entries)) = self.watcher.next_log().await {
            if let Some(junit) = &mut self.junit {
                junit.add_log(&source, &entries);
            }
            self.output.log(&source, &entries).context(CANNOT_WRITE_LOGS)?;
        }
        self.print_objects()?;
        Ok(outcome)
    }

    async fn wait_for_outcome(&mut self, signals: &mut Signals) -> anyhow::Result<Outcome> {
        let deadline = self.deadline;
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = self.watcher.next() => {
                    if let Some(outcome) = self.handle_event(event?).await? {
                        return Ok(outcome);
                    }
                }
                change = next_change(&mut self.changes) => {
                    self.is_idle = false;
                    if let Change::Manifests(loaded, _) = &change {
                        self.ports.update(&loaded.pods).iter().for_each(|line| self.output.note(line));
                    }
                    self.pods.apply(change, &self.watcher, &mut self.output).await?;
                }
                hint = self.ports.next_hint() => self.output.note(&hint),
                signal = signals.next() => return Ok(signal),
                () = sleep_until(deadline) => {
                    self.output.note(TIMED_OUT);
                    return Ok(Outcome::Timeout);
                }
                _ = ticks.tick() => self.output.tick(&self.watcher),
            }
        }
    }

    /// Prints an event and reacts to it. Returns the outcome of the run, once it is known.
    async fn handle_event(&mut self, event: RunEvent) -> anyhow::Result<Option<Outcome>> {
        let changed = if let RunEvent::PodChanged(key) = &event { Some(key.clone()) } else { None };
        self.print_event(event)?;
        let Some(key) = changed else { return Ok(None) };
        if self.watcher.pod(&key).is_some_and(|pod| pod.is_deleted) {
            self.pods.on_deleted(&key, &mut self.output).await;
        }
        self.pods.on_changed(&key, &self.watcher, &mut self.output).await?;
        Ok(self.outcome())
    }

    fn print_event(&mut self, event: RunEvent) -> anyhow::Result<()> {
        match event {
            RunEvent::Warning(text) => self.output.note(&text),
            RunEvent::PodChanged(key) => self.output.update_pod(&self.watcher, &key),
            RunEvent::Log(source, entries) => {
                if let Some(junit) = &mut self.junit {
                    junit.add_log(&source, &entries);
                }
                self.output.log(&source, &entries).context(CANNOT_WRITE_LOGS)?;
            }
        }
        Ok(())
    }

    /// Returns the outcome, once it is known, and prints the reasons of a failure.
    fn outcome(&mut self) -> Option<Outcome> {
        // With --watch, deleted pods were replaced or removed by the user.
        let counts = |pod: &&ObservedPod| !self.args.watch || (!pod.is_deleted && self.pods.contains(&pod.object.key));
        let pods: Vec<&ObservedPod> = self.watcher.pods().filter(counts).collect();
        if pods.len() < self.pods.len() || self.pods.has_pending() {
            return None;
        }
        if let Some(max) = self.args.max_restarts
            && let Some(message) = pods.iter().find_map(|pod| exceeded_restarts(&pod.pod, max))
        {
            self.output.note(&format!("error: {message}"));
            return Some(Outcome::PodFailed);
        }
        let failed = pods.iter().filter(|pod| pods::phase(&pod.pod) == "Failed");
        let failures: Vec<String> = failed.map(|pod| outcome::failure_message(&pod.pod)).collect();
        let is_ready = |pod: &&ObservedPod| pods::has_condition(&pod.pod, "Ready") || pods::is_terminal(&pod.pod);
        let is_done = match self.args.until {
            Until::Complete => pods.iter().all(|pod| !pod.is_active()),
            Until::Ready => !failures.is_empty() || pods.iter().all(is_ready),
        };
        let ready = pods.iter().filter(|pod| self.args.until == Until::Ready && pods::has_condition(&pod.pod, "Ready"));
        let ready: Vec<String> = ready.map(|pod| format!("{}: Ready", pods::name(&pod.pod))).collect();
        if !is_done || self.is_idle {
            self.is_idle &= is_done;
            return None;
        }
        failures.iter().for_each(|message| self.output.note(&format!("error: {message}")));
        if self.args.watch {
            self.is_idle = true;
            self.output.note("all pods have finished; waiting for changes (press Ctrl-C to stop)");
            return None;
        }
        if failures.is_empty() {
            ready.iter().for_each(|line| self.output.note(line));
        }
        Some(if failures.is_empty() { Outcome::Success } else { Outcome::PodFailed })
    }

    /// Stops the active pods gracefully. A signal cuts their grace period to the minimum.
    async fn stop_pods(&mut self, outcome: Outcome, signals: &mut Signals) -> anyhow::Result<()> {
        let is_interrupted = matches!(outcome, Outcome::Interrupted | Outcome::Terminated);
        if is_interrupted && self.watcher.pods().any(ObservedPod::is_active) {
            self.output.note("stopping the pods; press Ctrl-C again to cut their grace period to two seconds");
        }
        self.delete_pods(None).await?;
        while self.watcher.pods().any(ObservedPod::is_active) {
            tokio::select! {
                event = self.watcher.next() => self.print_event(event?)?,
                // The shortest grace period, after which the final states are still reported.
                _ = signals.next() => self.delete_pods(Some(1)).await?,
            }
        }
        Ok(())
    }

    async fn delete_pods(&mut self, grace_seconds: Option<i64>) -> anyhow::Result<()> {
        for pod in self.watcher.pods().filter(|pod| pod.is_active()) {
            let options = DeleteOptions { grace_seconds, ..DeleteOptions::default() };
            match self.control.delete(&pod.object.key, options).await {
                Ok(_) => {}
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(status.into()),
            }
        }
        Ok(())
    }

    /// Prints the Pod objects in the format of `--output`: a single object, or a List.
    fn print_objects(&self) -> anyhow::Result<()> {
        let Some(format) = self.args.output else { return Ok(()) };
        let decode = |pod: &ObservedPod| serde_json::from_slice::<serde_json::Value>(&pod.object.json);
        let mut items = self.watcher.pods().map(decode).collect::<Result<Vec<_>, _>>()?;
        let object = match items.len() {
            1 => items.remove(0),
            _ => serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}),
        };
        let text = match format {
            ObjectFormat::Json => serde_json::to_string_pretty(&object)? + "\n",
            ObjectFormat::Yaml => emit::to_yaml(&object),
        };
        print(&text).context("cannot write the objects")
    }
}

/// Waits for the next change; for ever without `--watch`.
async fn next_change(changes: &mut Option<Changes>) -> Change {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Returns a message if a container was restarted more than `max` times, or waits for such a restart.
fn exceeded_restarts(pod: &Pod, max: u32) -> Option<String> {
    let max_restarts = i32::try_from(max).unwrap_or(i32::MAX);
    let status = outcome::container_statuses(pod).find(|status| {
        let is_waiting = report::container_state(status) == "CrashLoopBackOff";
        status.restart_count > max_restarts || (is_waiting && status.restart_count >= max_restarts)
    })?;
    Some(format!("pod {} failed: container {} exceeded --max-restarts {max}", pods::name(pod), status.name))
}
