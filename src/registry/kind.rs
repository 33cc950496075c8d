//! A row of the table of kinds: a [`Strategy`] behind an interface without its type.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::columns::{Column, RowCondition};
use super::strategy::{KindInfo, OtherVersion, Strategy};
use super::{Registry, generic};
use crate::control::{Body, DeleteOptions, DeleteResult, Key, Object, Preconditions, Reason, Resource, Status, Update};
use crate::model::object::{AnyObject, ResourceNames};
use crate::model::selector::{FieldSelector, Selector, SelectorError};
use crate::model::{BodyFormat, DecodeError, Decoded, KindType, decode_body};

/// A kind whose objects are stored.
pub trait Kind: Send + Sync {
    /// Returns the names of the resource.
    fn names(&self) -> &'static ResourceNames<&'static str>;

    /// Returns the type of objects in manifests.
    fn kind_type(&self) -> KindType;

    /// Returns what discovery says of the kind.
    fn info(&self) -> &'static KindInfo;

    /// Returns whether objects are stored, as opposed to reviews, which are answered only.
    fn is_stored(&self) -> bool {
        true
    }

    /// Returns the further groups and versions in which the kind is served.
    fn other_versions(&self) -> &'static [OtherVersion];

    /// Returns the columns of tables.
    fn columns(&self) -> &'static [Column];

    /// Returns the warning for clients that delete an object without saying what happens to its dependents.
    fn propagation_warning(&self) -> Option<&'static str>;

    /// Returns whether a deletion is answered with the deleted object instead of a `Status`.
    fn returns_deleted_object(&self) -> bool;

    /// Returns whether PUT creates an object that does not exist.
    fn allows_create_on_update(&self) -> bool;

    /// Returns the path of the template of pods; `None` for kinds without one.
    fn template_path(&self) -> Option<&'static str> {
        None
    }

    /// Returns the template of pods of an object of this kind.
    fn template<'o>(&self, _object: &'o dyn AnyObject) -> Option<&'o PodTemplateSpec> {
        None
    }

    /// Calls `use_row` with the row of a stored object.
    fn with_row(
        &self,
        object: &Object,
        now: Timestamp,
        use_row: &mut dyn FnMut(Row<'_>) -> Result<(), serde_json::Error>,
    ) -> Result<(), serde_json::Error>;

    /// Returns the field that a client's `label` names in a field selector.
    fn field_of_label(&self, label: &str) -> Result<&'static str, SelectorError>;

    /// Returns whether the selectors match a stored object.
    fn matches(&self, object: &Object, labels: &Selector, fields: &FieldSelector) -> Result<bool, serde_json::Error>;

    /// Decodes the body of a request.
    fn decode(&self, format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError>;

    /// Checks an object of a manifest as its creation in a cluster without objects would: returns its warnings.
    ///
    /// # Errors
    /// Returns why it cannot be created.
    fn check_new(&self, body: Body) -> Result<Vec<String>, Status>;

    /// Returns the `scale` subresource of a stored object; `None` if the kind has none.
    fn scale(&self, object: &Object) -> Result<Option<Scale>, serde_json::Error>;

    /// Returns the warnings for the client that created the stored object.
    fn warnings_on_create(&self, object: &Object) -> Vec<String>;

    /// Returns the warnings for the client that replaced `old` by `new`.
    fn warnings_on_update(&self, old: &Object, new: &Object) -> Vec<String>;

    /// Stores a new object.
    fn create(&self, registry: &Registry, body: Body) -> Result<Arc<Object>, Status>;

    /// Changes the object at `key`.
    fn update(
        &self,
        registry: &Registry,
        key: &Key,
        update: Update,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status>;

    /// Deletes the object at `key`, or marks it for deletion.
    fn delete(&self, registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status>;
}

impl dyn Kind {
    /// Returns the warning about objects that do not work entirely yet: nothing acts on them, or not everything that should.
    pub fn limitation(&self) -> Option<String> {
        match self.info() {
            KindInfo { is_acted_on: true, limitation, .. } => limitation.map(Into::into),
            _ => Some(format!("{} objects are stored, but nothing acts on them yet", self.names().kind)),
        }
    }

    /// Returns the resource of the kind's objects.
    pub fn resource(&self) -> Resource {
        Resource::built_in(self.names())
    }
}

/// The row of an object in a table.
pub struct Row<'o> {
    /// One cell per column.
    pub cells: Vec<Value>,
    /// The row's conditions.
    pub conditions: &'static [RowCondition],
    /// The object's metadata.
    pub metadata: &'o ObjectMeta,
}

/// The [`Kind`] of a type.
pub(super) struct KindOf<T>(PhantomData<fn() -> T>);

impl<T> KindOf<T> {
    pub const NEW: KindOf<T> = KindOf(PhantomData);
}

/// The fields by which objects of every kind can be selected.
const METADATA_FIELDS: [&str; 2] = ["metadata.name", "metadata.namespace"];

impl<T: Strategy> Kind for KindOf<T> {
    fn names(&self) -> &'static ResourceNames<&'static str> {
        T::NAMES
    }

    fn kind_type(&self) -> KindType {
        KindType::of::<T>()
    }

    fn info(&self) -> &'static KindInfo {
        const { &T::INFO }
    }

    fn other_versions(&self) -> &'static [OtherVersion] {
        T::OTHER_VERSIONS
    }

    fn columns(&self) -> &'static [Column] {
        T::COLUMNS
    }

    fn propagation_warning(&self) -> Option<&'static str> {
        T::PROPAGATION_WARNING
    }

    fn returns_deleted_object(&self) -> bool {
        T::RETURNS_DELETED_OBJECT
    }

    fn allows_create_on_update(&self) -> bool {
        T::ALLOW_CREATE_ON_UPDATE
    }

    fn template_path(&self) -> Option<&'static str> {
        T::TEMPLATE_PATH
    }

    fn template<'o>(&self, object: &'o dyn AnyObject) -> Option<&'o PodTemplateSpec> {
        object.as_any().downcast_ref::<T>().and_then(T::template)
    }

    fn with_row(
        &self,
        object: &Object,
        now: Timestamp,
        use_row: &mut dyn FnMut(Row<'_>) -> Result<(), serde_json::Error>,
    ) -> Result<(), serde_json::Error> {
        let typed = object.decode::<T>()?;
        use_row(Row { cells: typed.cells(now), conditions: typed.row_conditions(), metadata: typed.metadata() })
    }

    fn field_of_label(&self, label: &str) -> Result<&'static str, SelectorError> {
        let label = T::FIELD_ALIASES.iter().find(|(alias, _)| *alias == label).map_or(label, |(_, field)| field);
        let mut fields = METADATA_FIELDS.into_iter().chain(T::FIELDS.iter().map(|(name, _)| *name));
        fields.find(|field| *field == label).ok_or_else(|| match T::FIELDS {
            [] => SelectorError::unknown_field(label, &METADATA_FIELDS),
            _ if T::NAMES.group.is_empty() => SelectorError::unsupported_label(label),
            _ => SelectorError::unsupported_label_of(label, T::KIND),
        })
    }

    fn matches(&self, object: &Object, labels: &Selector, fields: &FieldSelector) -> Result<bool, serde_json::Error> {
        let typed = object.decode::<T>()?;
        let meta = typed.metadata();
        let value_of = |field: &str| match field {
            "metadata.name" => meta.name.as_deref().map(Cow::Borrowed),
            "metadata.namespace" => meta.namespace.as_deref().map(Cow::Borrowed),
            field => T::FIELDS.iter().find(|(name, _)| *name == field).and_then(|(_, value)| value(&typed)),
        };
        Ok(generic::matches_labels(labels, meta) && fields.matches(value_of))
    }

    fn decode(&self, format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError> {
        let Decoded { object, ignored_fields } = decode_body::<T>(T::API_VERSION, T::KIND, format, body)?;
        Ok(Decoded { object: object.into(), ignored_fields })
    }

    fn check_new(&self, body: Body) -> Result<Vec<String>, Status> {
        let Some(mut object) = body.downcast::<T>() else { return Ok(Vec::new()) };
        generic::check_new(&mut *object)?;
        Ok(object.warnings_on_create())
    }

    fn scale(&self, object: &Object) -> Result<Option<Scale>, serde_json::Error> {
        Ok(generic::scale_of(&*object.decode::<T>()?))
    }

    fn warnings_on_create(&self, object: &Object) -> Vec<String> {
        object.decode::<T>().map(|object| object.warnings_on_create()).unwrap_or_default()
    }

    fn warnings_on_update(&self, old: &Object, new: &Object) -> Vec<String> {
        match (old.decode::<T>(), new.decode::<T>()) {
            (Ok(old), Ok(new)) => new.warnings_on_update(&old),
            _ => Vec::new(),
        }
    }

    fn create(&self, registry: &Registry, body: Body) -> Result<Arc<Object>, Status> {
        let other = || Status::new(Reason::BadRequest, format!("the object is not a {}", T::KIND));
        body.downcast::<T>().ok_or_else(other)?.create(registry)
    }

    fn update(
        &self,
        registry: &Registry,
        key: &Key,
        update: Update,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status> {
        T::update(registry, key, update, preconditions)
    }

    fn delete(&self, registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        T::delete(registry, key, options)
    }
}
