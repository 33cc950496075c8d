//! Compares times where a rule fixes them: back-offs, probe periods, grace periods. No rule fixes how long a container
//! takes to start.

use super::recorded::{Event, Observed, PodSnapshot};

/// Two points and the seconds between them.
///
/// A point is `gone`; the beginning of a container's text form (`c#1 terminated`); a condition (`Ready True`); or the first
/// event with a reason and a place (`!Killing c`).
type Span = (&'static str, &'static str, f64);

/// The times in each trace that a rule fixes. Each rule is named once.
const SPANS: &[(&str, &[Span])] = &[
    // K27: at once, then 10, 20, 40 seconds after the end.
    (
        "always-exit0",
        &[
            ("c#0 terminated", "c#1 running", 0.0),
            ("c#1 terminated", "c#2 running", 10.0),
            ("c#2 terminated", "c#3 running", 20.0),
            ("c#3 terminated", "c#4 running", 40.0),
        ],
    ),
    (
        "always-exit1",
        &[
            ("c#0 terminated", "c#1 running", 0.0),
            ("c#1 terminated", "c#2 running", 10.0),
            ("c#2 terminated", "c#3 running", 20.0),
            ("c#3 terminated", "c#4 running", 40.0),
        ],
    ),
    ("init-fail-always", &[("i0#1 terminated", "i0#2 terminated", 10.0), ("i0#2 terminated", "i0#3 terminated", 20.0)]),
    (
        "poststart-fails",
        &[
            ("!FailedPostStartHook c", "c#1 waiting \"PostStart", 0.0),
            ("c#1 waiting \"PostStart", "c#2 waiting \"PostStart", 10.0),
        ],
    ),
    ("init-order", &[("i0#0 running", "i0#0 terminated", 2.0), ("i1#0 running", "i1#0 terminated", 2.0)]),
    ("sidecar-job", &[("c#0 running", "c#0 terminated", 4.0)]),
    // K56: periods and thresholds.
    ("readiness-http", &[("c#0 running", "Ready True", 4.5), ("Ready True", "Ready False", 7.0)]),
    // Three seconds until the file is removed, two failures, two seconds of grace.
    (
        "liveness-exec",
        &[
            ("c#0 running", "!Killing c", 4.5),
            ("!Killing c", "c#1 running", 2.0),
            ("c#0 running", "c#1 running", 6.5),
            ("c#1 running", "c#2 running", 6.5),
        ],
    ),
    // K66: a grace period of one second lasts two here.
    ("liveness-http-500", &[("c#1 running", "c#2 running", 4.0), ("!Killing c", "c#1 running", 2.0)]),
    ("liveness-exec-timeout", &[("c#1 running", "c#2 running", 2.5)]),
    ("startup-fails", &[("c#1 running", "c#2 running", 3.5)]),
    // K65 to K67.
    ("delete-deaf", &[("!Killing c", "c#0 terminated", 4.0)]),
    ("delete-prestop", &[("!Killing c", "c#0 terminated", 2.0)]),
    ("delete-prestop-long", &[("!Killing c", "c#0 terminated", 6.0)]),
    ("delete-readiness", &[("!Killing c", "c#0 terminated", 4.0)]),
    ("delete-force", &[("!Killing c", "gone", 0.0)]),
    ("delete-pending-init", &[("!Killing i", "gone", 0.0)]),
    ("sidecars-delete", &[("!Killing a", "gone", 1.0)]),
    ("poststart-slow", &[("!Started c", "Ready True", 3.0)]),
    // K70.
    ("deadline", &[("!Scheduled", "!DeadlineExceeded", 6.0)]),
    ("ephemeral", &[("dbg#0 running", "dbg#0 terminated", 3.0)]),
];

/// Finds the spans of `name` that are too long or too short in ours.
pub fn differences(name: &str, states: &[Observed<PodSnapshot>], events: &[Observed<Event>]) -> Vec<String> {
    let spans = SPANS.iter().filter(|(of, _)| *of == name).flat_map(|(_, spans)| *spans);
    let wrong = spans.filter_map(|(from, to, seconds)| {
        let (Some(begin), Some(end)) = (time(from, 0.0, states, events), time(to, 0.0, states, events)) else {
            return Some(format!("{from} to {to}: one of the two was never seen"));
        };
        let end = if end < begin { time(to, begin, states, events).unwrap_or(end) } else { end };
        let took = end - begin;
        let is_right = (took - seconds).abs() <= (seconds * 0.15).max(1.0);
        (!is_right).then(|| format!("{from} to {to} took {took:.1} s, not {seconds} s"))
    });
    wrong.collect()
}

/// Returns when a point was first reached after `after`.
fn time(point: &str, after: f64, states: &[Observed<PodSnapshot>], events: &[Observed<Event>]) -> Option<f64> {
    if let Some(event) = point.strip_prefix('!') {
        let (reason, container) = event.split_once(' ').unwrap_or((event, ""));
        let matches = |event: &Event| {
            event.reason == reason && (container.is_empty() || event.place.contains(&format!("{{{container}}}")))
        };
        return events.iter().find(|seen| seen.at >= after && matches(&seen.what)).map(|seen| seen.at);
    }
    let reached = |state: &PodSnapshot| match point.split_once(' ') {
        None => state.gone,
        Some((kind, status)) if !kind.contains('#') => state.condition(kind).is_some_and(|c| c.status == status),
        Some(_) => state.containers.iter().any(|container| container.to_string().starts_with(point)),
    };
    states.iter().find(|seen| seen.at >= after && reached(&seen.what)).map(|seen| seen.at)
}
