//! Compares what was told of a pod: which events, in which order, how often.

use super::recorded::{Event, Seen, State};

/// What is wrong with `ours`; nothing when it agrees.
pub fn differences(
    recorded: &[Seen<Event>],
    ours: &[Seen<Event>],
    recorded_states: &[Seen<State>],
    our_states: &[Seen<State>],
    went_further: bool,
) -> Vec<String> {
    let (wanted, got) = (totals(recorded), totals(ours));
    let mut found = Vec::new();
    for total in &wanted {
        match got.iter().find(|other| other.last.is(&total.last)) {
            None => found.push(format!("never told: {}", total.last)),
            Some(other) => {
                let further = restarts(our_states, &total.last) - restarts(recorded_states, &total.last);
                let (least, most) = bounds(total, &wanted, further, went_further);
                if !(least..=most).contains(&other.last.count) {
                    found.push(format!("{least} to {most} times are right, not {}: {}", other.last.count, total.last));
                }
            }
        }
    }
    for total in &got {
        if !wanted.iter().any(|other| other.last.is(&total.last)) {
            found.push(format!("no kubelet told: {}", total.last));
        }
    }
    found.extend(disorder(&wanted, &got));
    if !found.is_empty() {
        let tell =
            |totals: &[Total]| totals.iter().map(|t| format!("    {:5.1} {}\n", t.first, t.last)).collect::<String>();
        found.push(format!("  kubelet told\n{}  ours told\n{}", tell(&wanted), tell(&got)));
    }
    found
}

/// An event, when it was first told, and as it stood at the end.
struct Total {
    first: f64,
    last: Event,
}

/// In the order of their first time.
fn totals(events: &[Seen<Event>]) -> Vec<Total> {
    let mut all: Vec<Total> = Vec::new();
    for Seen { at, what } in events {
        match all.iter_mut().find(|total| total.last.is(what)) {
            Some(total) => total.last.count = total.last.count.max(what.count),
            None => all.push(Total { first: *at, last: what.clone() }),
        }
    }
    all
}

/// How often the event's container had been restarted at the end.
fn restarts(states: &[Seen<State>], event: &Event) -> i64 {
    let name = event.place.split(['{', '}']).nth(1).unwrap_or_default();
    states.iter().filter_map(|seen| seen.what.container(name)).map(|container| container.restarts).max().unwrap_or(0)
}

/// How often the event may have been told by a node that came `further` restarts further.
///
/// Exact is what happens once for each attempt. What a kubelet tells whenever it looks at a pod that
/// waits depends on when it looks, every ten to fifteen seconds.
fn bounds(total: &Total, all: &[Total], further: i64, went_further: bool) -> (i64, i64) {
    let Event { reason, place, count, .. } = &total.last;
    let failed = all.iter().any(|other| other.last.reason == "Failed" && other.last.place == *place);
    let about = |share: f64, least: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
        let slack = (*count as f64 * share).max(least).ceil() as i64;
        ((count - slack).max(1), count + slack)
    };
    match reason.as_str() {
        // Looked at again and again.
        "Pulled" | "Failed" | "InspectFailed" | "ErrImageNeverPull" if failed && *count > 1 => about(0.0, 1.0),
        "BackOff" | "DeadlineExceeded" => about(0.6, 3.0),
        "FailedMount" => about(0.0, 1.0),
        // One probe more or less, for each attempt.
        "Unhealthy" => {
            let (least, most) = about(0.15, 2.0);
            let each = count / (restarts_in(all, place) + 1).max(1) + 1;
            (least, most + further.max(0) * each)
        }
        // The next end may have come before the next start.
        "Killing" | "FailedPostStartHook" => (*count, count + further.max(0) + i64::from(went_further)),
        _ => (count + further, count + further),
    }
}

fn restarts_in(all: &[Total], place: &str) -> i64 {
    let started = all.iter().find(|total| total.last.reason == "Started" && total.last.place == place);
    started.map_or(0, |total| total.last.count - 1)
}

/// Events that were first told in another order. Of several containers, only what lies a second apart
/// has an order.
fn disorder(wanted: &[Total], got: &[Total]) -> Vec<String> {
    let place_in = |event: &Event| got.iter().position(|total| total.last.is(event));
    let mut found = Vec::new();
    for (at, earlier) in wanted.iter().enumerate() {
        for later in wanted.iter().skip(at + 1) {
            let ordered = earlier.last.place == later.last.place || later.first - earlier.first >= 1.0;
            if let (Some(a), Some(b)) = (place_in(&earlier.last), place_in(&later.last))
                && ordered
                && a > b
            {
                found.push(format!("told before it: {} / {}", later.last, earlier.last));
            }
        }
    }
    found
}
