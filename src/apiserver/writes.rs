//! create, replace, patch and delete, of objects and of their subresources.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use k8s_openapi::api::core::v1::{Binding, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, ObjectMeta};
use serde::Deserialize;
use serde_json::json;

use super::accept::Asked;
use super::reads::ResourceRequest;
use super::write_options::{DeleteRequest, Validation, WriteOptions};
use super::{answer, body};
use crate::control::{
    Body, ControlPlane, DeleteResult, FieldValidation, Key, Object, Patch, PatchKind, Preconditions, Reason, Resource,
    Status, Subresource, Update, Warnings,
};
use crate::model::pods;
use crate::registry::field_support::{self, UnsupportedField};
use crate::registry::identity;
use crate::registry::pod::{app_armor, warnings};

/// A request to change something.
pub struct WriteRequest<'r> {
    /// What is asked for, where, and in which form the answer is wanted.
    pub ask: ResourceRequest<'r>,
    /// The body's media type.
    pub media: Option<&'r str>,
    /// The body.
    pub body: Bytes,
    /// What the client should know, whatever the answer.
    pub warnings: Warnings,
}

/// An Eviction, whose versions are alike but for their names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eviction {
    #[serde(default)]
    metadata: ObjectMeta,
    delete_options: Option<meta::DeleteOptions>,
}

/// The part of an object that `name` stands for; `None` for what is no part of it.
pub fn part(name: Option<&str>) -> Option<Subresource> {
    match name {
        None => Some(Subresource::Main),
        Some("status") => Some(Subresource::Status),
        Some("resize") => Some(Subresource::Resize),
        Some("ephemeralcontainers") => Some(Subresource::EphemeralContainers),
        Some(_) => None,
    }
}

impl WriteRequest<'_> {
    /// Stores a new object.
    pub async fn create(&self) -> Result<Response, Status> {
        let options = WriteOptions::of("CreateOptions", &self.ask.params)?;
        let form = self.ask.form(Asked::Object)?;
        let mut new = self.sent(options.validation).await?;
        self.place(&mut new).await?;
        if new.metadata().resource_version.as_deref().is_some_and(|revision| !revision.is_empty()) {
            let words = "resourceVersion should not be set on objects to be created";
            return Err(Status::new(Reason::BadRequest, words));
        }
        if let Body::Pod(pod) = &new
            && let Err(cannot) = self.judge(pod)
        {
            // What no server would take is told before what this one can't do.
            self.control(true).create(new).await?;
            return Err(cannot);
        }
        if let Body::Pod(pod) = &new {
            self.warnings.extend(app_armor::warnings_on_create(pod));
        }
        let object = self.control(options.dry_run).create(new).await?;
        if object.key.resource == Resource::PODS {
            let pod = object.decode::<Pod>().map_err(Status::internal)?;
            self.warnings.extend(warnings::warnings_on_create(&pod));
        }
        Ok(with_code(form.one(&object)?, StatusCode::CREATED))
    }

    /// Puts an object, or a part of it, in another's place.
    pub async fn replace(&self, name: &str, subresource: Subresource) -> Result<Response, Status> {
        let options = WriteOptions::of("UpdateOptions", &self.ask.params)?;
        let body = self.sent(options.validation).await?;
        self.update(name, options.dry_run, Update::Replace { body, subresource }).await
    }

    /// Changes an object, or a part of it.
    pub async fn patch(&self, name: &str, subresource: Subresource) -> Result<Response, Status> {
        let media = self.media.unwrap_or_default();
        if media.trim_start().starts_with("application/apply-patch+") {
            let words = "server-side apply is not supported yet: use kubectl apply without --server-side";
            return Err(Status::new(Reason::UnsupportedMediaType, words));
        }
        let kind = PatchKind::from_media_type(media)?;
        let options = WriteOptions::of("PatchOptions", &self.ask.params)?;
        let field_validation = match options.validation {
            Validation::Ignore => FieldValidation::Ignore,
            Validation::Warn => FieldValidation::Warn(self.warnings.clone()),
            Validation::Strict => FieldValidation::Strict,
        };
        let patch = Patch { kind, body: self.body.to_vec(), field_validation };
        self.update(name, options.dry_run, Update::Patch { patch, subresource }).await
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) -> Result<Response, Status> {
        let form = self.ask.form(Asked::Object)?;
        let DeleteRequest { options, dry_run } = DeleteRequest::of(&self.ask.params, self.media, &self.body).await?;
        match self.control(dry_run).delete(&self.ask.key(name), options).await? {
            DeleteResult::Marked(object) => form.one(&object),
            DeleteResult::Removed(object) if object.key.resource == Resource::PODS => form.one(&object),
            DeleteResult::Removed(object) => Ok(success(StatusCode::OK, Some(&object))),
        }
    }

    /// Deletes all objects that the parameters select, or the part of them that is asked for, and answers with them.
    pub async fn delete_all(&self) -> Result<Response, Status> {
        let form = self.ask.form(Asked::List)?;
        let (items, metadata) = self.ask.selected().await?;
        let DeleteRequest { options, dry_run } = DeleteRequest::of(&self.ask.params, self.media, &self.body).await?;
        let control = self.control(dry_run);
        for object in &items {
            match control.delete(&object.key, options.clone()).await {
                Err(status) if status.reason != Reason::NotFound => return Err(status),
                _ => {}
            }
        }
        form.list(&items, &metadata)
    }

    /// Binds a pod to a node, as a scheduler does.
    pub async fn bind(&self, name: &str) -> Result<Response, Status> {
        let options = WriteOptions::of("CreateOptions", &self.ask.params)?;
        let notation = body::notation(self.media)?;
        let binding = body::object::<Binding>("v1", "Binding", notation, &self.body).await?.object;
        if binding.metadata.name.as_deref() != Some(name) {
            return Err(Status::new(Reason::BadRequest, "name in URL does not match name in Binding object"));
        }
        if let Some(kind) = binding.target.kind.filter(|kind| !["", "Node"].contains(&kind.as_str())) {
            let why = format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\"");
            return Err(Status::new(Reason::BadRequest, why));
        }
        let node = binding.target.name.unwrap_or_default();
        if node.is_empty() {
            return Err(Status::new(Reason::BadRequest, "target.name: Required value"));
        }
        let preconditions = Preconditions { uid: binding.metadata.uid, revision: None };
        let update = Update::Bind { node };
        self.control(options.dry_run).update(&self.ask.key(name), update, preconditions).await?;
        Ok(success(StatusCode::CREATED, None))
    }

    /// Ends a pod for whoever empties its node. There are no disruption budgets that could forbid it.
    pub async fn evict(&self, name: &str) -> Result<Response, Status> {
        let options = WriteOptions::of("CreateOptions", &self.ask.params)?;
        let versions = ["policy/v1", "policy/v1beta1"];
        let read = body::object_of_any::<Eviction>(&versions, "Eviction", body::notation(self.media)?, &self.body);
        let eviction = read.await?.object;
        let said = eviction.metadata.namespace.as_deref().filter(|said| !said.is_empty());
        if said.is_some_and(|said| Some(said) != self.ask.namespace) {
            return Err(identity::namespace_mismatch());
        }
        if eviction.metadata.name.as_deref() != Some(name) {
            return Err(Status::new(Reason::BadRequest, "name in URL does not match name in Eviction object"));
        }
        let key = self.ask.key(name);
        let pod = self.ask.api.control.get(&key).await?;
        let wish = serde_json::to_vec(&eviction.delete_options.unwrap_or_default()).map_err(Status::internal)?;
        let DeleteRequest { options: deletion, dry_run } =
            DeleteRequest::of(&self.ask.params, None, &wish.into()).await?;
        let control = self.control(options.dry_run || dry_run);
        let pod = pod.decode::<Pod>().map_err(Status::internal)?;
        if !pods::is_terminal(&pod) && pod.metadata.deletion_timestamp.is_none() {
            self.mark_as_disrupted(&*control, &key, &pod).await?;
        }
        control.delete(&key, deletion).await?;
        Ok(success(StatusCode::CREATED, None))
    }

    /// Says in the pod's status why it will end (K25).
    async fn mark_as_disrupted(&self, control: &dyn ControlPlane, key: &Key, pod: &Pod) -> Result<(), Status> {
        let at = self.ask.api.clock.now().wall;
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": pods::time(at),
            "observedGeneration": pod.metadata.generation,
        });
        let body = json!({"status": {"conditions": [condition]}}).to_string().into_bytes();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Ignore };
        let update = Update::Patch { patch, subresource: Subresource::Status };
        control.update(key, update, Preconditions::default()).await.map(drop)
    }

    async fn update(&self, name: &str, dry_run: bool, update: Update) -> Result<Response, Status> {
        let form = self.ask.form(Asked::Object)?;
        let key = self.ask.key(name);
        let is_status = matches!(
            &update,
            Update::Replace { subresource: Subresource::Status, .. }
                | Update::Patch { subresource: Subresource::Status, .. }
        );
        let object = self.control(dry_run).update(&key, update, Preconditions::default()).await?;
        if is_status && object.key.resource == Resource::PODS {
            let pod = object.decode::<Pod>().map_err(Status::internal)?;
            self.warnings.extend(pod.status.as_ref().map(warnings::warnings_on_status_update).unwrap_or_default());
        }
        form.one(&object)
    }

    fn control(&self, dry_run: bool) -> Arc<dyn ControlPlane> {
        let control = &self.ask.api.control;
        if dry_run { control.dry_run() } else { control.clone() }
    }

    /// The object in the body.
    async fn sent(&self, validation: Validation) -> Result<Body, Status> {
        let resource = self.ask.served.resource;
        let mut sent = body::stored_object(resource, body::notation(self.media)?, &self.body).await?;
        match validation {
            Validation::Ignore => {}
            Validation::Warn => self.warnings.extend(sent.ignored_fields),
            Validation::Strict => body::refuse_passed_over(resource.kind, &sent.ignored_fields)?,
        }
        if let Some(owners) = &mut sent.object.metadata_mut().owner_references {
            let twins = identity::dedup_owner_references(
                owners,
                |owner| owner.uid.clone(),
                identity::DedupStage::BeforeAdmission,
            );
            self.warnings.extend(twins.into_iter().collect());
        }
        Ok(sent.object)
    }

    /// Puts a new object where the URL says, which must be there.
    async fn place(&self, new: &mut Body) -> Result<(), Status> {
        let Some(namespace) = self.ask.namespace else { return Ok(()) };
        let said = new.metadata_mut().namespace.get_or_insert_default();
        if said.is_empty() {
            *said = namespace.into();
        } else if said != namespace {
            return Err(identity::namespace_mismatch());
        }
        let place = Key::new(Resource::NAMESPACES, "", namespace);
        self.ask.api.control.get(&place).await.map(drop)
    }

    /// Nothing is silently ignored: what can't be done here is refused, what has no effect is told.
    fn judge(&self, pod: &Pod) -> Result<(), Status> {
        let mut inert = Vec::new();
        for UnsupportedField { field, support } in field_support::check(pod) {
            let told = format!("{field}: {support}");
            if support.rejects_pod() {
                return Err(Status::forbidden("pods", pods::name(pod), told));
            }
            inert.push(told);
        }
        self.warnings.extend(inert);
        Ok(())
    }
}

/// Letters of all warnings of one answer; where there are more, each is cut. As on a real server.
const MOST_WARNINGS: usize = 4096;
/// Letters of a warning that is cut.
const CUT_WARNING: usize = 256;

/// The answer with `warnings` in its head, each once.
pub fn warned(mut response: Response, warnings: Vec<String>) -> Response {
    let mut told: Vec<&String> = Vec::new();
    for warning in &warnings {
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    let longest = match told.iter().map(|warning| warning.chars().count()).sum::<usize>() {
        0..=MOST_WARNINGS => MOST_WARNINGS,
        _ => CUT_WARNING,
    };
    let mut written = 0;
    for warning in told {
        if written >= MOST_WARNINGS {
            break;
        }
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let cut: String = warning.chars().take(longest).map(plain).collect();
        written += cut.chars().count();
        let text = cut.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn with_code(mut response: Response, code: StatusCode) -> Response {
    *response.status_mut() = code;
    response
}

/// A `Status` that says that it is done.
fn success(code: StatusCode, object: Option<&Object>) -> Response {
    #[derive(Deserialize)]
    struct Named {
        metadata: ObjectMeta,
    }
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(fields) = status.as_object_mut() {
        match object {
            Some(Object { key, json, .. }) => {
                let uid = serde_json::from_slice::<Named>(json).ok().and_then(|object| object.metadata.uid);
                let details = json!({"name": &*key.name, "kind": key.resource.plural, "uid": uid});
                fields.insert("details".into(), details);
            }
            None => drop(fields.insert("code".into(), code.as_u16().into())),
        }
    }
    with_code(answer::json(status.to_string()), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_once_and_cut_where_there_are_many() {
        let told = |warnings: Vec<String>| -> Vec<usize> {
            let response = warned(answer::json("{}"), warnings);
            response.headers().get_all(header::WARNING).iter().map(|value| value.len() - "299 - \"\"".len()).collect()
        };
        let long = |letter: &str| letter.repeat(3000);
        assert_eq!(told(vec!["a".into(), "b\"".into(), "a".into()]), [1, 3]);
        assert_eq!(told(vec![long("a"), "b".into(), long("a")]), [3000, 1]);
        assert_eq!(told(vec![long("a"), "b".into(), long("c")]), [256, 1, 256]);
        assert_eq!(told((0..40).map(|i| format!("{i:300}")).collect()).len(), 16);
    }
}
