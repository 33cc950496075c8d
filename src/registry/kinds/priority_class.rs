//! PriorityClasses: names of pod priorities.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::Value;

use crate::control::{DeleteOptions, DeleteResult, Key, Object, Resource, Scope, Status, Subresource};
use crate::model::formats;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::strategy::{KindInfo, Strategy};
use crate::registry::{Registry, generic, metadata};

const MAX_USER_PRIORITY: i32 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";

/// A class that every cluster has.
pub struct SystemClass {
    pub name: &'static str,
    pub value: i32,
    description: &'static str,
}

/// The classes that every cluster has.
pub const SYSTEM_CLASSES: &[SystemClass] = &[
    SystemClass {
        name: "system-node-critical",
        value: 2_000_001_000,
        description: "Used for system critical pods that must not be moved from their current node.",
    },
    SystemClass {
        name: "system-cluster-critical",
        value: 2_000_000_000,
        description: "Used for system critical pods that must run in the cluster, but can be moved to another node if \
                      necessary.",
    },
];

impl SystemClass {
    /// Returns the object of the class.
    pub fn object(&self) -> PriorityClass {
        let mut class = PriorityClass::default();
        class.metadata.name = Some(self.name.into());
        class.value = Some(self.value);
        class.description = Some(self.description.into());
        class
    }
}

impl Strategy for PriorityClass {
    const INFO: KindInfo = KindInfo { short_names: &["pc"], ..KindInfo::new("priorityclass", "1QwjyaZjj3Y=") };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::integer("Value", "Priority of the pods of the class."),
        Column {
            name: "Global-Default",
            kind: "boolean",
            format: "",
            description: "Whether pods without a class have this priority.",
            priority: 0,
        },
        Column::AGE,
        Column::text("PreemptionPolicy", "Whether pods of the class displace pods of lower priority."),
    ];
    const HAS_GENERATION: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(&self.metadata),
            self.value.unwrap_or(0).into(),
            (self.global_default == Some(true)).into(),
            age(&self.metadata, now).into(),
            non_empty_or(self.preemption_policy.as_deref(), "").into(),
        ]
    }

    fn set_defaults(&mut self) {
        self.value.get_or_insert(0);
        self.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_cluster_scoped_object_meta(errors, &self.metadata, formats::dns_subdomain);
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name.starts_with(SYSTEM_PREFIX) {
            if let Some(error) = system_class_error(self, name) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {error}"
                );
                errors.forbidden(FieldPath::root("metadata").child("name"), detail);
            }
        } else if self.value.unwrap_or(0) > MAX_USER_PRIORITY {
            let detail = format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
            errors.forbidden(FieldPath::root("value"), detail);
        }
        if let Some(policy) = &self.preemption_policy {
            let path = FieldPath::root("preemptionPolicy");
            errors.require_one_of(path, policy, &["PreemptLowerPriority", "Never"]);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        if self.value.unwrap_or(0) != old.value.unwrap_or(0) {
            errors.forbidden(FieldPath::root("value"), "may not be changed in an update.");
        }
        if self.preemption_policy != old.preemption_policy {
            errors.invalid(FieldPath::root("preemptionPolicy"), &self.preemption_policy, "field is immutable");
        }
    }

    fn begin(&mut self, registry: &Registry, old: Option<&Self>, _subresource: Subresource) -> Result<(), Status> {
        check_default(registry, self, old.is_some())
    }

    fn delete(registry: &Registry, key: &Key, options: &DeleteOptions) -> Result<DeleteResult, Status> {
        if SYSTEM_CLASSES.iter().any(|class| *class.name == *key.name) {
            let reason = "this is a system priority class and cannot be deleted";
            return Err(forbidden(&key.name, reason));
        }
        generic::delete::<Self>(registry, key, options)
    }
}

/// Rejects a second default class (admission plugin `Priority`). `is_update`: the class is stored already.
fn check_default(registry: &Registry, class: &PriorityClass, is_update: bool) -> Result<(), Status> {
    if class.global_default != Some(true) {
        return Ok(());
    }
    let is_default = |object: &Arc<Object>| {
        let class = object.decode::<PriorityClass>().ok()?;
        class.metadata.name.clone().filter(|_| class.global_default == Some(true))
    };
    let classes = registry.storage.objects().list_for_update(&Scope::all(Resource::of::<PriorityClass>()));
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let is_other = |first: &String| !is_update || first != name;
    let Some(first) = classes.iter().find_map(is_default).filter(is_other) else { return Ok(()) };
    Err(forbidden(name, &format!("PriorityClass {first} is already marked as default. Only one default can exist")))
}

fn forbidden(name: &str, reason: &str) -> Status {
    Status::forbidden("priorityclasses.scheduling.k8s.io", name, reason)
}

/// Returns why the class is none of [`SYSTEM_CLASSES`].
fn system_class_error(class: &PriorityClass, name: &str) -> Option<String> {
    let Some(SystemClass { value, .. }) = SYSTEM_CLASSES.iter().find(|known| known.name == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if class.value != Some(*value) {
        return Some(format!("value of {name} PriorityClass must be {value}"));
    }
    let is_default = class.global_default == Some(true);
    is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::{Body, ControlPlane, Preconditions, Reason, Update};
    use crate::store::ObjectStore;

    #[tokio::test(start_paused = true)]
    async fn only_one_class_is_the_default_however_it_becomes_so() {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let registry = Registry::new(ObjectStore::new(100), Clock::starting_at(start));
        let class = |name: &str, global_default: bool| {
            let mut class =
                PriorityClass { value: Some(1), global_default: Some(global_default), ..Default::default() };
            class.metadata.name = Some(name.into());
            Body::from(class)
        };
        registry.create(class("a", true)).await.expect("the first");
        registry.create(class("b", false)).await.expect("no default");
        let replace = async |name: &str, global_default: bool| {
            let key = Key::new(Resource::of::<PriorityClass>(), "", name);
            let update = Update::Replace { body: class(name, global_default), subresource: Subresource::Main };
            registry.update(&key, update, Preconditions::default()).await
        };
        let message = "priorityclasses.scheduling.k8s.io \"b\" is forbidden: PriorityClass a is already marked as \
                       default. Only one default can exist";
        let refused = replace("b", true).await.expect_err("a is the default");
        assert_eq!((refused.reason, refused.message.as_str()), (Reason::Forbidden, message));
        replace("a", true).await.expect("it stays the default");
        replace("a", false).await.expect("no longer");
        replace("b", true).await.expect("the only one");
    }
}
