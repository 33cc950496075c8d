//! Write requests: create, update, patch and delete, of objects and their subresources.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Binding, Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, ObjectMeta};
use serde::Deserialize;
use serde_json::json;

use super::accept::{self, Encoding, ResponseKind};
use super::partial::OnlyMetadata;
use super::reads::ResourceRequest;
use super::write_options::{DeleteRequest, FieldValidationMode, WriteOptions};
use super::{body, representation};
use crate::control::{
    Body, Cause, ControlPlane, DeleteResult, FieldValidation, Key, Object, Patch, PatchKind, Preconditions, Reason,
    Resource, Status, Subresource, Update, Warnings,
};
use crate::model::pods;
use crate::registry::field_support::{self, UnsupportedField};
use crate::registry::identity;
use crate::registry::pod::{app_armor, warnings};

/// A request that writes.
pub struct WriteRequest<'r> {
    /// The requested resource.
    pub resource: ResourceRequest<'r>,
    /// Media type of the body.
    pub media: Option<&'r str>,
    /// Body of the request.
    pub body: Bytes,
    /// Collects warnings for the client, whatever the response.
    pub warnings: Warnings,
}

/// An Eviction; its versions have the same fields.
#[derive(Deserialize)]
#[serde(rename = "Eviction", rename_all = "camelCase")]
struct EvictionBody {
    #[serde(default)]
    metadata: ObjectMeta,
    delete_options: Option<meta::DeleteOptions>,
}

/// Returns the writable subresource that `name` stands for; `None` for actions such as `binding`.
pub fn writable_subresource(name: Option<&str>) -> Option<Subresource> {
    match name {
        None => Some(Subresource::Main),
        Some("status") => Some(Subresource::Status),
        Some("resize") => Some(Subresource::Resize),
        Some("ephemeralcontainers") => Some(Subresource::EphemeralContainers),
        Some("scale") => Some(Subresource::Scale),
        Some("finalize") => Some(Subresource::Finalize),
        Some(_) => None,
    }
}

impl WriteRequest<'_> {
    /// Creates an object.
    pub async fn create(&self) -> Result<Response, Status> {
        let options = WriteOptions::parse("CreateOptions", &self.resource.params)?;
        let representation = self.resource.representation(ResponseKind::Object)?;
        let mut new = self.decode_body(options.field_validation).await?;
        self.set_namespace(&mut new).await?;
        if new.metadata().resource_version.as_deref().is_some_and(|revision| !revision.is_empty()) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::new(Reason::BadRequest, message));
        }
        if let Some(pod) = new.downcast_ref::<Pod>()
            && let Err(unsupported) = self.check_support(pod)
        {
            // An invalid object is reported before unsupported fields.
            self.control(true).create(new).await?;
            return Err(unsupported);
        }
        if let Some(pod) = new.downcast_ref::<Pod>() {
            self.warnings.extend(app_armor::warnings_on_create(pod));
            self.warnings.extend(warnings::warnings_on_replaced_values(pod));
        }
        let object = self.store_new(new, options.dry_run).await?;
        Ok(with_status_code(representation.object_response(&object)?, StatusCode::CREATED))
    }

    /// Stores a new object and collects the warnings about it.
    async fn store_new(&self, new: Body, dry_run: bool) -> Result<Arc<Object>, Status> {
        self.resource.served.validate(&new, None)?;
        let object = self.control(dry_run).create(new).await?;
        let kind = self.resource.served.kind;
        self.warnings.extend(kind.warnings_on_create(&object));
        self.warnings.extend(kind.limitation().into_iter().collect());
        Ok(object)
    }

    /// Replaces an object or a subresource. Of some kinds, this creates an object that does not exist.
    pub async fn replace(&self, name: &str, subresource: Subresource) -> Result<Response, Status> {
        let options = WriteOptions::parse("UpdateOptions", &self.resource.params)?;
        let body = match subresource {
            Subresource::Scale => self.decode_scale(options.field_validation).await?,
            _ => self.decode_body(options.field_validation).await?,
        };
        let may_create = subresource == Subresource::Main && self.resource.served.kind.allows_create_on_update();
        if may_create && !self.exists(name).await? {
            let mut new = body;
            self.set_namespace(&mut new).await?;
            identity::check_name(name, new.metadata_mut())?;
            let representation = self.resource.representation(ResponseKind::Object)?;
            let object = self.store_new(new, options.dry_run).await?;
            return Ok(with_status_code(representation.object_response(&object)?, StatusCode::CREATED));
        }
        if !self.resource.served.is_served_as_stored() {
            let old = self.resource.api.control.get(&self.resource.key(name)).await?;
            self.resource.served.validate(&body, Some(&old))?;
        }
        self.update(name, options.dry_run, Update::Replace { body, subresource }).await
    }

    async fn exists(&self, name: &str) -> Result<bool, Status> {
        match self.resource.api.control.get(&self.resource.key(name)).await {
            Ok(_) => Ok(true),
            Err(status) if status.reason == Reason::NotFound => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// Decodes the `scale` subresource in the body.
    async fn decode_scale(&self, field_validation: FieldValidationMode) -> Result<Body, Status> {
        let format = body::format_of(self.media)?;
        let decoded = body::decode::<Scale>("autoscaling/v1", "Scale", format, &self.body).await?;
        self.report_ignored_fields("Scale", field_validation, decoded.ignored_fields)?;
        Ok(decoded.object.into())
    }

    /// Patches an object or a subresource.
    pub async fn patch(&self, name: &str, subresource: Subresource) -> Result<Response, Status> {
        let media = self.media.unwrap_or_default();
        if media.trim_start().starts_with("application/apply-patch+") {
            let message = "server-side apply is not supported yet: use kubectl apply without --server-side";
            return Err(Status::new(Reason::UnsupportedMediaType, message));
        }
        let kind = PatchKind::from_media_type(media)?;
        let options = WriteOptions::parse("PatchOptions", &self.resource.params)?;
        let field_validation = match options.field_validation {
            FieldValidationMode::Ignore => FieldValidation::Ignore,
            FieldValidationMode::Warn => FieldValidation::Warn(self.warnings.clone()),
            FieldValidationMode::Strict => FieldValidation::Strict,
        };
        let patch = Patch { kind, body: self.body.to_vec(), field_validation };
        if self.resource.served.is_served_as_stored() {
            self.update(name, options.dry_run, Update::Patch { patch, subresource }).await
        } else {
            self.patch_version(name, options.dry_run, &patch, subresource).await
        }
    }

    /// Patches an object in another version than the stored one: converts it, applies the patch and converts it back.
    async fn patch_version(
        &self,
        name: &str,
        dry_run: bool,
        patch: &Patch,
        subresource: Subresource,
    ) -> Result<Response, Status> {
        let served = self.resource.served;
        let mut retries = MAX_PATCH_RETRIES;
        loop {
            let old = self.resource.api.control.get(&self.resource.key(name)).await?;
            let Some(patched) = served.patch(&old, patch) else {
                return Err(Status::internal("the object is served in its stored version"));
            };
            let body = patched?;
            served.validate(&body, Some(&old))?;
            match self.update(name, dry_run, Update::Replace { body, subresource }).await {
                // The object may have changed since it was read.
                Err(status) if status.reason == Reason::Conflict && retries > 0 => retries -= 1,
                answer => return answer,
            }
        }
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) -> Result<Response, Status> {
        let representation = self.resource.representation(ResponseKind::Object)?;
        let DeleteRequest { options, dry_run } =
            DeleteRequest::parse(&self.resource.params, self.media, &self.body).await?;
        let kind = self.resource.served.kind;
        if options.propagation.is_none() {
            self.warnings.extend(kind.propagation_warning().map(String::from).into_iter().collect());
        }
        match self.control(dry_run).delete(&self.resource.key(name), options).await? {
            DeleteResult::Marked(object) => representation.object_response(&object),
            DeleteResult::Removed(object) if kind.returns_deleted_object() => representation.object_response(&object),
            DeleteResult::Removed(object) => self.success(StatusCode::OK, Some(&object)),
        }
    }

    /// Deletes the selected objects, or a page of them, and responds with the list of them.
    pub async fn delete_collection(&self) -> Result<Response, Status> {
        let representation = self.resource.representation(ResponseKind::List)?;
        let (items, metadata) = self.resource.select_page().await?;
        let DeleteRequest { options, dry_run } =
            DeleteRequest::parse(&self.resource.params, self.media, &self.body).await?;
        let control = self.control(dry_run);
        for object in &items {
            match control.delete(&object.key, options.clone()).await {
                Err(status) if status.reason != Reason::NotFound => return Err(status),
                _ => {}
            }
        }
        representation.list_response(&items, &metadata)
    }

    /// Binds a pod to a node on behalf of a scheduler.
    pub async fn bind(&self, name: &str) -> Result<Response, Status> {
        let options = WriteOptions::parse("CreateOptions", &self.resource.params)?;
        let format = body::format_of(self.media)?;
        let binding = body::decode::<Binding>("v1", "Binding", format, &self.body).await?.object;
        if binding.metadata.name.as_deref() != Some(name) {
            return Err(Status::new(Reason::BadRequest, "name in URL does not match name in Binding object"));
        }
        if let Some(kind) = binding.target.kind.filter(|kind| !["", "Node"].contains(&kind.as_str())) {
            let message = format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\"");
            return Err(Status::new(Reason::BadRequest, message));
        }
        let node = binding.target.name.unwrap_or_default();
        if node.is_empty() {
            return Err(Status::new(Reason::BadRequest, "target.name: Required value"));
        }
        let preconditions = Preconditions { uid: binding.metadata.uid, revision: None };
        let update = Update::Bind { node };
        self.control(options.dry_run).update(&self.resource.key(name), update, preconditions).await?;
        self.success(StatusCode::CREATED, None)
    }

    /// Evicts a pod, as `kubectl drain` requests. Disruption budgets are not supported yet.
    pub async fn evict(&self, name: &str) -> Result<Response, Status> {
        let options = WriteOptions::parse("CreateOptions", &self.resource.params)?;
        let versions = ["policy/v1", "policy/v1beta1"];
        let format = body::format_of(self.media)?;
        let eviction =
            body::decode_any_version::<EvictionBody>(&versions, "Eviction", format, &self.body).await?.object;
        let namespace = eviction.metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        if namespace.is_some_and(|namespace| Some(namespace) != self.resource.namespace) {
            return Err(identity::namespace_mismatch());
        }
        if eviction.metadata.name.as_deref() != Some(name) {
            return Err(Status::new(Reason::BadRequest, "name in URL does not match name in Eviction object"));
        }
        let key = self.resource.key(name);
        let pod = self.resource.api.control.get(&key).await?;
        let delete_options =
            serde_json::to_vec(&eviction.delete_options.unwrap_or_default()).map_err(Status::internal)?;
        let DeleteRequest { options: deletion, dry_run } =
            DeleteRequest::parse(&self.resource.params, None, &delete_options.into()).await?;
        let control = self.control(options.dry_run || dry_run);
        let pod = pod.decode::<Pod>().map_err(Status::internal)?;
        if !pods::is_terminal(&pod) && pod.metadata.deletion_timestamp.is_none() {
            self.add_disruption_condition(&*control, &key, &pod).await?;
        }
        control.delete(&key, deletion).await?;
        self.success(StatusCode::CREATED, None)
    }

    /// Adds the condition `DisruptionTarget` to the pod's status (K25).
    async fn add_disruption_condition(&self, control: &dyn ControlPlane, key: &Key, pod: &Pod) -> Result<(), Status> {
        let now = self.resource.api.clock.now().wall;
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": pods::api_time(now),
            "observedGeneration": pod.metadata.generation,
        });
        let body = json!({"status": {"conditions": [condition]}}).to_string().into_bytes();
        let patch = Patch { kind: PatchKind::StrategicMerge, body, field_validation: FieldValidation::Ignore };
        let update = Update::Patch { patch, subresource: Subresource::Status };
        control.update(key, update, Preconditions::default()).await.map(drop)
    }

    async fn update(&self, name: &str, dry_run: bool, update: Update) -> Result<Response, Status> {
        let representation = self.resource.representation(ResponseKind::Object)?;
        let key = self.resource.key(name);
        let subresource = match &update {
            Update::Replace { subresource, .. } | Update::Patch { subresource, .. } => Some(*subresource),
            Update::PodStatus(_) | Update::Bind { .. } => None,
        };
        if subresource == Some(Subresource::EphemeralContainers) {
            self.check_ephemeral_support(&key, update.clone()).await?;
        }
        let kind = self.resource.served.kind;
        let has_warnings = subresource == Some(Subresource::Main) && key.resource != Resource::PODS;
        let old = if has_warnings { self.resource.api.control.get(&key).await.ok() } else { None };
        let object = self.control(dry_run).update(&key, update, Preconditions::default()).await?;
        if let Some(old) = old {
            self.warnings.extend(kind.warnings_on_update(&old, &object));
        }
        if subresource == Some(Subresource::Scale) {
            return self.resource.scale_response(&object);
        }
        if subresource == Some(Subresource::Status) && object.key.resource == Resource::PODS {
            let pod = object.decode::<Pod>().map_err(Status::internal)?;
            self.warnings.extend(pod.status.as_ref().map(warnings::warnings_on_status_update).unwrap_or_default());
        }
        representation.object_response(&object)
    }

    /// Returns a `Status` of success, with details of the object.
    fn success(&self, code: StatusCode, object: Option<&Object>) -> Result<Response, Status> {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        if let Some(fields) = status.as_object_mut() {
            match object {
                Some(Object { key, json, .. }) => {
                    let uid = serde_json::from_slice::<OnlyMetadata>(json).ok().and_then(|object| object.metadata.uid);
                    let mut details = json!({"name": &*key.name, "kind": key.resource.plural(), "uid": uid});
                    if let (false, Some(details)) = (key.resource.group().is_empty(), details.as_object_mut()) {
                        details.insert("group".into(), key.resource.group().into());
                    }
                    fields.insert("details".into(), details);
                }
                None => drop(fields.insert("code".into(), code.as_u16().into())),
            }
        }
        let encoding = accept::negotiate_status(self.resource.accept).unwrap_or(Encoding::Json);
        let response = representation::encoded(encoding, status.to_string().into_bytes(), "v1", "Status")?;
        Ok(with_status_code(response, code))
    }

    fn control(&self, dry_run: bool) -> Arc<dyn ControlPlane> {
        let control = &self.resource.api.control;
        if dry_run { control.dry_run() } else { control.clone() }
    }

    /// Decodes the object in the body and handles ignored fields as the client requested.
    async fn decode_body(&self, field_validation: FieldValidationMode) -> Result<Body, Status> {
        let served = self.resource.served;
        let mut decoded = body::decode_served(served, body::format_of(self.media)?, &self.body).await?;
        let ignored_fields = std::mem::take(&mut decoded.ignored_fields);
        self.report_ignored_fields(served.kind_name(), field_validation, ignored_fields)?;
        if let Some(owners) = &mut decoded.object.metadata_mut().owner_references {
            let duplicates = identity::dedup_owner_references(
                owners,
                |owner| owner.uid.clone(),
                identity::DedupStage::BeforeAdmission,
            );
            self.warnings.extend(duplicates.into_iter().collect());
        }
        Ok(decoded.object)
    }

    /// Handles ignored fields as the client requested.
    fn report_ignored_fields(&self, kind: &str, mode: FieldValidationMode, fields: Vec<String>) -> Result<(), Status> {
        match mode {
            FieldValidationMode::Ignore => Ok(()),
            FieldValidationMode::Warn => {
                self.warnings.extend(fields);
                Ok(())
            }
            FieldValidationMode::Strict => body::reject_ignored_fields(kind, &fields),
        }
    }

    /// Sets the namespace of a new object to that of the URL, which must exist.
    async fn set_namespace(&self, new: &mut Body) -> Result<(), Status> {
        let Some(namespace) = self.resource.namespace else { return Ok(()) };
        let own = new.metadata_mut().namespace.get_or_insert_default();
        if own.is_empty() {
            *own = namespace.into();
        } else if own != namespace {
            return Err(identity::namespace_mismatch());
        }
        let key = Key::new(Resource::NAMESPACES, "", namespace);
        let stored = self.resource.api.control.get(&key).await?;
        let stored = stored.decode::<Namespace>().map_err(Status::internal)?;
        match stored.metadata.deletion_timestamp {
            Some(_) if self.resource.served.kind.is_stored() => {
                let name = new.metadata().name.clone().unwrap_or_default();
                Err(terminating_namespace(&new.resource().qualified_name(), &name, namespace))
            }
            _ => Ok(()),
        }
    }

    /// Rejects unsupported fields and warns of ignored ones.
    fn check_support(&self, pod: &Pod) -> Result<(), Status> {
        self.report_support(pod, field_support::check(pod))
    }

    /// Does the same for the ephemeral containers that `update` leads to.
    async fn check_ephemeral_support(&self, key: &Key, update: Update) -> Result<(), Status> {
        let object = self.control(true).update(key, update, Preconditions::default()).await?;
        let pod = object.decode::<Pod>().map_err(Status::internal)?;
        let mut fields = field_support::check(&pod);
        fields.retain(|field| field.field.starts_with("spec.ephemeralContainers["));
        self.report_support(&pod, fields)
    }

    fn report_support(&self, pod: &Pod, fields: Vec<UnsupportedField>) -> Result<(), Status> {
        let (rejected, ignored): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.support.rejects_pod());
        let messages = |fields: Vec<UnsupportedField>| -> Vec<String> {
            fields.into_iter().map(|UnsupportedField { field, support }| format!("{field}: {support}")).collect()
        };
        if rejected.is_empty() {
            self.warnings.extend(messages(ignored));
            return Ok(());
        }
        let mut fields = messages(rejected);
        let more = fields.len().saturating_sub(MAX_REPORTED_FIELDS);
        if more > 0 {
            fields.truncate(MAX_REPORTED_FIELDS);
            fields.push(format!("and {more} more"));
        }
        let remedy = if is_node_debugger(pod) { NODE_DEBUGGER_REMEDY } else { "" };
        Err(Status::forbidden("pods", pods::name(pod), fields.join(", ") + remedy))
    }
}

/// Maximum number of unsupported fields that an error lists.
const MAX_REPORTED_FIELDS: usize = 10;
/// What to do instead of `kubectl debug node/NAME`.
const NODE_DEBUGGER_REMEDY: &str = "; to debug this node, use a shell of its machine; to debug a pod, \
    `kubectl debug -it POD --image=busybox`";

/// Returns whether `kubectl debug node/NAME` asks for this pod, to reach the machine through it.
fn is_node_debugger(pod: &Pod) -> bool {
    pods::name(pod).starts_with("node-debugger-") && pod.spec.as_ref().is_some_and(|spec| spec.host_pid == Some(true))
}

/// Returns the error of an object that is created in a namespace while it is deleted.
fn terminating_namespace(resource: &str, name: &str, namespace: &str) -> Status {
    let reason = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let message = format!("namespace {namespace} is being terminated");
    let cause = Cause { reason: "NamespaceTerminating", message, field: "metadata.namespace".into() };
    Status::forbidden(resource, name, reason).with_causes(vec![cause])
}

/// Number of times that a patch of another version is applied anew after a conflict.
const MAX_PATCH_RETRIES: usize = 5;

/// Maximum number of characters of all warnings of a response; beyond it each is truncated. As in Kubernetes.
const MAX_WARNING_CHARS: usize = 4096;
/// Number of characters of a truncated warning.
const TRUNCATED_WARNING_CHARS: usize = 256;

/// Adds `Warning` headers to a response, without duplicates.
pub fn with_warnings(mut response: Response, warnings: Vec<String>) -> Response {
    let mut unique: Vec<&String> = Vec::new();
    for warning in &warnings {
        if !unique.contains(&warning) {
            unique.push(warning);
        }
    }
    let max_chars = match unique.iter().map(|warning| warning.chars().count()).sum::<usize>() {
        0..=MAX_WARNING_CHARS => MAX_WARNING_CHARS,
        _ => TRUNCATED_WARNING_CHARS,
    };
    let mut written = 0;
    for warning in unique {
        if written >= MAX_WARNING_CHARS {
            break;
        }
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let truncated: String = warning.chars().take(max_chars).map(printable).collect();
        written += truncated.chars().count();
        let text = truncated.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn with_status_code(mut response: Response, code: StatusCode) -> Response {
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_deduplicated_and_truncated() {
        let lengths = |warnings: Vec<String>| -> Vec<usize> {
            let response = with_warnings(crate::apiserver::response::json("{}"), warnings);
            response.headers().get_all(header::WARNING).iter().map(|value| value.len() - "299 - \"\"".len()).collect()
        };
        let long = |letter: &str| letter.repeat(3000);
        assert_eq!(lengths(vec!["a".into(), "b\"".into(), "a".into()]), [1, 3]);
        assert_eq!(lengths(vec![long("a"), "b".into(), long("a")]), [3000, 1]);
        assert_eq!(lengths(vec![long("a"), "b".into(), long("c")]), [256, 1, 256]);
        assert_eq!(lengths((0..40).map(|i| format!("{i:300}")).collect()).len(), 16);
    }
}
