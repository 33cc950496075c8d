//! How a node ends: its pods go on in its next life, unless they are to be terminated.

use std::time::Duration;

use crate::cli::args::ServeArgs;
use crate::cli::signals::ServerSignal;
use crate::lifecycle::Suspension;
use crate::node::{Handle, NodeShutdown};

/// The part of the shutdown grace period that is reserved for killing pods: a pod that exceeds its own grace period
/// is killed two seconds later (K66).
const KILL_RESERVE: Duration = Duration::from_secs(3);
/// The time for containers to stop before an upgrade. They are killed after half a second.
const UPGRADE_GRACE: Duration = Duration::from_millis(700);
/// The time for open requests to finish before an upgrade.
const UPGRADE_DRAIN: Duration = Duration::from_millis(100);

/// The end of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    pods: NodeShutdown,
    /// The time after which remaining pods are killed.
    grace: Duration,
    /// The time for open requests to finish, if it is limited.
    pub drain: Option<Duration>,
}

impl Shutdown {
    /// Returns what `signal` asks for; `None` for a reload, which does not end the node.
    pub fn from_signal(signal: ServerSignal, args: &ServeArgs) -> Option<Shutdown> {
        let grace = args.shutdown_grace;
        let max_grace = grace.saturating_sub(KILL_RESERVE);
        let pods = match (signal, args.terminate_pods) {
            (ServerSignal::Reload, _) => return None,
            (ServerSignal::Upgrade, _) => {
                let pods = NodeShutdown::Suspend(Suspension::Immediate);
                return Some(Shutdown { pods, grace: UPGRADE_GRACE, drain: Some(UPGRADE_DRAIN) });
            }
            (ServerSignal::Stop, true) => NodeShutdown::Terminate { grace: max_grace },
            (ServerSignal::Stop, false) => NodeShutdown::Suspend(Suspension::Graceful { max_grace }),
        };
        Some(Shutdown { pods, grace, drain: None })
    }

    /// Prints what happens to the pods.
    pub fn announce(&self) {
        let hint = "send a second signal to kill them";
        match self.pods {
            NodeShutdown::Terminate { .. } => stderrln!("stopping the pods (for up to {:?}); {hint}", self.grace),
            NodeShutdown::Suspend(Suspension::Graceful { .. }) => {
                stderrln!("stopping the pods until the next start (for up to {:?}); {hint}", self.grace);
            }
            NodeShutdown::Suspend(Suspension::Immediate) => stderrln!("stopping the pods at once until the next start"),
        }
    }

    /// Stops all pods of the node, and waits until they have stopped, at most for the grace period.
    pub async fn stop_pods(&self, node: &Handle) {
        if tokio::time::timeout(self.grace, node.shut_down(self.pods)).await.is_ok() {
            return;
        }
        match self.pods {
            NodeShutdown::Suspend(Suspension::Immediate) => stderrln!("killing the remaining pods"),
            NodeShutdown::Terminate { .. } | NodeShutdown::Suspend(Suspension::Graceful { .. }) => {
                stderrln!("--shutdown-grace expired; killing the remaining pods");
            }
        }
    }
}
