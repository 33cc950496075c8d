//! The create, update and delete paths of all kinds but pods (`rest.BeforeCreate`, `BeforeUpdate`, `BeforeDelete` in
//! Kubernetes). What distinguishes a kind is its [`Strategy`].

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fields::{ErrorList, FieldPath};
use super::storage::WriteDecision;
use super::strategy::Strategy;
use super::{Registry, identity, metadata, patch, preconditions};
use crate::clock::Clock;
use crate::control::{
    DeleteOptions, DeleteResult, Key, Object, Preconditions, Propagation, Reason, Resource, Status, Subresource, Update,
};
use crate::model::pods;
use crate::model::selector::Selector;
use crate::store::ObjectStore;

/// Stores a new object.
pub(super) fn create<T: Strategy>(registry: &Registry, mut object: T) -> Result<Arc<Object>, Status> {
    complete_new(registry, &mut object)?;
    registry.storage.create(object)
}

/// Completes and validates a new object as [`create`] does in a cluster that has no objects yet. Stores nothing.
pub(super) fn check_new<T: Strategy>(object: &mut T) -> Result<(), Status> {
    identity::generate_name(object.metadata_mut(), || identity::SAMPLE_SUFFIX.into());
    complete_new(&Registry::new(ObjectStore::new(1), Clock::system()), object)
}

/// Completes a new object and validates it.
fn complete_new<T: Strategy>(registry: &Registry, object: &mut T) -> Result<(), Status> {
    let meta = object.metadata_mut();
    identity::fill_system_fields(meta, registry.clock.now().wall);
    if !T::NAMES.namespaced {
        meta.namespace = None;
    }
    if !T::HAS_GENERATION {
        meta.generation = None;
    }
    object.set_defaults();
    object.begin(registry, None, Subresource::Main)?;
    object.prepare_for_create();
    let mut errors = ErrorList::default();
    object.validate(&mut errors);
    if errors.count() == 0 {
        metadata::validate_before_create(&mut errors, object.metadata(), T::NAMES.namespaced);
    }
    reject_invalid::<T>(object.metadata(), errors)
}

/// Replaces or patches the object at `key`.
pub(super) fn update<T: Strategy>(
    registry: &Registry,
    key: &Key,
    update: &Update,
    preconditions: &Preconditions,
) -> Result<Arc<Object>, Status> {
    let (_, stored) = registry.storage.guaranteed_update(key, preconditions, |current: &T| {
        let (mut new, subresource) = requested_object(key, current, update)?;
        let is_unconditional = new.metadata().resource_version.as_deref().unwrap_or_default().is_empty();
        preconditions::check_resource_version(key, current.metadata(), new.metadata())?;
        identity::check_name_and_namespace(current.metadata(), new.metadata_mut())?;
        identity::keep_system_fields(current.metadata(), new.metadata_mut());
        new.set_defaults();
        new.begin(registry, Some(current), subresource)?;
        let mut errors = ErrorList::default();
        match subresource {
            Subresource::Status => new.prepare_for_status_update(current),
            Subresource::Finalize => new.prepare_for_finalize_update(current),
            _ => {
                new.prepare_for_update(current);
                if T::HAS_GENERATION && new.is_spec_changed(current) {
                    new.metadata_mut().generation = Some(current.metadata().generation.unwrap_or(0) + 1);
                }
            }
        }
        if !T::ALLOW_UNCONDITIONAL_UPDATE && is_unconditional {
            let path = FieldPath::root("metadata");
            errors.invalid(path.child("resourceVersion"), 0, "must be specified for an update");
        }
        metadata::validate_before_update(&mut errors, new.metadata(), current.metadata(), T::NAMES.namespaced);
        match subresource {
            Subresource::Status => new.validate_status_update(current, &mut errors),
            Subresource::Finalize => new.validate_finalize_update(current, &mut errors),
            _ => new.validate_update(current, &mut errors),
        }
        reject_invalid::<T>(new.metadata(), errors)?;
        Ok(if new == *current {
            WriteDecision::Keep(())
        } else if new.metadata().deletion_timestamp.is_some() && !new.has_finalizers() {
            WriteDecision::Delete(Box::new(new), ())
        } else {
            WriteDecision::Put(Box::new(new), ())
        })
    })?;
    Ok(stored)
}

/// Returns the object that `update` asks for in place of `current`, and the part that it may change.
fn requested_object<T: Strategy>(key: &Key, current: &T, update: &Update) -> Result<(T, Subresource), Status> {
    let unsupported = || Status::new(Reason::BadRequest, format!("{key} does not support this update"));
    match update {
        Update::Replace { body, subresource: Subresource::Scale } => {
            let has_scale = current.scale().is_some();
            let scale = body.downcast_ref::<Scale>().filter(|_| has_scale).ok_or_else(unsupported)?;
            Ok((with_scale(key, current, scale.clone())?, Subresource::Scale))
        }
        Update::Patch { patch, subresource: Subresource::Scale } => {
            let scale = scale_of(current).ok_or_else(unsupported)?;
            Ok((with_scale(key, current, patch::apply(&scale, patch)?)?, Subresource::Scale))
        }
        Update::Replace { body, subresource } => {
            let mut new = body.downcast_ref::<T>().ok_or_else(unsupported)?.clone();
            identity::check_name_and_namespace(current.metadata(), new.metadata_mut())?;
            preconditions::check_uid(key, current.metadata(), new.metadata())?;
            Ok((new, *subresource))
        }
        Update::Patch { patch, subresource } => Ok((patch::apply(current, patch)?, *subresource)),
        Update::PodStatus(_) | Update::Bind { .. } => Err(unsupported()),
    }
}

/// Returns the `scale` subresource of an object; `None` if its kind has none.
pub(super) fn scale_of<T: Strategy>(object: &T) -> Option<Scale> {
    object.scale().map(|scale| Scale { metadata: scale_metadata(object.metadata()), ..scale })
}

/// Returns the part of an object's metadata that its `scale` has too.
fn scale_metadata(meta: &ObjectMeta) -> ObjectMeta {
    let ObjectMeta { name, namespace, uid, resource_version, creation_timestamp, .. } = meta.clone();
    ObjectMeta { name, namespace, uid, resource_version, creation_timestamp, ..ObjectMeta::default() }
}

/// Returns `current` with the number of replicas that a client wrote to `scale`.
fn with_scale<T: Strategy>(key: &Key, current: &T, scale: Scale) -> Result<T, Status> {
    let (resource_version, replicas) = written_scale(key, current.metadata(), scale)?;
    let mut new = current.clone();
    new.metadata_mut().resource_version = resource_version;
    new.set_replicas(replicas);
    Ok(new)
}

/// Returns the resource version and the number of replicas that a client wrote to the `scale` of an object.
fn written_scale(key: &Key, current: &ObjectMeta, mut scale: Scale) -> Result<(Option<String>, i32), Status> {
    identity::check_name_and_namespace(current, &mut scale.metadata)?;
    preconditions::check_uid(key, current, &scale.metadata)?;
    let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
    let mut errors = ErrorList::default();
    errors.check_non_negative(FieldPath::root("spec").child("replicas"), replicas.into());
    let causes = errors.into_causes();
    if causes.is_empty() {
        Ok((scale.metadata.resource_version, replicas))
    } else {
        Err(Status::invalid("Scale.autoscaling", &key.name, causes))
    }
}

/// Removes the object at `key`, or marks it for deletion if a finalizer delays it.
pub(super) fn delete<T: Strategy>(
    registry: &Registry,
    key: &Key,
    options: &DeleteOptions,
) -> Result<DeleteResult, Status> {
    let now = registry.clock.now().wall;
    let (removed, object) = registry.storage.guaranteed_update(key, &Preconditions::default(), |current: &T| {
        preconditions::check_for_delete(&options.preconditions, key, current.metadata())?;
        current.check_delete()?;
        let mut last = current.clone();
        set_propagation(last.metadata_mut(), options.propagation, T::DEFAULT_PROPAGATION);
        if !last.has_finalizers() {
            return Ok(WriteDecision::Delete(Box::new(last), true));
        }
        mark_for_deletion(last.metadata_mut(), now);
        last.prepare_for_delete();
        Ok(if last == *current { WriteDecision::Keep(false) } else { WriteDecision::Put(Box::new(last), false) })
    })?;
    Ok(if removed { DeleteResult::Removed(object) } else { DeleteResult::Marked(object) })
}

/// Marks an object for deletion, unless it is marked.
fn mark_for_deletion(meta: &mut ObjectMeta, now: Timestamp) {
    if meta.deletion_timestamp.is_none() {
        meta.deletion_timestamp = Some(pods::api_time(now));
        meta.deletion_grace_period_seconds = Some(0);
        meta.generation = meta.generation.map(|generation| generation + 1);
    }
}

/// The finalizer of an object that waits until its dependents are deleted.
const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of an object that waits until its dependents have lost their reference to it.
const ORPHAN_FINALIZER: &str = "orphan";

/// Sets the finalizers by which the garbage collector performs `requested`; `default` is what the kind does otherwise.
pub(super) fn set_propagation(meta: &mut ObjectMeta, requested: Option<Propagation>, default: Propagation) {
    let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|own| own == finalizer);
    let default = match (has(ORPHAN_FINALIZER), has(FOREGROUND_FINALIZER)) {
        (true, _) => Propagation::Orphan,
        (_, true) => Propagation::Foreground,
        _ => default,
    };
    let finalizer = match requested.unwrap_or(default) {
        Propagation::Foreground => Some(FOREGROUND_FINALIZER),
        Propagation::Orphan => Some(ORPHAN_FINALIZER),
        Propagation::Background => None,
    };
    let mut finalizers = meta.finalizers.take().unwrap_or_default();
    finalizers.retain(|own| ![FOREGROUND_FINALIZER, ORPHAN_FINALIZER].contains(&own.as_str()));
    finalizers.extend(finalizer.map(String::from));
    meta.finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
}

/// Returns whether the selector matches the labels of an object.
pub(super) fn matches_labels(labels: &Selector, meta: &ObjectMeta) -> bool {
    static NONE: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    labels.matches(meta.labels.as_ref().unwrap_or(&NONE))
}

fn reject_invalid<T: Strategy>(meta: &ObjectMeta, errors: ErrorList) -> Result<(), Status> {
    if errors.count() == 0 {
        return Ok(());
    }
    let name = meta.name.as_deref().unwrap_or_default();
    Err(Status::invalid(&Resource::of::<T>().qualified_kind(), name, errors.into_causes()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

    use super::*;
    use crate::control::{Body, ControlPlane, FieldValidation, Patch, PatchKind, Resource};

    fn registry() -> Registry {
        Registry::new(ObjectStore::new(100), Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
    }

    fn map(yaml: &str) -> Body {
        Body::from(serde_yaml::from_str::<ConfigMap>(yaml).expect("a ConfigMap"))
    }

    #[tokio::test(start_paused = true)]
    async fn config_maps_follow_immutability_and_finalizers() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}, data: {a: x}, immutable: true}")).await.expect("created");
        let key = Key::new(Resource::CONFIG_MAPS, "default", "m");
        let replace = |yaml: &str| Update::Replace { body: map(yaml), subresource: Subresource::Main };
        let same = replace("{metadata: {name: m}, data: {a: x}, immutable: true}");
        let revision = registry.update(&key, same, Preconditions::default()).await.expect("unchanged").revision;
        assert_eq!(revision, registry.storage.objects().revision(), "nothing was stored");
        let other = replace("{metadata: {name: m}, data: {a: y}, immutable: true}");
        let error = registry.update(&key, other, Preconditions::default()).await.expect_err("immutable");
        assert_eq!(error.reason, Reason::Invalid, "{error}");
        let body = br#"{"metadata": {"labels": {"a": "b"}, "finalizers": ["x.y/z"]}}"#.to_vec();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::Main };
        registry.update(&key, patch, Preconditions::default()).await.expect("a label");
        let deleted = registry.delete(&key, DeleteOptions::default()).await.expect("marked");
        assert!(matches!(deleted, DeleteResult::Marked(_)), "its finalizer delays the deletion");
        let body = br#"[{"op": "remove", "path": "/metadata/finalizers"}]"#.to_vec();
        let patch = Patch { kind: PatchKind::Json, body, field_validation: FieldValidation::Strict };
        let patch = Update::Patch { patch, subresource: Subresource::Main };
        registry.update(&key, patch, Preconditions::default()).await.expect("the last finalizer");
        assert_eq!(registry.get(&key).await.expect_err("gone").reason, Reason::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn dry_run_stores_nothing() {
        let registry = registry();
        registry.create(map("{metadata: {name: m}}")).await.expect("created");
        let before = registry.storage.objects().revision();
        let dry_run = registry.dry_run();
        let new = dry_run.create(map("{metadata: {name: n}}")).await.expect("it would succeed");
        assert_eq!((new.revision, String::from_utf8_lossy(&new.json).contains("resourceVersion")), (0, false));
        let exists = dry_run.create(map("{metadata: {name: m}}")).await.expect_err("exists");
        assert_eq!(exists.reason, Reason::AlreadyExists);
        let key = Key::new(Resource::CONFIG_MAPS, "default", "m");
        let deleted = dry_run.delete(&key, DeleteOptions::default()).await.expect("it would succeed");
        assert!(matches!(deleted, DeleteResult::Removed(_)));
        assert_eq!(registry.storage.objects().revision(), before);
        registry.get(&key).await.expect("the object still exists");
    }

    #[tokio::test(start_paused = true)]
    async fn objects_over_the_limit_are_refused_however_they_grow() {
        let registry = registry();
        let labels = |count: usize| (0..count).map(|i| (format!("label-{i:06}"), "x".repeat(50))).collect();
        let with_labels = |count: usize| {
            let mut map = ConfigMap::default();
            map.metadata.name = Some("m".into());
            map.metadata.labels = Some(labels(count));
            Body::from(map)
        };
        registry.create(with_labels(20_000)).await.expect("1.4 MB are less than the limit");
        let key = Key::new(Resource::CONFIG_MAPS, "default", "m");
        let before = registry.get(&key).await.expect("stored").revision;
        let replaced = Update::Replace { body: with_labels(24_000), subresource: Subresource::Main };
        let more: std::collections::BTreeMap<_, _> = labels(24_000);
        let body = serde_json::to_vec(&serde_json::json!({"metadata": {"labels": more}})).expect("JSON");
        let patch = Patch { kind: PatchKind::Merge, body, field_validation: FieldValidation::Strict };
        let patched = Update::Patch { patch, subresource: Subresource::Main };
        for update in [replaced, patched] {
            let error = registry.update(&key, update, Preconditions::default()).await.expect_err("too large");
            assert_eq!(error.reason, Reason::RequestEntityTooLarge);
            assert!(error.message.starts_with("ConfigMap default/m is too large to store: it has 16"), "{error}");
            assert!(error.message.ends_with(" bytes as JSON, limit is 1572864"), "{error}");
        }
        assert_eq!(registry.get(&key).await.expect("stored").revision, before, "nothing changed");
        registry.delete(&key, DeleteOptions::default()).await.expect("large objects can be deleted");
        let error = registry.create(with_labels(24_000)).await.expect_err("too large");
        assert_eq!(error.reason, Reason::RequestEntityTooLarge);
    }

    #[test]
    fn new_objects_are_checked_with_a_generated_name() {
        let check = |name: &str| {
            let mut map = ConfigMap::default();
            map.metadata.generate_name = Some(name.into());
            let checked = check_new(&mut map).map_err(|status| status.message);
            checked.map(|()| map.metadata.name.expect("a name"))
        };
        assert_eq!(check("settings-"), Ok("settings-xxxxx".into()));
        let error = check("Settings-").expect_err("an invalid name");
        let words = "ConfigMap \"Settings-xxxxx\" is invalid: [metadata.generateName: Invalid value: \"Settings-\"";
        assert!(error.starts_with(words), "{error}");
        let error = check("").expect_err("no name");
        assert!(error.ends_with("metadata.name: Required value: name or generateName is required"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn namespace_names_are_dns_labels() {
        let namespace = |name: &str| {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.into());
            Body::from(namespace)
        };
        let error = registry().create(namespace("Bad_NS")).await.expect_err("an invalid name");
        let words =
            "Namespace \"Bad_NS\" is invalid: metadata.name: Invalid value: \"Bad_NS\": a lowercase RFC 1123 label";
        assert!(error.message.starts_with(words), "{error}");
        let created = registry().create(namespace("shop")).await.expect("created").decode::<Namespace>().expect("one");
        assert_eq!(created.metadata.namespace, None);
        assert_eq!(
            created.metadata.labels,
            Some([("kubernetes.io/metadata.name".to_string(), "shop".to_string())].into())
        );
        assert_eq!(created.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Active"));
    }
}
