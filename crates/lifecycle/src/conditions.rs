//! The pod's conditions (K16–K21, K23–K26; kubelet's `status/generate.go`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodSpec, PodStatus};

use super::container::SidecarGate;
use super::phase::{self, Phase};
use super::pod::{PodState, Sandbox};
use super::policy::ContainerKind;
use wasmpod_model::pods;

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
    spec: Option<&PodSpec>,
    statuses: &PodStatus,
    previous: Option<&PodStatus>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let before: &[PodCondition] = previous.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let all_init = statuses.init_container_statuses.as_deref().unwrap_or_default();
    let all_apps = statuses.container_statuses.as_deref().unwrap_or_default();
    let over = has_ended(pod);
    let sidecars = all_init.iter().filter(|status| is_sidecar(pod, &status.name));
    // Statuses are sorted by name, sentences about them follow the spec.
    let apps = pod.apps.iter().filter_map(|app| all_apps.iter().find(|status| status.name == app.name));
    let serving: Vec<&ContainerStatus> = sidecars.chain(apps).collect();
    let containers_ready = readiness("ContainersReady", over, &serving);
    let ready = gated(readiness("Ready", over, &serving), spec, before);
    let there = matches!(pod.sandbox, Sandbox::Ready { .. } | Sandbox::TearingDown { .. });
    let sandbox = Verdict { holds: there, ..Verdict::holds("PodReadyToStartContainers") };
    let ours = [sandbox, initialized(pod, over, all_init), ready, containers_ready, Verdict::holds("PodScheduled")];
    let is_ours = |c: &&PodCondition| !ours.iter().any(|v| v.kind == c.type_) && !c.type_.starts_with("PodResize");
    let mut conditions: Vec<PodCondition> = before.iter().filter(is_ours).cloned().collect();
    if let Some(disrupted) = disruption(pod, &conditions) {
        conditions.push(condition(disrupted, before, generation, now));
    }
    if let Some((kind, reason, message)) = &pod.unresized {
        let unresized = Verdict { kind, holds: true, reason: Some(reason), message: Some(message.clone()) };
        conditions.push(condition(unresized, before, generation, now));
    }
    conditions.extend(ours.into_iter().map(|verdict| condition(verdict, before, generation, now)));
    conditions
}

fn condition(verdict: Verdict, before: &[PodCondition], generation: Option<i64>, now: Timestamp) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let same = before.iter().find(|c| c.type_ == verdict.kind && c.status == status);
    PodCondition {
        type_: verdict.kind.into(),
        status: status.into(),
        reason: verdict.reason.map(Into::into),
        message: verdict.message,
        observed_generation: generation,
        last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(pods::api_time(now))),
        last_probe_time: None,
    }
}

/// That the node has ended the pod for its own reasons (K25); a kubelet says so with the final phase.
fn disruption(pod: &PodState, foreign: &[PodCondition]) -> Option<Verdict> {
    const KIND: &str = "DisruptionTarget";
    let failing = pod.failing.as_ref().filter(|failing| failing.disrupts && pod.sandbox == Sandbox::Gone)?;
    if foreign.iter().any(|c| c.type_ == KIND) {
        return None;
    }
    let message = Some(failing.message.clone());
    Some(Verdict { kind: KIND, holds: true, reason: Some("TerminationByKubelet"), message })
}

fn is_sidecar(pod: &PodState, name: &str) -> bool {
    pod.init.iter().any(|c| c.kind() == ContainerKind::Sidecar && c.name == name)
}

/// How the pod ended, as soon as that is certain, which may be before its phase says so.
fn has_ended(pod: &PodState) -> Option<&'static str> {
    let ends = match pod.sandbox {
        Sandbox::TearingDown { .. } | Sandbox::Down { .. } | Sandbox::Gone => true,
        Sandbox::Missing | Sandbox::SettingUp { .. } | Sandbox::Failed { .. } | Sandbox::Ready { .. } => false,
    };
    if pod.failing.is_some() {
        return Some("PodFailed");
    }
    match phase::from_containers(pod, ends) {
        Phase::Succeeded => Some("PodCompleted"),
        Phase::Failed => Some("PodFailed"),
        Phase::Pending | Phase::Running => None,
    }
}

fn readiness(kind: &'static str, over: Option<&'static str>, serving: &[&ContainerStatus]) -> Verdict {
    if let Some(reason) = over {
        return Verdict { holds: false, reason: Some(reason), ..Verdict::holds(kind) };
    }
    let unready = names(serving.iter().copied().filter(|c| !c.ready));
    if unready.is_empty() {
        return Verdict::holds(kind);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Verdict::fails(kind, "ContainersNotReady", message)
}

/// The same where the pod's readiness gates hold, too (K21).
fn gated(verdict: Verdict, spec: Option<&PodSpec>, conditions: &[PodCondition]) -> Verdict {
    if !verdict.holds {
        return verdict;
    }
    let gates = spec.and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let shut = gates.iter().filter_map(|gate| {
        let kind = &gate.condition_type;
        match conditions.iter().find(|c| c.type_ == *kind) {
            None => Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
            Some(c) if c.status != "True" => {
                Some(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", c.status))
            }
            Some(_) => None,
        }
    });
    let shut: Vec<String> = shut.collect();
    if shut.is_empty() { verdict } else { Verdict::fails(verdict.kind, "ReadinessGatesNotReady", shut.join(", ")) }
}

fn initialized(pod: &PodState, over: Option<&'static str>, init: &[ContainerStatus]) -> Verdict {
    const KIND: &str = "Initialized";
    if over == Some("PodCompleted") {
        return Verdict { reason: over, ..Verdict::holds(KIND) };
    }
    let any_app_began = pod.apps.iter().any(|c| c.ended().is_some() || c.running().is_some() || c.previous.is_some());
    let complete = |name: &str| match pod.init.iter().find(|c| c.name == name) {
        Some(c) if c.kind() == ContainerKind::Sidecar => c.has_started() && c.release != SidecarGate::Announced,
        Some(c) => c.ended().is_some_and(|ended| ended.code == 0),
        None => true,
    };
    let incomplete = names(init.iter().filter(|c| !complete(&c.name)));
    if any_app_began || incomplete.is_empty() {
        return Verdict::holds(KIND);
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    Verdict::fails(KIND, "ContainersNotInitialized", message)
}

fn names<'s>(statuses: impl Iterator<Item = &'s ContainerStatus>) -> Vec<&'s str> {
    statuses.map(|s| s.name.as_str()).collect()
}
