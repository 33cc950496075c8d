//! What a pod's containers share while it runs: network, volumes, a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use k8s_openapi::api::core::v1::Pod;

use super::{PODS, Shared, config, hosts, limits};
use crate::budget::Account;
use crate::model::pods;
use crate::network::{Address, NetError, PodNetwork};
use crate::runtime::error_chain;
use crate::volumes::{VOLUMES, Volumes};

/// See the module's documentation. Dropped, it gives the address back.
pub(super) struct Sandbox {
    pub(super) network: Arc<PodNetwork>,
    pub(super) volumes: Volumes,
    pub(super) folder: PathBuf,
    /// What the pod's containers hold and use together.
    pub(super) account: Arc<Account>,
    address: Address,
    /// Where the volumes wait for the next pod of the same name, if they do.
    kept: Option<PathBuf>,
}

/// Why a pod can't begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("failed to give the pod an address")]
    Address(#[from] NetError),
    /// Each in a kubelet's words.
    #[error("{}", .0.join("; "))]
    Volumes(Vec<String>),
    #[error("cannot take over the volumes of the pod before, in {path:?}")]
    Kept { path: PathBuf, source: io::Error },
}

impl Sandbox {
    pub(super) async fn set_up(shared: &Shared, pod: &Pod) -> Result<Sandbox, SandboxError> {
        let address = shared.addresses.take()?;
        let folder = shared.config.folder.join(PODS).join(pods::uid(pod));
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let kept = shared.config.keep_volumes.then(|| {
            let name = format!("{}_{}", pods::namespace(pod), pods::name(pod));
            shared.config.folder.join("kept").join(name)
        });
        if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
            take_over(kept, &folder).map_err(|source| SandboxError::Kept { path: kept.clone(), source })?;
        }
        let (volumes, failed) = volumes(shared, pod, &folder).await;
        if shared.guests.ended() {
            // The node's folder was removed meanwhile: what was just made again goes, too. Whatever else
            // is in the folders above keeps them.
            let _ = std::fs::remove_dir_all(&folder);
            folder.ancestors().skip(1).take(2).for_each(|above| _ = std::fs::remove_dir(above));
        }
        let account = shared.account.child(limits::of_pod(spec));
        let network = PodNetwork::with_names(address.ip().into(), hosts::names(pod, address.ip().into()));
        let sandbox = Sandbox { network, volumes, folder, account, address, kept };
        if failed.is_empty() {
            return Ok(sandbox);
        }
        sandbox.tear_down().await;
        Err(SandboxError::Volumes(failed))
    }

    pub(super) fn ip(&self) -> String {
        self.address.ip().to_string()
    }

    /// Removes the pod's folder with everything in it.
    pub(super) async fn tear_down(self) {
        if let Some(kept) = &self.kept
            && let Err(error) = set_aside(&self.folder, kept)
        {
            tracing::warn!(folder = ?self.folder, %error, "cannot keep a pod's volumes");
        }
        remove(&self.folder).await;
    }
}

/// The pod's volumes, and what there is to say of those that can't be had: each is tried, as by a kubelet.
async fn volumes(shared: &Shared, pod: &Pod, folder: &Path) -> (Volumes, Vec<String>) {
    let (mut volumes, mut failed) = (Volumes::default(), Vec::new());
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let made = match config::content(&*shared.control, pod, volume).await {
            Ok(content) => {
                let made = volumes.set_up(volume, folder, &shared.config.host_paths, content.as_ref());
                made.map_err(|error| error_chain(&error))
            }
            Err(error) => Err(error_chain(&error)),
        };
        let words = |why: String| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
        failed.extend(made.err().map(words));
    }
    (volumes, failed)
}

/// Puts the volumes of a pod that has ended where the next pod of its name finds them.
fn set_aside(folder: &Path, kept: &Path) -> io::Result<()> {
    let volumes = folder.join(VOLUMES);
    if !volumes.exists() {
        return Ok(());
    }
    if kept.exists() {
        fs::remove_dir_all(kept)?;
    }
    kept.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::rename(volumes, kept)
}

fn take_over(kept: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::rename(kept, folder.join(VOLUMES))
}

/// Removes a folder, which may not be there: many pods never write anything.
async fn remove(folder: &Path) {
    if !folder.exists() {
        return;
    }
    let path = folder.to_path_buf();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(?folder, %error, "cannot remove a pod's folder");
    }
}
