//! Starting one attempt of a container: image, command, environment, files, memory, log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::sandbox::Sandbox;
use super::{SOURCE_ANNOTATION, Shared, env};
use crate::budget::{Account, Limits, weight};
use crate::files::Mounts;
use crate::images::{Command, CommandError, Image, ImageError};
use crate::lifecycle::{Attempt, Trouble};
use crate::logs::Log;
use crate::model::expansion::expand;
use crate::model::{pods, quantity};
use crate::network::Endpoint;
use crate::runtime::{Exit, Guests, Instance, ProgramError, Stdio, World, error_chain};
use crate::volumes::VolumeError;

/// An attempt that begins.
pub(super) struct Started {
    pub(super) instance: Instance,
    pub(super) image_id: String,
}

/// Why an attempt does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Env(#[from] env::EnvError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("image {image:?} cannot run")]
    Program { image: String, source: ProgramError },
}

/// What becomes of a start that failed.
pub(super) enum Failure {
    /// It is tried again.
    Retry(Trouble),
    /// The attempt counts as one that ended.
    Exit(Exit),
}

impl StartError {
    pub(super) fn failure(&self) -> Failure {
        let message = error_chain(self);
        let retry = |reason: &str| Failure::Retry(Trouble { reason: reason.into(), message: message.clone() });
        match self {
            StartError::Image(error) | StartError::Command(CommandError::Image(error)) => retry(error.reason()),
            StartError::Env(_) | StartError::Volume(_) => retry("CreateContainerConfigError"),
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
}

impl Plan {
    /// Starts the attempt; its program may still have to be instantiated, which can take long: a
    /// module's start function runs then.
    pub(super) async fn start(self) -> Result<Started, StartError> {
        let source = pods::annotation(&self.pod, SOURCE_ANNOTATION).map(PathBuf::from);
        let base = source.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let image_name = self.container.image.clone().unwrap_or_default();
        let image = self.shared.images.find(&image_name, base)?;
        let host_ip = &self.shared.config.host_ip;
        let env = env::variables(&self.pod, &self.container, &image, host_ip, &self.sandbox.ip())?;
        let Command { program, argv } = self.command(&image, &env)?;
        let working_dir = self.container.working_dir.clone().filter(|dir| !dir.is_empty());
        let working_dir = working_dir.unwrap_or_else(|| image.working_dir.clone());
        let mounts = self.mounts(&image)?.with_working_dir(&working_dir);
        let compiled = self.shared.runtime.program(program.digest, &program.bytes).await;
        let compiled = compiled.map_err(|source| StartError::Program { image: image_name, source })?;
        let world = World {
            runtime: self.shared.runtime.clone(),
            name: self.container.name.clone(),
            mounts: Arc::new(mounts),
            endpoint: Endpoint::new(self.sandbox.network.clone()),
            env,
            working_dir,
            clock: self.shared.clock,
            account: Account::root(limits(&self.container)),
            guests: self.shared.guests.clone(),
            instances: Guests::new(),
        };
        let instance = world.spawn(compiled, &argv, Stdio::Log(self.log));
        Ok(Started { instance, image_id: image.id.clone() })
    }

    fn command(&self, image: &Image, env: &[(String, String)]) -> Result<Command, CommandError> {
        let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
            words.iter().flatten().map(|word| expand(word, |name| env::get(env, name))).collect()
        };
        image.command(&expanded(&self.container.command), &expanded(&self.container.args))
    }

    fn mounts(&self, image: &Image) -> Result<Mounts, VolumeError> {
        let mounts = self.sandbox.volumes.mounts(&self.container)?;
        let attempt = self.attempt.number.to_string();
        let root = self.sandbox.folder.join("containers").join(&self.container.name).join(attempt);
        Ok(Mounts::new(Some(root), image.files, mounts))
    }
}

/// What the container's instances may hold and use together.
fn limits(container: &Container) -> Limits {
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|r| r.limits.as_ref());
    let requests = resources.and_then(|r| r.requests.as_ref());
    let millis = |of: Option<&BTreeMap<String, Quantity>>| {
        of.and_then(|of| of.get("cpu")).and_then(|q| quantity::milli(q).ok()).and_then(|m| u64::try_from(m).ok())
    };
    let memory = limits.and_then(|l| l.get("memory")).and_then(|q| quantity::units(q).ok());
    Limits {
        memory: memory.and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_millis: millis(limits),
        cpu_weight: weight(millis(requests).unwrap_or(0)),
        instances: None,
    }
    .of_container()
}
