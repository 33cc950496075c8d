//! Records the events of a pod in kubelet's words (K31, K36–K39, K43, K67).

use k8s_openapi::api::core::v1::Pod;

use super::containers::container_at;
use crate::events::{EventType, Recorder};
use crate::lifecycle::{Attempt, ContainerRef, ContainerRole, EventRecord, PodState, WaitingReason};
use crate::model::pods;

use EventType::{Normal, Warning};

/// Records events of one pod.
pub(super) struct PodEvents<'w> {
    pub(super) recorder: &'w Recorder,
    pub(super) pod: &'w Pod,
    pub(super) state: &'w PodState,
}

impl PodEvents<'_> {
    /// Records that the container was created; its program is about to start.
    pub(super) fn record_created(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.record_for_container(attempt, name, Normal, "Created", "Container created".into());
    }

    /// Records that the container's program runs.
    pub(super) fn record_started(&self, attempt: Attempt) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.record_for_container(attempt, name, Normal, "Started", "Container started".into());
    }

    /// Records that the container's image is present.
    pub(super) fn record_pulled(&self, attempt: Attempt) {
        let Some((name, image)) = self.container(attempt.container) else { return };
        let message = format!("Container image {image:?} already present on machine and can be accessed by the pod");
        self.record_for_container(attempt, name, Normal, "Pulled", message);
    }

    /// Records a failed start, which will be retried (K35, K38, K39, K42).
    pub(super) fn record_start_failure(&self, attempt: Attempt, reason: &WaitingReason) {
        let Some((name, image)) = self.container(attempt.container) else { return };
        let WaitingReason { reason, message } = reason;
        let first = match reason.as_str() {
            "ErrImagePull" => Some(("Failed", format!("Failed to pull image {image:?}: {message}"))),
            "ErrImageNeverPull" => Some(("ErrImageNeverPull", message.clone())),
            "InvalidImageName" | "ImageInspectError" => Some(("InspectFailed", message.clone())),
            _ => None,
        };
        let error = if first.is_some() { reason } else { message };
        if let Some((reason, message)) = first {
            self.record_for_container(attempt, name, Warning, reason, message);
        }
        self.record_for_container(attempt, name, Warning, "Failed", format!("Error: {error}"));
    }

    /// Records that the container's program cannot run; the attempt counts as terminated.
    pub(super) fn record_run_failure(&self, attempt: Attempt, cause: &str) {
        let Some((name, _)) = self.container(attempt.container) else { return };
        self.record_for_container(attempt, name, Warning, "Failed", format!("Error: {cause}"));
    }

    /// Records that the container is stopped because its pod's object is gone.
    pub(super) fn record_killing(&self, container: ContainerRef) {
        let Some((name, _)) = self.container(container) else { return };
        let message = format!("Stopping container {name}");
        self.recorder.record(self.pod, Some(field_path(container.role, name)), Normal, "Killing", message);
    }

    /// Records an event that `lifecycle` decided on.
    pub(super) fn record(&self, event: EventRecord) {
        let EventRecord { container, warning, reason, message } = event;
        let event_type = if warning { Warning } else { Normal };
        let path = container.and_then(|at| Some(field_path(at.role, self.container(at)?.0)));
        self.recorder.record(self.pod, path, event_type, reason, message);
    }

    /// Records that the pod's sandbox could not be set up.
    pub(super) fn record_sandbox_failure(&self, cause: &str) {
        let message = format!("Failed to create pod sandbox: {cause}");
        self.recorder.record(self.pod, None, Warning, "FailedCreatePodSandBox", message);
    }

    /// Records that a volume could not be mounted (K75).
    pub(super) fn record_mount_failure(&self, message: &str) {
        self.recorder.record(self.pod, None, Warning, "FailedMount", message.into());
    }

    /// Records the pod's eviction (K72).
    pub(super) fn record_eviction(&self, message: &str) {
        self.recorder.record(self.pod, None, Warning, "Evicted", message.into());
    }

    /// Records that the node rejects the pod.
    pub(super) fn record_rejection(&self, reason: &str, message: &str) {
        self.recorder.record(self.pod, None, Warning, reason, message.into());
    }

    fn record_for_container(&self, attempt: Attempt, name: &str, event_type: EventType, reason: &str, message: String) {
        let path = field_path(attempt.container.role, name);
        self.recorder.record(self.pod, Some(path), event_type, reason, message);
    }

    /// Returns a container's name and image.
    fn container(&self, container: ContainerRef) -> Option<(&str, &str)> {
        let name = self.state.name_of(container)?;
        let image = match container.role {
            ContainerRole::Init | ContainerRole::App => &container_at(self.pod, container)?.image,
            ContainerRole::Ephemeral => &pods::ephemeral_container(self.pod, name)?.image,
        };
        Some((name, image.as_deref().unwrap_or_default()))
    }
}

/// Returns an event's `fieldPath` for a container.
pub(super) fn field_path(role: ContainerRole, name: &str) -> String {
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
    use crate::budget::RetainedMemory;
    use crate::clock::Clock;
    use crate::control::{ControlPlane, Resource, Scope};
    use crate::events::{EventSource, recorder};
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    const APP: Attempt = Attempt { container: ContainerRef { role: ContainerRole::App, index: 0 }, number: 1 };

    /// Returns the events recorded for a pod with init container `i`, container `c` and ephemeral container `e`.
    async fn recorded(record: impl FnOnce(PodEvents<'_>)) -> Vec<String> {
        let yaml = "{metadata: {name: p, namespace: default, uid: u}, spec: {initContainers: [{name: i, image: x:1}], \
                    containers: [{name: c, image: x:1}], ephemeralContainers: [{name: e, image: x:1}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let control: Arc<dyn ControlPlane> = Arc::new(Registry::new(ObjectStore::new(100), clock));
        let source = EventSource { component: "kubelet", host: "n".into() };
        let (recorder, writer) = recorder(control.clone(), clock, source, &RetainedMemory::unlimited());
        record(PodEvents { recorder: &recorder, pod: &pod, state: &PodState::new(&pod) });
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
    async fn start_events_have_kubelets_words_and_a_field_path() {
        let all = [
            (ContainerRole::Init, "initContainers{i}"),
            (ContainerRole::App, "containers{c}"),
            (ContainerRole::Ephemeral, "ephemeralContainers{e}"),
        ];
        for (role, path) in all {
            let attempt = Attempt { container: ContainerRef { role, index: 0 }, number: 1 };
            let lines = recorded(|events| {
                events.record_pulled(attempt);
                events.record_created(attempt);
                events.record_started(attempt);
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
    async fn failed_starts_are_recorded_in_kubelets_words() {
        let never = "Container image \"x:1\" is not present with pull policy of Never";
        for (reason, message, first) in [
            ("ErrImagePull", "none", Some("Failed spec.containers{c}: Failed to pull image \"x:1\": none".to_string())),
            ("ErrImageNeverPull", never, Some(format!("ErrImageNeverPull spec.containers{{c}}: {never}"))),
            ("InvalidImageName", "bad", Some("InspectFailed spec.containers{c}: bad".into())),
            ("CreateContainerConfigError", "configmap \"x\" not found", None),
        ] {
            let waiting = WaitingReason { reason: reason.into(), message: message.into() };
            let error = if first.is_some() { reason } else { message };
            let last = Some(format!("Warning Failed spec.containers{{c}}: Error: {error}"));
            let want: Vec<String> = first.map(|first| format!("Warning {first}")).into_iter().chain(last).collect();
            assert_eq!(recorded(|events| events.record_start_failure(APP, &waiting)).await, want, "{reason}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_the_whole_pod_have_no_field_path() {
        let lines = recorded(|events| {
            events.record_rejection(
                "OutOfcpu",
                "Node didn't have enough resource: cpu, requested: 2, used: 0, capacity: 1",
            );
            events.record_mount_failure("MountVolume.SetUp failed for volume \"s\" : secret \"nope\" not found");
            events.record_sandbox_failure("no address");
        });
        let want = [
            "Warning OutOfcpu : Node didn't have enough resource: cpu, requested: 2, used: 0, capacity: 1",
            "Warning FailedMount : MountVolume.SetUp failed for volume \"s\" : secret \"nope\" not found",
            "Warning FailedCreatePodSandBox : Failed to create pod sandbox: no address",
        ];
        assert_eq!(lines.await, want);
    }
}
