//! The state of a pod: everything that decides what it does next.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::ContainerRef;
use super::action::Action;
use super::container::{Container, SidecarGate};
use super::containers::Containers;
use super::input::Input;
use super::pace::{DEFAULT_GRACE_PERIOD, RELIST_PERIOD, SYNC_RETRY};
use super::policy::ContainerKind;
use super::stage::Stage;
use super::time::{MonoTime, Now};
use wasmpod_model::pods;

/// The network and volumes that the containers share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SandboxState {
    Missing,
    SettingUp {
        /// Earlier failures in a row.
        failures: u32,
    },
    Failed {
        message: Option<String>,
        failures: u32,
        retry_at: MonoTime,
    },
    Ready {
        since: MonoTime,
    },
    /// All containers have exited. `forced`: the node stopped some of them.
    TearingDown {
        forced: bool,
    },
    /// Released. `reported`: the status has been written since.
    Down {
        reported: bool,
    },
    /// The final status is due; nothing starts any more.
    Gone,
}

/// The reason of a pod that exceeded its active deadline (K70).
pub(super) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

/// The reason for which the node ends the pod, which fails.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodFailure {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) deadline: MonoTime,
    /// Whether the pod becomes a disruption target.
    pub(super) disrupts: bool,
}

/// The pod's identity; displayed as a kubelet writes it into messages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodId {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}({})", self.name, self.namespace, self.uid)
    }
}

/// The time that the pod has been active, and its limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ActiveTime {
    /// `spec.activeDeadlineSeconds`.
    pub(super) limit: Option<Duration>,
    /// The time at which the pod began on this node since its last restart.
    pub(super) started: Option<MonoTime>,
    /// The active time before `started`, from the stored status.
    pub(super) before: Duration,
}

impl ActiveTime {
    /// Returns when the pod exceeds its limit.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        Some(self.started? + self.limit?.saturating_sub(self.before))
    }
}

/// The stop of all containers until the node runs again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SuspendedPod {
    pub(super) deadline: MonoTime,
    pub(super) runs_hooks: bool,
}

/// The reasons and deadlines by which the pod's containers must exit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    /// The pod's grace period.
    pub(super) grace: Duration,
    pub(super) deletion_deadline: Option<MonoTime>,
    pub(super) failure: Option<PodFailure>,
    pub(super) suspension: Option<SuspendedPod>,
    /// The time by which sidecars must have exited, once the containers that they serve are complete.
    pub(super) sidecar_deadline: Option<MonoTime>,
}

impl Ending {
    /// Returns when all containers must have exited, if the pod is ending.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let failure = self.failure.as_ref().map(|failure| failure.deadline);
        let suspension = self.suspension.map(|suspension| suspension.deadline);
        [self.deletion_deadline, failure, suspension, self.sidecar_deadline].into_iter().flatten().min()
    }

    /// Moves the deadlines that are set forward to `latest`.
    pub(super) fn shorten(&mut self, latest: MonoTime) {
        let failure = self.failure.as_mut().map(|failure| &mut failure.deadline);
        let suspension = self.suspension.as_mut().map(|suspension| &mut suspension.deadline);
        let others = [self.deletion_deadline.as_mut(), self.sidecar_deadline.as_mut()];
        let set = others.into_iter().chain([failure, suspension]).flatten();
        set.for_each(|deadline| *deadline = latest.min(*deadline));
    }

    /// Returns whether preStop hooks run.
    pub(super) fn runs_hooks(&self) -> bool {
        self.suspension.is_none_or(|suspension| suspension.runs_hooks)
    }
}

/// The condition of a pod whose containers lack the resources that its spec requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResizeCondition {
    pub(super) type_: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The state of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodState {
    pub(super) id: PodId,
    pub(super) containers: Containers,
    pub(super) sandbox: SandboxState,
    pub(super) ip: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) active: ActiveTime,
    pub(super) ending: Ending,
    pub(super) resize: Option<ResizeCondition>,
    /// The fraction of a period, in units of 1/256, by which the first probes run earlier.
    pub(super) probe_stagger: u8,
}

impl PodState {
    /// Returns the state of a pod that has not started.
    pub fn new(pod: &Pod) -> PodState {
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        PodState {
            id: PodId {
                namespace: pods::namespace(pod).into(),
                name: pods::name(pod).into(),
                uid: pods::uid(pod).into(),
            },
            containers: Containers::new(spec),
            sandbox: SandboxState::Missing,
            ip: None,
            started_at: None,
            active: ActiveTime { limit: seconds(spec.active_deadline_seconds), started: None, before: Duration::ZERO },
            ending: Ending {
                grace: seconds(spec.termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE_PERIOD),
                deletion_deadline: None,
                failure: None,
                suspension: None,
                sidecar_deadline: None,
            },
            resize: None,
            probe_stagger: 0,
        }
    }

    /// Moves the first probes forward by `fraction` (in 1/256) of their periods, so that pods which begin together
    /// are not probed together.
    #[must_use]
    pub fn with_probe_stagger(self, fraction: u8) -> PodState {
        PodState { probe_stagger: fraction, ..self }
    }

    /// Limits the restart back-off of all containers to `max` (K32).
    #[must_use]
    pub fn with_max_backoff(mut self, max: Duration) -> PodState {
        self.containers.values_mut().for_each(|c| c.history.backoff = c.history.backoff.with_max(max));
        self
    }

    /// Applies `input` and returns the actions that follow from the whole state.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut actions = self.observe(input, now);
        self.reconcile(now, &mut actions);
        actions
    }

    /// Does the same as [`PodState::step`], and also returns whether the status may have changed. Most steps of a
    /// probed pod change nothing, and the caller then need not build a status to find out.
    pub fn step_and_check_status(&mut self, input: Input, now: Now) -> (Vec<Action>, bool) {
        let was_steady = matches!(input, Input::Tick | Input::ProbeFinished { .. }) && self.is_steady();
        let actions = self.step(input, now);
        let is_visible = |action: &Action| !matches!(action, Action::WakeAt(_) | Action::Probe(..));
        let may_have_changed = !was_steady || !self.is_steady() || actions.iter().any(is_visible);
        (actions, may_have_changed)
    }

    /// Returns whether the pod has terminated: nothing will start any more.
    pub fn is_terminated(&self) -> bool {
        self.sandbox == SandboxState::Gone
    }

    /// Returns whether the node ends the pod, which fails.
    pub fn is_failing(&self) -> bool {
        self.ending.failure.is_some()
    }

    /// Returns whether the pod stopped, or stops, because its node does. Its stored status stays as it is: from it,
    /// [`PodState::restore`] continues the pod when the node runs again. The deletion of such a pod is not put off.
    pub fn is_suspended(&self) -> bool {
        self.ending.suspension.is_some() && self.ending.deletion_deadline.is_none()
    }

    /// Returns whether the node ends the pod for its active deadline.
    pub(super) fn has_exceeded_deadline(&self) -> bool {
        self.ending.failure.as_ref().is_some_and(|failure| failure.reason == DEADLINE_EXCEEDED)
    }

    /// Returns whether the status stays as it is while time passes: all containers run or are complete, and all of it
    /// has been reported.
    fn is_steady(&self) -> bool {
        let rests = |c: &Container| matches!(c.stage, Stage::Running { .. }) || c.final_exit_code().is_some();
        let is_steady = |c: &Container| rests(c) && c.sidecar_gate != SidecarGate::Announced;
        matches!(self.sandbox, SandboxState::Ready { .. }) && self.containers.values().all(is_steady)
    }

    /// Returns whether no container but sidecars runs or will run again (K4–K6, K50). An app container that a failed
    /// probe stops for good counts as finished, as in a kubelet.
    pub(super) fn is_complete(&self) -> bool {
        let has_failed =
            |c: &Container| c.kind() == ContainerKind::Init && c.final_exit_code().is_some_and(|code| code != 0);
        let has_finished = |c: &Container| c.final_exit_code().is_some() || c.has_failed_for_good();
        let (init, apps) = (&self.containers.init, &self.containers.apps);
        init.iter().any(has_failed) || (!apps.is_empty() && apps.iter().all(has_finished))
    }

    /// Returns whether the pod is neither ending nor suspended nor has terminated.
    pub(super) fn is_active(&self) -> bool {
        let has_ended =
            matches!(self.sandbox, SandboxState::TearingDown { .. } | SandboxState::Down { .. } | SandboxState::Gone);
        let ending = &self.ending;
        ending.deletion_deadline.is_none() && ending.failure.is_none() && ending.suspension.is_none() && !has_ended
    }

    /// Returns how often container `name` has restarted.
    pub fn restart_count(&self, name: &str) -> u32 {
        self.containers.values().find(|c| c.spec.name == name).map_or(0, |c| c.history.restarts)
    }

    /// Returns the restart count of the container's attempt that is being created, once it has been.
    pub fn next_restart_count(&self, at: ContainerRef) -> u32 {
        let next = |c: &Container| c.history.restarts + u32::from(!c.attempt.container_id.is_empty());
        self.containers.get(at).map_or(0, next)
    }

    /// Returns the name of the container at `at`.
    pub fn name_of(&self, at: ContainerRef) -> Option<&str> {
        self.containers.name_of(at)
    }

    /// Returns the live containers that are not being stopped.
    pub fn live_and_not_stopping(&self) -> impl Iterator<Item = ContainerRef> {
        let wanted = |c: &Container| c.is_live() && !matches!(c.stage, Stage::Stopping { .. });
        self.containers.iter().filter(move |(_, c)| wanted(c)).map(|(at, _)| at)
    }

    /// Returns when a start that fails now is retried.
    pub(super) fn start_retry_at(&self, now: MonoTime) -> MonoTime {
        match self.sandbox {
            SandboxState::Ready { since } if now < since + RELIST_PERIOD => since + RELIST_PERIOD,
            _ => now + SYNC_RETRY,
        }
    }
}

/// Reads a number of seconds from a spec.
pub(super) fn seconds(value: Option<i64>) -> Option<Duration> {
    value.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
}
