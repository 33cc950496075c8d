//! Giving pods to a node: from a manifest's text, or typed.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::Node;
use crate::control::{Body, Status};
use crate::images::ImageError;
use crate::model::{self, Issues, pods};
use crate::registry::field_support::{UnsupportedField, check};
use crate::runtime::error_chain;

/// What is to run.
#[derive(Debug, Clone)]
pub enum Desired {
    /// A manifest, YAML or JSON, with one or more Pods.
    Manifest(String),
    /// A pod, or a part of one: defaults are filled in.
    Pod(Box<Pod>),
}

impl From<&str> for Desired {
    fn from(manifest: &str) -> Desired {
        Desired::Manifest(manifest.into())
    }
}

impl From<String> for Desired {
    fn from(manifest: String) -> Desired {
        Desired::Manifest(manifest)
    }
}

impl From<Pod> for Desired {
    fn from(pod: Pod) -> Desired {
        Desired::Pod(Box::new(pod))
    }
}

/// Why pods are not taken. None of them runs then, but for those before one that was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The text is no manifest of pods; tells every fault with its place.
    #[error("{0}")]
    Manifest(Issues),
    /// The manifest holds objects of other kinds, so many of them.
    #[error("{0} of the manifest's objects are no Pods: only Pods run")]
    NotPods(usize),
    /// The pod asks for what wasmpod does not do.
    #[error("pod {pod:?}: {field} can't be used: {why}")]
    Unsupported {
        /// The pod's name.
        pod: String,
        /// `spec.hostNetwork`
        field: String,
        /// The reason, as a clause.
        why: String,
    },
    /// An image of the pod is not there.
    #[error("pod {pod:?}, container {container:?}: {}", error_chain(source))]
    Image {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// Which, and the ways to one.
        source: ImageError,
    },
    /// The control plane refuses the pod, in Kubernetes' words.
    #[error(transparent)]
    Refused(#[from] Status),
}

impl Node {
    /// Creates ConfigMaps, Secrets, and pods, which begin to run; returns them as they are stored, in their order. Images that
    /// are local files are relative to the current directory.
    pub async fn apply(&self, desired: impl Into<Desired>) -> Result<Vec<Arc<Pod>>, ApplyError> {
        let mut configs = Vec::new();
        let pods: Vec<Pod> = match desired.into() {
            Desired::Pod(pod) => vec![*pod],
            Desired::Manifest(text) => {
                let manifest = model::parse("manifest", &text).map_err(ApplyError::Manifest)?;
                let pods: Vec<Pod> = manifest.pods().cloned().collect();
                configs = manifest.objects().filter_map(Body::from_config_object).collect();
                let others = manifest.objects().len() - pods.len() - configs.len();
                if others > 0 {
                    return Err(ApplyError::NotPods(others));
                }
                pods
            }
        };
        pods.iter().try_for_each(|pod| self.check(pod))?;
        for config in configs {
            self.control.create(config).await?;
        }
        let mut stored = Vec::with_capacity(pods.len());
        for pod in pods {
            let object = self.control.create(Body::Pod(Box::new(pod))).await?;
            stored.push(object.decode().map_err(Status::internal)?);
        }
        Ok(stored)
    }

    /// Refuses what could not run as it is meant, before anything runs.
    fn check(&self, pod: &Pod) -> Result<(), ApplyError> {
        let name = || pods::name(pod).to_string();
        for UnsupportedField { field, support } in check(pod) {
            if support.rejects_pod() {
                return Err(ApplyError::Unsupported { pod: name(), field, why: support.reason().into() });
            }
            tracing::warn!(pod = name(), field, "{support}");
        }
        let Some(spec) = &pod.spec else { return Ok(()) };
        for container in pods::init_containers(spec).iter().chain(&spec.containers) {
            if let Some(image) = &container.image
                && let Err(source) = self.images.find(image, Path::new("."))
            {
                return Err(ApplyError::Image { pod: name(), container: container.name.clone(), source });
            }
        }
        Ok(())
    }
}
