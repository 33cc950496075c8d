//! Running another program beside a container's own: exec probes and hooks.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::attempt::Running;
use crate::images::CommandError;
use crate::runtime::{Capture, ProgramError, Stdio, error_chain};

/// What a program that was run to its end has left.
pub(super) struct Output {
    pub(super) code: i32,
    /// Standard output and standard error together, up to a limit.
    pub(super) text: String,
}

/// Why there is no such output.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("program {name:?} cannot run")]
    Program { name: String, source: ProgramError },
    /// It was killed when its time was up.
    #[error("command timed out: {:?} timed out after {}s", .command.join(" "), .after.as_secs())]
    TimedOut { command: Vec<String>, after: Duration },
}

impl ExecError {
    /// With all its causes.
    pub(super) fn words(&self) -> String {
        error_chain(self)
    }
}

impl Running {
    /// Runs `command` in the container's World: its files, network, environment and limits. Where its
    /// image has no such program, busybox's takes its place. Of the output `limit` bytes are kept.
    pub(super) async fn exec(
        &self,
        shared: &Arc<Shared>,
        command: &[String],
        limit: usize,
        within: Option<Duration>,
    ) -> Result<Output, ExecError> {
        let found = self.image.exec_command(command)?;
        let program = shared.runtime.program(found.program.digest, &found.program.bytes).await;
        let name = found.argv.first().cloned().unwrap_or_default();
        let program = program.map_err(|source| ExecError::Program { name, source })?;
        let until = |after| shared.clock.instant(shared.clock.now().mono + after);
        let capture = Arc::new(Capture::new(limit));
        let mut instance = self.world.exec(program, &found.argv, Stdio::Capture(capture.clone()));
        let exit = match within {
            None => instance.exited().await,
            Some(after) => match tokio::time::timeout_at(until(after), instance.exited()).await {
                Ok(exit) => exit,
                // Dropped, the instance is killed.
                Err(_) => return Err(ExecError::TimedOut { command: command.to_vec(), after }),
            },
        };
        Ok(Output { code: exit.code(), text: capture.text() })
    }
}
