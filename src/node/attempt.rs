//! Starting one attempt of a container: image, command, environment, files, memory, log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::config::Configs;
use super::env::Sources;
use super::message::TerminationMessage;
use super::sandbox::Sandbox;
use super::{SOURCE_ANNOTATION, Shared, env, hosts, housekeeping, limits};
use crate::files::Mounts;
use crate::images::{CommandError, Image, ImageError, ResolvedCommand};
use crate::lifecycle::{Attempt, WaitingReason};
use crate::logs::Log;
use crate::model::expansion::expand;
use crate::model::pods;
use crate::network::Endpoint;
use crate::runtime::{ContainerContext, Exit, Instance, InstanceHandle, InstanceSet, ProgramError, Stdio, error_chain};
use crate::volumes::VolumeError;

const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// An attempt that begins.
pub(super) struct Started {
    pub(super) instance: Instance,
    pub(super) running: Arc<Running>,
}

/// What runs: how to end it, and where more can be run beside it.
pub(super) struct Running {
    pub(super) control: InstanceHandle,
    pub(super) world: Arc<ContainerContext>,
    pub(super) image: Arc<Image>,
    pub(super) last_words: TerminationMessage,
}

/// Why an attempt does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("Failed to apply default image tag {image:?}")]
    ImageName { image: String, source: ImageError },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Env(#[from] env::EnvError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("Container image {image:?} is not present with pull policy of Never")]
    NeverPull { image: String },
    #[error("container has runAsNonRoot and image will run as root {place}")]
    Root { place: String },
    #[error("container's runAsUser breaks non-root policy {place}")]
    RootAsked { place: String },
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}")]
    SubPath { volume: String, container: String },
    #[error("image {image:?} cannot run")]
    Program { image: String, source: ProgramError },
}

/// What becomes of a start that failed.
pub(super) enum Failure {
    /// It is tried again.
    Retry(WaitingReason),
    /// The attempt counts as one that ended.
    Exit(Exit),
}

impl StartError {
    pub(super) fn failure(&self) -> Failure {
        let message = error_chain(self);
        let retry = |reason: &str| Failure::Retry(WaitingReason { reason: reason.into(), message: message.clone() });
        match self {
            StartError::Image(error) | StartError::Command(CommandError::Image(error)) => retry(error.reason()),
            StartError::ImageName { source, .. } => retry(source.reason()),
            StartError::NeverPull { .. } => retry("ErrImageNeverPull"),
            StartError::Env(_)
            | StartError::Volume(_)
            | StartError::SubPath { .. }
            | StartError::Root { .. }
            | StartError::RootAsked { .. } => retry("CreateContainerConfigError"),
            StartError::Command(CommandError::NotFound(_) | CommandError::Empty) | StartError::Program { .. } => {
                Failure::Exit(Exit::StartError { message })
            }
        }
    }
}

/// One attempt and everything that it is started from.
pub(super) struct Plan {
    pub(super) shared: Arc<Shared>,
    pub(super) pod: Arc<Pod>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) attempt: Attempt,
    pub(super) container: Container,
    pub(super) log: Arc<Log>,
    /// The files of another container, which an ephemeral one looks at.
    pub(super) view: Option<Arc<Mounts>>,
}

impl Plan {
    /// The container's image, where it can be had.
    pub(super) fn image(&self) -> Result<Arc<Image>, StartError> {
        let source = pods::annotation(&self.pod, SOURCE_ANNOTATION).map(PathBuf::from);
        let base = source.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let name = self.container.image.as_deref().unwrap_or_default();
        self.shared.images.find(name, base).map_err(|error| match error {
            // There is nothing to pull from, so what is not there is not there for any policy.
            ImageError::Unknown { image } if self.container.image_pull_policy.as_deref() == Some("Never") => {
                StartError::NeverPull { image }
            }
            error @ ImageError::InvalidName { .. } => StartError::ImageName { image: name.into(), source: error },
            error => StartError::Image(error),
        })
    }

    /// Starts the attempt; its program may still have to be instantiated, which can take long: a
    /// module's start function runs then.
    pub(super) async fn start(self, image: Arc<Image>) -> Result<Started, StartError> {
        self.check_user(&image)?;
        let image_name = self.container.image.clone().unwrap_or_default();
        let host_ip = &self.shared.config.host_ip;
        let configs = Configs::of_environment(&*self.shared.control, &self.pod, &self.container).await;
        let sources = Sources { image: &image, configs: &configs, host_ip, ip: &self.sandbox.ip() };
        let env = env::variables(&self.pod, &self.container, &sources)?;
        let ResolvedCommand { program, argv } = self.command(&image, &env)?;
        let working_dir = self.container.working_dir.clone().filter(|dir| !dir.is_empty());
        let working_dir = working_dir.unwrap_or_else(|| image.working_dir.clone());
        if self.attempt.number > 1 {
            housekeeping::remove_attempts(self.folder(), self.attempt.number).await;
        }
        let mounts = match &self.view {
            Some(view) => view.clone(),
            None => Arc::new(self.mounts(&image)?.with_working_dir(&working_dir)),
        };
        let compiled = self.shared.runtime.program(program.digest, &program.bytes).await;
        let compiled = compiled.map_err(|source| StartError::Program { image: image_name, source })?;
        let world = ContainerContext {
            runtime: self.shared.runtime.clone(),
            name: self.container.name.clone(),
            mounts: mounts.clone(),
            endpoint: Endpoint::new(self.sandbox.network.clone()),
            env,
            working_dir,
            clock: self.shared.clock,
            account: self.sandbox.account.child(limits::of_container(self.container.resources.as_ref())),
            guests: self.shared.guests.clone(),
            instances: InstanceSet::new(),
        };
        self.shared.accounts.begin(&self.pod, &world.name, &world.account);
        let world = Arc::new(world);
        let last_words = TerminationMessage::of(&self.pod, &self.container, mounts, self.log.clone());
        let instance = world.spawn(compiled, &argv, Stdio::Log(self.log));
        let running = Arc::new(Running { control: instance.control(), world, image, last_words });
        Ok(Started { instance, running })
    }

    /// A built-in image is root's, like the one that it stands in for; a container that must not be is
    /// not run. A program of one's own has no user at all.
    fn check_user(&self, image: &Image) -> Result<(), StartError> {
        if !image.is_built_in() {
            return Ok(());
        }
        let own = self.container.security_context.as_ref();
        let pods = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let non_root = own.and_then(|c| c.run_as_non_root).or(pods.and_then(|c| c.run_as_non_root));
        let user = own.and_then(|c| c.run_as_user).or(pods.and_then(|c| c.run_as_user));
        let place = || {
            let pod = pods::place(&self.pod);
            format!("(pod: {pod:?}, container: {})", self.container.name)
        };
        match (non_root, user) {
            (Some(true), None) => Err(StartError::Root { place: place() }),
            (Some(true), Some(0)) => Err(StartError::RootAsked { place: place() }),
            (_, _) => Ok(()),
        }
    }

    fn command(&self, image: &Image, env: &[(String, String)]) -> Result<ResolvedCommand, CommandError> {
        let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
            words.iter().flatten().map(|word| expand(word, |name| env::get(env, name))).collect()
        };
        image.command(&expanded(&self.container.command), &expanded(&self.container.args))
    }

    fn mounts(&self, image: &Image) -> Result<Mounts, StartError> {
        let mounts = self.sandbox.volumes.mounts(&self.container)?;
        let of_names = self.container.volume_mounts.iter().flatten().zip(&mounts);
        for (wanted, mount) in of_names.filter(|(_, mount)| !mount.sub_path.is_empty()) {
            mount.check().map_err(|error| {
                // Why it can't be is the node's to know: the container may have tried to look outside.
                tracing::warn!(pod = pods::name(&self.pod), error = error_chain(&error), "a sub path can't be used");
                StartError::SubPath { volume: wanted.name.clone(), container: self.container.name.clone() }
            })?;
        }
        let root = self.folder().join(self.attempt.number.to_string());
        let message = self.container.termination_message_path.as_deref().unwrap_or(DEFAULT_MESSAGE_PATH);
        let hosts = hosts::file(&self.pod, &self.sandbox.ip());
        let name = format!("{}\n", hosts::name(&self.pod));
        let mounts = Mounts::new(Some(root), image.files, mounts).with_message_file(message);
        Ok(mounts.with_file("/etc/hosts", hosts).with_file("/etc/hostname", name))
    }

    /// Where the container's attempts have the files that are theirs.
    fn folder(&self) -> PathBuf {
        self.sandbox.folder.join("containers").join(&self.container.name)
    }
}
