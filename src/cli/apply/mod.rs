//! `wasmpod apply`: creates or changes the objects of manifests, as kubectl's client-side apply does.
//!
//! The annotation `last-applied-configuration` keeps what was applied, so that the next apply removes what is no longer
//! in the manifest and keeps what others have added.

mod three_way;

use hyper::Method;
use serde_json::{Map, Value};

use super::args::ApplyArgs;
use super::client::{self, Client};
use super::exit::Outcome;
use super::manifest_objects::{self, NamedObject};
use super::report;
use super::terminal_text::print;
use three_way::three_way_patch;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

/// Applies all objects. An object that is rejected does not keep the others from being applied.
pub fn main(args: ApplyArgs) -> anyhow::Result<Outcome> {
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let objects = manifest_objects::read(&args.files, &client, args.connection.namespace.is_some())?;
        let apply = Apply { client, is_dry_run: args.dry_run.is_some() };
        let mut errors = Vec::new();
        for object in &objects {
            match apply.apply(object).await {
                Ok(result) => {
                    let suffix = if apply.is_dry_run { " (server dry run)" } else { "" };
                    print(&format!("{} {result}{suffix}\n", object.title()))?;
                }
                Err(error) => errors.push(error),
            }
        }
        report::last_error(errors)
    })
}

struct Apply {
    client: Client,
    is_dry_run: bool,
}

impl Apply {
    /// Applies an object. Returns the word for what happened.
    async fn apply(&self, object: &NamedObject) -> anyhow::Result<&'static str> {
        let modified = with_last_applied(&object.json)?;
        let path = self.client.path(&object.resource, &object.namespace, Some(&object.name));
        let Some(current) = self.client.get_existing(&path).await? else {
            let path = self.client.path(&object.resource, &object.namespace, None);
            self.write(Method::POST, &path, client::JSON, &modified).await?;
            return Ok("created");
        };
        let original = last_applied(&current);
        if original.is_none() {
            stderrln!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by wasmpod apply. \
                 wasmpod apply should only be used on resources created declaratively by either kubectl create \
                 --save-config or an apply. The missing annotation will be patched automatically.",
                object.resource.plural(),
                object.name
            );
        }
        let patch = three_way_patch(&object.resource, original.as_ref(), &current, &modified);
        match patch.is_empty() {
            true => Ok("unchanged"),
            false => {
                self.write(Method::PATCH, &path, STRATEGIC_MERGE_PATCH, &Value::Object(patch)).await?;
                Ok("configured")
            }
        }
    }

    async fn write(&self, method: Method, path: &str, media_type: &str, body: &Value) -> anyhow::Result<Value> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("fieldManager", "kubectl-client-side-apply").append_pair("fieldValidation", "Strict");
        if self.is_dry_run {
            query.append_pair("dryRun", "All");
        }
        self.client.write(method, &format!("{path}?{}", query.finish()), media_type, body).await
    }
}

/// Returns `object` with itself in the annotation, as kubectl writes it: with annotations, even if they are empty.
fn with_last_applied(object: &Value) -> anyhow::Result<Value> {
    let mut object = object.clone();
    let mut annotations = match object.pointer("/metadata/annotations") {
        Some(Value::Object(annotations)) => annotations.clone(),
        _ => Map::new(),
    };
    annotations.remove(LAST_APPLIED);
    set_annotations(&mut object, annotations.clone());
    annotations.insert(LAST_APPLIED.into(), format!("{}\n", serde_json::to_string(&object)?).into());
    set_annotations(&mut object, annotations);
    Ok(object)
}

fn set_annotations(object: &mut Value, annotations: Map<String, Value>) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("annotations".into(), annotations.into());
    }
}

/// Returns the object that an annotation says was applied last.
fn last_applied(current: &Value) -> Option<Value> {
    let text = current.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotation_keeps_the_object_without_itself() {
        let object = json!({"kind": "Pod", "metadata": {"name": "web"}});
        let applied = with_last_applied(&object).expect("JSON");
        let text = applied.pointer("/metadata/annotations").and_then(|annotations| annotations.get(LAST_APPLIED));
        let expected = "{\"kind\":\"Pod\",\"metadata\":{\"annotations\":{},\"name\":\"web\"}}\n";
        assert_eq!(text.and_then(Value::as_str), Some(expected));
        assert_eq!(with_last_applied(&applied).expect("JSON"), applied);
        assert_eq!(
            last_applied(&applied),
            Some(json!({"kind": "Pod", "metadata": {"annotations": {}, "name": "web"}}))
        );
    }
}
