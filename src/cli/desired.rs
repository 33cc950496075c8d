//! The pods that a run wants, and bringing them in line with what has changed (`--watch`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::changes::{Change, name};
use super::input::{self, Input};
use super::programs;
use super::run::Run;
use crate::control::{Body, DeleteOptions, Key, Reason, Status};
use crate::model::{outcome, pods};

/// How long what makes way for something newer may take to end.
pub const GRACE: Duration = Duration::from_secs(1);

/// A pod as the manifests say it, and where it was stored.
pub struct DesiredPod {
    pod: Pod,
    key: Key,
    /// Attempts that were asked to make way, by their container IDs.
    outdated: BTreeSet<String>,
}

/// The pods of a run.
#[derive(Default)]
pub struct Pods {
    wanted: Vec<DesiredPod>,
    /// Pods that begin when the one before them has gone.
    next: Vec<(Key, Pod)>,
}

impl Pods {
    /// How many are wanted.
    pub fn count(&self) -> usize {
        self.wanted.len()
    }

    /// Whether some wait for others to go.
    pub fn are_moving(&self) -> bool {
        !self.next.is_empty()
    }

    /// Whether the pod at `key` is one of them.
    pub fn contain(&self, key: &Key) -> bool {
        self.wanted.iter().any(|wanted| wanted.key == *key)
    }
}

impl Run {
    /// Creates a pod that is wanted.
    pub async fn create(&mut self, pod: Pod) -> Result<(), Status> {
        let object = self.control.create(Body::Pod(Box::new(pod.clone()))).await?;
        let (key, outdated) = (object.key.clone(), BTreeSet::new());
        self.pods.wanted.push(DesiredPod { pod, key, outdated });
        Ok(())
    }

    /// Does what follows from a change of the files.
    pub async fn follow(&mut self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::Programs(files) => self.renew_programs(&files).await,
            Change::Manifests(input, notices) => {
                notices.iter().for_each(|notice| self.show.note(notice));
                self.renew_pods(input).await
            }
            Change::Broken(why) => {
                self.show.note(&format!("error: {why}"));
                Ok(())
            }
        }
    }

    /// The pod at `key` has gone: the one that waited for this begins.
    pub async fn gone(&mut self, key: &Key) {
        let waiting = self.pods.next.iter().position(|(before, _)| before == key);
        if let Some((_, pod)) = waiting.map(|at| self.pods.next.remove(at)) {
            self.begin(pod).await;
        }
    }

    /// The pod at `key` is over. One that ended just when it was to run something newer runs again.
    pub async fn over(&mut self, key: &Key) -> anyhow::Result<()> {
        let over = self.follower.pod(key).filter(|seen| pods::is_terminal(&seen.pod) && !seen.gone);
        let Some(seen) = over else { return Ok(()) };
        let last: Vec<String> = outcome::statuses(&seen.pod).filter_map(|status| status.container_id.clone()).collect();
        let is_outdated =
            |wanted: &DesiredPod| wanted.key == *key && last.iter().any(|id| wanted.outdated.contains(id));
        match self.pods.wanted.iter().position(is_outdated) {
            Some(at) => {
                let DesiredPod { pod, key, .. } = self.pods.wanted.remove(at);
                self.replace(key, Some(pod)).await
            }
            None => Ok(()),
        }
    }

    async fn begin(&mut self, pod: Pod) {
        let name = pods::name(&pod).to_string();
        if let Err(status) = self.create(pod).await {
            self.show.note(&format!("error: pod {name} cannot begin: {status}"));
        }
    }

    async fn renew_programs(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        let mut over = Vec::new();
        let mut restarts = Vec::new();
        for (at, wanted) in self.pods.wanted.iter_mut().enumerate() {
            let uses = programs::files(&wanted.pod, &self.images);
            let changed = uses.iter().filter(|(_, file)| files.contains(file));
            let Some(seen) = self.follower.pod(&wanted.key).filter(|seen| !seen.gone) else { continue };
            for (container, file) in changed {
                if pods::is_terminal(&seen.pod) {
                    over.push((at, format!("{} changed: running pod {} again", name(file), pods::name(&seen.pod))));
                    break;
                }
                let uid = pods::uid(&seen.pod).to_string();
                let (file, pod) = (name(file), pods::name(&seen.pod));
                let note = format!("{file} changed: restarting container {} of pod {pod}", container.name);
                let status = outcome::statuses(&seen.pod).find(|status| status.name == container.name);
                wanted.outdated.extend(status.and_then(|status| status.container_id.clone()));
                restarts.push((uid, container.name.clone(), note));
            }
        }
        for (uid, container, note) in restarts {
            self.show.note(&note);
            self.handle.restart(&uid, &container, GRACE).await;
        }
        // From the end, so that the places before stay the same.
        for (at, note) in over.into_iter().rev() {
            self.show.note(&note);
            let DesiredPod { pod, key, .. } = self.pods.wanted.remove(at);
            self.replace(key, Some(pod)).await?;
        }
        Ok(())
    }

    async fn renew_pods(&mut self, input: Input) -> anyhow::Result<()> {
        input.warnings.iter().for_each(|warning| self.show.note(&format!("warning: {warning}")));
        if let Err(status) = input::store(&*self.control, input.configs).await {
            self.show.note(&format!("error: {status}"));
        }
        let mut before = std::mem::take(&mut self.pods.wanted);
        let mut new = Vec::new();
        // A pod that is still to come is what the manifests say now.
        let mut coming = std::mem::take(&mut self.pods.next);
        for pod in input.pods {
            if let Some(at) = before.iter().position(|wanted| same_name(&wanted.pod, &pod)) {
                let wanted = before.remove(at);
                if wanted.pod == pod {
                    self.pods.wanted.push(wanted);
                } else {
                    self.show.note(&format!("pod {} changed: starting it again", pods::name(&pod)));
                    self.replace(wanted.key, Some(pod)).await?;
                }
            } else if let Some(at) = coming.iter().position(|(_, old)| same_name(old, &pod)) {
                self.pods.next.push((coming.remove(at).0, pod));
            } else {
                new.push(pod);
            }
        }
        for wanted in before {
            self.show.note(&format!("pod {} is no longer wanted: stopping it", wanted.key.name));
            self.replace(wanted.key, None).await?;
        }
        for pod in new {
            self.show.note(&format!("pod {} is new: starting it", pods::name(&pod)));
            self.begin(pod).await;
        }
        Ok(())
    }

    /// Ends the pod at `key`; `next` takes its place.
    async fn replace(&mut self, key: Key, next: Option<Pod>) -> anyhow::Result<()> {
        self.pods.next.extend(next.map(|pod| (key.clone(), pod)));
        let grace_seconds = i64::try_from(GRACE.as_secs()).ok();
        let options = DeleteOptions { grace_seconds, ..DeleteOptions::default() };
        match self.control.delete(&key, options).await {
            Ok(_) => Ok(()),
            Err(status) if status.reason == Reason::NotFound => {
                self.gone(&key).await;
                Ok(())
            }
            Err(status) => Err(status.into()),
        }
    }
}

/// Whether one takes the other's place: by name, or by what names are generated from.
fn same_name(a: &Pod, b: &Pod) -> bool {
    let name =
        |pod: &Pod| (pod.metadata.namespace.clone(), pod.metadata.name.clone(), pod.metadata.generate_name.clone());
    name(a) == name(b)
}
