//! What a worker tells of its pod as events, in a kubelet's words (K31, K36–K39, K43, K67).

use k8s_openapi::api::core::v1::Pod;

use crate::events::{Recorder, Severity};
use crate::lifecycle::{Attempt, ContainerRef, Note, Role, Trouble};
use crate::model::pods;

use Severity::{Normal, Warning};

/// Tells of one pod.
pub(super) struct Told<'w> {
    pub(super) recorder: &'w Recorder,
    pub(super) pod: &'w Pod,
}

impl Told<'_> {
    /// The container was made; its program is about to run.
    pub(super) fn created(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.of_container(attempt, name, Normal, "Created", "Container created".into());
    }

    /// It runs.
    pub(super) fn started(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.of_container(attempt, name, Normal, "Started", "Container started".into());
    }

    /// The image is there.
    pub(super) fn pulled(&self, attempt: Attempt) {
        let Some((name, image)) = self.container(attempt.container) else { return };
        let message = format!("Container image {image:?} already present on machine and can be accessed by the pod");
        self.of_container(attempt, name, Normal, "Pulled", message);
    }

    /// It could not be started; it is tried again (K35, K38, K39, K42).
    pub(super) fn failed(&self, attempt: Attempt, trouble: &Trouble) {
        let Some((name, image)) = self.container(attempt.container) else { return };
        let Trouble { reason, message } = trouble;
        let first = match reason.as_str() {
            "ErrImagePull" => Some(("Failed", format!("Failed to pull image {image:?}: {message}"))),
            "ErrImageNeverPull" => Some(("ErrImageNeverPull", message.clone())),
            "InvalidImageName" | "ImageInspectError" => Some(("InspectFailed", message.clone())),
            _ => None,
        };
        let words = if first.is_some() { reason } else { message };
        if let Some((reason, message)) = first {
            self.of_container(attempt, name, Warning, reason, message);
        }
        self.of_container(attempt, name, Warning, "Failed", format!("Error: {words}"));
    }

    /// Its program can't run; the attempt counts as one that ended.
    pub(super) fn never_ran(&self, attempt: Attempt, why: &str) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.of_container(attempt, name, Warning, "Failed", format!("Error: {why}"));
    }

    /// It is ended with its pod, whose object has gone.
    pub(super) fn killing(&self, at: ContainerRef) {
        let Some((name, _)) = self.container(at) else { return };
        let message = format!("Stopping container {name}");
        self.recorder.record(self.pod, Some(field_path(at.role, name)), Normal, "Killing", message);
    }

    /// What `lifecycle` has to say.
    pub(super) fn note(&self, note: Note) {
        let Note { container, warning, reason, message } = note;
        let severity = if warning { Warning } else { Normal };
        let path = container.and_then(|at| Some(field_path(at.role, self.container(at)?.0)));
        self.recorder.record(self.pod, path, severity, reason, message);
    }

    /// The pod's place could not be made.
    pub(super) fn no_sandbox(&self, why: &str) {
        let message = format!("Failed to create pod sandbox: {why}");
        self.recorder.record(self.pod, None, Warning, "FailedCreatePodSandBox", message);
    }

    /// A volume can't be had (K75).
    pub(super) fn failed_mount(&self, why: &str) {
        self.recorder.record(self.pod, None, Warning, "FailedMount", why.into());
    }

    /// The node can't keep the pod (K72).
    pub(super) fn evicted(&self, message: &str) {
        self.recorder.record(self.pod, None, Warning, "Evicted", message.into());
    }

    /// The node has no room for the pod.
    pub(super) fn rejected(&self, reason: &str, message: &str) {
        self.recorder.record(self.pod, None, Warning, reason, message.into());
    }

    fn of_container(&self, attempt: Attempt, name: &str, severity: Severity, reason: &str, message: String) {
        let path = field_path(attempt.container.role, name);
        self.recorder.record(self.pod, Some(path), severity, reason, message);
    }

    /// A container's name and image.
    fn container(&self, at: ContainerRef) -> Option<(&str, &str)> {
        let spec = self.pod.spec.as_ref()?;
        let (name, image) = match at.role {
            Role::Init => pods::init_containers(spec).get(at.index).map(|c| (&c.name, &c.image))?,
            Role::App => spec.containers.get(at.index).map(|c| (&c.name, &c.image))?,
            Role::Ephemeral => spec.ephemeral_containers.iter().flatten().nth(at.index).map(|c| (&c.name, &c.image))?,
        };
        Some((name, image.as_deref().unwrap_or_default()))
    }
}

/// Where in its pod a container stands, as an event's `fieldPath` says it.
fn field_path(role: Role, name: &str) -> String {
    let list = match role {
        Role::Init => "initContainers",
        Role::App => "containers",
        Role::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{name}}}")
}
