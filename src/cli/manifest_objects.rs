//! The objects of manifests, as `apply` and `delete` send them to a server.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::client::Client;
use super::exit::bad_input;
use super::manifest_source::manifest_sources;
use super::resource_names;
use crate::control::Resource;
use crate::model::{Diagnostics, Manifest, ManifestObject};
use crate::registry::kinds;

/// An object of a manifest that a server can have.
pub struct NamedObject {
    /// The resource.
    pub resource: Resource,
    /// The namespace; that of requests if the manifest has none.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The object, with its namespace.
    pub json: Value,
}

impl NamedObject {
    /// Returns `KIND/NAME`, as in `pod/web`.
    pub fn title(&self) -> String {
        format!("{}/{}", resource_names::singular(&self.resource), self.name)
    }
}

/// Reads the objects of manifests in their order. `is_namespace_given` tells that the client's namespace is that of a
/// flag, which the objects' must not contradict.
///
/// # Errors
///
/// Fails with all errors of all files.
pub fn read(files: &[PathBuf], client: &Client, is_namespace_given: bool) -> anyhow::Result<Vec<NamedObject>> {
    let (mut objects, mut errors) = (Vec::new(), Vec::new());
    for source in manifest_sources(files) {
        let name = source.name();
        match source.read() {
            Ok(text) => {
                let manifest = Manifest::read(kinds::types(), &name, &text);
                if manifest.has_errors() {
                    errors.push(manifest.diagnostics().to_string());
                    continue;
                }
                for object in manifest.objects() {
                    match named_object(object, &name, client, is_namespace_given) {
                        Ok(object) => objects.push(object),
                        Err(error) => errors.push(error.to_string()),
                    }
                }
            }
            Err(diagnostic) => {
                let diagnostics = [diagnostic].into_iter().collect();
                errors.push(Diagnostics::new(&name, &Arc::from(""), diagnostics).to_string());
            }
        }
    }
    if errors.is_empty() { Ok(objects) } else { Err(bad_input(errors.join("\n"))) }
}

/// Returns the object. Errors are in kubectl's words.
fn named_object(
    object: &ManifestObject,
    source: &str,
    client: &Client,
    is_namespace_given: bool,
) -> anyhow::Result<NamedObject> {
    let (kind, metadata) = (object.kind(), object.metadata());
    let name = metadata.name.clone().unwrap_or_default();
    let own_namespace = metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
    let resource = Resource::built_in(kind.names());
    if name.is_empty() {
        let problem = match metadata.generate_name.as_deref().unwrap_or_default() {
            "" => "resource name may not be empty".to_string(),
            generate_name => format!("from {generate_name}: cannot use generate name with apply"),
        };
        return Err(bad_input(format!("{source}: {problem}")));
    }
    let namespace = match own_namespace {
        Some(own) if is_namespace_given && own != client.namespace() => {
            return Err(bad_input(format!(
                "the namespace from the provided object {own:?} does not match the namespace {:?}. You must pass \
                 '--namespace={own}' to perform this operation.",
                client.namespace()
            )));
        }
        Some(own) => own,
        None => client.namespace().into(),
    };
    let mut json: Value = serde_json::from_str(&object.to_json()?)?;
    if resource.is_namespaced()
        && let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("namespace".into(), Value::String(namespace.clone()));
    }
    Ok(NamedObject { resource, namespace, name, json })
}
