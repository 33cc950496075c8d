//! The pod's conditions (K16–K21, K23–K26; kubelet's `status/generate.go`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodSpec, PodStatus};

use super::container::{Container, SidecarGate};
use super::phase::{self, Phase};
use super::pod::{PodState, ResizeCondition, SandboxState};
use super::policy::ContainerKind;
use wasmpod_model::pods;

/// A condition that the node sets, without its times.
struct NodeCondition {
    type_: &'static str,
    is_true: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl NodeCondition {
    fn met(type_: &'static str) -> NodeCondition {
        NodeCondition { type_, is_true: true, reason: None, message: None }
    }

    fn unmet(type_: &'static str, reason: &'static str, message: String) -> NodeCondition {
        NodeCondition { type_, is_true: false, reason: Some(reason), message: Some(message) }
    }
}

/// Returns all conditions: those that others set, unchanged, then the node's in a kubelet's order.
pub(super) fn pod_conditions(
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
    let ended = final_reason(pod);
    let sidecars = all_init.iter().filter(|status| is_sidecar(pod, &status.name));
    // Statuses are sorted by name, but messages list them in the spec's order.
    let apps = pod.containers.apps.iter();
    let apps = apps.filter_map(|app| all_apps.iter().find(|status| status.name == app.spec.name));
    let serving: Vec<&ContainerStatus> = sidecars.chain(apps).collect();
    let containers_ready = readiness("ContainersReady", ended, &serving);
    let ready = with_readiness_gates(readiness("Ready", ended, &serving), spec, before);
    let has_sandbox = matches!(pod.sandbox, SandboxState::Ready { .. } | SandboxState::TearingDown { .. });
    let sandbox = NodeCondition { is_true: has_sandbox, ..NodeCondition::met("PodReadyToStartContainers") };
    let scheduled = NodeCondition::met("PodScheduled");
    let ours = [sandbox, initialized(pod, ended, all_init), ready, containers_ready, scheduled];
    let is_foreign = |c: &&PodCondition| !ours.iter().any(|o| o.type_ == c.type_) && !c.type_.starts_with("PodResize");
    let mut conditions: Vec<PodCondition> = before.iter().filter(is_foreign).cloned().collect();
    if let Some(disruption) = disruption(pod, &conditions) {
        conditions.push(condition(disruption, before, generation, now));
    }
    if let Some(ResizeCondition { type_, reason, message }) = &pod.resize {
        let resize = NodeCondition { type_, is_true: true, reason: Some(reason), message: Some(message.clone()) };
        conditions.push(condition(resize, before, generation, now));
    }
    conditions.extend(ours.into_iter().map(|ours| condition(ours, before, generation, now)));
    conditions
}

/// Completes a condition; its transition time is kept while its status stays the same.
fn condition(
    condition: NodeCondition,
    before: &[PodCondition],
    generation: Option<i64>,
    now: Timestamp,
) -> PodCondition {
    let status = if condition.is_true { "True" } else { "False" };
    let same = before.iter().find(|c| c.type_ == condition.type_ && c.status == status);
    PodCondition {
        type_: condition.type_.into(),
        status: status.into(),
        reason: condition.reason.map(Into::into),
        message: condition.message,
        observed_generation: generation,
        last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(pods::api_time(now))),
        last_probe_time: None,
    }
}

/// Returns the condition of a pod that the node has evicted (K25); a kubelet sets it with the final phase.
fn disruption(pod: &PodState, foreign: &[PodCondition]) -> Option<NodeCondition> {
    const TYPE: &str = "DisruptionTarget";
    let failure = pod.ending.failure.as_ref().filter(|failure| failure.disrupts && pod.is_terminated())?;
    if foreign.iter().any(|c| c.type_ == TYPE) {
        return None;
    }
    let message = Some(failure.message.clone());
    Some(NodeCondition { type_: TYPE, is_true: true, reason: Some("TerminationByKubelet"), message })
}

fn is_sidecar(pod: &PodState, name: &str) -> bool {
    pod.containers.init.iter().any(|c| c.kind() == ContainerKind::Sidecar && c.spec.name == name)
}

/// Returns the reason of an ended pod's conditions as soon as its final phase is certain, which may be before the
/// status shows the phase.
fn final_reason(pod: &PodState) -> Option<&'static str> {
    let is_ending = match pod.sandbox {
        SandboxState::TearingDown { .. } | SandboxState::Down { .. } | SandboxState::Gone => true,
        SandboxState::Missing
        | SandboxState::SettingUp { .. }
        | SandboxState::Failed { .. }
        | SandboxState::Ready { .. } => false,
    };
    // The conditions of an evicted pod follow once no container runs: a kubelet sets its failure after them.
    let has_failed = pod.has_exceeded_deadline() || !pod.containers.values().any(Container::is_live);
    if pod.is_failing() && has_failed {
        return Some("PodFailed");
    }
    match phase::containers_phase(pod, is_ending) {
        Phase::Succeeded => Some("PodCompleted"),
        Phase::Failed => Some("PodFailed"),
        Phase::Pending | Phase::Running => None,
    }
}

fn readiness(type_: &'static str, ended: Option<&'static str>, serving: &[&ContainerStatus]) -> NodeCondition {
    if let Some(reason) = ended {
        return NodeCondition { is_true: false, reason: Some(reason), ..NodeCondition::met(type_) };
    }
    let unready = names(serving.iter().copied().filter(|c| !c.ready));
    if unready.is_empty() {
        return NodeCondition::met(type_);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    NodeCondition::unmet(type_, "ContainersNotReady", message)
}

/// Returns `ready` unless one of the pod's readiness gates is not met (K21).
fn with_readiness_gates(ready: NodeCondition, spec: Option<&PodSpec>, conditions: &[PodCondition]) -> NodeCondition {
    if !ready.is_true {
        return ready;
    }
    let gates = spec.and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let unmet = gates.iter().filter_map(|gate| {
        let type_ = &gate.condition_type;
        match conditions.iter().find(|c| c.type_ == *type_) {
            None => Some(format!("corresponding condition of pod readiness gate {type_:?} does not exist.")),
            Some(c) if c.status != "True" => {
                Some(format!("the status of pod readiness gate {type_:?} is not \"True\", but {}", c.status))
            }
            Some(_) => None,
        }
    });
    let unmet: Vec<String> = unmet.collect();
    if unmet.is_empty() { ready } else { NodeCondition::unmet(ready.type_, "ReadinessGatesNotReady", unmet.join(", ")) }
}

fn initialized(pod: &PodState, ended: Option<&'static str>, statuses: &[ContainerStatus]) -> NodeCondition {
    const TYPE: &str = "Initialized";
    let (init, apps) = (&pod.containers.init, &pod.containers.apps);
    if ended == Some("PodCompleted") {
        return NodeCondition { reason: ended, ..NodeCondition::met(TYPE) };
    }
    let has_begun =
        |c: &Container| c.last_termination().is_some() || c.running_since().is_some() || c.history.previous.is_some();
    let is_complete = |name: &str| match init.iter().find(|c| c.spec.name == name) {
        Some(c) if c.kind() == ContainerKind::Sidecar => c.has_started() && c.sidecar_gate != SidecarGate::Announced,
        Some(c) => c.last_termination().is_some_and(|last| last.code == 0),
        None => true,
    };
    let incomplete = names(statuses.iter().filter(|c| !is_complete(&c.name)));
    if apps.iter().any(has_begun) || incomplete.is_empty() {
        return NodeCondition::met(TYPE);
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    NodeCondition::unmet(TYPE, "ContainersNotInitialized", message)
}

fn names<'s>(statuses: impl Iterator<Item = &'s ContainerStatus>) -> Vec<&'s str> {
    statuses.map(|s| s.name.as_str()).collect()
}
