//! Creates pods on a node, from a manifest or from a typed Pod.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::Node;
use crate::control::{Body, Status};
use crate::images::ImageError;
use crate::model::{self, Diagnostics, pods};
use crate::registry::field_support::{UnsupportedField, check};
use crate::registry::kinds;
use crate::runtime::error_chain;

/// The pods to create: what [`Node::apply`] accepts.
#[derive(Debug, Clone)]
pub enum PodSource {
    /// A YAML or JSON manifest of Pods, ConfigMaps and Secrets.
    Manifest(String),
    /// A Pod, to which the API's defaults are applied.
    Pod(Box<Pod>),
}

impl From<&str> for PodSource {
    fn from(manifest: &str) -> PodSource {
        PodSource::Manifest(manifest.into())
    }
}

impl From<String> for PodSource {
    fn from(manifest: String) -> PodSource {
        PodSource::Manifest(manifest)
    }
}

impl From<Pod> for PodSource {
    fn from(pod: Pod) -> PodSource {
        PodSource::Pod(Box::new(pod))
    }
}

/// The error of [`Node::apply`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The manifest is not valid. The message lists all errors with their positions.
    #[error("{0}")]
    Manifest(Diagnostics),
    /// The manifest contains this number of objects of other kinds.
    #[error("unsupported objects in the manifest: {0}; only Pods, ConfigMaps and Secrets can be applied")]
    UnsupportedKinds(usize),
    /// A pod uses a field that wasmpod does not support.
    #[error("pod {pod:?}: {field}: {reason}")]
    UnsupportedField {
        /// The name of the pod.
        pod: String,
        /// The path of the field, such as `spec.hostNetwork`.
        field: String,
        /// The reason: `not supported: …` or `not supported yet: …`.
        reason: String,
    },
    /// An image cannot be found.
    #[error("pod {pod:?}, container {container:?}: {}", error_chain(source))]
    Image {
        /// The name of the pod.
        pod: String,
        /// The name of the container.
        container: String,
        /// The name of the image, and how to provide it.
        source: ImageError,
    },
    /// The control plane rejected an object, with the API server's message.
    #[error(transparent)]
    Rejected(#[from] Status),
}

impl Node {
    /// Creates ConfigMaps, Secrets and pods, and returns the stored pods in the order of the input. The pods start
    /// right away.
    ///
    /// Images that are paths, such as `./web.wasm`, are relative to the current directory.
    ///
    /// # Errors
    ///
    /// Fails without creating anything if the manifest is not valid, if a pod uses an unsupported field, or if an
    /// image cannot be found. If the control plane rejects an object, for example because a pod of that name exists,
    /// the objects before it have been created.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use wasmpod::{ApplyError, Node};
    ///
    /// let node = Node::in_memory()?;
    /// let result = node.apply("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containrs: []}}").await;
    /// let Err(ApplyError::Manifest(diagnostics)) = result else { panic!("the field is misspelled") };
    /// assert!(diagnostics.to_string().contains("did you mean"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn apply(&self, source: impl Into<PodSource>) -> Result<Vec<Arc<Pod>>, ApplyError> {
        let (configs, pods) = parse_source(source.into())?;
        pods.iter().try_for_each(|pod| self.check(pod))?;
        for config in configs {
            self.control.create(config).await?;
        }
        let mut stored = Vec::with_capacity(pods.len());
        for pod in pods {
            let object = self.control.create(Body::from(pod)).await?;
            stored.push(object.decode().map_err(Status::internal)?);
        }
        Ok(stored)
    }

    /// Checks that wasmpod supports the pod's fields and that its images exist.
    fn check(&self, pod: &Pod) -> Result<(), ApplyError> {
        let name = || pods::name(pod).to_string();
        for UnsupportedField { field, support } in check(pod) {
            if support.prevents_start() {
                return Err(ApplyError::UnsupportedField { pod: name(), field, reason: support.to_string() });
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

/// Returns the ConfigMaps and Secrets, and the pods.
fn parse_source(source: PodSource) -> Result<(Vec<Body>, Vec<Pod>), ApplyError> {
    match source {
        PodSource::Pod(pod) => Ok((Vec::new(), vec![*pod])),
        PodSource::Manifest(text) => {
            let manifest = model::parse(kinds::types(), "manifest", &text).map_err(ApplyError::Manifest)?;
            let pods: Vec<Pod> = manifest.pods().cloned().collect();
            let others = manifest.objects().filter(|object| object.downcast_ref::<Pod>().is_none());
            let others: Vec<Body> = others.map(kinds::to_stored).collect();
            let is_inert = |body: &&Body| kinds::of(body.resource()).is_none_or(|kind| !kind.info().is_acted_on);
            match others.iter().filter(is_inert).count() {
                0 => Ok((others, pods)),
                inert => Err(ApplyError::UnsupportedKinds(inert)),
            }
        }
    }
}
