//! What a worker tells of its pod as events, in a kubelet's words (K31, K37, K43, K67).

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::events::{Recorder, Severity};
use crate::lifecycle::{Attempt, Role, Trouble};
use crate::model::pods;

use Severity::{Normal, Warning};

/// Tells of one pod.
pub(super) struct Told<'w> {
    pub(super) recorder: &'w Recorder,
    pub(super) pod: &'w Pod,
}

impl Told<'_> {
    /// The program of the attempt is there.
    pub(super) fn created(&self, attempt: Attempt) {
        let Some((name, image)) = self.container(attempt) else { return };
        let message = format!("Container image {image:?} already present on machine and can be accessed by the pod");
        self.of_container(attempt, name, Normal, "Pulled", message);
        self.of_container(attempt, name, Normal, "Created", "Container created".into());
    }

    /// It runs.
    pub(super) fn started(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt) else { return };
        self.of_container(attempt, name, Normal, "Started", "Container started".into());
    }

    /// It could not be started; it is tried again.
    pub(super) fn failed(&self, attempt: Attempt, trouble: &Trouble) {
        let Some((name, image)) = self.container(attempt) else { return };
        let Trouble { reason, message } = trouble;
        if matches!(reason.as_str(), "ErrImagePull" | "ImageInspectError" | "ErrImageNeverPull" | "InvalidImageName") {
            let words = format!("Failed to pull image {image:?}: {message}");
            self.of_container(attempt, name, Warning, "Failed", words);
            self.of_container(attempt, name, Warning, "Failed", format!("Error: {reason}"));
        } else {
            self.of_container(attempt, name, Warning, "Failed", format!("Error: {message}"));
        }
    }

    /// Its program can't run; the attempt counts as one that ended.
    pub(super) fn never_ran(&self, attempt: Attempt, why: &str) {
        let Some((name, _)) = self.container(attempt) else { return };
        self.of_container(attempt, name, Warning, "Failed", format!("Error: {why}"));
    }

    /// It was asked to end.
    pub(super) fn killing(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt) else { return };
        self.of_container(attempt, name, Normal, "Killing", format!("Stopping container {name}"));
    }

    /// The pod's place could not be made.
    pub(super) fn no_sandbox(&self, why: &str) {
        let message = format!("Failed to create pod sandbox: {why}");
        self.recorder.record(self.pod, None, Warning, "FailedCreatePodSandBox", message);
    }

    /// The node has no room for the pod.
    pub(super) fn rejected(&self, reason: &str, message: &str) {
        self.recorder.record(self.pod, None, Warning, reason, message.into());
    }

    /// Back-offs that `now` shows and `before` did not.
    pub(super) fn back_offs(&self, before: Option<&PodStatus>, now: &PodStatus) {
        let known: Vec<(&str, &str)> =
            before.into_iter().flat_map(back_offs).map(|(_, name, text)| (name, text)).collect();
        for (list, name, text) in back_offs(now) {
            if known.contains(&(name, text)) {
                continue;
            }
            let meta = &self.pod.metadata;
            let place = format!(
                "{}_{}({})",
                pods::name(self.pod),
                pods::namespace(self.pod),
                meta.uid.as_deref().unwrap_or_default()
            );
            let message = format!("Back-off restarting failed container {name} in pod {place}");
            self.recorder.record(self.pod, Some(format!("{list}{{{name}}}")), Warning, "BackOff", message);
        }
    }

    fn of_container(&self, attempt: Attempt, name: &str, severity: Severity, reason: &str, message: String) {
        let list = match attempt.container.role {
            Role::Init => "spec.initContainers",
            Role::App => "spec.containers",
        };
        self.recorder.record(self.pod, Some(format!("{list}{{{name}}}")), severity, reason, message);
    }

    /// Name and image of the attempt's container.
    fn container(&self, attempt: Attempt) -> Option<(&str, &str)> {
        let spec = self.pod.spec.as_ref()?;
        let containers = match attempt.container.role {
            Role::Init => pods::init_containers(spec),
            Role::App => &spec.containers,
        };
        let container = containers.get(attempt.container.index)?;
        Some((&container.name, container.image.as_deref().unwrap_or_default()))
    }
}

/// Containers that wait for their restart: where they stand, their name, and the text that says how long.
fn back_offs(status: &PodStatus) -> impl Iterator<Item = (&'static str, &str, &str)> {
    let init = status.init_container_statuses.iter().flatten().map(|s| ("spec.initContainers", s));
    let apps = status.container_statuses.iter().flatten().map(|s| ("spec.containers", s));
    init.chain(apps).filter_map(|(list, status)| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let backs_off = waiting.reason.as_deref() == Some("CrashLoopBackOff");
        backs_off.then(|| (list, status.name.as_str(), waiting.message.as_deref().unwrap_or_default()))
    })
}
