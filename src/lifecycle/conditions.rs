//! The pod's conditions (K16–K20, K23, K24; kubelet's `status/generate.go`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

use super::phase::Phase;
use super::pod::{PodState, Sandbox};
use crate::model::pods;

/// What the node decides about a condition; the rest is book-keeping.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn holds(kind: &'static str) -> Verdict {
        Verdict { kind, holds: true, reason: None, message: None }
    }

    fn fails(kind: &'static str, reason: &'static str, message: String) -> Verdict {
        Verdict { kind, holds: false, reason: Some(reason), message: Some(message) }
    }
}

/// All conditions: foreign ones first, as they stand, then ours in the kubelet's order.
pub(super) fn of(
    pod: &PodState,
    phase: Phase,
    statuses: &PodStatus,
    previous: Option<&PodStatus>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let before: &[PodCondition] = previous.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let all_init = statuses.init_container_statuses.as_deref().unwrap_or_default();
    let all_apps = statuses.container_statuses.as_deref().unwrap_or_default();
    let over = has_ended(pod, phase);
    let ready = readiness("Ready", over, all_apps);
    let containers_ready = readiness("ContainersReady", over, all_apps);
    let sandbox = Verdict { holds: pod.sandbox == Sandbox::Ready, ..Verdict::holds("PodReadyToStartContainers") };
    let ours =
        [sandbox, initialized(pod, over, all_init, all_apps), ready, containers_ready, Verdict::holds("PodScheduled")];
    let is_ours = |c: &&PodCondition| !ours.iter().any(|v| v.kind == c.type_);
    let mut conditions: Vec<PodCondition> = before.iter().filter(is_ours).cloned().collect();
    for verdict in ours {
        let status = if verdict.holds { "True" } else { "False" };
        let same = before.iter().find(|c| c.type_ == verdict.kind && c.status == status);
        conditions.push(PodCondition {
            type_: verdict.kind.into(),
            status: status.into(),
            reason: verdict.reason.map(Into::into),
            message: verdict.message,
            observed_generation: generation,
            last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(pods::time(now))),
            last_probe_time: None,
        });
    }
    conditions
}

/// How the pod ended, as soon as that is certain, which may be before its phase says so.
fn has_ended(pod: &PodState, phase: Phase) -> Option<&'static str> {
    let finished = |c: &super::container::Container| match &c.stage {
        super::container::Stage::Exited(ended) if !pod.policy.restarts(c.role, ended.code) => Some(ended.code),
        _ => None,
    };
    if pod.init.iter().any(|c| finished(c).is_some_and(|code| code != 0)) {
        return Some("PodFailed");
    }
    let codes: Option<Vec<i32>> = pod.apps.iter().map(finished).collect();
    match (phase, codes) {
        (Phase::Succeeded, _) => Some("PodCompleted"),
        (Phase::Failed, _) => Some("PodFailed"),
        (_, Some(codes)) if codes.iter().all(|code| *code == 0) => Some("PodCompleted"),
        (_, Some(_)) => Some("PodFailed"),
        (Phase::Pending | Phase::Running, None) => None,
    }
}

fn readiness(kind: &'static str, over: Option<&'static str>, apps: &[ContainerStatus]) -> Verdict {
    if let Some(reason) = over {
        return Verdict { holds: false, reason: Some(reason), ..Verdict::holds(kind) };
    }
    let unready = names(apps.iter().filter(|c| !c.ready));
    if unready.is_empty() {
        return Verdict::holds(kind);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Verdict::fails(kind, "ContainersNotReady", message)
}

fn initialized(
    pod: &PodState,
    over: Option<&'static str>,
    init: &[ContainerStatus],
    apps: &[ContainerStatus],
) -> Verdict {
    const KIND: &str = "Initialized";
    if over == Some("PodCompleted") {
        return Verdict { reason: over, ..Verdict::holds(KIND) };
    }
    let any_app_began = apps.iter().any(|c| c.container_id.is_some());
    let incomplete = names(init.iter().filter(|c| !c.ready));
    if any_app_began || incomplete.is_empty() || pod.init.is_empty() {
        return Verdict::holds(KIND);
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    Verdict::fails(KIND, "ContainersNotInitialized", message)
}

fn names<'s>(statuses: impl Iterator<Item = &'s ContainerStatus>) -> Vec<&'s str> {
    statuses.map(|s| s.name.as_str()).collect()
}
