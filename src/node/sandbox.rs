//! The sandbox of a running pod: network, volumes, directory and accounts that its containers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use k8s_openapi::api::core::v1::Pod;

use super::ports::PublishError;
use super::{NodeContext, PODS_DIR, config_objects, hosts, limits, service_account, services};
use crate::budget::Account;
use crate::gateway::Publication;
use crate::model::pods;
use crate::network::{Address, NetError, PodNetwork, PodNetworkOptions};
use crate::runtime::{ProcessTable, error_chain};
use crate::volumes::{VOLUMES_DIR, Volumes};

/// The directory with the containers' own files, below the pod's directory.
pub(super) const CONTAINERS_DIR: &str = "containers";

/// The sandbox of one pod. Dropping it returns the pod's IP and its host ports.
pub(super) struct Sandbox {
    pub(super) network: Arc<PodNetwork>,
    pub(super) volumes: Volumes,
    /// Whether containers get the files of the pod's service account.
    pub(super) mounts_account: bool,
    /// The pod's directory.
    pub(super) dir: PathBuf,
    /// The resources that the pod's containers use together.
    pub(super) account: Arc<Account>,
    /// The running programs of the pod's containers.
    pub(super) processes: Arc<ProcessTable>,
    address: Address,
    /// The pod's ports on the host.
    _ports: Vec<Publication>,
}

/// An error that keeps a pod from starting.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("failed to give the pod an address")]
    Address(#[from] NetError),
    #[error(transparent)]
    Port(#[from] PublishError),
    /// Volumes that cannot be mounted; one message in kubelet's words for each.
    #[error("{}", .0.join("; "))]
    Volumes(Vec<String>),
    #[error("cannot reuse the previous pod's volumes in {path:?}")]
    KeptVolumes { path: PathBuf, source: io::Error },
}

impl Sandbox {
    /// Allocates the pod's IP, creates its volumes and network, and publishes its ports. If that fails, the volumes stay
    /// until the pod ends: an earlier node may have filled them.
    pub(super) async fn set_up(node: &NodeContext, pod: &Arc<Pod>) -> Result<Sandbox, SandboxError> {
        let address = node.addresses.allocate()?;
        let dir = pod_dir(node, pod);
        // Of what an earlier node has left, the volumes stay: the container runtime of a kubelet makes containers anew.
        remove_dir(&dir.join(CONTAINERS_DIR)).await;
        let empty = Default::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        if let Some(path) = kept_volumes_dir(node, pod).filter(|path| path.exists()) {
            restore_volumes(&path, &dir).map_err(|source| SandboxError::KeptVolumes { path, source })?;
        }
        let (volumes, failed) = set_up_volumes(node, pod, &dir).await;
        if node.config.is_temporary && node.all_instances.is_closed() {
            // The node's directory was removed meanwhile, so the new directories are removed again. Parents that
            // hold anything else stay: `remove_dir` fails on them.
            let _ = std::fs::remove_dir_all(&dir);
            dir.ancestors().skip(1).take(2).for_each(|parent| _ = std::fs::remove_dir(parent));
        }
        let account = node.account.child(limits::pod_limits(spec));
        let ip = address.ip().into();
        let options = PodNetworkOptions {
            names: hosts::host_names(pod, ip),
            on_listen: node.config.ports.observer(pod),
            services: Some(services::pod_services(node, pod)),
        };
        let network = PodNetwork::with_options(ip, options);
        let mounts_account = service_account::is_mounted(&*node.control, pod).await;
        let processes = Arc::default();
        if !failed.is_empty() {
            return Err(SandboxError::Volumes(failed));
        }
        let ports = node.config.ports.publish(pod, &network, &node.recorder)?;
        Ok(Sandbox { network, volumes, mounts_account, dir, account, processes, address, _ports: ports })
    }

    /// Returns the pod's IP.
    pub(super) fn ip(&self) -> String {
        self.address.ip().to_string()
    }
}

/// Sets up all volumes of the pod, as a kubelet does, and returns kubelet's messages for those that fail.
async fn set_up_volumes(node: &NodeContext, pod: &Pod, dir: &Path) -> (Volumes, Vec<String>) {
    let (mut volumes, mut failed) = (Volumes::default(), Vec::new());
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let result = match config_objects::volume_content(&*node.control, pod, volume).await {
            Ok(content) => {
                let result = volumes.set_up(volume, dir, &node.config.host_paths, content.as_ref());
                result.map_err(|error| error_chain(&error))
            }
            Err(error) => Err(error_chain(&error)),
        };
        let message = |cause: String| format!("MountVolume.SetUp failed for volume {:?} : {cause}", volume.name);
        failed.extend(result.err().map(message));
    }
    (volumes, failed)
}

/// Moves a finished pod's volumes to `kept`, where the next pod of its name finds them.
fn keep_volumes(dir: &Path, kept: &Path) -> io::Result<()> {
    let volumes = dir.join(VOLUMES_DIR);
    if !volumes.exists() {
        return Ok(());
    }
    if kept.exists() {
        fs::remove_dir_all(kept)?;
    }
    kept.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::rename(volumes, kept)
}

/// Moves kept volumes into a new pod's directory.
fn restore_volumes(kept: &Path, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::rename(kept, dir.join(VOLUMES_DIR))
}

/// Returns the directory of a pod.
pub(super) fn pod_dir(node: &NodeContext, pod: &Pod) -> PathBuf {
    node.config.directory.join(PODS_DIR).join(pods::node_uid(pod))
}

/// Returns the directory that keeps the volumes for the next pod of the same name, if they are kept.
fn kept_volumes_dir(node: &NodeContext, pod: &Pod) -> Option<PathBuf> {
    let name = || format!("{}_{}", pods::namespace(pod), pods::name(pod));
    node.config.keep_volumes.then(|| node.config.directory.join("kept").join(name()))
}

/// Removes the directory of a pod that has ended; volumes that are kept are moved out first.
pub(super) async fn remove_pod_dir(node: &NodeContext, pod: &Pod) {
    let dir = pod_dir(node, pod);
    if let Some(kept) = kept_volumes_dir(node, pod)
        && let Err(error) = keep_volumes(&dir, &kept)
    {
        tracing::warn!(?dir, %error, "cannot keep a pod's volumes");
    }
    remove_dir(&dir).await;
}

/// Removes a directory of a pod on a blocking thread. Many pods have none, since they write nothing.
async fn remove_dir(dir: &Path) {
    if !dir.exists() {
        return;
    }
    let path = dir.to_path_buf();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(?dir, %error, "cannot remove a pod's directory");
    }
}
