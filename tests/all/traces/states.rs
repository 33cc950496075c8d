//! Compares the states that a pod went through.
//!
//! Ours agree with the recorded ones when
//! - each recorded state is one of ours, in the same order. A kubelet relists once a second and may miss that a container
//!   ran; the phase that it keeps until nothing runs is then `Pending`, not `Running`.
//! - our additional states are steps that a kubelet may have missed: containers only go forward, their reasons and
//!   terminations are recorded ones, and conditions follow from the containers' states.

use std::time::Duration;

use wasmpod::lifecycle::format_go_duration;

use super::recorded::{Condition, ContainerSnapshot, ContainerState, Observed, PodSnapshot, Role, Trace};

/// Returns how `ours` differ from the recorded states.
pub fn differences(trace: &Trace, ours: &[Observed<PodSnapshot>]) -> Vec<String> {
    let recorded = trace.timeline();
    let (matched, missing) = alignment(&recorded, ours);
    let mut found = Vec::new();
    for at in missing {
        found.push(format!("never shown: {}", recorded[at].what));
    }
    for (at, seen) in ours.iter().enumerate() {
        if matched.contains(&Some(at)) {
            continue;
        }
        let before = at.checked_sub(1).map(|before| &ours[before].what);
        for wrong in inexplicable(before, &seen.what, &recorded, trace) {
            found.push(format!("at {:.1} {wrong}: {}", seen.at, seen.what));
        }
    }
    if !found.is_empty() {
        found.push(side_by_side(&recorded, ours, &matched));
    }
    found
}

/// Returns for each recorded state which of ours it matches, and the recorded states without a match.
fn alignment(recorded: &[Observed<PodSnapshot>], ours: &[Observed<PodSnapshot>]) -> (Vec<Option<usize>>, Vec<usize>) {
    let (mut matched, mut missing, mut from) = (Vec::new(), Vec::new(), 0);
    for (at, seen) in recorded.iter().enumerate() {
        let found = ours.iter().skip(from).position(|our| agrees(&seen.what, &our.what)).map(|skipped| from + skipped);
        match found {
            Some(found) => from = found + 1,
            None => missing.push(at),
        }
        matched.push(found);
    }
    (matched, missing)
}

fn agrees(recorded: &PodSnapshot, ours: &PodSnapshot) -> bool {
    let unseen_run = recorded.phase == "Pending" && ours.phase == "Running" && has_run(ours);
    if unseen_run {
        PodSnapshot { phase: recorded.phase.clone(), ..ours.clone() } == *recorded
    } else {
        recorded == ours
    }
}

fn has_run(state: &PodSnapshot) -> bool {
    let mut apps = state.containers.iter().filter(|container| container.role == Role::App);
    apps.any(|container| {
        matches!(container.state, ContainerState::Terminated(_)) || container.last != ContainerState::Absent
    })
}

/// Returns why a state cannot be one that a kubelet went through unseen.
fn inexplicable(
    before: Option<&PodSnapshot>,
    state: &PodSnapshot,
    recorded: &[Observed<PodSnapshot>],
    trace: &Trace,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if state.gone {
        return wrong;
    }
    let probed = trace.spec.to_string().contains("readinessProbe");
    for container in &state.containers {
        let known = recorded.iter().flat_map(|seen| &seen.what.containers).filter(|c| c.name == container.name);
        let mut words = known.flat_map(|c| [&c.state, &c.last]);
        let is_step = match &container.state {
            ContainerState::Waiting(detail) => {
                ["ContainerCreating", "PodInitializing"].contains(&detail.as_str())
                    || is_back_off(detail, container, &trace.name)
                    || words.any(|w| *w == container.state)
            }
            ContainerState::Terminated(_) => words.any(|w| *w == container.state),
            ContainerState::Running => true,
            ContainerState::Absent => false,
        };
        if !is_step {
            wrong.push(format!("{} is in a state that no kubelet reported", container.name));
        }
        let earlier = before.and_then(|before| before.container(&container.name));
        if let Some(earlier) = earlier
            && !goes_forward(earlier, container, probed)
            // A deleted pod waits for no restart.
            && !(state.grace.is_some() && matches!(container.state, ContainerState::Terminated(_)))
        {
            wrong.push(format!("{} goes back", container.name));
        }
    }
    wrong.extend(
        state
            .conditions
            .iter()
            .filter(|condition| !is_implied(condition, state, recorded, trace))
            .map(|condition| format!("condition {} says {} {:?}", condition.kind, condition.status, condition.detail)),
    );
    wrong
}

/// Returns whether `detail` is a possible back-off of the container (K27, K30). How often the delay has doubled depends
/// on how its attempts ended, too.
fn is_back_off(detail: &str, container: &ContainerSnapshot, pod: &str) -> bool {
    (0..container.restarts).any(|doublings| {
        let wait = format_go_duration(Duration::from_secs((10 << doublings.min(5)).min(300)));
        let name = &container.name;
        detail == format!("CrashLoopBackOff back-off {wait} restarting failed container={name} pod={pod}_NS(UID)")
    })
}

/// Decides whether ours came further than the recording before the watch ended.
pub fn went_further(trace: &Trace, ours: &[Observed<PodSnapshot>]) -> bool {
    let (matched, _) = alignment(&trace.timeline(), ours);
    matched.last().is_some_and(|last| last.is_some_and(|last| last + 1 < ours.len()))
}

/// Returns how far an attempt has come.
fn progress(container: &ContainerSnapshot, probed: bool) -> (i64, u8) {
    let stage = match &container.state {
        ContainerState::Absent => 0,
        ContainerState::Waiting(detail) if detail.starts_with("CrashLoopBackOff") => 5,
        ContainerState::Waiting(_) if container.last != ContainerState::Absent => 4,
        ContainerState::Waiting(_) => 1,
        ContainerState::Running => 2 + u8::from(container.started == Some(true) && (container.ready || probed)),
        ContainerState::Terminated(_) => 4,
    };
    (container.restarts, stage)
}

fn goes_forward(earlier: &ContainerSnapshot, later: &ContainerSnapshot, probed: bool) -> bool {
    progress(earlier, probed) <= progress(later, probed)
}

/// Decides whether the condition follows from the containers' states. Conditions of finished pods and of readiness gates
/// must be recorded ones, from a state in which as many containers ran.
fn is_implied(condition: &Condition, state: &PodSnapshot, recorded: &[Observed<PodSnapshot>], trace: &Trace) -> bool {
    let is_sidecar = |name: &str| {
        let init = trace.spec["initContainers"].as_array().into_iter().flatten();
        init.into_iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always")
    };
    let names = |lacks: &dyn Fn(&ContainerSnapshot) -> bool| {
        let lacking = state.containers.iter().filter(|container| lacks(container));
        lacking.map(|container| container.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let counts = |c: &ContainerSnapshot| c.role == Role::App || c.role == Role::Init && is_sidecar(&c.name);
    let unready = names(&|c| counts(c) && !c.ready);
    let incomplete = names(&|c| {
        let is_complete = if is_sidecar(&c.name) { c.started == Some(true) } else { c.ready };
        c.role == Role::Init && !is_complete
    });
    let app_ran =
        state.containers.iter().any(|c| c.role == Role::App && !matches!(c.state, ContainerState::Waiting(_)));
    let implied = match condition.kind.as_str() {
        "Initialized" if app_ran || incomplete.is_empty() => String::new(),
        "Initialized" => format!("ContainersNotInitialized containers with incomplete status: [{incomplete}]"),
        "Ready" | "ContainersReady" if unready.is_empty() => String::new(),
        "Ready" | "ContainersReady" => format!("ContainersNotReady containers with unready status: [{unready}]"),
        _ => return recorded.iter().any(|seen| seen.what.conditions.contains(condition)),
    };
    let running = |state: &PodSnapshot| state.containers.iter().filter(|c| c.state == ContainerState::Running).count();
    let is_recorded = |seen: &Observed<PodSnapshot>| {
        seen.what.conditions.contains(condition) && running(&seen.what) == running(state)
    };
    let status = if implied.is_empty() { "True" } else { "False" };
    let is_final =
        ["PodCompleted", "PodFailed", "ReadinessGates"].iter().any(|word| condition.detail.starts_with(word));
    (condition.status == status && condition.detail == implied) || is_final && recorded.iter().any(is_recorded)
}

/// Renders both sequences, with matching states on one line.
fn side_by_side(
    recorded: &[Observed<PodSnapshot>],
    ours: &[Observed<PodSnapshot>],
    matched: &[Option<usize>],
) -> String {
    let (mut text, mut shown) = (String::from("  kubelet / ours\n"), 0);
    let line = |mark: &str, kubelet: Option<f64>, our: Option<f64>, state: &PodSnapshot| {
        let time = |at: Option<f64>| at.map_or_else(|| "     ".into(), |at| format!("{at:5.1}"));
        format!("  {mark} {} {} {state}\n", time(kubelet), time(our))
    };
    for (seen, found) in recorded.iter().zip(matched) {
        let until = found.unwrap_or(shown);
        for our in ours.iter().take(until).skip(shown) {
            text += &line(">", None, Some(our.at), &our.what);
        }
        shown = shown.max(found.map_or(shown, |found| found + 1));
        let (mark, our) = if let Some(found) = found { ("=", Some(ours[*found].at)) } else { ("<", None) };
        text += &line(mark, Some(seen.at), our, &seen.what);
    }
    for our in ours.iter().skip(shown) {
        text += &line(">", None, Some(our.at), &our.what);
    }
    text
}
