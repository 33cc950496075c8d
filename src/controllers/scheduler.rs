//! The scheduler: binds pods to nodes.
//!
//! There is one node; every pod without a node is bound to it.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;

use crate::control::{
    ChangeKind, ControlPlane, Object, Preconditions, Reason, Resource, Scope, Status, Update, WatchEvent,
};
use crate::events::{EventType, Recorder};
use crate::model::pods;

/// Binds pods to `node` until cancelled, with a `Scheduled` event for each. Lists again when its watch expires.
pub async fn run(control: Arc<dyn ControlPlane>, node: String, recorder: Recorder) {
    let scope = Scope::all(Resource::PODS);
    loop {
        if let Err(error) = list_and_watch(&*control, &scope, &node, &recorder).await {
            tracing::debug!(%error, "the scheduler's watch ended; listing again");
        }
    }
}

async fn list_and_watch(
    control: &dyn ControlPlane,
    scope: &Scope,
    node: &str,
    recorder: &Recorder,
) -> Result<(), Status> {
    let list = control.list(scope).await?;
    for object in &list.items {
        bind(control, object, node, recorder).await;
    }
    let mut watch = control.watch(scope, list.revision).await?;
    while let Some(event) = watch.next().await {
        if let WatchEvent::Change(ChangeKind::Added, object) = event? {
            bind(control, &object, node, recorder).await;
        }
    }
    Ok(())
}

async fn bind(control: &dyn ControlPlane, object: &Object, node: &str, recorder: &Recorder) {
    let pod: Arc<Pod> = match object.decode() {
        Ok(pod) => pod,
        Err(error) => return tracing::error!(pod = %object.key, %error, "cannot decode a stored pod"),
    };
    let is_unbound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().unwrap_or_default().is_empty());
    if !is_unbound || pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    let preconditions = Preconditions { uid: Some(pods::uid(&pod).into()), revision: None };
    match control.update(&object.key, Update::Bind { node: node.into() }, preconditions).await {
        Ok(_) => {
            let (namespace, name) = (pods::namespace(&pod), pods::name(&pod));
            let message = format!("Successfully assigned {namespace}/{name} to {node}");
            recorder.record(&pod, None, EventType::Normal, "Scheduled", message);
        }
        // Another client has deleted or bound the pod meanwhile.
        Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => {}
        Err(error) => tracing::error!(pod = %object.key, %error, "cannot bind a pod"),
    }
}
