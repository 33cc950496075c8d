//! The transitions of a container from stage to stage.

use super::backoff::ImageBackoff;
use super::container::{Container, ReplacedAttempt, SidecarGate};
use super::pace::{FIRST_READINESS_DELAY, RELIST_PERIOD};
use super::stage::{ExitStatus, Stage, StartRetry, StartTime, Terminated, TerminationCause, WaitingReason};
use super::time::{MonoTime, Now};

/// The reason of an attempt whose program cannot run (K45).
const START_ERROR: &str = "StartError";

impl Container {
    /// Marks the container's definition as outdated: a live attempt must exit by `deadline`, and another one follows.
    pub(super) fn replace(&mut self, deadline: MonoTime) {
        let stage = std::mem::replace(&mut self.stage, Stage::Waiting { retry: None });
        self.stage = match stage {
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {
                let earlier = self.attempt.replace_deadline;
                self.attempt.replace_deadline = Some(earlier.map_or(deadline, |earlier| earlier.min(deadline)));
                stage
            }
            // The new definition may start where the old one failed.
            Stage::Waiting { .. } => Stage::Waiting { retry: None },
            Stage::Exited(last) | Stage::BackOff { last, .. } | Stage::RestartPending(last) => {
                Stage::RestartPending(last)
            }
        };
        self.sidecar_gate = SidecarGate::Blocked;
        self.history.image_backoff = ImageBackoff::default();
    }

    /// Forgets earlier restarts; a container in back-off waits no longer.
    pub(super) fn reset_backoff(&mut self) {
        self.history.backoff = self.history.backoff.reset();
        if let Stage::BackOff { last, .. } = &self.stage {
            self.stage = Stage::Exited(last.clone());
        }
    }

    /// Begins the next attempt and returns its number.
    pub(super) fn begin_attempt(&mut self, now: Now) -> u32 {
        let stage = std::mem::replace(&mut self.stage, Stage::Starting);
        self.attempt.retries = None;
        match stage {
            Stage::Exited(last) => {
                if let Some(reference) = self.backoff_reference(&last) {
                    self.history.backoff.record_restart(reference, now.mono);
                }
                let was_stopped = matches!(last.cause, TerminationCause::FailedProbe { .. });
                self.attempt.replaces = Some(ReplacedAttempt { terminated: last, delay: None, was_stopped });
            }
            Stage::BackOff { last, delay, report } => {
                self.history.backoff.record_restart(last.finished_mono, now.mono);
                let delay = Some(delay).filter(|_| report.is_visible);
                self.attempt.replaces = Some(ReplacedAttempt { terminated: last, delay, was_stopped: false });
            }
            Stage::RestartPending(last) => {
                // The restarts of the old definition do not count (K29). Unless the attempt was the first, this
                // restart is the first that counts.
                self.history.backoff = self.history.backoff.reset();
                if self.history.previous.is_some() {
                    self.history.backoff.record_restart(last.finished_mono, now.mono);
                }
                self.attempt.replaces = Some(ReplacedAttempt { terminated: last, delay: None, was_stopped: true });
            }
            Stage::Waiting { retry } => self.attempt.retries = retry.map(|retry| retry.waiting),
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => {}
        }
        self.attempt.replace_deadline = None;
        self.attempt.number += 1;
        self.attempt.number
    }

    /// Records that the attempt's program runs.
    pub(super) fn set_started(&mut self, container_id: String, image_id: String, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        self.record_created(container_id, image_id);
        let since = StartTime::from(now);
        if self.spec.hooks.post_start {
            self.stage = Stage::PostStart { since, exited: None };
        } else {
            self.set_running(since);
        }
    }

    fn record_created(&mut self, container_id: String, image_id: String) {
        // Every attempt that was created after the first is a restart, also if failed starts lie between the two.
        self.attempt.is_restart = !self.attempt.container_id.is_empty();
        self.history.image_backoff = ImageBackoff::default();
        self.attempt.container_id = container_id;
        self.attempt.image_id = image_id;
        self.probes.reset();
    }

    /// Lets the status show the current attempt; the one that it replaced becomes `lastState`.
    pub(super) fn publish(&mut self) {
        self.history.restarts += u32::from(std::mem::take(&mut self.attempt.is_restart));
        if let Some(replaced) = self.attempt.replaces.take() {
            self.history.previous = Some(replaced.terminated);
        }
    }

    /// Publishes the attempt as running.
    pub(super) fn set_running(&mut self, since: StartTime) {
        self.publish();
        self.stage = Stage::Running { since };
        if self.probes.has_started() {
            self.probes.request_readiness(since.mono + FIRST_READINESS_DELAY);
            self.sidecar_gate = SidecarGate::Open;
        }
    }

    /// Records that the attempt could not be created; the start is retried at `retry_at`.
    pub(super) fn set_start_failed(&mut self, waiting: WaitingReason, mut retry_at: MonoTime, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        if waiting.reason == "ErrImagePull" {
            self.history.image_backoff.record_failure(now.mono);
        }
        if let Some(ReplacedAttempt { terminated, was_stopped, .. }) = self.attempt.replaces.take() {
            // A kubelet that has stopped a container is notified of its exit and syncs the pod again.
            let relist = terminated.finished_mono + RELIST_PERIOD;
            if was_stopped && now.mono < relist {
                retry_at = retry_at.min(relist);
            }
            self.history.previous = Some(terminated);
        }
        self.stage = match self.attempt.replace_deadline.take() {
            Some(_) => Stage::Waiting { retry: None },
            None => Stage::Waiting { retry: Some(StartRetry { waiting, retry_at }) },
        };
    }

    /// Records that the attempt was created, but its program cannot run.
    pub(super) fn set_cannot_run(&mut self, container_id: String, image_id: String, outcome: ExitStatus, now: Now) {
        if self.stage != Stage::Starting {
            return;
        }
        self.record_created(container_id, image_id);
        let message = outcome.message.clone().unwrap_or_default();
        let cause = match outcome.reason == START_ERROR {
            true => TerminationCause::FailedStart(WaitingReason { reason: "RunContainerError".into(), message }),
            false => TerminationCause::Normal,
        };
        self.set_terminated(self.terminated(outcome, StartTime::from(now), cause, now));
    }

    /// Records that the attempt's program has exited.
    pub(super) fn set_exited(&mut self, outcome: ExitStatus, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Waiting { retry: None }) {
            Stage::Running { since } => {
                self.set_terminated(self.terminated(outcome, since, TerminationCause::Normal, now));
            }
            Stage::Stopping { since, stop, .. } => {
                self.set_terminated(self.terminated(outcome, since, stop.cause, now));
            }
            // A kubelet does not notice the exit before the hook has finished.
            Stage::PostStart { since, exited: None } => {
                let exited = Some(self.terminated(outcome, since, TerminationCause::Normal, now));
                self.stage = Stage::PostStart { since, exited };
            }
            // The node reports a start before it reports the exit.
            stage @ (Stage::Starting
            | Stage::PostStart { .. }
            | Stage::Waiting { .. }
            | Stage::Exited(_)
            | Stage::BackOff { .. }
            | Stage::RestartPending(_)) => self.stage = stage,
        }
    }

    /// Returns the current attempt as terminated now.
    fn terminated(&self, outcome: ExitStatus, since: StartTime, cause: TerminationCause, now: Now) -> Terminated {
        let ExitStatus { code, reason, message } = outcome;
        Terminated {
            code,
            reason,
            message,
            started_at: Some(since.wall),
            finished_at: now.wall,
            finished_mono: now.mono,
            container_id: self.attempt.container_id.clone(),
            cause,
        }
    }

    /// Publishes the attempt as terminated.
    pub(super) fn set_terminated(&mut self, mut last: Terminated) {
        self.publish();
        if matches!(last.cause, TerminationCause::FailedProbe { .. }) {
            let restarts_at_once =
                self.spec.policy.restarts_failures() && self.restart_delay(&last, last.finished_mono).is_zero();
            last.cause = TerminationCause::FailedProbe { restarts_at_once };
        }
        self.stage = match self.attempt.replace_deadline.take() {
            Some(_) => Stage::RestartPending(last),
            None => Stage::Exited(last),
        };
    }
}
