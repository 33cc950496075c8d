//! `wasmpod run`: a throw-away node, the pods of the manifests, their outcome as exit code.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, MissedTickBehavior};

use super::args::{Output, RunArgs, Until};
use super::bare;
use super::exit::{Outcome, bad_input};
use super::follow::{Follower, Happening, Seen};
use super::input::{self, Input};
use super::progress::{at, watched};
use super::report;
use super::show::Show;
use super::signals::Signals;
use crate::control::{Body, ControlPlane, DeleteOptions, Reason};
use crate::embedded::{self, Node};
use crate::images::Images;
use crate::model::{emit, outcome, pods};
use crate::node::SOURCE_ANNOTATION;
use crate::runtime::Runtime;

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
    let images = Arc::new(Images::new(args.images.iter().cloned().collect(), true));
    let Input { pods, warnings } = input::read(&args, &images)?;
    warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    let mut signals = Signals::listen()?;
    let engine = embedded::engine()?;
    prepare(&pods, &images, &engine).await;
    let node = Node::builder().images(images).engine(engine).start()?;
    let follower = Follower::start(node.control(), node.handle().clone()).await?;
    let mut run = Run { show: Show::new(args.output.is_some()), follower, control: node.control().clone(), args };
    let outcome = run.live(pods, &mut signals).await;
    run.show.finish();
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
    match of_programs.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(bad_input(format!("{flag} is for a .wasm file: in a manifest, the pod says it"))),
        None => Ok(()),
    }
}

/// Compiles what the pods will run, and says which built-in images stand in. What can't be
/// compiled shows when its container starts, as it would on any node.
async fn prepare(pods: &[Pod], images: &Images, runtime: &Runtime) {
    let mut prepared = std::collections::BTreeSet::new();
    for pod in pods {
        let Some(spec) = &pod.spec else { continue };
        let source = pods::annotation(pod, SOURCE_ANNOTATION).map(Path::new);
        let base = source.and_then(Path::parent).unwrap_or(Path::new("."));
        for container in pods::init_containers(spec).iter().chain(&spec.containers) {
            let name = container.image.as_deref().unwrap_or_default();
            let Ok(image) = images.find(name, base) else { continue };
            if let Some(notice) = image.notice.as_ref().filter(|_| prepared.insert(name.to_string())) {
                tell!("{notice}");
            }
            let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
            let Ok(command) = image.command(&words(&container.command), &words(&container.args)) else { continue };
            let compile = runtime.program(command.program.digest, &command.program.bytes);
            let _ = watched(&format!("compiling {name}"), compile).await;
        }
    }
}

struct Run {
    args: RunArgs,
    control: Arc<dyn ControlPlane>,
    follower: Follower,
    show: Show,
}

impl Run {
    /// Creates the pods and stays with them to the end.
    async fn live(&mut self, pods: Vec<Pod>, signals: &mut Signals) -> anyhow::Result<Outcome> {
        let wanted = pods.len();
        for pod in pods {
            let created = self.control.create(Body::Pod(Box::new(pod))).await;
            created.map_err(|status| bad_input(status.to_string()))?;
        }
        let outcome = self.until_decided(wanted, signals).await?;
        self.end(outcome, signals).await?;
        while let Some((source, entries)) = self.follower.next_log().await {
            if self.show.log(&source, &entries).is_err() {
                break;
            }
        }
        self.print_objects()?;
        Ok(outcome)
    }

    async fn until_decided(&mut self, wanted: usize, signals: &mut Signals) -> anyhow::Result<Outcome> {
        let deadline = self.args.timeout.map(|timeout| Instant::now() + timeout);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                happening = self.follower.next() => {
                    let state = matches!(happening, Ok(Happening::Pod(_)));
                    self.tell(happening?)?;
                    if state && let Some(outcome) = self.verdict(wanted) {
                        return Ok(outcome);
                    }
                }
                signal = signals.next() => return Ok(signal),
                () = at(deadline) => {
                    self.show.note("error: the time is up (--timeout)");
                    return Ok(Outcome::Timeout);
                }
                _ = second.tick() => self.show.tick(&self.follower),
            }
        }
    }

    fn tell(&mut self, happening: Happening) -> anyhow::Result<()> {
        match happening {
            Happening::Pod(key) => self.show.pod(&self.follower, &key),
            Happening::Log(source, entries) => {
                self.show.log(&source, &entries).context("cannot write the logs")?;
            }
        }
        Ok(())
    }

    /// The outcome, as soon as there is one.
    fn verdict(&mut self, wanted: usize) -> Option<Outcome> {
        let pods: Vec<&Seen> = self.follower.pods().collect();
        if pods.len() < wanted {
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
        if !done {
            return None;
        }
        failed.iter().for_each(|message| self.show.note(&format!("error: {message}")));
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
        let read = |seen: &Seen| serde_json::from_slice::<serde_json::Value>(&seen.object.json);
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

fn is_live(seen: &Seen) -> bool {
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
