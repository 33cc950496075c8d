//! What is to be seen of a play: statuses, events, what was done, each with its second.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};

use super::play::Play;
use wasmpod_lifecycle::ContainerRef;

impl Play {
    /// The status as it was last written.
    pub fn status(&self) -> &PodStatus {
        self.shown.last().map(|(_, status)| status).expect("a status")
    }

    /// The phases in their order.
    pub fn phases(&self) -> String {
        distinct(self.shown.iter().map(|(_, status)| status.phase.clone().unwrap_or_default())).join(" ")
    }

    /// The last phase.
    pub fn phase(&self) -> &str {
        self.status().phase.as_deref().expect("a phase")
    }

    /// The status of a container now.
    pub fn container(&self, name: &str) -> &ContainerStatus {
        of(self.status(), name).unwrap_or_else(|| panic!("no container {name}"))
    }

    /// What container `name` showed, one after the other: `0.0 waiting ContainerCreating`, `1.0 terminated 1 Error`.
    pub fn states(&self, name: &str) -> Vec<String> {
        let shown = |(at, status): &(Duration, PodStatus)| Some((*at, word(&of(status, name)?.state)));
        let mut all: Vec<(Duration, String)> = self.shown.iter().filter_map(shown).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, word)| format!("{} {word}", clock(at))).collect()
    }

    /// What it shows now, of `state` and of `lastState`.
    pub fn state(&self, name: &str) -> (String, String) {
        let container = self.container(name);
        (word(&container.state), word(&container.last_state))
    }

    /// Why it waits, in words.
    pub fn waits_for(&self, name: &str) -> String {
        let waiting = self.container(name).state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default()
    }

    /// All that it has said while it waited, one after the other.
    pub fn messages(&self, name: &str) -> Vec<String> {
        let waiting =
            |(_, status): &(Duration, PodStatus)| of(status, name)?.state.as_ref()?.waiting.as_ref()?.message.clone();
        distinct(self.shown.iter().filter_map(waiting))
    }

    /// A condition now: `True`, or `False ContainersNotReady: containers with …`.
    pub fn condition(&self, kind: &str) -> String {
        condition(self.status(), kind)
    }

    /// What a condition said, one after the other: `0.0 False ContainersNotReady: …`.
    pub fn conditions(&self, kind: &str) -> Vec<String> {
        let mut all: Vec<_> = self.shown.iter().map(|(at, status)| (*at, condition(status, kind))).collect();
        all.dedup_by(|later, earlier| later.1 == earlier.1);
        all.into_iter().map(|(at, what)| format!("{} {what}", clock(at))).collect()
    }

    /// When `what` was done, as `start c`.
    pub fn when(&self, what: &str) -> Vec<f64> {
        self.done.iter().filter(|(_, done)| done == what).map(|(at, _)| at.as_secs_f64()).collect()
    }

    /// All that was done beside probes, as `8.0 ask c`.
    pub fn done(&self) -> Vec<String> {
        let all = self.done.iter().filter(|(_, done)| !done.contains("probe "));
        all.map(|(at, done)| format!("{} {done}", clock(*at))).collect()
    }

    /// The events of `reason`, as `5.0 Warning x2 no`: counted as long as they say the same.
    pub fn told(&self, reason: &str) -> Vec<String> {
        let mut counts: BTreeMap<(Option<ContainerRef>, &str), usize> = BTreeMap::new();
        let notes = self.told.iter().filter(|(_, note)| note.reason == reason);
        let lines = notes.map(|(at, note)| {
            let count = counts.entry((note.container, &note.message)).or_default();
            *count += 1;
            let severity = if note.warning { "Warning" } else { "Normal" };
            format!("{} {severity} x{count} {}", clock(*at), note.message)
        });
        lines.collect()
    }

    /// When its object was removed for good.
    pub fn removed(&self) -> Option<f64> {
        self.removed.map(|at| at.as_secs_f64())
    }

    /// The pod as it is now.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Whether every status that was shown keeps `law`.
    pub fn always(&self, law: impl Fn(&PodStatus) -> bool) -> bool {
        self.shown.iter().all(|(_, status)| law(status))
    }
}

fn clock(at: Duration) -> String {
    format!("{:.1}", at.as_secs_f64())
}

fn distinct(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.collect();
    all.dedup();
    all
}

/// The status of container `name`, whatever its list.
pub fn of<'s>(status: &'s PodStatus, name: &str) -> Option<&'s ContainerStatus> {
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
