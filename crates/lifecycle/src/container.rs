//! One container: its stage, and how it moves.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use super::backoff::{Backoff, ImageBackoff};
use super::pod::SECOND_LOOK;
use super::policy::{ContainerKind, Policy, RestartDecision, RestartPolicy};
use super::probes::Probes;
use super::stage::{ExitStatus, Stage, StartTime, Terminated, TerminationCause, WaitingReason};
use super::{ContainerRole, Now};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) role: ContainerRole,
    pub(super) image: String,
    pub(super) policy: Policy,
    /// What it has of processor and memory.
    pub(super) resources: Option<core::ResourceRequirements>,
    pub(super) hooks: Hooks,
    pub(super) probes: Probes,
    pub(super) stage: Stage,
    /// The current attempt's number; 0 before the first.
    pub(super) attempt: u32,
    /// Attempts that were made, less the first.
    pub(super) restarts: u32,
    /// Whether the current attempt is one more of them, once it is shown.
    restarted: bool,
    /// The attempt before the one that the stage tells of.
    pub(super) previous: Option<Terminated>,
    /// The trouble that the current start tries to overcome; shown until it has.
    pub(super) retries: Option<WaitingReason>,
    /// The one that the current start will replace, once it is shown.
    pub(super) replaces: Option<Replaced>,
    pub(super) backoff: Backoff,
    pub(super) image_backoff: ImageBackoff,
    pub(super) image_id: String,
    pub(super) container_id: String,
    /// When the current attempt has to have made way for the next one, where it has to.
    pub(super) replace_by: Option<Duration>,
    pub(super) release: SidecarGate,
}

/// An end that a new attempt follows on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replaced {
    pub(super) ended: Terminated,
    /// The wait between the two, where it is shown.
    pub(super) waited: Option<Duration>,
    /// Whether it was ended in the same breath as the new attempt begins.
    cut: bool,
}

/// Which hooks a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hooks {
    pub(super) post_start: bool,
    pub(super) pre_stop: bool,
}

/// Whether what comes after a sidecar may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SidecarGate {
    /// It has not started yet.
    Blocked,
    /// It has, which is told before anything follows from it.
    Announced,
    /// What comes after it may begin, whatever becomes of it.
    Open,
}

/// The reason of an attempt whose program could not be run (K45).
const START_ERROR: &str = "StartError";
/// A container's readiness is asked for so long after it began, whatever its probe's period: a kubelet's loop
/// looks once a second, and what is asked before it can listen would be asked again only a period later.
const FIRST_READINESS: Duration = Duration::from_millis(500);
/// Starts that fail for reasons which may pass are tried again after so long: a kubelet's ten seconds
/// and half of the jitter that it adds to them (K34).
pub(super) const RESYNC: Duration = Duration::from_millis(12_500);

impl Container {
    pub(super) fn new(container: &core::Container, role: ContainerRole, pod: RestartPolicy) -> Container {
        let sidecar = role == ContainerRole::Init && container.restart_policy.as_deref() == Some("Always");
        let kind = match role {
            ContainerRole::Init if sidecar => ContainerKind::Sidecar,
            ContainerRole::Init => ContainerKind::Init,
            ContainerRole::App => ContainerKind::App,
            ContainerRole::Ephemeral => ContainerKind::Ephemeral,
        };
        let hooks = container.lifecycle.as_ref().map_or(Hooks::default(), |lifecycle| Hooks {
            post_start: lifecycle.post_start.is_some(),
            pre_stop: lifecycle.pre_stop.is_some(),
        });
        Container {
            policy: Policy::of(container, kind, pod),
            resources: container.resources.clone(),
            hooks,
            probes: Probes::of(container),
            ..Container::bare(&container.name, role, container.image.as_deref().unwrap_or_default())
        }
    }

    pub(super) fn ephemeral(container: &core::EphemeralContainer) -> Container {
        Container::bare(&container.name, ContainerRole::Ephemeral, container.image.as_deref().unwrap_or_default())
    }

    fn bare(name: &str, role: ContainerRole, image: &str) -> Container {
        Container {
            name: name.into(),
            role,
            image: image.into(),
            policy: Policy::new(ContainerKind::Ephemeral, RestartPolicy::Never),
            resources: None,
            hooks: Hooks::default(),
            probes: Probes::default(),
            stage: Stage::Waiting { trouble: None },
            attempt: 0,
            restarts: 0,
            restarted: false,
            previous: None,
            retries: None,
            replaces: None,
            backoff: Backoff::default(),
            image_backoff: ImageBackoff::default(),
            image_id: String::new(),
            container_id: String::new(),
            replace_by: None,
            release: SidecarGate::Blocked,
        }
    }

    pub(super) fn kind(&self) -> ContainerKind {
        self.policy.kind()
    }

    /// Whether something of it may be running.
    pub(super) fn is_live(&self) -> bool {
        match self.stage {
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => true,
            Stage::Waiting { .. } | Stage::Exited(_) | Stage::BackOff { .. } | Stage::RestartPending(_) => false,
        }
    }

    /// When what runs of it began, where it is shown as running.
    pub(super) fn running(&self) -> Option<StartTime> {
        match &self.stage {
            Stage::Running { since } | Stage::Stopping { since, shown: true, .. } => Some(*since),
            Stage::Stopping { shown: false, .. }
            | Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Waiting { .. }
            | Stage::Exited(_)
            | Stage::BackOff { .. }
            | Stage::RestartPending(_) => None,
        }
    }

    /// Whether it runs and its startup probe, if it has one, has succeeded.
    pub(super) fn has_started(&self) -> bool {
        self.running().is_some() && self.probes.started()
    }

    /// Whether it may be called ready (K12, K57); that it has started is told before.
    pub(super) fn is_ready(&self) -> bool {
        self.has_started() && self.release != SidecarGate::Announced && self.probes.ready()
    }

    /// How its last attempt ended, if it is over.
    pub(super) fn ended(&self) -> Option<&Terminated> {
        match &self.stage {
            Stage::Exited(ended) | Stage::BackOff { ended, .. } | Stage::RestartPending(ended) => Some(ended),
            Stage::Starting | Stage::PostStart { .. } | Stage::Stopping { shown: false, .. } => {
                self.replaces.as_ref().map(|replaced| &replaced.ended)
            }
            Stage::Waiting { .. } | Stage::Running { .. } | Stage::Stopping { shown: true, .. } => None,
        }
    }

    /// The exit code with which it has run its course, if it has.
    pub(super) fn finished(&self) -> Option<i32> {
        match &self.stage {
            Stage::Exited(ended) => (self.after(ended) == RestartDecision::Nothing).then_some(ended.code),
            Stage::Waiting { .. }
            | Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::BackOff { .. }
            | Stage::RestartPending(_) => None,
        }
    }

    /// Whether it runs only until it has been ended for a probe that it failed (K63).
    pub(super) fn has_failed_for_good(&self) -> bool {
        self.running().is_some() && self.probes.failed().is_some() && !self.policy.restarts_failures()
    }

    /// What follows on `ended`: what a probe brought down begins again in the same breath, whatever its code.
    pub(super) fn after(&self, ended: &Terminated) -> RestartDecision {
        match (&ended.cause, self.policy.after(ended.code)) {
            (TerminationCause::Probe { at_once: true }, RestartDecision::Nothing) => RestartDecision::Restart,
            (_, next) => next,
        }
    }

    /// What it has run is outdated: whatever lives makes way by `by`, and another attempt follows.
    pub(super) fn replace(&mut self, by: Duration) {
        let stage = std::mem::replace(&mut self.stage, Stage::Waiting { trouble: None });
        self.stage = match stage {
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {
                self.replace_by = Some(self.replace_by.map_or(by, |earlier| earlier.min(by)));
                stage
            }
            // Its trouble may have gone with what was outdated.
            Stage::Waiting { .. } => Stage::Waiting { trouble: None },
            Stage::Exited(ended) | Stage::BackOff { ended, .. } | Stage::RestartPending(ended) => {
                Stage::RestartPending(ended)
            }
        };
        self.release = SidecarGate::Blocked;
        self.image_backoff = ImageBackoff::default();
    }

    /// By which end the wait for the next attempt is judged: by `ended` itself, but a container that a
    /// probe brings down is started again in the same breath, judged by what had ended before it.
    pub(super) fn judged_by(&self, ended: &Terminated) -> Option<Duration> {
        match ended.cause {
            TerminationCause::Probe { .. } => self.previous.as_ref().map(|before| before.finished),
            TerminationCause::Nothing | TerminationCause::Start(_) => Some(ended.finished),
        }
    }

    /// How long the container waits from `ended` on before its next attempt.
    pub(super) fn delay(&self, ended: &Terminated, now: Duration) -> Duration {
        let Some(judged) = self.judged_by(ended) else { return Duration::ZERO };
        let delay = self.backoff.delay(judged);
        // What a probe brought down waits only if the end before it still counts.
        if matches!(ended.cause, TerminationCause::Probe { .. }) && now >= judged + delay {
            Duration::ZERO
        } else {
            delay
        }
    }

    /// Its past is no longer held against it; what waits for its next attempt waits no longer.
    pub(super) fn forget(&mut self) {
        self.backoff = self.backoff.forgotten();
        if let Stage::BackOff { ended, .. } = &self.stage {
            self.stage = Stage::Exited(ended.clone());
        }
    }

    /// Begins the next attempt; returns its number.
    pub(super) fn begin(&mut self, now: Now) -> u32 {
        let stage = std::mem::replace(&mut self.stage, Stage::Starting);
        self.retries = None;
        match stage {
            Stage::Exited(ended) => {
                if let Some(judged) = self.judged_by(&ended) {
                    self.backoff.restarted(judged, now.mono);
                }
                let cut = matches!(ended.cause, TerminationCause::Probe { .. });
                self.replaces = Some(Replaced { ended, waited: None, cut });
            }
            Stage::BackOff { ended, delay, shown } => {
                self.backoff.restarted(ended.finished, now.mono);
                self.replaces = Some(Replaced { ended, waited: Some(delay).filter(|_| shown.waits), cut: false });
            }
            Stage::RestartPending(ended) => {
                // The past of what was outdated is no longer held against it (K29); where there was one, this
                // restart is the first of a new row.
                self.backoff = self.backoff.forgotten();
                if self.previous.is_some() {
                    self.backoff.restarted(ended.finished, now.mono);
                }
                self.replaces = Some(Replaced { ended, waited: None, cut: true });
            }
            Stage::Waiting { trouble } => self.retries = trouble.map(|(trouble, _)| trouble),
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {}
        }
        self.replace_by = None;
        self.attempt += 1;
        self.attempt
    }

    /// The attempt runs.
    pub(super) fn started(&mut self, container_id: String, image_id: String, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        self.made(container_id, image_id);
        let since = StartTime { wall: now.wall, mono: now.mono };
        if self.hooks.post_start {
            self.stage = Stage::PostStart { since, ended: None };
        } else {
            self.runs(since);
        }
    }

    fn made(&mut self, container_id: String, image_id: String) {
        // Every attempt that was made after the first is a restart, also where starts that failed lie between.
        self.restarted = !self.container_id.is_empty();
        self.image_backoff = ImageBackoff::default();
        self.container_id = container_id;
        self.image_id = image_id;
        self.probes.reset();
    }

    /// The current attempt is shown from now on; what it replaced goes to the past.
    pub(super) fn show(&mut self) {
        self.restarts += u32::from(std::mem::take(&mut self.restarted));
        if let Some(replaced) = self.replaces.take() {
            self.previous = Some(replaced.ended);
        }
    }

    /// It is shown as running from now on.
    pub(super) fn runs(&mut self, since: StartTime) {
        self.show();
        self.stage = Stage::Running { since };
        if self.probes.started() {
            self.probes.want_readiness(since.mono + FIRST_READINESS);
            self.release = SidecarGate::Open;
        }
    }

    /// The attempt could not begin; it is tried again at `again`.
    pub(super) fn start_failed(&mut self, trouble: WaitingReason, mut again: Duration, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        if trouble.reason == "ErrImagePull" {
            self.image_backoff.failed(now.mono);
        }
        if let Some(Replaced { ended, cut, .. }) = self.replaces.take() {
            // A kubelet hears of an end that it has made itself, and looks again.
            let heard = ended.finished + SECOND_LOOK;
            if cut && now.mono < heard {
                again = again.min(heard);
            }
            self.previous = Some(ended);
        }
        self.stage = match self.replace_by.take() {
            Some(_) => Stage::Waiting { trouble: None },
            None => Stage::Waiting { trouble: Some((trouble, again)) },
        };
    }

    /// The attempt was made, but its program could not run.
    pub(super) fn never_ran(&mut self, container_id: String, image_id: String, outcome: ExitStatus, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        self.made(container_id, image_id);
        let message = outcome.message.clone().unwrap_or_default();
        let of = match outcome.reason == START_ERROR {
            true => TerminationCause::Start(WaitingReason { reason: "RunContainerError".into(), message }),
            false => TerminationCause::Nothing,
        };
        let since = StartTime { wall: now.wall, mono: now.mono };
        self.is_over(self.end_of(outcome, since, of, now));
    }

    /// The attempt is over.
    pub(super) fn exited(&mut self, outcome: ExitStatus, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Waiting { trouble: None }) {
            Stage::Running { since } => self.is_over(self.end_of(outcome, since, TerminationCause::Nothing, now)),
            Stage::Stopping { since, stop, .. } => self.is_over(self.end_of(outcome, since, stop.cut, now)),
            // Nobody looks before the hook is over.
            Stage::PostStart { since, ended: None } => {
                let ended = Some(self.end_of(outcome, since, TerminationCause::Nothing, now));
                self.stage = Stage::PostStart { since, ended };
            }
            // Whoever reports an end has reported the start before.
            stage @ (Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Waiting { .. }
            | Stage::Exited(_)
            | Stage::BackOff { .. }
            | Stage::RestartPending(_)) => self.stage = stage,
        }
    }

    fn end_of(&self, outcome: ExitStatus, since: StartTime, of: TerminationCause, now: Now) -> Terminated {
        let ExitStatus { code, reason, message } = outcome;
        Terminated {
            code,
            reason,
            message,
            started_at: Some(since.wall),
            finished_at: now.wall,
            finished: now.mono,
            container_id: self.container_id.clone(),
            cause: of,
        }
    }

    /// Nothing of the attempt lives any more, and all may see it.
    pub(super) fn is_over(&mut self, mut ended: Terminated) {
        self.show();
        if matches!(ended.cause, TerminationCause::Probe { .. }) {
            let at_once = self.policy.restarts_failures() && self.delay(&ended, ended.finished).is_zero();
            ended.cause = TerminationCause::Probe { at_once };
        }
        self.stage = match self.replace_by.take() {
            Some(_) => Stage::RestartPending(ended),
            None => Stage::Exited(ended),
        };
    }
}
