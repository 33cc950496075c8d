//! What a simulation shows: statuses, events and actions, each with its second.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};

use super::simulation::Simulation;
use wasmpod_lifecycle::ContainerRef;

impl Simulation {
    /// Returns the current status.
    pub fn status(&self) -> &PodStatus {
        self.statuses.last().map(|(_, status)| status).expect("a status")
    }

    /// Returns the phases in their order.
    pub fn phases(&self) -> String {
        distinct(self.statuses.iter().map(|(_, status)| status.phase.clone().unwrap_or_default())).join(" ")
    }

    /// Returns the current phase.
    pub fn phase(&self) -> &str {
        self.status().phase.as_deref().expect("a phase")
    }

    /// Returns the current status of a container.
    pub fn container(&self, name: &str) -> &ContainerStatus {
        container_status(self.status(), name).unwrap_or_else(|| panic!("no container {name}"))
    }

    /// Returns the states of a container in their order: `0.0 waiting ContainerCreating`, `1.0 terminated 1 Error`.
    pub fn states(&self, name: &str) -> Vec<String> {
        let shown = |(at, status): &(Duration, PodStatus)| Some((*at, word(&container_status(status, name)?.state)));
        let mut all: Vec<(Duration, String)> = self.statuses.iter().filter_map(shown).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, word)| format!("{} {word}", seconds(at))).collect()
    }

    /// Returns the current `state` and `lastState` of a container.
    pub fn state(&self, name: &str) -> (String, String) {
        let container = self.container(name);
        (word(&container.state), word(&container.last_state))
    }

    /// Returns the message of a waiting container.
    pub fn waiting_message(&self, name: &str) -> String {
        let waiting = self.container(name).state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default()
    }

    /// Returns the messages of a waiting container in their order.
    pub fn waiting_messages(&self, name: &str) -> Vec<String> {
        let waiting = |(_, status): &(Duration, PodStatus)| {
            container_status(status, name)?.state.as_ref()?.waiting.as_ref()?.message.clone()
        };
        distinct(self.statuses.iter().filter_map(waiting))
    }

    /// Returns the current state of a condition: `True`, or `False ContainersNotReady: containers with …`.
    pub fn condition(&self, kind: &str) -> String {
        condition(self.status(), kind)
    }

    /// Returns the states of a condition in their order: `0.0 False ContainersNotReady: …`.
    pub fn conditions(&self, kind: &str) -> Vec<String> {
        let mut all: Vec<_> = self.statuses.iter().map(|(at, status)| (*at, condition(status, kind))).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, what)| format!("{} {what}", seconds(at))).collect()
    }

    /// Returns the seconds at which an action was performed, such as `start c`.
    pub fn when(&self, action: &str) -> Vec<f64> {
        self.actions.iter().filter(|(_, performed)| performed == action).map(|(at, _)| at.as_secs_f64()).collect()
    }

    /// Returns all actions but probes, such as `8.0 terminate c`.
    pub fn actions(&self) -> Vec<String> {
        let all = self.actions.iter().filter(|(_, action)| !action.contains("probe "));
        all.map(|(at, action)| format!("{} {action}", seconds(*at))).collect()
    }

    /// Returns the events with a reason, such as `5.0 Warning x2 no`. Equal messages are counted.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let mut counts: BTreeMap<(Option<ContainerRef>, &str), usize> = BTreeMap::new();
        let events = self.events.iter().filter(|(_, event)| event.reason == reason);
        let lines = events.map(|(at, event)| {
            let count = counts.entry((event.container, &event.message)).or_default();
            *count += 1;
            let kind = if event.warning { "Warning" } else { "Normal" };
            format!("{} {kind} x{count} {}", seconds(*at), event.message)
        });
        lines.collect()
    }

    /// Returns the second at which the pod was removed.
    pub fn removed_at(&self) -> Option<f64> {
        self.removed_at.map(|at| at.as_secs_f64())
    }

    /// Returns the current pod.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Decides whether every status has a property.
    pub fn always(&self, property: impl Fn(&PodStatus) -> bool) -> bool {
        self.statuses.iter().all(|(_, status)| property(status))
    }
}

fn seconds(at: Duration) -> String {
    format!("{:.1}", at.as_secs_f64())
}

fn distinct(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.collect();
    all.dedup();
    all
}

/// Returns the status of a container of any kind.
pub fn container_status<'s>(status: &'s PodStatus, name: &str) -> Option<&'s ContainerStatus> {
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|container| container.name == name)
}

fn word(state: &Option<ContainerState>) -> String {
    let Some(state) = state else { return String::new() };
    if let Some(waiting) = &state.waiting {
        return format!("waiting {}", waiting.reason.as_deref().unwrap_or_default());
    }
    if let Some(ended) = &state.terminated {
        return format!("terminated {} {}", ended.exit_code, ended.reason.as_deref().unwrap_or_default());
    }
    if state.running.is_some() { "running".into() } else { String::new() }
}

fn condition(status: &PodStatus, kind: &str) -> String {
    let found = status.conditions.iter().flatten().find(|c| c.type_ == kind);
    let Some(found) = found else { return "none".into() };
    let why = match (&found.reason, &found.message) {
        (None, _) => String::new(),
        (Some(reason), None) => format!(" {reason}"),
        (Some(reason), Some(message)) => format!(" {reason}: {message}"),
    };
    format!("{}{why}", found.status)
}
