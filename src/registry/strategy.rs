//! Kinds that live by the rules of all objects and few of their own: events, nodes, namespaces, ConfigMaps, Secrets.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, NamespaceStatus, Node, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::change::{self, Decision, Stored};
use super::fields::Faults;
use super::{Registry, config_map, identity, metadata, patch, secret};
use crate::control::{
    Body, Cause, DeleteOptions, DeleteResult, Key, Object, Preconditions, Reason, Resource, Status, Update,
};
use crate::model::{formats, pods};

/// What tells one of these kinds from the others.
trait Strategy: Stored {
    /// The object, where `body` holds one of this kind.
    fn of(body: &Body) -> Option<&Self>;

    /// Fills in what Kubernetes fills in.
    fn prepare_for_create(&mut self) {}

    /// Takes over from `old` what no client has a say in, beside metadata.
    fn prepare_for_update(&mut self, _old: &Self) {}

    /// Why it can't be stored.
    fn validate(&self) -> Vec<Cause> {
        Vec::new()
    }

    /// Why it can't take the place of `old`.
    fn validate_update(&self, _old: &Self) -> Vec<Cause> {
        Vec::new()
    }
}

macro_rules! plain {
    ($($kind:ident { $($rules:tt)* })*) => {
        $(impl Strategy for $kind {
            fn of(body: &Body) -> Option<&Self> {
                match body { Body::$kind(object) => Some(object), _ => None }
            }
            $($rules)*
        })*
    };
}

plain! {
    Event {}
    Node {}
    Namespace {
        fn prepare_for_create(&mut self) {
            let name = self.metadata.name.clone().unwrap_or_default();
            self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
            let active = NamespaceStatus { phase: Some("Active".into()), ..NamespaceStatus::default() };
            self.status.get_or_insert(active);
        }
        fn prepare_for_update(&mut self, old: &Self) {
            self.spec.clone_from(&old.spec);
            self.status.clone_from(&old.status);
        }
        fn validate(&self) -> Vec<Cause> {
            let mut faults = Faults::default();
            metadata::check_outside_namespaces(&mut faults, &self.metadata, formats::dns_label);
            faults.into_causes()
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            let mut faults = Faults::default();
            metadata::check_update(&mut faults, &self.metadata, &old.metadata);
            faults.into_causes()
        }
    }
    ConfigMap {
        fn validate(&self) -> Vec<Cause> {
            config_map::causes(self)
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            config_map::causes_of_update(old, self)
        }
    }
    Secret {
        fn prepare_for_create(&mut self) {
            secret::apply_defaults(self);
        }
        fn validate(&self) -> Vec<Cause> {
            secret::causes(self)
        }
        fn validate_update(&self, old: &Self) -> Vec<Cause> {
            secret::causes_of_update(old, self)
        }
    }
}

/// By which selectors know a namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Stores a new object.
pub(super) fn create(registry: &Registry, body: Body) -> Result<Arc<Object>, Status> {
    match body {
        Body::Event(object) => create_one(registry, Resource::EVENTS, *object),
        Body::Node(object) => create_one(registry, Resource::NODES, *object),
        Body::Namespace(object) => create_one(registry, Resource::NAMESPACES, *object),
        Body::ConfigMap(object) => create_one(registry, Resource::CONFIG_MAPS, *object),
        Body::Secret(object) => create_one(registry, Resource::SECRETS, *object),
        Body::Pod(_) => Err(Status::internal("pods have rules of their own")),
    }
}

/// Puts an object in the place of the one at `key`, whose identity stays, or patches it.
pub(super) fn update(
    registry: &Registry,
    key: &Key,
    update: Update,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    match key.resource {
        Resource::EVENTS => update_one::<Event>(registry, key, &update, preconditions),
        Resource::NODES => update_one::<Node>(registry, key, &update, preconditions),
        Resource::NAMESPACES => update_one::<Namespace>(registry, key, &update, preconditions),
        Resource::CONFIG_MAPS => update_one::<ConfigMap>(registry, key, &update, preconditions),
        Resource::SECRETS => update_one::<Secret>(registry, key, &update, preconditions),
        _ => Err(change::not_found(key)),
    }
}

/// Removes an object, or marks it where finalizers hold it.
pub(super) fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
    match key.resource {
        Resource::EVENTS => delete_one::<Event>(registry, key, options),
        Resource::NODES => delete_one::<Node>(registry, key, options),
        Resource::NAMESPACES => delete_one::<Namespace>(registry, key, options),
        Resource::CONFIG_MAPS => delete_one::<ConfigMap>(registry, key, options),
        Resource::SECRETS => delete_one::<Secret>(registry, key, options),
        _ => Err(change::not_found(key)),
    }
}

fn create_one<O: Strategy>(registry: &Registry, resource: Resource, mut object: O) -> Result<Arc<Object>, Status> {
    let meta = object.metadata_mut();
    identity::assign(meta, registry.clock.now().wall);
    if !resource.is_namespaced() {
        meta.namespace = None;
    }
    meta.generation = None;
    object.prepare_for_create();
    refuse(&object, resource.kind, object.validate())?;
    registry.store_new(resource, object)
}

fn update_one<O: Strategy>(
    registry: &Registry,
    key: &Key,
    update: &Update,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    let bad = || Status::new(Reason::BadRequest, format!("{key} takes no such update"));
    let changed = registry.change(key, preconditions, |current: &O| {
        let mut new = match update {
            Update::Replace { body, .. } => {
                let mut new = O::of(body).ok_or_else(bad)?.clone();
                identity::check_same(current.metadata(), new.metadata_mut())?;
                change::check_stated_uid(key, current.metadata(), new.metadata())?;
                new
            }
            Update::Patch { patch, .. } => patch::apply(key.resource.kind, current, patch)?,
            Update::PodStatus(_) | Update::Bind { .. } => return Err(bad()),
        };
        change::check_stated_revision(key, current.metadata(), new.metadata())?;
        identity::check_same(current.metadata(), new.metadata_mut())?;
        identity::keep(current.metadata(), new.metadata_mut());
        new.prepare_for_update(current);
        new.prepare_for_create();
        refuse(&new, key.resource.kind, new.validate_update(current))?;
        Ok(if new == *current {
            Decision::Keep(())
        } else if new.metadata().deletion_timestamp.is_some() && !is_held(new.metadata()) {
            Decision::Delete(Box::new(new), ())
        } else {
            Decision::Put(Box::new(new), ())
        })
    })?;
    Ok(changed.1)
}

fn delete_one<O: Strategy>(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
    let now = registry.clock.now().wall;
    let (gone, object) = registry.change(key, &Preconditions::default(), |current: &O| {
        change::check_deletion(&options.preconditions, key, current.metadata())?;
        let mut last = current.clone();
        if !is_held(current.metadata()) {
            return Ok(Decision::Delete(Box::new(last), true));
        }
        if current.metadata().deletion_timestamp.is_some() {
            return Ok(Decision::Keep(false));
        }
        let meta = last.metadata_mut();
        meta.deletion_timestamp = Some(pods::time(now));
        meta.deletion_grace_period_seconds = Some(0);
        Ok(Decision::Put(Box::new(last), false))
    })?;
    Ok(if gone { DeleteResult::Removed(object) } else { DeleteResult::Marked(object) })
}

fn is_held(meta: &ObjectMeta) -> bool {
    meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

fn refuse<O: Strategy>(object: &O, kind: &str, causes: Vec<Cause>) -> Result<(), Status> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, causes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::{ControlPlane, FieldValidation, Patch, PatchKind, Subresource};
    use crate::store::ObjectStore;

    fn registry() -> Registry {
        Registry::new(ObjectStore::new(100), Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
    }

    fn map(yaml: &str) -> Body {
        Body::from(serde_yaml::from_str::<ConfigMap>(yaml).expect("a ConfigMap"))
    }

    #[tokio::test(start_paused = true)]
    async fn config_maps_are_made_changed_and_removed_as_their_rules_allow() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}, data: {a: x}, immutable: true}")).await.expect("made");
        let key = Key::of(Resource::CONFIG_MAPS, "default", "m");
        let replace = |yaml: &str| Update::Replace { body: map(yaml), subresource: Subresource::None };
        let same = replace("{metadata: {name: m}, data: {a: x}, immutable: true}");
        let revision = registry.update(&key, same, Preconditions::default()).await.expect("nothing new").revision;
        assert_eq!(revision, registry.store.revision(), "nothing was stored");
        let other = replace("{metadata: {name: m}, data: {a: y}, immutable: true}");
        let refused = registry.update(&key, other, Preconditions::default()).await.expect_err("immutable");
        assert_eq!(refused.reason, Reason::Invalid, "{refused}");
        let body = br#"{"metadata": {"labels": {"a": "b"}, "finalizers": ["x.y/z"]}}"#.to_vec();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::None };
        registry.update(&key, patch, Preconditions::default()).await.expect("a label");
        let held = registry.delete(&key, DeleteOptions::default()).await.expect("marked");
        assert!(matches!(held, DeleteResult::Marked(_)), "its finalizer holds it");
        let body = br#"[{"op": "remove", "path": "/metadata/finalizers"}]"#.to_vec();
        let patch = Patch { kind: PatchKind::Json, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::None };
        registry.update(&key, patch, Preconditions::default()).await.expect("the last finalizer");
        assert_eq!(registry.get(&key).await.expect_err("gone").reason, Reason::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_only_tried_is_answered_and_not_stored() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}}")).await.expect("made");
        let before = registry.store.revision();
        let tried = registry.dry_run();
        let new = tried.create(map("{metadata: {name: n}}")).await.expect("it could be");
        assert_eq!((new.revision, String::from_utf8_lossy(&new.json).contains("resourceVersion")), (0, false));
        let taken = tried.create(map("{metadata: {name: m}}")).await.expect_err("taken");
        assert_eq!(taken.reason, Reason::AlreadyExists);
        let key = Key::of(Resource::CONFIG_MAPS, "default", "m");
        let deleted = tried.delete(&key, DeleteOptions::default()).await.expect("it could be");
        assert!(matches!(deleted, DeleteResult::Removed(_)));
        assert_eq!(registry.store.revision(), before);
        registry.get(&key).await.expect("it is still there");
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_have_names_that_fit_into_hosts_names() {
        let namespace = |name: &str| {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.into());
            Body::from(namespace)
        };
        let refused = registry().create(namespace("Bad_NS")).await.expect_err("a bad name");
        let words =
            "Namespace \"Bad_NS\" is invalid: metadata.name: Invalid value: \"Bad_NS\": a lowercase RFC 1123 label";
        assert!(refused.message.starts_with(words), "{refused}");
        let made = registry().create(namespace("shop")).await.expect("made").decode::<Namespace>().expect("one");
        assert_eq!(made.metadata.namespace, None);
        assert_eq!(made.metadata.labels, Some([(NAME_LABEL.to_string(), "shop".to_string())].into()));
        assert_eq!(made.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Active"));
    }
}
