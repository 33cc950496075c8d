//! `wasmpod run`: a throw-away node, the pods of the manifests, their outcome as exit code.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, MissedTickBehavior};

use super::args::{Output, RunArgs, Until};
use super::bare;
use super::changes::{Change, Changes};
use super::desired::Pods;
use super::exit::{Outcome, bad_input};
use super::follow::{ObservedPod, PodWatcher, RunEvent};
use super::input::{self, Input};
use super::junit::Junit;
use super::programs;
use super::progress::at;
use super::report;
use super::show::RunOutput;
use super::signals::Signals;
use crate::clock::Clock;
use crate::control::{ControlPlane, DeleteOptions, Reason};
use crate::embedded::{self, Node};
use crate::images::Images;
use crate::model::{emit, outcome, pods};
use crate::node::Handle;

const TIME_IS_UP: &str = "error: the time is up (--timeout)";

/// Runs what `args` name.
pub fn main(args: RunArgs) -> anyhow::Result<Outcome> {
    let program = args.files.iter().find(|path| input::is_program(path)).cloned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("wasmpod").build();
    let runtime = runtime.context("cannot start threads")?;
    let outcome = runtime.block_on(async {
        match program {
            Some(program) => bare::run(&program, &args).await,
            None => pods(args).await,
        }
    });
    // A guest that reads this terminal holds a thread until a line comes; nobody waits for that.
    runtime.shutdown_background();
    outcome
}

async fn pods(args: RunArgs) -> anyhow::Result<Outcome> {
    check_flags(&args)?;
    let mut junit = args.report.as_deref().map(Junit::new).transpose()?;
    let outcome = on_a_node(args, &mut junit).await;
    if let Some(junit) = junit {
        match &outcome {
            Ok(_) => junit.write()?,
            Err(error) => junit.broken(error)?,
        }
    }
    outcome
}

async fn on_a_node(args: RunArgs, junit: &mut Option<Junit>) -> anyhow::Result<Outcome> {
    let images = Images::new(args.images.iter().cloned().collect(), true);
    let images = Arc::new(if args.watch { images.with_pinned_files() } else { images });
    let Input { pods, configs, warnings } = input::read(&args, &images)?;
    warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    let mut signals = Signals::listen()?;
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let engine = embedded::engine()?;
    let mut known = BTreeSet::new();
    // What can't be compiled shows when its container starts, as it would on any node.
    tokio::select! {
        _ = programs::compile(&pods, &images, &engine, &mut known, |notice| tell!("{notice}")) => {}
        signal = signals.next() => return Ok(signal),
        () = at(deadline) => {
            tell!("{TIME_IS_UP}");
            return Ok(Outcome::Timeout);
        }
    }
    known.extend(warnings);
    let clock = Clock::system().faster(args.speed);
    let mut builder = Node::builder().images(images.clone()).engine(engine.clone()).keep_volumes(args.watch);
    if let Some(most) = args.max_container_restart_period {
        builder = builder.longest_restart_wait(most);
    }
    let node = builder.resources(args.capacity.unwrap_or_default()).clock(clock).start()?;
    let changes = match args.watch {
        true => Some(Changes::follow(&args, images.clone(), engine, &pods, known)?),
        false => None,
    };
    let mut run = Run {
        show: RunOutput::new(args.output.is_some(), clock),
        follower: PodWatcher::start(node.control(), node.handle().clone()).await?,
        control: node.control().clone(),
        handle: node.handle().clone(),
        pods: Pods::default(),
        images,
        changes,
        resting: false,
        junit: junit.take(),
        deadline,
        args,
    };
    input::store(&*run.control, configs).await.map_err(|status| bad_input(status.to_string()))?;
    let outcome = run.live(pods, &mut signals).await;
    run.show.finish();
    *junit = run.junit.take();
    node.stop().await;
    outcome
}

fn check_flags(args: &RunArgs) -> anyhow::Result<()> {
    let of_programs = [
        ("--env", !args.env.is_empty()),
        ("--env-file", !args.env_file.is_empty()),
        ("--volume", !args.volumes.is_empty()),
        ("-- ARGS", !args.args.is_empty()),
    ];
    if args.watch && args.files.iter().any(|path| path.as_os_str() == "-") {
        return Err(bad_input("--watch can't watch standard input: give the manifest as a file"));
    }
    match of_programs.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(bad_input(format!("{flag} is for a .wasm file: in a manifest, the pod says it"))),
        None => Ok(()),
    }
}

/// A run that goes on.
pub struct Run {
    args: RunArgs,
    pub(super) control: Arc<dyn ControlPlane>,
    pub(super) handle: Handle,
    pub(super) images: Arc<Images>,
    pub(super) follower: PodWatcher,
    pub(super) show: RunOutput,
    pub(super) pods: Pods,
    /// With `--watch`.
    changes: Option<Changes>,
    /// Nothing is left to do before something changes, and that was said.
    resting: bool,
    /// With `--report`.
    junit: Option<Junit>,
    /// With `--timeout`.
    deadline: Option<Instant>,
}

impl Run {
    /// Creates the pods and stays with them to the end.
    async fn live(&mut self, pods: Vec<Pod>, signals: &mut Signals) -> anyhow::Result<Outcome> {
        for pod in pods {
            self.create(pod).await.map_err(|status| bad_input(status.to_string()))?;
        }
        let outcome = self.until_decided(signals).await?;
        if let Some(junit) = &mut self.junit {
            let there = self.follower.pods().filter(|seen| !seen.gone);
            junit.decided(there.map(|seen| &*seen.pod), outcome);
        }
        self.end(outcome, signals).await?;
        while let Some((source, entries)) = self.follower.next_log().await {
            if let Some(junit) = &mut self.junit {
                junit.log(&source, &entries);
            }
            if self.show.log(&source, &entries).is_err() {
                break;
            }
        }
        self.print_objects()?;
        Ok(outcome)
    }

    async fn until_decided(&mut self, signals: &mut Signals) -> anyhow::Result<Outcome> {
        let deadline = self.deadline;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                happening = self.follower.next() => {
                    let happening = happening?;
                    let pod = if let RunEvent::Pod(key) = &happening { Some(key.clone()) } else { None };
                    self.tell(happening)?;
                    let Some(key) = pod else { continue };
                    if self.follower.pod(&key).is_some_and(|seen| seen.gone) {
                        self.gone(&key).await;
                    }
                    self.over(&key).await?;
                    if let Some(outcome) = self.verdict() {
                        return Ok(outcome);
                    }
                }
                change = next_change(&mut self.changes) => {
                    self.resting = false;
                    self.follow(change).await?;
                }
                signal = signals.next() => return Ok(signal),
                () = at(deadline) => {
                    self.show.note(TIME_IS_UP);
                    return Ok(Outcome::Timeout);
                }
                _ = second.tick() => self.show.tick(&self.follower),
            }
        }
    }

    fn tell(&mut self, happening: RunEvent) -> anyhow::Result<()> {
        match happening {
            RunEvent::Warning(words) => self.show.note(&words),
            RunEvent::Pod(key) => self.show.pod(&self.follower, &key),
            RunEvent::Log(source, entries) => {
                if let Some(junit) = &mut self.junit {
                    junit.log(&source, &entries);
                }
                self.show.log(&source, &entries).context("cannot write the logs")?;
            }
        }
        Ok(())
    }

    /// The outcome, as soon as there is one.
    fn verdict(&mut self) -> Option<Outcome> {
        // What has gone comes back, or was given up, when files are watched.
        let counts = |seen: &&ObservedPod| !self.args.watch || (!seen.gone && self.pods.contain(&seen.object.key));
        let pods: Vec<&ObservedPod> = self.follower.pods().filter(counts).collect();
        if pods.len() < self.pods.count() || self.pods.are_moving() {
            return None;
        }
        if let Some(message) = self.args.max_restarts.and_then(|max| pods.iter().find_map(|s| too_often(&s.pod, max))) {
            self.show.note(&format!("error: {message}"));
            return Some(Outcome::PodFailed);
        }
        let failed: Vec<String> =
            pods.iter().filter(|s| pods::phase(&s.pod) == "Failed").map(|s| outcome::failure(&s.pod)).collect();
        let done = match self.args.until {
            Until::Complete => pods.iter().all(|s| pods::is_terminal(&s.pod) || s.gone),
            Until::Ready => {
                !failed.is_empty()
                    || pods.iter().all(|s| pods::has_condition(&s.pod, "Ready") || pods::is_terminal(&s.pod))
            }
        };
        if !done || self.resting {
            self.resting &= done;
            return None;
        }
        failed.iter().for_each(|message| self.show.note(&format!("error: {message}")));
        if self.args.watch {
            self.resting = true;
            self.show.note("all pods are done; waiting for changes (Ctrl-C ends)");
            return None;
        }
        Some(if failed.is_empty() { Outcome::Success } else { Outcome::PodFailed })
    }

    /// Ends what still runs: gracefully, or at once when a signal comes meanwhile.
    async fn end(&mut self, outcome: Outcome, signals: &mut Signals) -> anyhow::Result<()> {
        if matches!(outcome, Outcome::Interrupted | Outcome::Terminated) && self.follower.pods().any(is_live) {
            self.show.note("stopping the pods; Ctrl-C again kills them");
        }
        self.delete(None).await?;
        while self.follower.pods().any(is_live) {
            tokio::select! {
                happening = self.follower.next() => self.tell(happening?)?,
                // Killed after the shortest time there is, so that their ends are still reported.
                _ = signals.next() => self.delete(Some(1)).await?,
            }
        }
        Ok(())
    }

    async fn delete(&mut self, grace_seconds: Option<i64>) -> anyhow::Result<()> {
        for seen in self.follower.pods().filter(|seen| is_live(seen)) {
            let options = DeleteOptions { grace_seconds, ..DeleteOptions::default() };
            match self.control.delete(&seen.object.key, options).await {
                Ok(_) => {}
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(status.into()),
            }
        }
        Ok(())
    }

    fn print_objects(&self) -> anyhow::Result<()> {
        let Some(format) = self.args.output else { return Ok(()) };
        let read = |seen: &ObservedPod| serde_json::from_slice::<serde_json::Value>(&seen.object.json);
        let mut items = self.follower.pods().map(read).collect::<Result<Vec<_>, _>>()?;
        let object = match items.len() {
            1 => items.remove(0),
            _ => serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}),
        };
        let text = match format {
            Output::Json => serde_json::to_string_pretty(&object)? + "\n",
            Output::Yaml => emit::yaml(&object),
        };
        std::io::stdout().write_all(text.as_bytes()).context("cannot write the objects")
    }
}

/// The next change, for ever none without `--watch`.
async fn next_change(changes: &mut Option<Changes>) -> Change {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn is_live(seen: &ObservedPod) -> bool {
    !seen.gone && !pods::is_terminal(&seen.pod)
}

/// Why a pod whose containers were restarted more than `max` times counts as failed. One that
/// waits for the restart that would be too much need not be waited for.
fn too_often(pod: &Pod, max: u32) -> Option<String> {
    let limit = i32::try_from(max).unwrap_or(i32::MAX);
    let status = outcome::statuses(pod).find(|status| {
        let waits = report::state(status) == "CrashLoopBackOff";
        status.restart_count > limit || (waits && status.restart_count >= limit)
    })?;
    Some(format!("pod {} failed: container {} keeps ending (--max-restarts {max})", pods::name(pod), status.name))
}
