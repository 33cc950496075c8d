//! What happens to a container that ended: the pod's policy, its own, and its rules (K53).

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule};

/// What happens to a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It runs again however it ended; an init container only if it failed.
    Always,
    /// It runs again if it failed: its exit code is not 0.
    OnFailure,
    /// It does not run again.
    Never,
}

impl RestartPolicy {
    /// The policy called `name`; the default is `Always`.
    pub fn named(name: Option<&str>) -> RestartPolicy {
        match name {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }
}

/// How a container takes part in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// Runs to its end before what comes after it begins.
    Init,
    /// An init container with restart policy `Always`: runs beside all that comes after it.
    Sidecar,
    /// One of `spec.containers`.
    App,
    /// Added to a running pod by someone who looks into it; never restarted (K55).
    Ephemeral,
}

/// What an end is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// The container has run its course.
    Nothing,
    /// It runs again.
    Restart,
    /// All containers of the pod run again.
    RestartAll,
}

/// What one container's ends are followed by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    kind: ContainerKind,
    policy: RestartPolicy,
    /// The pod's.
    pod: RestartPolicy,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    next: RestartDecision,
    /// Whether the exit code has to be one of `codes`, or none of them.
    is_in: bool,
    codes: Vec<i32>,
}

impl Policy {
    pub(super) fn new(kind: ContainerKind, policy: RestartPolicy) -> Policy {
        Policy { kind, policy, pod: policy, rules: Vec::new() }
    }

    /// That of `container`, where the pod's is `pod`.
    pub(super) fn of(container: &Container, kind: ContainerKind, pod: RestartPolicy) -> Policy {
        let own = container.restart_policy.as_deref();
        let policy = own.map_or(pod, |own| RestartPolicy::named(Some(own)));
        let rules = container.restart_policy_rules.iter().flatten().filter_map(Rule::of).collect();
        Policy { kind, policy, pod, rules }
    }

    /// What follows on an end with exit code `code`.
    pub(super) fn after(&self, code: i32) -> RestartDecision {
        // An init container that succeeded has done what it was there for.
        if self.kind == ContainerKind::Ephemeral || (self.kind == ContainerKind::Init && code == 0) {
            return RestartDecision::Nothing;
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.codes.contains(&code) == rule.is_in) {
            return rule.next;
        }
        match self.policy {
            RestartPolicy::Always => RestartDecision::Restart,
            RestartPolicy::OnFailure if code != 0 => RestartDecision::Restart,
            RestartPolicy::OnFailure | RestartPolicy::Never => RestartDecision::Nothing,
        }
    }

    /// Whether a container that is ended for a failure runs again, as far as is known before its exit code is.
    pub(super) fn restarts_failures(&self) -> bool {
        self.policy != RestartPolicy::Never
    }

    /// Whether a container that has ended with `code` and will run again is shown as waiting for that. A kubelet
    /// judges sidecars by the pod's policy there, and takes one that ended well for an init container that is done.
    pub(super) fn shows_waits(&self, code: i32) -> bool {
        self.kind != ContainerKind::Sidecar || (code != 0 && self.pod != RestartPolicy::Never)
    }

    pub(super) fn kind(&self) -> ContainerKind {
        self.kind
    }
}

impl Rule {
    fn of(rule: &ContainerRestartRule) -> Option<Rule> {
        let next = match rule.action.as_str() {
            "Restart" => RestartDecision::Restart,
            "RestartAllContainers" => RestartDecision::RestartAll,
            _ => return None,
        };
        let codes = rule.exit_codes.as_ref()?;
        Some(Rule { next, is_in: codes.operator == "In", codes: codes.values.clone().unwrap_or_default() })
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
            let restarted = Policy::new(kind, policy).after(code) == RestartDecision::Restart;
            assert_eq!(restarted, restarts, "{policy:?} {kind:?} {code}");
        }
    }

    #[test]
    fn k53_a_containers_own_policy_and_rules_go_before_the_pods() {
        let container = |yaml: &str| -> Container { serde_yaml::from_str(yaml).expect("a container") };
        let rules = "restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42, 43]}}, \
                     {action: RestartAllContainers, exitCodes: {operator: In, values: [50]}}]";
        let not_in = "restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [0, 1]}}]";
        for (own, code, next) in [
            ("restartPolicy: Never".to_string(), 1, RestartDecision::Nothing),
            ("restartPolicy: OnFailure".into(), 1, RestartDecision::Restart),
            ("restartPolicy: OnFailure".into(), 0, RestartDecision::Nothing),
            (format!("restartPolicy: Never, {rules}"), 42, RestartDecision::Restart),
            (format!("restartPolicy: Never, {rules}"), 41, RestartDecision::Nothing),
            (format!("restartPolicy: Never, {rules}"), 50, RestartDecision::RestartAll),
            (format!("restartPolicy: Never, {not_in}"), 1, RestartDecision::Nothing),
            (format!("restartPolicy: Never, {not_in}"), 2, RestartDecision::Restart),
        ] {
            let container = container(&format!("{{name: c, {own}}}"));
            let policy = Policy::of(&container, ContainerKind::App, RestartPolicy::Always);
            assert_eq!(policy.after(code), next, "{own}, exit {code}");
        }
    }
}
