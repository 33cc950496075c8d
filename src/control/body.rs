//! Objects on their way into the control plane.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Resource;
use crate::model;

macro_rules! bodies {
    ($($(#[$about:meta])* $kind:ident: $resource:ident;)*) => {
        /// An object to create or put in another's place.
        #[derive(Debug, Clone)]
        pub enum Body {
            $($(#[$about])* $kind(Box<$kind>),)*
        }

        impl Body {
            /// What it is.
            pub fn resource(&self) -> Resource {
                match self { $(Body::$kind(_) => Resource::$resource,)* }
            }

            /// Its name, labels and so on.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Body::$kind(object) => &object.metadata,)* }
            }

            /// The same, to be changed.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Body::$kind(object) => &mut object.metadata,)* }
            }
        }

        $(impl From<$kind> for Body {
            fn from(object: $kind) -> Body {
                Body::$kind(Box::new(object))
            }
        })*
    };
}

bodies! {
    /// A pod; its identity and defaults may be missing.
    Pod: PODS;
    /// What happened to another object.
    Event: EVENTS;
    /// A machine that runs pods; here, this process.
    Node: NODES;
    /// A room for names.
    Namespace: NAMESPACES;
    /// Texts and bytes by name.
    ConfigMap: CONFIG_MAPS;
    /// The same, for what not everybody should see.
    Secret: SECRETS;
}

impl Body {
    /// An object of a manifest from which pods read their configuration; `None` for other objects.
    pub fn of_config(object: &model::Object) -> Option<Body> {
        match object {
            model::Object::ConfigMap(map) => Some(Body::ConfigMap(map.clone())),
            model::Object::Secret(secret) => Some(Body::Secret(secret.clone())),
            _ => None,
        }
    }
}
