//! Runs a further program in a container, for exec probes, hooks and sessions of clients.

use std::sync::Arc;
use std::time::Duration;

use super::NodeContext;
use super::attempt::RunningAttempt;
use crate::images::CommandError;
use crate::runtime::{Capture, Instance, ProgramError, Stdio, error_chain};

/// The result of a program that exited.
pub(super) struct ExecOutput {
    pub(super) code: i32,
    /// Standard output and standard error together, cut to a limit.
    pub(super) text: String,
}

/// An error that keeps a program from running or finishing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("program {name:?} cannot run")]
    Program { name: String, source: ProgramError },
    /// The program was killed at its timeout; in kubelet's words.
    #[error("command timed out: {:?} timed out after {}s", .command.join(" "), .after.as_secs())]
    TimedOut { command: Vec<String>, after: Duration },
}

impl ExecError {
    /// Returns the message with all causes.
    pub(super) fn message(&self) -> String {
        error_chain(self)
    }
}

impl RunningAttempt {
    /// Starts `command` with the container's files, network, environment and limits, connected to `stdio`. Busybox's
    /// program is used where the image has none of that name.
    pub(super) async fn start_exec(
        &self,
        node: &NodeContext,
        command: &[String],
        stdio: Stdio,
    ) -> Result<Instance, ExecError> {
        let resolved = self.image.exec_command(command)?;
        let program = node.runtime.program(resolved.program.digest, &resolved.program.bytes).await;
        let name = resolved.argv.first().cloned().unwrap_or_default();
        let program = program.map_err(|source| ExecError::Program { name, source })?;
        Ok(self.context.exec(program, &resolved.argv, stdio))
    }

    /// Runs `command` with the container's files, network, environment and limits, and keeps `max_output` bytes
    /// of its output. Busybox's program is used where the image has none of that name.
    pub(super) async fn exec(
        &self,
        node: &NodeContext,
        command: &[String],
        max_output: usize,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, ExecError> {
        let capture = Arc::new(Capture::new(max_output));
        let mut instance = self.start_exec(node, command, Stdio::Capture(capture.clone())).await?;
        let exit = match timeout {
            None => instance.wait_for_exit().await,
            Some(after) => {
                let deadline = node.clock.instant(node.clock.now().mono + after);
                match tokio::time::timeout_at(deadline, instance.wait_for_exit()).await {
                    Ok(exit) => exit,
                    // Dropping the instance kills it.
                    Err(_) => return Err(ExecError::TimedOut { command: command.to_vec(), after }),
                }
            }
        };
        Ok(ExecOutput { code: exit.code(), text: capture.text() })
    }
}
