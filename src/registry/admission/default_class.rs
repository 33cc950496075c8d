//! Classes that objects without one get (the admission plugins DefaultStorageClass and DefaultIngressClass).

use std::cmp::Reverse;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::control::{Resource, Scope};
use crate::registry::Registry;
use crate::registry::strategy::Strategy;

/// Returns whether one of `annotations` marks the class as the default.
pub fn is_default(class: &ObjectMeta, annotations: &[&str]) -> bool {
    let value = |key: &&str| class.annotations.as_ref().and_then(|annotations| annotations.get(*key));
    annotations.iter().filter_map(value).any(|value| value == "true")
}

/// Returns the name of the default class of type `T`: of several, the newest.
pub fn find<T: Strategy>(registry: &Registry, annotations: &[&str]) -> Option<String> {
    let classes = registry.storage.objects().list_for_update(&Scope::all(Resource::of::<T>()));
    let classes = classes.iter().filter_map(|object| object.decode::<T>().ok());
    let defaults = classes.filter(|class| is_default(class.metadata(), annotations));
    let newest = defaults.min_by_key(|class| {
        let meta = class.metadata();
        (Reverse(meta.creation_timestamp.as_ref().map(|Time(at)| *at)), meta.name.clone())
    });
    newest?.metadata().name.clone()
}
