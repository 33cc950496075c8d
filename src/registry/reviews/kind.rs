//! Reviews as rows of the table of kinds: they are created, answered and forgotten.

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::autoscaling::v1::Scale;

use super::{Review, ReviewContext, cluster_admin};
use crate::control::{Body, DeleteOptions, DeleteResult, Key, Object, Preconditions, Reason, Resource, Status, Update};
use crate::model::object::ResourceNames;
use crate::model::selector::{FieldSelector, Selector, SelectorError};
use crate::model::{BodyFormat, DecodeError, Decoded, KindType, decode_body};
use crate::registry::Registry;
use crate::registry::columns::Column;
use crate::registry::kind::{Kind, Row};
use crate::registry::strategy::{KindInfo, OtherVersion, encode_as_go};

/// The [`Kind`] of a review. Only its creation is a request that reaches it: discovery lists no other verb.
pub(in crate::registry) struct ReviewOf<T>(PhantomData<fn() -> T>);

impl<T> ReviewOf<T> {
    pub const NEW: ReviewOf<T> = ReviewOf(PhantomData);
}

fn not_stored() -> Status {
    Status::new(Reason::MethodNotAllowed, "reviews are answered and not stored")
}

impl<T: Review> Kind for ReviewOf<T> {
    fn names(&self) -> &'static ResourceNames<&'static str> {
        T::NAMES
    }

    fn kind_type(&self) -> KindType {
        KindType::of::<T>()
    }

    fn info(&self) -> &'static KindInfo {
        const { &T::INFO }
    }

    fn is_stored(&self) -> bool {
        false
    }

    fn other_versions(&self) -> &'static [OtherVersion] {
        &[]
    }

    fn columns(&self) -> &'static [Column] {
        &[]
    }

    fn propagation_warning(&self) -> Option<&'static str> {
        None
    }

    fn returns_deleted_object(&self) -> bool {
        false
    }

    fn allows_create_on_update(&self) -> bool {
        false
    }

    fn with_row(
        &self,
        object: &Object,
        _now: Timestamp,
        use_row: &mut dyn FnMut(Row<'_>) -> Result<(), serde_json::Error>,
    ) -> Result<(), serde_json::Error> {
        let review = object.decode::<T>()?;
        use_row(Row { cells: Vec::new(), conditions: &[], metadata: review.metadata() })
    }

    fn field_of_label(&self, label: &str) -> Result<&'static str, SelectorError> {
        Err(SelectorError::unsupported_label(label))
    }

    fn matches(&self, _object: &Object, _: &Selector, _: &FieldSelector) -> Result<bool, serde_json::Error> {
        Ok(false)
    }

    fn decode(&self, format: BodyFormat, body: &[u8]) -> Result<Decoded<Body>, DecodeError> {
        let Decoded { object, ignored_fields } = decode_body::<T>(T::API_VERSION, T::KIND, format, body)?;
        Ok(Decoded { object: object.into(), ignored_fields })
    }

    fn check_new(&self, _body: Body) -> Result<Vec<String>, Status> {
        Ok(Vec::new())
    }

    fn scale(&self, _object: &Object) -> Result<Option<Scale>, serde_json::Error> {
        Ok(None)
    }

    fn warnings_on_create(&self, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    fn warnings_on_update(&self, _old: &Object, _new: &Object) -> Vec<String> {
        Vec::new()
    }

    fn create(&self, registry: &Registry, body: Body) -> Result<Arc<Object>, Status> {
        let review = body.downcast::<T>().ok_or_else(not_stored)?;
        let namespace = review.metadata().namespace.clone().unwrap_or_default();
        let authenticate = |token: &str| -> Option<UserInfo> {
            let is_valid = registry.token_check.as_ref().is_some_and(|check| check(token));
            is_valid.then(cluster_admin)
        };
        let context = ReviewContext {
            user: &cluster_admin(),
            namespace: &namespace,
            now: registry.clock.now().wall,
            authenticate: &authenticate,
        };
        let answer = encode_as_go(&review.answer(&context)?).map_err(Status::internal)?;
        Ok(Arc::new(answer.with_revision(Key::new(Resource::of::<T>(), &namespace, ""), 0)))
    }

    fn update(
        &self,
        _registry: &Registry,
        _key: &Key,
        _update: Update,
        _preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Status> {
        Err(not_stored())
    }

    fn delete(&self, _registry: &Registry, _key: &Key, _options: &DeleteOptions) -> Result<DeleteResult, Status> {
        Err(not_stored())
    }
}
