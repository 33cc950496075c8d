//! Objects that clients send to the control plane.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Resource;
use crate::model;

macro_rules! bodies {
    ($($(#[$about:meta])* $kind:ident: $resource:ident;)*) => {
        /// An object to create, or to replace a stored one.
        #[derive(Debug, Clone)]
        pub enum Body {
            $($(#[$about])* $kind(Box<$kind>),)*
        }

        impl Body {
            /// Returns the resource that the object belongs to.
            pub fn resource(&self) -> Resource {
                match self { $(Body::$kind(_) => Resource::$resource,)* }
            }

            /// Returns the object's metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Body::$kind(object) => &object.metadata,)* }
            }

            /// Returns the object's metadata for changes.
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
    /// A pod; it may lack identity and defaults.
    Pod: PODS;
    /// A report about another object.
    Event: EVENTS;
    /// A node; wasmpod's node is this process.
    Node: NODES;
    /// A scope for names.
    Namespace: NAMESPACES;
    /// Configuration data by key.
    ConfigMap: CONFIG_MAPS;
    /// Confidential data by key.
    Secret: SECRETS;
}

impl Body {
    /// Returns the ConfigMap or Secret of a manifest; `None` for other objects.
    pub fn from_config_object(object: &model::ManifestObject) -> Option<Body> {
        match object {
            model::ManifestObject::ConfigMap(map) => Some(Body::ConfigMap(map.clone())),
            model::ManifestObject::Secret(secret) => Some(Body::Secret(secret.clone())),
            _ => None,
        }
    }
}
