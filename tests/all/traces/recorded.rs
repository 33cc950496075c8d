//! The recordings, and the form in which recorded pods and ours are compared.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A recording: a pod, the actions on it, and the states and events that a real kubelet reported.
#[derive(Deserialize)]
pub struct Trace {
    pub name: String,
    pub spec: Value,
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Seconds.
    pub watched_s: f64,
    #[serde(default)]
    timeline: Vec<Value>,
    #[serde(default)]
    events: Vec<Value>,
}

/// An action on the pod.
#[derive(Deserialize)]
pub struct Action {
    /// Seconds after the pod's creation.
    pub t: f64,
    #[serde(rename = "do")]
    pub what: String,
    #[serde(default)]
    pub body: Value,
}

/// An observation and its time in seconds since the first one.
#[derive(Debug, Clone)]
pub struct Observed<T> {
    pub at: f64,
    pub what: T,
}

/// The observed state of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSnapshot {
    pub phase: String,
    /// The pod's own reason and message.
    pub detail: String,
    pub gone: bool,
    pub grace: Option<i64>,
    pub qos: String,
    pub has_ip: bool,
    pub conditions: Vec<Condition>,
    pub containers: Vec<ContainerSnapshot>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub kind: String,
    pub status: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSnapshot {
    pub role: Role,
    pub name: String,
    pub state: ContainerState,
    pub last: ContainerState,
    pub ready: bool,
    pub started: Option<bool>,
    pub restarts: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Init,
    App,
    Ephemeral,
}

/// The state of a container, with reason, message and exit code.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerState {
    Absent,
    Waiting(String),
    Running,
    Terminated(String),
}

/// An event after it was emitted `count` times.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: String,
    pub reason: String,
    pub message: String,
    pub place: String,
    pub source: String,
    pub count: i64,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().into()
}

/// Returns reason and message, where present.
fn reason_and_message(value: &Value) -> String {
    let mut parts = vec![text(value, "reason"), text(value, "message")];
    // Each runtime words its start errors in its own way.
    if parts[0] == "StartError" {
        parts[1] = "…".into();
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

impl Trace {
    /// Returns the states that the kubelet reported.
    pub fn timeline(&self) -> Vec<Observed<PodSnapshot>> {
        let states = self.timeline.iter().map(|entry| {
            let grace = entry["deleting"].as_bool().unwrap_or_default().then(|| entry["grace"].as_i64()).flatten();
            let state = PodSnapshot::from_status(entry, entry["podIP"].as_bool().unwrap_or_default(), grace);
            Observed { at: entry["t"].as_f64().unwrap_or_default(), what: state.gone_if(entry["type"] == "DELETED") }
        });
        distinct(states)
    }

    /// Returns the events that the kubelet emitted, in the words of Kubernetes 1.36.
    pub fn events(&self) -> Vec<Observed<Event>> {
        let events = self.events.iter().map(|entry| {
            let mut event = Event::from_json(entry, text(entry, "fieldPath"), text(entry, "source"));
            match event.reason.as_str() {
                "Created" => event.message = "Container created".into(),
                "Started" => event.message = "Container started".into(),
                "Pulled" => event.message.push_str(" and can be accessed by the pod"),
                _ => {}
            }
            Observed { at: entry["t"].as_f64().unwrap_or_default(), what: event }
        });
        events.collect()
    }
}

/// Removes states that repeat the previous one.
pub fn distinct(states: impl Iterator<Item = Observed<PodSnapshot>>) -> Vec<Observed<PodSnapshot>> {
    let mut all: Vec<Observed<PodSnapshot>> = Vec::new();
    for state in states {
        if all.last().is_none_or(|last| last.what != state.what) {
            all.push(state);
        }
    }
    all
}

impl PodSnapshot {
    /// Returns the state of a pod that the API returned.
    pub fn from_pod(pod: &Value) -> PodSnapshot {
        let (meta, status) = (&pod["metadata"], &pod["status"]);
        let grace = meta.get("deletionTimestamp").and_then(|_| meta["deletionGracePeriodSeconds"].as_i64());
        PodSnapshot::from_status(status, status.get("podIP").is_some(), grace)
    }

    pub fn gone_if(self, gone: bool) -> PodSnapshot {
        if !gone {
            return self;
        }
        // The previous state has the other fields.
        PodSnapshot {
            gone,
            grace: None,
            qos: String::new(),
            has_ip: false,
            conditions: vec![],
            containers: vec![],
            ..self
        }
    }

    fn from_status(status: &Value, has_ip: bool, grace: Option<i64>) -> PodSnapshot {
        let roles = [
            ("initContainerStatuses", Role::Init),
            ("containerStatuses", Role::App),
            ("ephemeralContainerStatuses", Role::Ephemeral),
        ];
        PodSnapshot {
            phase: text(status, "phase"),
            detail: numberless(&reason_and_message(status)),
            gone: false,
            grace,
            qos: text(status, "qosClass"),
            has_ip,
            conditions: list(status, "conditions").map(Condition::from_json).collect(),
            containers: roles
                .into_iter()
                .flat_map(|(key, role)| list(status, key).map(move |c| ContainerSnapshot::from_json(role, c)))
                .collect(),
        }
    }

    pub fn container(&self, name: &str) -> Option<&ContainerSnapshot> {
        self.containers.iter().find(|container| container.name == name)
    }

    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl Condition {
    fn from_json(value: &Value) -> Condition {
        Condition { kind: text(value, "type"), status: text(value, "status"), detail: reason_and_message(value) }
    }
}

impl ContainerSnapshot {
    fn from_json(role: Role, value: &Value) -> ContainerSnapshot {
        ContainerSnapshot {
            role,
            name: text(value, "name"),
            state: ContainerState::from_json(&value["state"]),
            last: ContainerState::from_json(&value["lastState"]),
            ready: value["ready"].as_bool().unwrap_or_default(),
            started: value["started"].as_bool(),
            restarts: value["restartCount"].as_i64().unwrap_or_default(),
        }
    }
}

impl ContainerState {
    fn from_json(value: &Value) -> ContainerState {
        if let Some(waiting) = value.get("waiting").filter(|state| !state.is_null()) {
            ContainerState::Waiting(reason_and_message(waiting))
        } else if let Some(ended) = value.get("terminated").filter(|state| !state.is_null()) {
            ContainerState::Terminated(format!("{} {}", ended["exitCode"], reason_and_message(ended)))
        } else if value.get("running").is_some_and(|state| !state.is_null()) {
            ContainerState::Running
        } else {
            ContainerState::Absent
        }
    }
}

impl Event {
    pub fn from_event(event: &Value) -> Event {
        let source = event["source"]["component"].as_str().or(event["reportingComponent"].as_str());
        Event::from_json(event, text(&event["involvedObject"], "fieldPath"), source.unwrap_or_default().into())
    }

    fn from_json(value: &Value, place: String, source: String) -> Event {
        let (reason, mut message) = (text(value, "reason"), numberless(&text(value, "message")));
        // As with the state, the runtime words the error.
        if reason == "Failed" && ["exec:", "no such file", "not found in"].iter().any(|part| message.contains(part)) {
            message = "Error: …".into();
        }
        Event { kind: text(value, "type"), reason, message, place, source, count: value["count"].as_i64().unwrap_or(1) }
    }

    /// Decides whether two events are the same apart from their counts.
    pub fn is_same_event(&self, other: &Event) -> bool {
        Event { count: 0, ..self.clone() } == Event { count: 0, ..other.clone() }
    }
}

/// Removes the usage and capacity of the recording machine.
fn numberless(text: &str) -> String {
    let Some((head, tail)) = text.split_once(", used: ") else { return text.into() };
    let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix(", capacity: ") {
        Some(rest) => format!("{head}, used: …, capacity: …{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text.into(),
    }
}

impl fmt::Display for PodSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gone {
            return write!(f, "{} deleted", self.phase);
        }
        write!(f, "{}{}{}", self.phase, if self.has_ip { " ip" } else { "" }, space(&self.detail))?;
        if let Some(grace) = self.grace {
            write!(f, " ends within {grace}")?;
        }
        for Condition { kind, status, detail } in &self.conditions {
            let short: String = kind.chars().filter(|c| c.is_uppercase() || *c == '/').collect();
            write!(f, "; {short}={}{}", status.get(..1).unwrap_or_default(), space(detail))?;
        }
        self.containers.iter().try_for_each(|container| write!(f, " | {container}"))
    }
}

impl fmt::Display for ContainerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |is_set: bool, word| if is_set { word } else { "" };
        let (ready, started) = (mark(self.ready, " ready"), mark(self.started == Some(true), " started"));
        write!(f, "{}#{} {}{ready}{started} last {}", self.name, self.restarts, self.state, self.last)
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContainerState::Absent => f.write_str("-"),
            ContainerState::Waiting(detail) => write!(f, "waiting {detail:?}"),
            ContainerState::Running => f.write_str("running"),
            ContainerState::Terminated(detail) => write!(f, "terminated {detail:?}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { kind, reason, message, place, source, count } = self;
        write!(f, "{} {reason} x{count} {place} {source}: {message:?}", kind.get(..1).unwrap_or_default())
    }
}

fn space(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text:?}") }
}
