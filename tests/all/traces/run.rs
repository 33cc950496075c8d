//! Runs the pod of a recording on a node of ours and watches it as the recording was made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use wasmpod::Node;
use wasmpod::clock::Clock;
use wasmpod::control::{
    Body, ChangeKind, ControlPlane, DeleteOptions, FieldValidation, Key, Object, Patch, PatchKind, Preconditions,
    Resource, Scope, Status, Subresource, Update, WatchEvent,
};
use wasmpod::k8s_openapi::api::core::v1::{ConfigMap, Pod};

use super::recorded::{Action, Event, Observed, PodSnapshot, Trace, distinct};
use crate::support::sleep_until;

const NAMESPACE: &str = "traces";

/// The seconds since the pod's creation on the node's clock, which runs `speed` times as fast as the host's.
#[derive(Clone, Copy)]
struct Stopwatch {
    start: Instant,
    speed: u32,
}

impl Stopwatch {
    fn elapsed(self) -> f64 {
        self.start.elapsed().as_secs_f64() * f64::from(self.speed)
    }

    async fn sleep_until(self, seconds: f64) {
        sleep_until(self.start + Duration::from_secs_f64(seconds / f64::from(self.speed))).await;
    }
}

/// Runs the pod on a node whose clock runs `speed` times as fast, and returns the states and events that a watcher saw.
///
/// # Errors
/// The reason why the pod cannot run.
pub async fn run(trace: &Trace, speed: u32) -> Result<(Vec<Observed<PodSnapshot>>, Vec<Observed<Event>>), String> {
    let clock = Clock::system().with_speed(speed);
    let node = Node::builder().name("n1").clock(clock).start().map_err(|error| error.to_string())?;
    let control = &node.control().clone();
    let revision = control.revision().await.map_err(refused)?;
    let scope = |resource| Scope::all(resource).in_namespace(NAMESPACE);
    let mut pods = control.watch(&scope(Resource::PODS), revision).await.map_err(refused)?;
    let mut events = control.watch(&scope(Resource::EVENTS), revision).await.map_err(refused)?;
    create(control, trace).await.map_err(refused)?;

    let stopwatch = Stopwatch { start: Instant::now(), speed };
    let (mut states, mut emitted, mut uid) = (Vec::new(), Vec::new(), None);
    let actions = perform_all(control, trace, stopwatch);
    tokio::pin!(actions);
    let mut are_performed = false;
    let end = stopwatch.sleep_until(trace.watched_s);
    tokio::pin!(end);
    loop {
        tokio::select! {
            Some(change) = pods.next() => {
                let WatchEvent::Change(kind, object) = change.map_err(refused)? else { continue };
                let pod = normalize(&object, &mut uid);
                let state = PodSnapshot::from_pod(&pod).gone_if(kind == ChangeKind::Deleted);
                states.push(Observed { at: stopwatch.elapsed(), what: state });
            }
            Some(change) = events.next() => {
                let WatchEvent::Change(_, object) = change.map_err(refused)? else { continue };
                emitted.push(Observed { at: stopwatch.elapsed(), what: Event::from_event(&normalize(&object, &mut uid)) });
            }
            result = &mut actions, if !are_performed => { are_performed = true; result? }
            () = &mut end => break,
        }
    }
    node.stop().await;
    Ok((distinct(states.into_iter()), emitted))
}

fn refused(status: Status) -> String {
    format!("refused: {status}")
}

async fn create(control: &Arc<dyn ControlPlane>, trace: &Trace) -> Result<(), Status> {
    let metadata = json!({"name": trace.name, "namespace": NAMESPACE});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": trace.spec});
    let pod: Pod = serde_json::from_value(pod).map_err(Status::internal)?;
    control.create(Body::from(pod)).await.map(drop)
}

/// Returns the object as JSON, without the pod's UID in messages.
fn normalize(object: &Object, uid: &mut Option<String>) -> Value {
    let value: Value = serde_json::from_slice(&object.json).expect("JSON");
    if object.key.resource == Resource::PODS {
        *uid = value["metadata"]["uid"].as_str().map(Into::into);
    }
    let Some(uid) = uid else { return value };
    let text = String::from_utf8_lossy(&object.json);
    let text = text.replace(&format!("_{NAMESPACE}({uid})"), "_NS(UID)");
    serde_json::from_str(&text).expect("JSON")
}

async fn perform_all(control: &Arc<dyn ControlPlane>, trace: &Trace, stopwatch: Stopwatch) -> Result<(), String> {
    for action in &trace.actions {
        stopwatch.sleep_until(action.t).await;
        perform(control, trace, action).await.map_err(refused)?;
    }
    Ok(())
}

async fn perform(control: &Arc<dyn ControlPlane>, trace: &Trace, action: &Action) -> Result<(), Status> {
    let key = Key::pod(NAMESPACE, &trace.name);
    let grace = |grace_seconds| DeleteOptions { grace_seconds, ..DeleteOptions::default() };
    let subresource = match action.what.as_str() {
        "status" => Subresource::Status,
        "ephemeral" => Subresource::EphemeralContainers,
        "configmap" => {
            let mut body = action.body.clone();
            body["metadata"]["namespace"] = NAMESPACE.into();
            let map: ConfigMap = serde_json::from_value(body).map_err(Status::internal)?;
            return control.create(Body::from(map)).await.map(drop);
        }
        "delete" => return control.delete(&key, grace(None)).await.map(drop),
        "delete?gracePeriodSeconds=0" => return control.delete(&key, grace(Some(0))).await.map(drop),
        other => return Err(Status::internal(format!("unknown action {other:?}"))),
    };
    let body = serde_json::to_vec(&action.body).map_err(Status::internal)?;
    let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
    control.update(&key, Update::Patch { patch, subresource }, Preconditions::default()).await.map(drop)
}
