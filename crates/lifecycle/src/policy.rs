//! Whether an exited container restarts: the pod's policy, the container's own, and its rules (K53).

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule};

/// The condition on which an exited container restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always; an init container only if it failed.
    Always,
    /// If it failed: its exit code is not 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// Returns the policy called `name`; defaults to `Always`.
    pub fn from_name(name: Option<&str>) -> RestartPolicy {
        match name {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }
}

/// The part that a container has in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// Runs to completion before the containers after it start.
    Init,
    /// An init container with restart policy `Always`: runs beside the containers after it.
    Sidecar,
    /// One of `spec.containers`.
    App,
    /// Added to a running pod to inspect it; never restarted (K55).
    Ephemeral,
}

/// The next step after the exit of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// The container does not restart.
    None,
    /// The container restarts.
    Restart,
    /// All containers of the pod restart.
    RestartAll,
}

/// Decides whether one container restarts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    kind: ContainerKind,
    policy: RestartPolicy,
    /// The pod's policy.
    pod_policy: RestartPolicy,
    rules: Vec<RestartRule>,
}

#[derive(Debug, Clone, PartialEq)]
struct RestartRule {
    decision: RestartDecision,
    /// Whether the rule applies to the exit codes in `codes`, rather than to all others.
    is_in: bool,
    codes: Vec<i32>,
}

impl Policy {
    pub(super) fn new(kind: ContainerKind, policy: RestartPolicy) -> Policy {
        Policy { kind, policy, pod_policy: policy, rules: Vec::new() }
    }

    /// Reads the policy of `container`, which defaults to the pod's.
    pub(super) fn from_container(container: &Container, kind: ContainerKind, pod_policy: RestartPolicy) -> Policy {
        let own = container.restart_policy.as_deref();
        let policy = own.map_or(pod_policy, |own| RestartPolicy::from_name(Some(own)));
        let rules = container.restart_policy_rules.iter().flatten().filter_map(RestartRule::from_api).collect();
        Policy { kind, policy, pod_policy, rules }
    }

    /// Decides what follows an exit with `code`.
    pub(super) fn decide(&self, code: i32) -> RestartDecision {
        // An init container that succeeded is complete, whatever the policy.
        if self.kind == ContainerKind::Ephemeral || (self.kind == ContainerKind::Init && code == 0) {
            return RestartDecision::None;
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.codes.contains(&code) == rule.is_in) {
            return rule.decision;
        }
        match self.policy {
            RestartPolicy::Always => RestartDecision::Restart,
            RestartPolicy::OnFailure if code != 0 => RestartDecision::Restart,
            RestartPolicy::OnFailure | RestartPolicy::Never => RestartDecision::None,
        }
    }

    /// Returns whether a container that is stopped for a failure restarts, as far as its policy says before the exit
    /// code is known.
    pub(super) fn restarts_failures(&self) -> bool {
        self.policy != RestartPolicy::Never
    }

    /// Returns whether the status of a container that exited with `code` shows its back-off. For sidecars, a kubelet
    /// looks at the pod's policy instead, and takes one that succeeded for an init container that is complete.
    pub(super) fn shows_backoff(&self, code: i32) -> bool {
        self.kind != ContainerKind::Sidecar || (code != 0 && self.pod_policy != RestartPolicy::Never)
    }

    pub(super) fn kind(&self) -> ContainerKind {
        self.kind
    }
}

impl RestartRule {
    /// Reads a rule; `None` if its action is not known.
    fn from_api(rule: &ContainerRestartRule) -> Option<RestartRule> {
        let decision = match rule.action.as_str() {
            "Restart" => RestartDecision::Restart,
            "RestartAllContainers" => RestartDecision::RestartAll,
            _ => return None,
        };
        let codes = rule.exit_codes.as_ref()?;
        Some(RestartRule { decision, is_in: codes.operator == "In", codes: codes.values.clone().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_follow_the_policy() {
        use RestartPolicy::*;
        for (policy, kind, code, restarts) in [
            (Always, ContainerKind::App, 0, true),
            (Always, ContainerKind::App, 1, true),
            (Always, ContainerKind::Init, 0, false),
            (Always, ContainerKind::Init, 1, true),
            (OnFailure, ContainerKind::App, 0, false),
            (OnFailure, ContainerKind::App, 1, true),
            (OnFailure, ContainerKind::Init, 1, true),
            (Never, ContainerKind::App, 0, false),
            (Never, ContainerKind::App, 1, false),
            (Never, ContainerKind::Init, 1, false),
            (Always, ContainerKind::Sidecar, 0, true),
            (Always, ContainerKind::Ephemeral, 1, false),
        ] {
            let restarted = Policy::new(kind, policy).decide(code) == RestartDecision::Restart;
            assert_eq!(restarted, restarts, "{policy:?} {kind:?} {code}");
        }
    }

    #[test]
    fn container_policy_and_rules_override_the_pod_policy() {
        let container = |yaml: &str| -> Container { serde_yaml::from_str(yaml).expect("a container") };
        let rules = "restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42, 43]}}, \
                     {action: RestartAllContainers, exitCodes: {operator: In, values: [50]}}]";
        let not_in = "restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [0, 1]}}]";
        for (own, code, decision) in [
            ("restartPolicy: Never".to_string(), 1, RestartDecision::None),
            ("restartPolicy: OnFailure".into(), 1, RestartDecision::Restart),
            ("restartPolicy: OnFailure".into(), 0, RestartDecision::None),
            (format!("restartPolicy: Never, {rules}"), 42, RestartDecision::Restart),
            (format!("restartPolicy: Never, {rules}"), 41, RestartDecision::None),
            (format!("restartPolicy: Never, {rules}"), 50, RestartDecision::RestartAll),
            (format!("restartPolicy: Never, {not_in}"), 1, RestartDecision::None),
            (format!("restartPolicy: Never, {not_in}"), 2, RestartDecision::Restart),
        ] {
            let container = container(&format!("{{name: c, {own}}}"));
            let policy = Policy::from_container(&container, ContainerKind::App, RestartPolicy::Always);
            assert_eq!(policy.decide(code), decision, "{own}, exit {code}");
        }
    }
}
