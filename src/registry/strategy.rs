//! What distinguishes a kind from others: [`Strategy`], after the strategies of Kubernetes' `registry/rest`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::columns::{Column, RowCondition};
use super::fields::ErrorList;
use super::{Registry, generic};
use crate::control::{
    Body, Cause, DeleteOptions, DeleteResult, Key, Object, Patch, Preconditions, Propagation, Status, Subresource,
    UnversionedObject, Update,
};
use crate::model::go_json;
use crate::model::object::{AnyObject, ApiType};
use crate::model::selector::SelectableField;
use crate::model::{BodyFormat, DecodeError, Decoded, KindType};

/// Verbs of resources that clients read and write.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of subresources that clients read and write.
pub const READ_WRITE: &[&str] = &["get", "patch", "update"];
/// Verbs of resources that clients only read.
pub const READ_ONLY: &[&str] = &["get", "list", "watch"];

/// What discovery says of a kind, beyond the names of its type.
#[derive(Debug)]
pub struct KindInfo {
    /// The singular name: `pod`.
    pub singular: &'static str,
    /// Short names: `po`.
    pub short_names: &'static [&'static str],
    /// Categories: `all` of `kubectl get all`.
    pub categories: &'static [&'static str],
    /// The verbs, sorted.
    pub verbs: &'static [&'static str],
    /// The subresources, sorted by name.
    pub subresources: &'static [SubresourceInfo],
    /// Kubernetes' hash of the stored version, by which clients detect a migration.
    pub storage_version_hash: &'static str,
    /// Whether something in wasmpod acts on the objects. Creating one of another kind warns.
    pub is_acted_on: bool,
    /// What does not work yet although something acts on the objects. Creating one warns with this text.
    pub limitation: Option<&'static str>,
}

impl KindInfo {
    /// A kind without short names, categories and subresources that supports all verbs.
    pub const fn new(singular: &'static str, storage_version_hash: &'static str) -> KindInfo {
        KindInfo {
            singular,
            short_names: &[],
            categories: &[],
            verbs: ALL_VERBS,
            subresources: &[],
            storage_version_hash,
            is_acted_on: false,
            limitation: None,
        }
    }
}

/// A subresource of a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct SubresourceInfo {
    /// The name: `log`.
    pub name: &'static str,
    /// The API group of `kind`; empty together with `version` if they are those of the resource.
    pub group: &'static str,
    /// The API version of `kind`; see `group`.
    pub version: &'static str,
    /// The kind of the response.
    pub kind: &'static str,
    /// The verbs, sorted.
    pub verbs: &'static [&'static str],
}

impl SubresourceInfo {
    /// A subresource whose answers are of the resource's group and version.
    pub const fn new(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> SubresourceInfo {
        SubresourceInfo { name, group: "", version: "", kind, verbs }
    }

    /// `status` of a kind.
    pub const fn status(kind: &'static str) -> SubresourceInfo {
        SubresourceInfo::new("status", kind, READ_WRITE)
    }

    /// `scale`: the number of replicas.
    pub const SCALE: SubresourceInfo =
        SubresourceInfo { name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: READ_WRITE };

    /// Returns whether requests are passed on to a server in a pod.
    pub fn is_proxy(&self) -> bool {
        self.name == "proxy"
    }

    /// Returns whether requests open a stream into a pod.
    pub fn is_stream(&self) -> bool {
        matches!(self.name, "attach" | "exec" | "portforward")
    }
}

/// Returns why an object of a version, in place of a stored one if given, is not valid.
pub type ValidateVersion = fn(&Body, Option<&Object>) -> Vec<Cause>;

/// A further group and version in which a kind is served.
pub struct OtherVersion {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version: `v1`.
    pub version: &'static str,
    /// The type of objects in manifests.
    pub kind_type: KindType,
    /// Converts an object of `kind_type` to the stored version; `None` if it is of another type.
    pub convert: fn(&dyn AnyObject) -> Option<Body>,
    /// Encodes a stored object in this version.
    pub encode: fn(&Object) -> Result<Vec<u8>, serde_json::Error>,
    /// Decodes the body of a request in this version.
    pub decode: fn(BodyFormat, &[u8]) -> Result<Decoded<Body>, DecodeError>,
    /// Applies a patch of this version to a stored object.
    pub patch: fn(&Object, &Patch) -> Result<Body, Status>,
    /// Validates an object of this version beyond the rules of the stored one: a new object, or one in place of a stored one.
    pub validate: Option<ValidateVersion>,
    /// The labels of field selectors in this version, beside name and namespace, with the fields of the stored version.
    pub fields: &'static [(&'static str, &'static str)],
}

/// The rules of one kind, which the generic paths of [`generic`] apply. Metadata that all kinds have in common is theirs.
///
/// An update restores what the client must not change before it is validated. Each kind with a status has
/// `prepare_for_update` restore it, and `prepare_for_status_update` everything else.
pub trait Strategy: ApiType {
    /// Names, verbs and subresources.
    const INFO: KindInfo;
    /// The columns of `kubectl get`.
    const COLUMNS: &'static [Column] = Column::NAME_AND_CREATION;
    /// The fields that field selectors accept beside name and namespace.
    const FIELDS: &'static [SelectableField<Self>] = &[];
    /// Other names of those fields, of older clients.
    const FIELD_ALIASES: &'static [(&'static str, &'static str)] = &[];
    /// The further groups and versions in which the kind is served.
    const OTHER_VERSIONS: &'static [OtherVersion] = &[];
    /// Whether `metadata.generation` counts the changes of the spec.
    const HAS_GENERATION: bool = false;
    /// Whether an update may lack `metadata.resourceVersion` (`AllowUnconditionalUpdate`).
    const ALLOW_UNCONDITIONAL_UPDATE: bool = true;
    /// What happens to dependents where a deletion does not say it.
    const DEFAULT_PROPAGATION: Propagation = Propagation::Background;
    /// The warning for clients that delete an object without saying what happens to its dependents.
    const PROPAGATION_WARNING: Option<&'static str> = None;
    /// Whether a deletion is answered with the deleted object instead of a `Status`.
    const RETURNS_DELETED_OBJECT: bool = false;
    /// Whether PUT creates an object that does not exist (`AllowCreateOnUpdate`).
    const ALLOW_CREATE_ON_UPDATE: bool = false;
    /// The path of the template of pods: `spec.template`. `None` for kinds without one.
    const TEMPLATE_PATH: Option<&'static str> = None;

    /// Returns one cell per column.
    fn cells(&self, now: Timestamp) -> Vec<Value>;

    /// Returns the conditions of the object's row, for clients that do not parse cells.
    fn row_conditions(&self) -> &'static [RowCondition] {
        &[]
    }

    /// Sets the defaults of new and updated objects (`SetDefaults_*` in Kubernetes).
    fn set_defaults(&mut self) {}

    /// Completes the object from what is stored, before it is prepared and validated: addresses, default classes, times
    /// (`BeginCreate` and `BeginUpdate`). `old` is the object that it replaces.
    fn begin(&mut self, _registry: &Registry, _old: Option<&Self>, _subresource: Subresource) -> Result<(), Status> {
        Ok(())
    }

    /// Sets the fields of a new object that clients do not control.
    fn prepare_for_create(&mut self) {}

    /// Records why a new object is not valid.
    fn validate(&self, errors: &mut ErrorList);

    /// Returns the warnings for the client that creates the object.
    fn warnings_on_create(&self) -> Vec<String> {
        Vec::new()
    }

    /// Restores the fields that an update of the object must not change.
    fn prepare_for_update(&mut self, _old: &Self) {}

    /// Records why the object must not replace `old`.
    fn validate_update(&self, old: &Self, errors: &mut ErrorList);

    /// Returns the warnings for the client that replaces `old` by the object.
    fn warnings_on_update(&self, _old: &Self) -> Vec<String> {
        self.warnings_on_create()
    }

    /// Restores the fields that an update of `status` must not change: all others.
    fn prepare_for_status_update(&mut self, _old: &Self) {}

    /// Records why the object's status must not replace that of `old`.
    fn validate_status_update(&self, _old: &Self, _errors: &mut ErrorList) {}

    /// Restores the fields that an update of `finalize` must not change.
    fn prepare_for_finalize_update(&mut self, _old: &Self) {}

    /// Records why an update of `finalize` must not replace `old`.
    fn validate_finalize_update(&self, _old: &Self, _errors: &mut ErrorList) {}

    /// Checks that the object may be deleted.
    ///
    /// # Errors
    /// 403 for an object that the cluster needs.
    fn check_delete(&self) -> Result<(), Status> {
        Ok(())
    }

    /// Changes an object that is marked for deletion.
    fn prepare_for_delete(&mut self) {}

    /// Returns whether something has to act before a deleted object is removed.
    fn has_finalizers(&self) -> bool {
        self.metadata().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
    }

    /// Returns whether the part of the object that `metadata.generation` counts differs from that of `old`.
    fn is_spec_changed(&self, _old: &Self) -> bool {
        false
    }

    /// Returns the template of pods at [`TEMPLATE_PATH`](Strategy::TEMPLATE_PATH), if the object has it.
    fn template(&self) -> Option<&PodTemplateSpec> {
        None
    }

    /// Returns the `scale` subresource; its metadata is filled in by the caller.
    fn scale(&self) -> Option<Scale> {
        None
    }

    /// Sets the number of replicas that a client writes to `scale`.
    fn set_replicas(&mut self, _replicas: i32) {}

    /// Encodes the object for the store; its metadata has no `resourceVersion`.
    fn encode(self) -> Result<UnversionedObject, serde_json::Error> {
        encode_as_go(&self)
    }

    /// Stores a new object.
    fn create(self, registry: &Registry) -> Result<Arc<Object>, Status> {
        generic::create(registry, self)
    }

    /// Changes the object at `key`.
    fn update(
        registry: &Registry,
        key: &Key,
        update: Update,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status> {
        generic::update::<Self>(registry, key, &update, preconditions)
    }

    /// Deletes the object at `key`, or marks it for deletion.
    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        generic::delete::<Self>(registry, key, options)
    }
}

/// Encodes an object with the fields that Go writes.
pub(super) fn encode_as_go<T: ApiType>(object: &T) -> Result<UnversionedObject, serde_json::Error> {
    // Through text, since each type is written as text anyway: another form would enlarge the binary.
    let mut value: Value = serde_json::from_slice(&serde_json::to_vec(object)?)?;
    if let Value::Object(fields) = &mut value {
        go_json::normalize(T::API_VERSION, T::KIND, fields);
    }
    UnversionedObject::encode(&value)
}

/// Errors of objects, for the tests of kinds.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Returns the errors of a new object.
    pub fn errors<T: Strategy>(object: &T) -> Vec<String> {
        let mut errors = ErrorList::default();
        object.validate(&mut errors);
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    /// Returns the errors of `new` in place of `old`.
    pub fn update_errors<T: Strategy>(old: &T, new: &T) -> Vec<String> {
        let mut errors = ErrorList::default();
        new.validate_update(old, &mut errors);
        errors.into_causes().iter().map(ToString::to_string).collect()
    }
}
