//! Sessions of clients in running containers: exec, attach and port-forward.
//!
//! A session keeps nothing of its pod alive: it ends when its program does.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::Handle;
use super::attempt::RunningAttempt;
use super::events::field_path;
use super::running_pods::MAX_SESSIONS_PER_POD;
use crate::events::EventType;
use crate::network::{Connection, NetError, PodNetwork};
use crate::runtime::{Exit, Instance, SessionPipes, SessionStdio, SessionStreams, Stdio};

/// A program that a client runs in a container. Dropping it kills the program.
pub struct ExecSession {
    /// The client's ends of the program's streams.
    pub pipes: SessionPipes,
    /// The program.
    pub program: ExecProgram,
}

/// The running program of an [`ExecSession`].
pub struct ExecProgram {
    instance: Instance,
    _permit: OwnedSemaphorePermit,
}

/// A client that is attached to the main program of a container.
pub struct AttachSession {
    /// The client's ends of the program's streams.
    pub pipes: SessionPipes,
    /// The reserved session.
    pub permit: OwnedSemaphorePermit,
}

/// A client's way into the network of a pod.
pub struct PortForwardSession {
    network: Arc<PodNetwork>,
    end: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// An error that keeps a session from starting.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The container does not run.
    #[error("container not found ({container:?})")]
    ContainerNotRunning {
        /// Container name.
        container: String,
    },
    /// The pod does not run.
    #[error("pod is not running")]
    PodNotRunning,
    /// The pod has the maximum of sessions.
    #[error("the pod has {MAX_SESSIONS_PER_POD} sessions already; close one of them")]
    TooManySessions,
    /// The program does not exist or cannot run.
    #[error("failed to exec in container: {0}")]
    Program(String),
}

impl Handle {
    /// Runs `command` in a container of pod `uid`, connected to a client.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] if the container does not run, the pod has too many sessions, or there is no such program.
    pub async fn exec(
        &self,
        uid: &str,
        container: &str,
        command: &[String],
        streams: SessionStreams,
    ) -> Result<ExecSession, SessionError> {
        let attempt = self.running_attempt(uid, container)?;
        let permit = self.reserve_session(uid)?;
        let (stdio, pipes) = SessionStdio::new(streams);
        let instance = attempt.start_exec(&self.node, command, Stdio::Session(stdio)).await;
        let instance = instance.map_err(|error| SessionError::Program(error.message()))?;
        self.note_busybox(&attempt, container, command);
        Ok(ExecSession { pipes, program: ExecProgram { instance, _permit: permit } })
    }

    /// Records, once for each attempt, that a client's program is busybox's and not the image's.
    fn note_busybox(&self, attempt: &RunningAttempt, container: &str, command: &[String]) {
        let Some(name) = command.first().filter(|name| attempt.image.borrows(name)) else { return };
        if !attempt.busybox_is_noted.swap(true, Ordering::Relaxed) {
            let message = format!("the image has no {name:?}: the built-in busybox provides it and its other programs");
            let path = field_path(attempt.role, container);
            self.node.recorder.record(&attempt.pod, Some(path), EventType::Normal, "UsingBusybox", message);
        }
    }

    /// Attaches a client to the main program of a container of pod `uid`.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] if the container does not run or the pod has too many sessions.
    pub fn attach(&self, uid: &str, container: &str, streams: SessionStreams) -> Result<AttachSession, SessionError> {
        let attempt = self.running_attempt(uid, container)?;
        let permit = self.reserve_session(uid)?;
        Ok(AttachSession { pipes: attempt.console.attach(streams), permit })
    }

    /// Opens the network of pod `uid` to a client.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] if the pod does not run or has too many sessions.
    pub fn port_forward(&self, uid: &str) -> Result<PortForwardSession, SessionError> {
        let pods = &self.node.running_pods;
        let (network, end) = pods.network(uid).zip(pods.end(uid)).ok_or(SessionError::PodNotRunning)?;
        Ok(PortForwardSession { network, end, _permit: self.reserve_session(uid)? })
    }

    /// Returns the network of pod `uid` while it runs.
    pub fn pod_network(&self, uid: &str) -> Option<Arc<PodNetwork>> {
        self.node.running_pods.network(uid)
    }

    fn running_attempt(&self, uid: &str, container: &str) -> Result<Arc<RunningAttempt>, SessionError> {
        let attempt = self.node.running_pods.attempt(uid, container);
        attempt.ok_or_else(|| SessionError::ContainerNotRunning { container: container.into() })
    }

    fn reserve_session(&self, uid: &str) -> Result<OwnedSemaphorePermit, SessionError> {
        self.node.running_pods.reserve_session(uid).ok_or(SessionError::TooManySessions)
    }
}

impl ExecProgram {
    /// Waits for the program's end.
    pub fn wait(&mut self) -> impl Future<Output = Exit> {
        self.instance.wait_for_exit()
    }
}

impl PortForwardSession {
    /// Connects to a port of the pod, as from inside: programs that listen on loopback are reached as well.
    ///
    /// # Errors
    ///
    /// A [`NetError`] if nothing listens on the port.
    pub fn connect(&self, port: u16) -> impl Future<Output = Result<Connection, NetError>> + Send + 'static {
        let network = self.network.clone();
        async move {
            let mut result = Err(NetError::ConnectionRefused);
            for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), network.ip()] {
                result = match network.connect_from_inside(SocketAddr::new(ip, port)) {
                    Ok(connecting) => return connecting.await,
                    Err(error) => Err(error),
                };
            }
            result
        }
    }

    /// Waits until the pod has ended. Cancel-safe.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}
