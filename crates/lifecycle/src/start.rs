//! When a container's next attempt starts.

use super::ContainerRef;
use super::action::{Action, EventRecord};
use super::container::Container;
use super::pace::{SYNC_RETRY, TERMINATED_VISIBLE_FOR};
use super::pod::PodId;
use super::policy::RestartDecision;
use super::stage::{BackoffReport, Stage, WaitingReason};
use super::time::{MonoTime, Now};

impl Container {
    /// Starts the next attempt if it is due, or asks for a wake-up when it will be.
    pub(super) fn start_if_due(&mut self, at: ContainerRef, pod: &PodId, now: Now, actions: &mut Vec<Action>) {
        if let Stage::Exited(last) = &self.stage {
            if self.restart_decision(last) == RestartDecision::None {
                return;
            }
            let delay = self.restart_delay(last, now.mono);
            if now.mono < last.finished_mono + delay {
                let last = last.clone();
                let report = BackoffReport { is_visible: false, next_event_at: now.mono + SYNC_RETRY };
                self.stage = Stage::BackOff { last, delay, report };
                actions.push(self.backoff_event(at, pod));
            }
        }
        let wake_at = match &self.stage {
            Stage::Starting | Stage::PostStart { .. } | Stage::Running { .. } | Stage::Stopping { .. } => return,
            Stage::Waiting { retry: None } | Stage::RestartPending(_) | Stage::Exited(_) => None,
            Stage::Waiting { retry: Some(_) } => self.poll_start_retry(at, now.mono, actions),
            Stage::BackOff { .. } => self.poll_backoff(at, pod, now.mono, actions),
        };
        if let Some(wake_at) = wake_at {
            return actions.push(Action::WakeAt(wake_at));
        }
        self.begin_attempt(now);
        actions.push(Action::Start(self.current_attempt(at)));
    }

    /// Returns when a failed start is to be looked at again; `None` if it is to be retried now.
    fn poll_start_retry(&mut self, at: ContainerRef, now: MonoTime, actions: &mut Vec<Action>) -> Option<MonoTime> {
        let Stage::Waiting { retry: Some(retry) } = &mut self.stage else { return None };
        if now < retry.retry_at {
            return Some(retry.retry_at);
        }
        let pull_at = self.history.image_backoff.retry_at(now)?;
        let text = format!("Back-off pulling image {:?}", self.spec.image);
        actions.push(EventRecord::normal(at, "BackOff", text.clone()));
        actions.push(EventRecord::warning(at, "Failed", "Error: ImagePullBackOff".into()));
        if retry.waiting.reason != "ImagePullBackOff" {
            let message = format!("{text}: {}: {}", retry.waiting.reason, retry.waiting.message);
            retry.waiting = WaitingReason { reason: "ImagePullBackOff".into(), message };
        }
        retry.retry_at = pull_at.min(now + SYNC_RETRY);
        Some(retry.retry_at)
    }

    /// Returns when a container in back-off is to be looked at again; `None` if it is to be restarted now.
    fn poll_backoff(
        &mut self,
        at: ContainerRef,
        pod: &PodId,
        now: MonoTime,
        actions: &mut Vec<Action>,
    ) -> Option<MonoTime> {
        let Stage::BackOff { last, delay, report } = &mut self.stage else { return None };
        let (restart_at, visible_at) = (last.finished_mono + *delay, last.finished_mono + TERMINATED_VISIBLE_FOR);
        report.is_visible = now >= visible_at;
        if now >= restart_at {
            return None;
        }
        let repeats_event = now >= report.next_event_at;
        if repeats_event {
            report.next_event_at = now + SYNC_RETRY;
        }
        let next = if report.is_visible { report.next_event_at } else { visible_at };
        if repeats_event {
            actions.push(self.backoff_event(at, pod));
        }
        Some(restart_at.min(next))
    }

    fn backoff_event(&self, at: ContainerRef, pod: &PodId) -> Action {
        let name = &self.spec.name;
        let message = format!("Back-off restarting failed container {name} in pod {pod}");
        EventRecord::warning(at, "BackOff", message)
    }
}
