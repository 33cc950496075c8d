//! Runs a recorded pod on a node of ours and watches it as the recordings were watched.

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

use super::recorded::{Action, Event, Seen, State, Trace, distinct};

const NAMESPACE: &str = "traces";

/// The time since a pod was created, on the clock of a node that goes so many times as fast as the system.
#[derive(Clone, Copy)]
struct Watch(Instant, u32);

impl Watch {
    fn elapsed(self) -> f64 {
        self.0.elapsed().as_secs_f64() * f64::from(self.1)
    }

    async fn until(self, seconds: f64) {
        tokio::time::sleep_until((self.0 + Duration::from_secs_f64(seconds / f64::from(self.1))).into()).await;
    }
}

/// What was seen of our pod on a node whose time goes `speed` times as fast, or why it could not be run.
pub async fn run(trace: &Trace, speed: u32) -> Result<(Vec<Seen<State>>, Vec<Seen<Event>>), String> {
    let clock = Clock::system().faster(speed);
    let node = Node::builder().name("n1").clock(clock).start().map_err(|error| error.to_string())?;
    let control = &node.control().clone();
    let revision = control.revision().await.map_err(told)?;
    let scope = |resource| Scope::all(resource).in_namespace(NAMESPACE);
    let mut pods = control.watch(&scope(Resource::PODS), revision).await.map_err(told)?;
    let mut events = control.watch(&scope(Resource::EVENTS), revision).await.map_err(told)?;
    create(control, trace).await.map_err(told)?;

    let watch = Watch(Instant::now(), speed);
    let (mut states, mut happened, mut uid) = (Vec::new(), Vec::new(), None);
    let acting = act(control, trace, watch);
    tokio::pin!(acting);
    let mut acted = false;
    let over = watch.until(trace.watched_s);
    tokio::pin!(over);
    loop {
        tokio::select! {
            Some(change) = pods.next() => {
                let WatchEvent::Change(kind, object) = change.map_err(told)? else { continue };
                let pod = shown(&object, &mut uid);
                let state = State::of_pod(&pod).gone_if(kind == ChangeKind::Deleted);
                states.push(Seen { at: watch.elapsed(), what: state });
            }
            Some(change) = events.next() => {
                let WatchEvent::Change(_, object) = change.map_err(told)? else { continue };
                happened.push(Seen { at: watch.elapsed(), what: Event::of_event(&shown(&object, &mut uid)) });
            }
            done = &mut acting, if !acted => { acted = true; done? }
            () = &mut over => break,
        }
    }
    node.stop().await;
    Ok((distinct(states.into_iter()), happened))
}

fn told(status: Status) -> String {
    format!("refused: {status}")
}

async fn create(control: &Arc<dyn ControlPlane>, trace: &Trace) -> Result<(), Status> {
    let metadata = json!({"name": trace.name, "namespace": NAMESPACE});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": trace.spec});
    let pod = serde_json::from_value(pod).map_err(Status::internal)?;
    control.create(Body::Pod(pod)).await.map(drop)
}

/// The object as JSON, without what is different each time.
fn shown(object: &Object, uid: &mut Option<String>) -> Value {
    let value: Value = serde_json::from_slice(&object.json).expect("JSON");
    if object.key.resource == Resource::PODS {
        *uid = value["metadata"]["uid"].as_str().map(Into::into);
    }
    let Some(uid) = uid else { return value };
    let text = String::from_utf8_lossy(&object.json);
    let text = text.replace(&format!("_{NAMESPACE}({uid})"), "_NS(UID)");
    serde_json::from_str(&text).expect("JSON")
}

async fn act(control: &Arc<dyn ControlPlane>, trace: &Trace, watch: Watch) -> Result<(), String> {
    for action in &trace.actions {
        watch.until(action.t).await;
        take(control, trace, action).await.map_err(told)?;
    }
    Ok(())
}

async fn take(control: &Arc<dyn ControlPlane>, trace: &Trace, action: &Action) -> Result<(), Status> {
    let key = Key::pod(NAMESPACE, &trace.name);
    let grace = |grace_seconds| DeleteOptions { grace_seconds, ..DeleteOptions::default() };
    let subresource = match action.what.as_str() {
        "status" => Subresource::Status,
        "ephemeral" => Subresource::EphemeralContainers,
        "configmap" => {
            let mut body = action.body.clone();
            body["metadata"]["namespace"] = NAMESPACE.into();
            let map = serde_json::from_value(body).map_err(Status::internal)?;
            return control.create(Body::ConfigMap(map)).await.map(drop);
        }
        "delete" => return control.delete(&key, grace(None)).await.map(drop),
        "delete?gracePeriodSeconds=0" => return control.delete(&key, grace(Some(0))).await.map(drop),
        other => return Err(Status::internal(format!("nobody here knows how to do {other:?}"))),
    };
    let body = serde_json::to_vec(&action.body).map_err(Status::internal)?;
    let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
    control.update(&key, Update::Patch { patch, subresource }, Preconditions::default()).await.map(drop)
}
