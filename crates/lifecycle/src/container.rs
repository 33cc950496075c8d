//! One container: its data, and what follows from it.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use super::backoff::{Backoff, ImageBackoff};
use super::policy::{ContainerKind, Policy, RestartDecision, RestartPolicy};
use super::probes::Probes;
use super::stage::{Stage, StartTime, Terminated, TerminationCause, WaitingReason};
use super::time::MonoTime;
use super::{Attempt, ContainerRef, ContainerRole};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container {
    pub(super) spec: ContainerSpec,
    pub(super) attempt: CurrentAttempt,
    pub(super) history: RestartHistory,
    pub(super) stage: Stage,
    pub(super) probes: Probes,
    pub(super) sidecar_gate: SidecarGate,
}

/// The part of the pod's spec that decisions need.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ContainerSpec {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) policy: Policy,
    pub(super) hooks: Hooks,
    /// The resources that the container has now.
    pub(super) resources: Option<core::ResourceRequirements>,
}

/// The hooks that a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hooks {
    pub(super) post_start: bool,
    pub(super) pre_stop: bool,
}

/// The current attempt, beside its stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct CurrentAttempt {
    /// The attempt's number; 0 before the first.
    pub(super) number: u32,
    pub(super) container_id: String,
    pub(super) image_id: String,
    /// The failure that this start retries; the status shows it until the attempt is published.
    pub(super) retries: Option<WaitingReason>,
    /// The attempt before this one, until this one is published.
    pub(super) replaces: Option<ReplacedAttempt>,
    /// Whether publishing this attempt counts as a restart.
    pub(super) is_restart: bool,
    /// The time by which a live attempt must have exited so that the next one can start, if its definition is outdated.
    pub(super) replace_deadline: Option<MonoTime>,
}

/// A terminated attempt that a new one follows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReplacedAttempt {
    pub(super) terminated: Terminated,
    /// The back-off between the two, if the status shows it.
    pub(super) delay: Option<Duration>,
    /// Whether it was stopped so that the new attempt could start.
    pub(super) was_stopped: bool,
}

/// The attempts before the current one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RestartHistory {
    /// The published attempts, without the first.
    pub(super) restarts: u32,
    /// The attempt before the one that the stage describes.
    pub(super) previous: Option<Terminated>,
    pub(super) backoff: Backoff,
    pub(super) image_backoff: ImageBackoff,
}

/// Whether the containers after a sidecar may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SidecarGate {
    /// The sidecar has not started yet.
    Blocked,
    /// The sidecar has started; the status shows that before anything follows from it.
    Announced,
    /// The containers after the sidecar may start, even if it fails later.
    Open,
}

impl Container {
    pub(super) fn new(container: &core::Container, role: ContainerRole, pod_policy: RestartPolicy) -> Container {
        let is_sidecar = role == ContainerRole::Init && container.restart_policy.as_deref() == Some("Always");
        let kind = match role {
            ContainerRole::Init if is_sidecar => ContainerKind::Sidecar,
            ContainerRole::Init => ContainerKind::Init,
            ContainerRole::App => ContainerKind::App,
            ContainerRole::Ephemeral => ContainerKind::Ephemeral,
        };
        let hooks = container.lifecycle.as_ref().map_or(Hooks::default(), |lifecycle| Hooks {
            post_start: lifecycle.post_start.is_some(),
            pre_stop: lifecycle.pre_stop.is_some(),
        });
        let spec = ContainerSpec {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            policy: Policy::from_container(container, kind, pod_policy),
            hooks,
            resources: container.resources.clone(),
        };
        Container::from_spec(spec, Probes::from_container(container))
    }

    pub(super) fn ephemeral(container: &core::EphemeralContainer) -> Container {
        let spec = ContainerSpec {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            policy: Policy::new(ContainerKind::Ephemeral, RestartPolicy::Never),
            hooks: Hooks::default(),
            resources: None,
        };
        Container::from_spec(spec, Probes::default())
    }

    fn from_spec(spec: ContainerSpec, probes: Probes) -> Container {
        Container {
            spec,
            attempt: CurrentAttempt::default(),
            history: RestartHistory::default(),
            stage: Stage::Waiting { retry: None },
            probes,
            sidecar_gate: SidecarGate::Blocked,
        }
    }

    pub(super) fn kind(&self) -> ContainerKind {
        self.spec.policy.kind()
    }

    /// Returns the current attempt of this container, which stands at `at`.
    pub(super) fn current_attempt(&self, at: ContainerRef) -> Attempt {
        Attempt { container: at, number: self.attempt.number }
    }

    /// Returns whether the node may be running or starting the attempt.
    pub(super) fn is_live(&self) -> bool {
        match self.stage {
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => true,
            Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::RestartPending(_) => false,
        }
    }

    /// Returns the start of the attempt if the status shows it as running.
    pub(super) fn running_since(&self) -> Option<StartTime> {
        match &self.stage {
            Stage::Running { since } | Stage::Stopping { since, published: true, .. } => Some(*since),
            Stage::Stopping { published: false, .. }
            | Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Waiting { .. }
            | Stage::Exited(_)
            | Stage::BackOff { .. }
            | Stage::RestartPending(_) => None,
        }
    }

    /// Returns whether the container runs and its startup probe, if any, has succeeded.
    pub(super) fn has_started(&self) -> bool {
        self.running_since().is_some() && self.probes.has_started()
    }

    /// Returns whether the container is ready (K12, K57); the status shows its start first.
    pub(super) fn is_ready(&self) -> bool {
        self.has_started() && self.sidecar_gate != SidecarGate::Announced && self.probes.is_ready()
    }

    /// Returns how the last published attempt terminated, if it has.
    pub(super) fn last_termination(&self) -> Option<&Terminated> {
        match &self.stage {
            Stage::Exited(last) | Stage::BackOff { last, .. } | Stage::RestartPending(last) => Some(last),
            Stage::Starting | Stage::PostStart { .. } | Stage::Stopping { published: false, .. } => {
                self.attempt.replaces.as_ref().map(|replaced| &replaced.terminated)
            }
            Stage::Waiting { .. } | Stage::Running { .. } | Stage::Stopping { published: true, .. } => None,
        }
    }

    /// Returns the exit code of a container that has exited and does not restart.
    pub(super) fn final_exit_code(&self) -> Option<i32> {
        match &self.stage {
            Stage::Exited(last) => (self.restart_decision(last) == RestartDecision::None).then_some(last.code),
            Stage::Waiting { .. }
            | Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::BackOff { .. }
            | Stage::RestartPending(_) => None,
        }
    }

    /// Returns whether the container runs, but a failed probe stops it for good (K63).
    pub(super) fn has_failed_for_good(&self) -> bool {
        self.running_since().is_some() && self.probes.failed_probe().is_some() && !self.spec.policy.restarts_failures()
    }

    /// Returns whether `last` is followed by a restart. A container that a failed probe stopped may restart whatever
    /// its exit code.
    pub(super) fn restart_decision(&self, last: &Terminated) -> RestartDecision {
        match (&last.cause, self.spec.policy.decide(last.code)) {
            (TerminationCause::FailedProbe { restarts_at_once: true }, RestartDecision::None) => {
                RestartDecision::Restart
            }
            (_, decision) => decision,
        }
    }

    /// Returns the end of the attempt that the back-off counts from: `last`, or, if a failed probe stopped `last`, the
    /// attempt before it. A kubelet stops and restarts such a container in one sync, in which it knows only the
    /// attempt before.
    pub(super) fn backoff_reference(&self, last: &Terminated) -> Option<MonoTime> {
        match last.cause {
            TerminationCause::FailedProbe { .. } => self.history.previous.as_ref().map(|before| before.finished_mono),
            TerminationCause::Normal | TerminationCause::FailedStart(_) => Some(last.finished_mono),
        }
    }

    /// Returns the back-off between the end of `last` and the next attempt.
    pub(super) fn restart_delay(&self, last: &Terminated, now: MonoTime) -> Duration {
        let Some(reference) = self.backoff_reference(last) else { return Duration::ZERO };
        let delay = self.history.backoff.delay(reference);
        // After a failed probe, the back-off of the attempt before may have passed already.
        if matches!(last.cause, TerminationCause::FailedProbe { .. }) && now >= reference + delay {
            Duration::ZERO
        } else {
            delay
        }
    }
}
