//! What a pod's containers share while it runs: network, volumes, a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::Shared;
use crate::model::pods;
use crate::network::{Address, NetError, PodNetwork};
use crate::volumes::{VolumeError, Volumes};

/// See the module's documentation. Dropped, it gives the address back.
pub(super) struct Sandbox {
    pub(super) network: Arc<PodNetwork>,
    pub(super) volumes: Volumes,
    pub(super) folder: PathBuf,
    address: Address,
}

/// Why a pod can't begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("failed to give the pod an address")]
    Address(#[from] NetError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

impl Sandbox {
    pub(super) fn set_up(shared: &Shared, pod: &Pod) -> Result<Sandbox, SandboxError> {
        let address = shared.addresses.take()?;
        let folder = shared.config.folder.join("pods").join(pods::uid(pod));
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let volumes = Volumes::set_up(spec, &folder, &shared.config.host_paths)?;
        if shared.guests.ended() {
            // The node's folder was removed meanwhile: what was just made again goes, too. Whatever else
            // is in the folders above keeps them.
            let _ = std::fs::remove_dir_all(&folder);
            folder.ancestors().skip(1).take(2).for_each(|above| _ = std::fs::remove_dir(above));
        }
        Ok(Sandbox { network: PodNetwork::new(address.ip().into()), volumes, folder, address })
    }

    pub(super) fn ip(&self) -> String {
        self.address.ip().to_string()
    }

    /// Removes the pod's folder with everything in it.
    pub(super) async fn tear_down(self) {
        remove(&self.folder).await;
    }
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
