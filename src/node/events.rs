//! What a worker tells of its pod as events, in a kubelet's words (K31, K36–K39, K43, K67).

use k8s_openapi::api::core::v1::Pod;

use super::perform::container_of;
use crate::events::{EventType, Recorder};
use crate::lifecycle::{Attempt, ContainerRef, ContainerRole, EventRecord, PodState, WaitingReason};
use crate::model::pods;

use EventType::{Normal, Warning};

/// Tells of one pod.
pub(super) struct PodEvents<'w> {
    pub(super) recorder: &'w Recorder,
    pub(super) pod: &'w Pod,
    pub(super) state: &'w PodState,
}

impl PodEvents<'_> {
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
    pub(super) fn failed(&self, attempt: Attempt, trouble: &WaitingReason) {
        let Some((name, image)) = self.container(attempt.container) else { return };
        let WaitingReason { reason, message } = trouble;
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
    pub(super) fn note(&self, note: EventRecord) {
        let EventRecord { container, warning, reason, message } = note;
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

    fn of_container(&self, attempt: Attempt, name: &str, severity: EventType, reason: &str, message: String) {
        let path = field_path(attempt.container.role, name);
        self.recorder.record(self.pod, Some(path), severity, reason, message);
    }

    /// A container's name and image.
    fn container(&self, at: ContainerRef) -> Option<(&str, &str)> {
        let name = self.state.name_of(at)?;
        let image = match at.role {
            ContainerRole::Init | ContainerRole::App => &container_of(self.pod, at)?.image,
            ContainerRole::Ephemeral => &pods::ephemeral(self.pod, name)?.image,
        };
        Some((name, image.as_deref().unwrap_or_default()))
    }
}

/// Where in its pod a container stands, as an event's `fieldPath` says it.
fn field_path(role: ContainerRole, name: &str) -> String {
    let list = match role {
        ContainerRole::Init => "initContainers",
        ContainerRole::App => "containers",
        ContainerRole::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{name}}}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Event;

    use super::*;
    use crate::clock::Clock;
    use crate::control::{ControlPlane, Resource, Scope};
    use crate::events::{EventSource, recorder};
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    const APP: Attempt = Attempt { container: ContainerRef { role: ContainerRole::App, index: 0 }, number: 1 };

    /// What was told of a pod with an init container `i`, a container `c` and an ephemeral container `e`.
    async fn told(tell: impl FnOnce(PodEvents<'_>)) -> Vec<String> {
        let yaml = "{metadata: {name: p, namespace: default, uid: u}, spec: {initContainers: [{name: i, image: x:1}], \
                    containers: [{name: c, image: x:1}], ephemeralContainers: [{name: e, image: x:1}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(100), clock));
        let (recorder, writer) =
            recorder(control.clone(), clock, EventSource { component: "kubelet", host: "n".into() });
        tell(PodEvents { recorder: &recorder, pod: &pod, state: &PodState::new(&pod) });
        drop(recorder);
        writer.run().await;
        let all = control.list(&Scope::all(Resource::EVENTS)).await.expect("events");
        let line = |event: Arc<Event>| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            let (kind, reason, message) = (text(&event.type_), text(&event.reason), text(&event.message));
            format!("{kind} {reason} {}: {message}", text(&event.involved_object.field_path))
        };
        all.items.iter().map(|object| line(object.decode().expect("an event"))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn k37_k43_a_start_is_told_of_in_kubelets_words_and_with_its_place() {
        let all = [
            (ContainerRole::Init, "initContainers{i}"),
            (ContainerRole::App, "containers{c}"),
            (ContainerRole::Ephemeral, "ephemeralContainers{e}"),
        ];
        for (role, path) in all {
            let attempt = Attempt { container: ContainerRef { role, index: 0 }, number: 1 };
            let lines = told(|told| {
                told.pulled(attempt);
                told.created(attempt);
                told.started(attempt);
            });
            let image = "Container image \"x:1\" already present on machine and can be accessed by the pod";
            let want = [
                format!("Normal Pulled spec.{path}: {image}"),
                format!("Normal Created spec.{path}: Container created"),
                format!("Normal Started spec.{path}: Container started"),
            ];
            assert_eq!(lines.await, want);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn k38_k39_k42_a_start_that_fails_is_told_of_in_kubelets_words() {
        let never = "Container image \"x:1\" is not present with pull policy of Never";
        for (reason, message, first) in [
            ("ErrImagePull", "none", Some("Failed spec.containers{c}: Failed to pull image \"x:1\": none".to_string())),
            ("ErrImageNeverPull", never, Some(format!("ErrImageNeverPull spec.containers{{c}}: {never}"))),
            ("InvalidImageName", "bad", Some("InspectFailed spec.containers{c}: bad".into())),
            ("CreateContainerConfigError", "configmap \"x\" not found", None),
        ] {
            let trouble = WaitingReason { reason: reason.into(), message: message.into() };
            let error = if first.is_some() { reason } else { message };
            let last = Some(format!("Warning Failed spec.containers{{c}}: Error: {error}"));
            let want: Vec<String> = first.map(|first| format!("Warning {first}")).into_iter().chain(last).collect();
            assert_eq!(told(|told| told.failed(APP, &trouble)).await, want, "{reason}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn k13_k75_what_is_wrong_with_the_whole_pod_is_told_without_a_place() {
        let lines = told(|told| {
            told.rejected("OutOfcpu", "Node didn't have enough resource: cpu, requested: 2, used: 0, capacity: 1");
            told.failed_mount("MountVolume.SetUp failed for volume \"s\" : secret \"nope\" not found");
            told.no_sandbox("no address");
        });
        let want = [
            "Warning OutOfcpu : Node didn't have enough resource: cpu, requested: 2, used: 0, capacity: 1",
            "Warning FailedMount : MountVolume.SetUp failed for volume \"s\" : secret \"nope\" not found",
            "Warning FailedCreatePodSandBox : Failed to create pod sandbox: no address",
        ];
        assert_eq!(lines.await, want);
    }
}
