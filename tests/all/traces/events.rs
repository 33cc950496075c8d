//! Compares the events of a pod: which ones, in which order, how often.

use super::recorded::{Event, Observed, PodSnapshot};

/// Returns how `ours` differ from the recorded events.
pub fn differences(
    recorded: &[Observed<Event>],
    ours: &[Observed<Event>],
    recorded_states: &[Observed<PodSnapshot>],
    our_states: &[Observed<PodSnapshot>],
    went_further: bool,
) -> Vec<String> {
    let (wanted, got) = (totals(recorded), totals(ours));
    let mut found = Vec::new();
    for total in &wanted {
        match got.iter().find(|other| other.last.is_same_event(&total.last)) {
            None => found.push(format!("never emitted: {}", total.last)),
            Some(other) => {
                let further = restarts(our_states, &total.last) - restarts(recorded_states, &total.last);
                let (min, max) = bounds(total, &wanted, further, went_further);
                if !(min..=max).contains(&other.last.count) {
                    found.push(format!("emitted {} times instead of {min} to {max}: {}", other.last.count, total.last));
                }
            }
        }
    }
    for total in &got {
        if !wanted.iter().any(|other| other.last.is_same_event(&total.last)) {
            found.push(format!("not emitted by a kubelet: {}", total.last));
        }
    }
    found.extend(disorder(&wanted, &got));
    if !found.is_empty() {
        let list =
            |totals: &[Total]| totals.iter().map(|t| format!("    {:5.1} {}\n", t.first, t.last)).collect::<String>();
        found.push(format!("  kubelet\n{}  ours\n{}", list(&wanted), list(&got)));
    }
    found
}

/// An event: when it was first emitted, and its last state.
struct Total {
    first: f64,
    last: Event,
}

/// Returns each event once, in the order in which they were first emitted.
fn totals(events: &[Observed<Event>]) -> Vec<Total> {
    let mut all: Vec<Total> = Vec::new();
    for Observed { at, what } in events {
        match all.iter_mut().find(|total| total.last.is_same_event(what)) {
            Some(total) => total.last.count = total.last.count.max(what.count),
            None => all.push(Total { first: *at, last: what.clone() }),
        }
    }
    all
}

/// Returns how often the event's container had been restarted at the end.
fn restarts(states: &[Observed<PodSnapshot>], event: &Event) -> i64 {
    let name = event.place.split(['{', '}']).nth(1).unwrap_or_default();
    states.iter().filter_map(|seen| seen.what.container(name)).map(|container| container.restarts).max().unwrap_or(0)
}

/// Returns how often a node that came `further` restarts further may have emitted the event, as minimum and maximum.
///
/// Events that are emitted once per attempt have an exact count. Those that a kubelet emits whenever it syncs a waiting
/// pod depend on when it syncs, every ten to fifteen seconds.
fn bounds(total: &Total, all: &[Total], further: i64, went_further: bool) -> (i64, i64) {
    let Event { reason, place, count, .. } = &total.last;
    let failed = all.iter().any(|other| other.last.reason == "Failed" && other.last.place == *place);
    let about = |share: f64, min_slack: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
        let slack = (*count as f64 * share).max(min_slack).ceil() as i64;
        ((count - slack).max(1), count + slack)
    };
    match reason.as_str() {
        // Emitted at each sync.
        "Pulled" | "Failed" | "InspectFailed" | "ErrImageNeverPull" if failed && *count > 1 => about(0.0, 1.0),
        "BackOff" | "DeadlineExceeded" => about(0.6, 3.0),
        "FailedMount" => about(0.0, 1.0),
        // One probe more or less per attempt.
        "Unhealthy" => {
            let (min, max) = about(0.15, 2.0);
            let each = count / (restarts_in(all, place) + 1).max(1) + 1;
            (min, max + further.max(0) * each)
        }
        // The next termination may precede the next start.
        "Killing" | "FailedPostStartHook" => (*count, count + further.max(0) + i64::from(went_further)),
        _ => (count + further, count + further),
    }
}

fn restarts_in(all: &[Total], place: &str) -> i64 {
    let started = all.iter().find(|total| total.last.reason == "Started" && total.last.place == place);
    started.map_or(0, |total| total.last.count - 1)
}

/// Finds events that were first emitted in another order. Events of different containers have an order only if they are
/// a second apart.
fn disorder(wanted: &[Total], got: &[Total]) -> Vec<String> {
    let place_in = |event: &Event| got.iter().position(|total| total.last.is_same_event(event));
    let mut found = Vec::new();
    for (at, earlier) in wanted.iter().enumerate() {
        for later in wanted.iter().skip(at + 1) {
            let ordered = earlier.last.place == later.last.place || later.first - earlier.first >= 1.0;
            if let (Some(a), Some(b)) = (place_in(&earlier.last), place_in(&later.last))
                && ordered
                && a > b
            {
                found.push(format!("emitted in the wrong order: {} / {}", later.last, earlier.last));
            }
        }
    }
    found
}
