//! What a watcher saw of a pod, in the words of the recordings: ours is brought into their form.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A pod, what was done to it, and what a real kubelet made of it.
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

/// What is done to the pod.
#[derive(Deserialize)]
pub struct Action {
    /// Seconds after its creation.
    pub t: f64,
    #[serde(rename = "do")]
    pub what: String,
    #[serde(default)]
    pub body: Value,
}

/// What was seen, and when: seconds since the first.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    pub at: f64,
    pub what: T,
}

/// A pod as it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: String,
    /// The pod's own reason and message.
    pub why: String,
    pub gone: bool,
    pub grace: Option<i64>,
    pub qos: String,
    pub has_ip: bool,
    pub conditions: Vec<Condition>,
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub kind: String,
    pub status: String,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub role: Role,
    pub name: String,
    pub state: Now,
    pub last: Now,
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

/// What a container does, with reason, message and exit code.
#[derive(Debug, Clone, PartialEq)]
pub enum Now {
    Nothing,
    Waits(String),
    Runs,
    Ended(String),
}

/// An event as it stood after it had happened `count` times.
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

/// Reason and message, as far as there are any.
fn why(value: &Value) -> String {
    let mut parts = vec![text(value, "reason"), text(value, "message")];
    // How a runtime words that a program can't be started is its own affair.
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
    /// The states that a kubelet showed.
    pub fn timeline(&self) -> Vec<Seen<State>> {
        let states = self.timeline.iter().map(|entry| {
            let grace = entry["deleting"].as_bool().unwrap_or_default().then(|| entry["grace"].as_i64()).flatten();
            let state = State::of(entry, entry["podIP"].as_bool().unwrap_or_default(), grace);
            Seen { at: entry["t"].as_f64().unwrap_or_default(), what: state.gone_if(entry["type"] == "DELETED") }
        });
        distinct(states)
    }

    /// The events that a kubelet told, in the words of Kubernetes 1.36.
    pub fn events(&self) -> Vec<Seen<Event>> {
        let events = self.events.iter().map(|entry| {
            let mut event = Event::of(entry, text(entry, "fieldPath"), text(entry, "source"));
            match event.reason.as_str() {
                "Created" => event.message = "Container created".into(),
                "Started" => event.message = "Container started".into(),
                "Pulled" => event.message.push_str(" and can be accessed by the pod"),
                _ => {}
            }
            Seen { at: entry["t"].as_f64().unwrap_or_default(), what: event }
        });
        events.collect()
    }
}

/// Without what repeats the state before it.
pub fn distinct(states: impl Iterator<Item = Seen<State>>) -> Vec<Seen<State>> {
    let mut all: Vec<Seen<State>> = Vec::new();
    for state in states {
        if all.last().is_none_or(|last| last.what != state.what) {
            all.push(state);
        }
    }
    all
}

impl State {
    /// The state of a pod as the API shows it.
    pub fn of_pod(pod: &Value) -> State {
        let (meta, status) = (&pod["metadata"], &pod["status"]);
        let grace = meta.get("deletionTimestamp").and_then(|_| meta["deletionGracePeriodSeconds"].as_i64());
        State::of(status, status.get("podIP").is_some(), grace)
    }

    pub fn gone_if(self, gone: bool) -> State {
        if !gone {
            return self;
        }
        // What it was before has been shown already.
        State { gone, grace: None, qos: String::new(), has_ip: false, conditions: vec![], containers: vec![], ..self }
    }

    fn of(status: &Value, has_ip: bool, grace: Option<i64>) -> State {
        let roles = [
            ("initContainerStatuses", Role::Init),
            ("containerStatuses", Role::App),
            ("ephemeralContainerStatuses", Role::Ephemeral),
        ];
        State {
            phase: text(status, "phase"),
            why: numberless(&why(status)),
            gone: false,
            grace,
            qos: text(status, "qosClass"),
            has_ip,
            conditions: list(status, "conditions").map(Condition::of).collect(),
            containers: roles
                .into_iter()
                .flat_map(|(key, role)| list(status, key).map(move |c| Container::of(role, c)))
                .collect(),
        }
    }

    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl Condition {
    fn of(value: &Value) -> Condition {
        Condition { kind: text(value, "type"), status: text(value, "status"), why: why(value) }
    }
}

impl Container {
    fn of(role: Role, value: &Value) -> Container {
        Container {
            role,
            name: text(value, "name"),
            state: Now::of(&value["state"]),
            last: Now::of(&value["lastState"]),
            ready: value["ready"].as_bool().unwrap_or_default(),
            started: value["started"].as_bool(),
            restarts: value["restartCount"].as_i64().unwrap_or_default(),
        }
    }
}

impl Now {
    fn of(value: &Value) -> Now {
        if let Some(waiting) = value.get("waiting").filter(|state| !state.is_null()) {
            Now::Waits(why(waiting))
        } else if let Some(ended) = value.get("terminated").filter(|state| !state.is_null()) {
            Now::Ended(format!("{} {}", ended["exitCode"], why(ended)))
        } else if value.get("running").is_some_and(|state| !state.is_null()) {
            Now::Runs
        } else {
            Now::Nothing
        }
    }
}

impl Event {
    pub fn of_event(event: &Value) -> Event {
        let source = event["source"]["component"].as_str().or(event["reportingComponent"].as_str());
        Event::of(event, text(&event["involvedObject"], "fieldPath"), source.unwrap_or_default().into())
    }

    fn of(value: &Value, place: String, source: String) -> Event {
        let (reason, mut message) = (text(value, "reason"), numberless(&text(value, "message")));
        // As with the state: what stands behind a failed start is the runtime's.
        if reason == "Failed" && ["exec:", "no such file", "not found in"].iter().any(|part| message.contains(part)) {
            message = "Error: …".into();
        }
        Event { kind: text(value, "type"), reason, message, place, source, count: value["count"].as_i64().unwrap_or(1) }
    }

    /// Whether two are the same but for how often they happened.
    pub fn is(&self, other: &Event) -> bool {
        Event { count: 0, ..self.clone() } == Event { count: 0, ..other.clone() }
    }
}

/// The text without the sizes of the machine on which it was written.
fn numberless(text: &str) -> String {
    let Some((head, tail)) = text.split_once(", used: ") else { return text.into() };
    let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix(", capacity: ") {
        Some(rest) => format!("{head}, used: …, capacity: …{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text.into(),
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gone {
            return write!(f, "{} deleted", self.phase);
        }
        write!(f, "{}{}{}", self.phase, if self.has_ip { " ip" } else { "" }, space(&self.why))?;
        if let Some(grace) = self.grace {
            write!(f, " ends within {grace}")?;
        }
        for Condition { kind, status, why } in &self.conditions {
            let short: String = kind.chars().filter(|c| c.is_uppercase() || *c == '/').collect();
            write!(f, "; {short}={}{}", status.get(..1).unwrap_or_default(), space(why))?;
        }
        self.containers.iter().try_for_each(|container| write!(f, " | {container}"))
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |is: bool, word| if is { word } else { "" };
        let (ready, started) = (mark(self.ready, " ready"), mark(self.started == Some(true), " started"));
        write!(f, "{}#{} {}{ready}{started} last {}", self.name, self.restarts, self.state, self.last)
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Now::Nothing => f.write_str("-"),
            Now::Waits(why) => write!(f, "waits {why:?}"),
            Now::Runs => f.write_str("runs"),
            Now::Ended(why) => write!(f, "ended {why:?}"),
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
