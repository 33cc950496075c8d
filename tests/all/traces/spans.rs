//! Compares times, where a rule fixes them: back-offs, periods of probes, grace. How long a container
//! takes to start is no such time.

use super::recorded::{Event, Seen, State};

/// Between two points lie so many seconds.
///
/// A point is `gone`; a container as far as it stands there (`c#1 ended`); a condition (`Ready True`);
/// or the first event of a reason and place (`!Killing c`).
type Span = (&'static str, &'static str, f64);

/// What the rules fix in each trace. The source of each is named once.
const SPANS: &[(&str, &[Span])] = &[
    // K27: at once, then 10, 20, 40 seconds after the end.
    (
        "always-exit0",
        &[
            ("c#0 ended", "c#1 runs", 0.0),
            ("c#1 ended", "c#2 runs", 10.0),
            ("c#2 ended", "c#3 runs", 20.0),
            ("c#3 ended", "c#4 runs", 40.0),
        ],
    ),
    (
        "always-exit1",
        &[
            ("c#0 ended", "c#1 runs", 0.0),
            ("c#1 ended", "c#2 runs", 10.0),
            ("c#2 ended", "c#3 runs", 20.0),
            ("c#3 ended", "c#4 runs", 40.0),
        ],
    ),
    ("init-fail-always", &[("i0#1 ended", "i0#2 ended", 10.0), ("i0#2 ended", "i0#3 ended", 20.0)]),
    (
        "poststart-fails",
        &[
            ("!FailedPostStartHook c", "c#1 waits \"PostStart", 0.0),
            ("c#1 waits \"PostStart", "c#2 waits \"PostStart", 10.0),
        ],
    ),
    ("init-order", &[("i0#0 runs", "i0#0 ended", 2.0), ("i1#0 runs", "i1#0 ended", 2.0)]),
    ("sidecar-job", &[("c#0 runs", "c#0 ended", 4.0)]),
    // K56: periods and thresholds.
    ("readiness-http", &[("c#0 runs", "Ready True", 4.5), ("Ready True", "Ready False", 7.0)]),
    // Three seconds until the file goes, two failures, two seconds of grace.
    (
        "liveness-exec",
        &[
            ("c#0 runs", "!Killing c", 4.5),
            ("!Killing c", "c#1 runs", 2.0),
            ("c#0 runs", "c#1 runs", 6.5),
            ("c#1 runs", "c#2 runs", 6.5),
        ],
    ),
    // K66: a grace of one second is two, here.
    ("liveness-http-500", &[("c#1 runs", "c#2 runs", 4.0), ("!Killing c", "c#1 runs", 2.0)]),
    ("liveness-exec-timeout", &[("c#1 runs", "c#2 runs", 2.5)]),
    ("startup-fails", &[("c#1 runs", "c#2 runs", 3.5)]),
    // K65 to K67.
    ("delete-deaf", &[("!Killing c", "c#0 ended", 4.0)]),
    ("delete-prestop", &[("!Killing c", "c#0 ended", 2.0)]),
    ("delete-prestop-long", &[("!Killing c", "c#0 ended", 6.0)]),
    ("delete-readiness", &[("!Killing c", "c#0 ended", 4.0)]),
    ("delete-force", &[("!Killing c", "gone", 0.0)]),
    ("delete-pending-init", &[("!Killing i", "gone", 0.0)]),
    ("sidecars-delete", &[("!Killing a", "gone", 1.0)]),
    ("poststart-slow", &[("!Started c", "Ready True", 3.0)]),
    // K70.
    ("deadline", &[("!Scheduled", "!DeadlineExceeded", 6.0)]),
    ("ephemeral", &[("dbg#0 runs", "dbg#0 ended", 3.0)]),
];

/// The spans of `name` that are too long or too short in ours.
pub fn differences(name: &str, states: &[Seen<State>], events: &[Seen<Event>]) -> Vec<String> {
    let spans = SPANS.iter().filter(|(of, _)| *of == name).flat_map(|(_, spans)| *spans);
    let wrong = spans.filter_map(|(from, to, seconds)| {
        let (Some(begin), Some(end)) = (time(from, 0.0, states, events), time(to, 0.0, states, events)) else {
            return Some(format!("{from} to {to}: one of them was never seen"));
        };
        let end = if end < begin { time(to, begin, states, events).unwrap_or(end) } else { end };
        let took = end - begin;
        let is_right = (took - seconds).abs() <= (seconds * 0.15).max(1.0);
        (!is_right).then(|| format!("{from} to {to} took {took:.1} s, not {seconds} s"))
    });
    wrong.collect()
}

/// When a point was first reached after `after`.
fn time(point: &str, after: f64, states: &[Seen<State>], events: &[Seen<Event>]) -> Option<f64> {
    if let Some(event) = point.strip_prefix('!') {
        let (reason, container) = event.split_once(' ').unwrap_or((event, ""));
        let told = |event: &Event| {
            event.reason == reason && (container.is_empty() || event.place.contains(&format!("{{{container}}}")))
        };
        return events.iter().find(|seen| seen.at >= after && told(&seen.what)).map(|seen| seen.at);
    }
    let reached = |state: &State| match point.split_once(' ') {
        None => state.gone,
        Some((kind, status)) if !kind.contains('#') => state.condition(kind).is_some_and(|c| c.status == status),
        Some(_) => state.containers.iter().any(|container| container.to_string().starts_with(point)),
    };
    states.iter().find(|seen| seen.at >= after && reached(&seen.what)).map(|seen| seen.at)
}
