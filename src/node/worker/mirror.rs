//! The mirror object of a static pod: the containers go on when a client deletes it, and it is made anew, as by a kubelet.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Worker, WorkerMessage};
use crate::control::{Body, DeleteOptions, DeleteResult, Preconditions, Reason};

/// The delay before the creation of a mirror object is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl Worker {
    /// Completes the deletion of the mirror object and makes it anew.
    pub(super) async fn replace_mirror(&mut self) {
        let preconditions = Preconditions { uid: Some(self.stored.object_uid().into()), revision: None };
        let options = DeleteOptions { grace_seconds: Some(0), preconditions, ..DeleteOptions::default() };
        match self.node.control.delete(&self.stored.object.key, options).await {
            // Finalizers hold it; the agent says when it is gone.
            Ok(DeleteResult::Marked(_)) => {}
            Ok(DeleteResult::Removed(_)) => self.create_mirror().await,
            Err(status) if status.reason == Reason::NotFound => self.create_mirror().await,
            Err(error) => tracing::warn!(pod = %self.stored.object.key, %error, "cannot delete a mirror object"),
        }
    }

    /// Creates the mirror object of a pod whose last one is gone.
    pub(super) async fn create_mirror(&mut self) {
        let old = &self.stored.pod;
        let metadata = ObjectMeta {
            name: old.metadata.name.clone(),
            namespace: old.metadata.namespace.clone(),
            labels: old.metadata.labels.clone(),
            annotations: old.metadata.annotations.clone(),
            owner_references: old.metadata.owner_references.clone(),
            ..ObjectMeta::default()
        };
        let mirror = Pod { metadata, spec: old.spec.clone(), status: None };
        match self.node.control.create(Body::from(mirror)).await {
            Ok(object) => {
                self.reporter.store(&mut self.stored, object);
                self.seen.deletion = None;
                self.seen.generation = self.stored.pod.metadata.generation;
            }
            // The controller of static pods was faster, or finalizers hold the last one.
            Err(status) if status.reason == Reason::AlreadyExists => {}
            Err(error) => {
                tracing::warn!(pod = %self.stored.object.key, %error, "cannot create a mirror object; retrying");
                let clock = self.node.clock;
                self.live.pending.push(Box::pin(async move {
                    clock.sleep(RETRY_DELAY).await;
                    WorkerMessage::RetryMirror
                }));
            }
        }
    }
}
