//! Starts one attempt of a container: image, command, environment, files, limits, log.
//!
//! What follows from a failed start is `lifecycle`'s to decide.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::oneshot;

use super::config_objects::ConfigObjects;
use super::env::{EnvError, EnvSources, Environment, MAX_ENVIRONMENT_BYTES};
use super::sandbox::{CONTAINERS_DIR, Sandbox};
use super::termination_message::TerminationMessage;
use super::{NodeContext, SOURCE_ANNOTATION, env, hosts, housekeeping, limits, service_account};
use crate::files::{Mount, MountError, Mounts};
use crate::images::{CommandError, Image, ImageError, ResolvedCommand};
use crate::lifecycle::{Attempt, ContainerRole, WaitingReason};
use crate::logs::Log;
use crate::model::expansion::{TooLong, expand};
use crate::model::pods;
use crate::network::Endpoint;
use crate::runtime::{
    Console, ConsoleOptions, ContainerContext, Exit, Instance, InstanceHandle, InstanceSet, ProcessView, ProgramError,
    Stdio, error_chain,
};
use crate::volumes::VolumeError;

/// The default of `terminationMessagePath`.
const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// An attempt whose program was spawned.
pub(super) struct StartedAttempt {
    pub(super) instance: Instance,
    pub(super) running: Arc<RunningAttempt>,
}

/// A running attempt: the handle that ends it, and the context that further programs run in.
pub(super) struct RunningAttempt {
    pub(super) handle: InstanceHandle,
    pub(super) context: Arc<ContainerContext>,
    pub(super) image: Arc<Image>,
    pub(super) console: Arc<Console>,
    pub(super) termination_message: TerminationMessage,
    pub(super) pod: Arc<Pod>,
    pub(super) role: ContainerRole,
    /// Whether an event says that clients run programs of busybox here.
    pub(super) busybox_is_noted: AtomicBool,
}

/// An error that keeps an attempt from running, in kubelet's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptStartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("Failed to apply default image tag {image:?}")]
    ImageName { image: String, source: ImageError },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error("argument {text:?} {source}")]
    Argument { text: String, source: TooLong },
    #[error("argument list too long: it exceeds {} KiB", MAX_ENVIRONMENT_BYTES / 1024)]
    Arguments,
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("Container image {image:?} is not present with pull policy of Never")]
    NeverPull { image: String },
    #[error("container has runAsNonRoot and image will run as root {container}")]
    RootImage { container: String },
    #[error("container's runAsUser breaks non-root policy {container}")]
    RootUser { container: String },
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}")]
    SubPath { volume: String, container: String },
    #[error(transparent)]
    SingleFile(MountError),
    #[error("image {image:?} cannot run")]
    Program { image: String, source: ProgramError },
    /// The attempt has to stop before its program was compiled.
    #[error("the container was stopped before it was created")]
    Abandoned,
}

/// The consequence of a failed start.
pub(super) enum StartFailure {
    /// The container waits and is tried again.
    Retry(WaitingReason),
    /// The attempt counts as terminated.
    Exit(Exit),
}

impl AttemptStartError {
    /// Returns how kubelet treats the error.
    pub(super) fn failure(&self) -> StartFailure {
        let message = error_chain(self);
        let retry =
            |reason: &str| StartFailure::Retry(WaitingReason { reason: reason.into(), message: message.clone() });
        match self {
            AttemptStartError::Image(error) | AttemptStartError::Command(CommandError::Image(error)) => {
                retry(error.reason())
            }
            AttemptStartError::ImageName { source, .. } => retry(source.reason()),
            AttemptStartError::NeverPull { .. } => retry("ErrImageNeverPull"),
            AttemptStartError::Abandoned => retry("ContainerCreating"),
            AttemptStartError::Env(EnvError::TooLong { .. } | EnvError::TooLarge { .. })
            | AttemptStartError::Argument { .. }
            | AttemptStartError::Arguments
            | AttemptStartError::SingleFile(_) => StartFailure::Exit(Exit::StartError { message }),
            AttemptStartError::Env(_)
            | AttemptStartError::Volume(_)
            | AttemptStartError::SubPath { .. }
            | AttemptStartError::RootImage { .. }
            | AttemptStartError::RootUser { .. } => retry("CreateContainerConfigError"),
            AttemptStartError::Command(CommandError::NotFound(_) | CommandError::Empty)
            | AttemptStartError::Program { .. } => StartFailure::Exit(Exit::StartError { message }),
        }
    }
}

/// Everything that an attempt is started from.
pub(super) struct AttemptPlan {
    pub(super) node: Arc<NodeContext>,
    pub(super) pod: Arc<Pod>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) attempt: Attempt,
    pub(super) container: Container,
    pub(super) log: Arc<Log>,
    /// The files of the target container, if an ephemeral container sees those instead of its own.
    pub(super) visible_files: Option<Arc<Mounts>>,
    /// Closed when the attempt has to stop before it was created.
    pub(super) abandoned: oneshot::Receiver<Infallible>,
}

impl AttemptPlan {
    /// Finds the container's image.
    pub(super) fn image(&self) -> Result<Arc<Image>, AttemptStartError> {
        let manifest = pods::annotation(&self.pod, SOURCE_ANNOTATION).map(PathBuf::from);
        let base = manifest.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let name = self.container.image.as_deref().unwrap_or_default();
        self.node.images.find(name, base).map_err(|error| match error {
            // Images are never pulled, so a missing image is missing under any policy.
            ImageError::Unknown { image } | ImageError::BuiltInDisabled { image }
                if self.container.image_pull_policy.as_deref() == Some("Never") =>
            {
                AttemptStartError::NeverPull { image }
            }
            error @ ImageError::InvalidName { .. } => {
                AttemptStartError::ImageName { image: name.into(), source: error }
            }
            error => AttemptStartError::Image(error),
        })
    }

    /// Compiles and spawns the attempt's program.
    ///
    /// Its instantiation, which runs a module's start function, may take longer than this.
    pub(super) async fn start(mut self, image: Arc<Image>) -> Result<StartedAttempt, AttemptStartError> {
        self.check_user(&image)?;
        let image_name = self.container.image.clone().unwrap_or_default();
        let env = self.environment(&image).await?;
        let ResolvedCommand { program, argv } = self.command(&image, &env)?;
        let working_dir = self.container.working_dir.clone().filter(|dir| !dir.is_empty());
        let working_dir = working_dir.unwrap_or_else(|| image.working_dir.clone());
        if self.attempt.number > 1 {
            housekeeping::remove_attempts(self.files_dir(), self.attempt.number).await;
        }
        let mounts = match &self.visible_files {
            Some(files) => files.clone(),
            None => Arc::new(self.mounts(&image)?.with_working_dir(&working_dir)),
        };
        let compiled = tokio::select! {
            compiled = self.node.runtime.program(program.digest, &program.bytes) => compiled,
            _ = &mut self.abandoned => return Err(AttemptStartError::Abandoned),
        };
        let compiled = compiled.map_err(|source| AttemptStartError::Program { image: image_name, source })?;
        let context = ContainerContext {
            runtime: self.node.runtime.clone(),
            name: self.container.name.clone(),
            mounts: mounts.clone(),
            endpoint: Endpoint::new(self.sandbox.network.clone()),
            env: env.into_variables(),
            working_dir,
            clock: self.node.clock,
            account: self.sandbox.account.child(limits::container_limits(self.container.resources.as_ref())),
            all_instances: self.node.all_instances.clone(),
            instances: InstanceSet::new(),
            processes: self.process_view(),
        };
        self.node.pod_usages.set_container(&self.pod, &context.name, &context.account);
        let context = Arc::new(context);
        let termination_message = TerminationMessage::new(&self.pod, &self.container, mounts, self.log.clone());
        let console = Console::new(self.log, self.node.clock, console_options(&self.container));
        let instance = context.spawn(compiled, &argv, Stdio::Console(console.clone()));
        let running = RunningAttempt {
            handle: instance.handle(),
            context,
            image,
            console,
            termination_message,
            pod: self.pod.clone(),
            role: self.attempt.container.role,
            busybox_is_noted: AtomicBool::new(false),
        };
        Ok(StartedAttempt { instance, running: Arc::new(running) })
    }

    /// Returns the programs that those of the container see: its own, or the pod's.
    fn process_view(&self) -> ProcessView {
        let shares_pod = self.pod.spec.as_ref().and_then(|spec| spec.share_process_namespace).unwrap_or(false);
        ProcessView {
            table: self.sandbox.processes.clone(),
            attempt: self.attempt.number.saturating_sub(1),
            sees_pod: shares_pod || self.visible_files.is_some(),
        }
    }

    async fn environment(&self, image: &Image) -> Result<Environment, EnvError> {
        let configs = ConfigObjects::read_for_environment(&*self.node.control, &self.pod, &self.container).await;
        let host_ip = &self.node.config.host_ip;
        let sources = EnvSources { image, configs: &configs, host_ip, pod_ip: &self.sandbox.ip() };
        env::variables(&self.pod, &self.container, &sources)
    }

    /// Checks `runAsNonRoot`. A built-in image runs as root, like the image that it stands in for; other
    /// images have no user at all. Those that debug other containers may run: no guest has rights of a user.
    fn check_user(&self, image: &Image) -> Result<(), AttemptStartError> {
        let is_ephemeral = self.attempt.container.role == ContainerRole::Ephemeral;
        if !image.is_built_in() || is_ephemeral {
            return Ok(());
        }
        let own = self.container.security_context.as_ref();
        let pods = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let non_root = own.and_then(|c| c.run_as_non_root).or(pods.and_then(|c| c.run_as_non_root));
        let user = own.and_then(|c| c.run_as_user).or(pods.and_then(|c| c.run_as_user));
        let container = || {
            let pod = pods::display_name(&self.pod);
            format!("(pod: {pod:?}, container: {})", self.container.name)
        };
        match (non_root, user) {
            (Some(true), None) => Err(AttemptStartError::RootImage { container: container() }),
            (Some(true), Some(0)) => Err(AttemptStartError::RootUser { container: container() }),
            (_, _) => Ok(()),
        }
    }

    fn command(&self, image: &Image, env: &Environment) -> Result<ResolvedCommand, AttemptStartError> {
        let mut bytes = 0;
        let mut expanded = |args: &Option<Vec<String>>| {
            let expand = |arg: &String| {
                let expanded = expand(arg, |name| env.get(name));
                let expanded =
                    expanded.map_err(|source| AttemptStartError::Argument { text: abbreviate(arg), source })?;
                bytes += expanded.len();
                if bytes > MAX_ENVIRONMENT_BYTES { Err(AttemptStartError::Arguments) } else { Ok(expanded) }
            };
            args.iter().flatten().map(expand).collect::<Result<Vec<_>, _>>()
        };
        let (command, args) = (expanded(&self.container.command)?, expanded(&self.container.args)?);
        Ok(image.command(&command, &args)?)
    }

    /// Returns the container's file tree, with the pod's volumes in it.
    fn mounts(&self, image: &Image) -> Result<Mounts, AttemptStartError> {
        let mut mounts = self.sandbox.volumes.mounts(&self.container)?;
        let declared = self.container.volume_mounts.iter().flatten().zip(&mounts);
        for (declared, mount) in declared.filter(|(_, mount)| !mount.sub_path.is_empty()) {
            mount.check().map_err(|error| {
                if let MountError::SingleFile { .. } = error {
                    return AttemptStartError::SingleFile(error);
                }
                // The cause is logged only: the container may have tried to look outside the volume.
                tracing::warn!(pod = pods::name(&self.pod), error = error_chain(&error), "cannot use a subPath");
                AttemptStartError::SubPath { volume: declared.name.clone(), container: self.container.name.clone() }
            })?;
        }
        let root = self.files_dir().join(self.attempt.number.to_string());
        let message = self.container.termination_message_path.as_deref().unwrap_or(DEFAULT_MESSAGE_PATH);
        let hosts = hosts::hosts_file(&self.pod, &self.sandbox.ip());
        let hostname = format!("{}\n", hosts::hostname(&self.pod));
        let account = self.service_account_mount(&root, &mounts);
        let has_account = account.is_some();
        mounts.extend(account);
        let tree = Mounts::new(Some(root), image.files, mounts).with_termination_message(message);
        let tree = tree.with_file("/etc/hosts", hosts).with_file("/etc/hostname", hostname);
        Ok(if has_account { service_account::add_files(tree, &self.pod) } else { tree })
    }

    /// Returns the mount of the service account's files. As in Kubernetes, ephemeral containers have none.
    fn service_account_mount(&self, root: &Path, mounts: &[Mount]) -> Option<Mount> {
        let is_ephemeral = self.attempt.container.role == ContainerRole::Ephemeral;
        let has_files = self.sandbox.mounts_account && !is_ephemeral;
        has_files.then(|| service_account::mount(root, mounts)).flatten()
    }

    /// Returns the directory of the container's own files, which has one directory per attempt.
    fn files_dir(&self) -> PathBuf {
        self.sandbox.dir.join(CONTAINERS_DIR).join(&self.container.name)
    }
}

/// Returns the beginning of a long argument, for messages.
fn abbreviate(argument: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    match argument.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", argument.get(..end).unwrap_or_default()),
        None => argument.into(),
    }
}

/// Returns the standard input and terminal that a container has.
fn console_options(container: &Container) -> ConsoleOptions {
    let is_set = |field: Option<bool>| field.unwrap_or(false);
    ConsoleOptions {
        stdin: is_set(container.stdin),
        stdin_once: is_set(container.stdin_once),
        tty: is_set(container.tty),
    }
}
