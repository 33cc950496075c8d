//! The messages that pending work sends to its worker.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::super::attempt::RunningAttempt;
use crate::lifecycle::{Attempt, ExitStatus, Input};
use crate::runtime::{Exit, Instance};

/// A fact that a worker waits for, beside the clock and its pod's desired state.
pub(super) enum WorkerMessage {
    /// An input for the pod's state.
    Input(Input),
    /// An attempt's image is ready; the future creates the attempt.
    ImageReady(Attempt, BoxFuture<'static, WorkerMessage>),
    /// A resize that failed can be tried again.
    RetryResize,
    /// The creation of a static pod's mirror object that failed can be tried again.
    RetryMirror,
    /// A report of the status that failed can be tried again.
    RetryReport,
    /// The pod's storage was measured; with the message about a limit that it exceeds.
    StorageMeasured(Option<String>),
    /// An attempt was created; its program is about to start.
    Created(CreatedAttempt, Box<Instance>, Arc<RunningAttempt>),
    /// An attempt's program runs; with the input that says so.
    Started(Input, Attempt, Box<Instance>),
    /// An attempt ended before its program could run; with the input that says so.
    CannotRun(Input),
}

/// An attempt and its identifiers in the pod's status.
pub(super) struct CreatedAttempt {
    pub(super) attempt: Attempt,
    pub(super) container_id: String,
    pub(super) image_id: String,
}

impl CreatedAttempt {
    /// Returns the input for an attempt whose program runs.
    pub(super) fn into_started(self) -> Input {
        let CreatedAttempt { attempt, container_id, image_id } = self;
        Input::Started { attempt, container_id, image_id }
    }

    /// Returns the message for an attempt whose program could not run.
    pub(super) fn into_cannot_run(self, exit: &Exit) -> WorkerMessage {
        let CreatedAttempt { attempt, container_id, image_id } = self;
        let outcome = exit_status(exit, exit.message().map(Into::into));
        WorkerMessage::CannotRun(Input::CannotRun { attempt, container_id, image_id, outcome })
    }
}

/// Returns the input for an attempt whose program exited.
pub(super) fn exit_input(attempt: Attempt, exit: &Exit, message: Option<String>) -> Input {
    Input::Exited { attempt, outcome: exit_status(exit, message) }
}

fn exit_status(exit: &Exit, message: Option<String>) -> ExitStatus {
    ExitStatus { code: exit.code(), reason: exit.reason().into(), message }
}
