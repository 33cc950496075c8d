//! Encodes the objects of a response in the negotiated form: whole, as a table or as metadata; in JSON
//! or YAML; as an object, a list or the events of a watch.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;

use super::accept::{self, Encoding, MetaVersion, ObjectForm, ResponseFormat, ResponseKind};
use super::list_body::ListBody;
use super::partial;
use super::request::Params;
use super::response;
use super::served::ServedResource;
use super::tables::{self, IncludeObject, TableOptions};
use crate::control::{Object, Revision, Status};
use crate::model::{emit, protobuf};

/// The representation of one response.
pub struct Representation {
    served: ServedResource,
    format: ResponseFormat,
    include_object: IncludeObject,
    /// Whether the next table has column definitions; in a watch only the first one does.
    column_definitions: bool,
    now: Timestamp,
}

impl Representation {
    /// Negotiates the representation with a client that accepts `header`; ages are relative to `now`.
    pub fn negotiate(
        served: ServedResource,
        header: Option<&str>,
        response: ResponseKind,
        params: &Params,
        now: Timestamp,
    ) -> Result<Representation, Status> {
        let format = accept::negotiate_objects(served.kind_name(), header, response)?;
        if !served.kind.is_stored() && format.form != ObjectForm::Full {
            return Err(accept::not_acceptable());
        }
        let include_object = match format.form {
            ObjectForm::Table(_) => IncludeObject::parse(params.get("includeObject"))?,
            ObjectForm::Full | ObjectForm::Metadata(_) => IncludeObject::None,
        };
        Ok(Representation { served, format, include_object, column_definitions: true, now })
    }

    /// Returns whether objects are sent as they are stored, but for their encoding.
    fn sends_stored_objects(&self) -> bool {
        self.format.form == ObjectForm::Full && self.served.is_served_as_stored()
    }

    /// Returns the response with one object.
    pub fn object_response(&self, object: &Arc<Object>) -> Result<Response, Status> {
        match self.format.encoding {
            Encoding::Json if self.sends_stored_objects() => Ok(response::json(object.json.clone())),
            Encoding::Protobuf if self.sends_stored_objects() => {
                Ok(response::ok(Encoding::Protobuf.content_type(), self.stored_protobuf(object)?.to_vec()))
            }
            _ => self.respond(self.encode_object(object, self.now)?, self.kind_in_answer("")),
        }
    }

    /// Returns the response with a list; `metadata` is that of the list.
    pub fn list_response(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Response, Status> {
        let json = match self.format.form {
            ObjectForm::Full if self.format.encoding == Encoding::Json && self.sends_stored_objects() => {
                let body = ListBody::new(self.list_head(metadata)?, items.to_vec());
                return Ok(response::ok(response::JSON, Body::new(body)));
            }
            ObjectForm::Full if self.format.encoding == Encoding::Protobuf => {
                return Ok(response::ok(Encoding::Protobuf.content_type(), self.protobuf_list(items, metadata)?));
            }
            ObjectForm::Full => self.encode_list(items, metadata)?,
            ObjectForm::Table(version) => {
                tables::list(self.served, items, metadata, &self.table_options(version, self.now))?
            }
            ObjectForm::Metadata(version) => partial::list(items, metadata, version)?,
        };
        self.respond(json, self.kind_in_answer("List"))
    }

    /// Returns the `Content-Type` of a watch.
    pub fn stream_content_type(&self) -> &'static str {
        self.format.encoding.stream_content_type()
    }

    /// Appends one event of a watch.
    pub fn append_event(&mut self, event_type: &str, object: &Arc<Object>, now: Timestamp, out: &mut Vec<u8>) {
        if self.format.encoding == Encoding::Protobuf {
            let appended = match self.sends_stored_objects() {
                true => {
                    self.stored_protobuf(object).map(|envelope| protobuf::frame_watch_event(event_type, envelope, out))
                }
                false => self.encode_object(object, now).and_then(|json| self.append_frame(event_type, &json, out)),
            };
            return appended.unwrap_or_else(|status| self.append_error(&status, out));
        }
        let start = out.len();
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(event_type.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        let written = match self.format.form {
            ObjectForm::Full => {
                self.served.encode(object).map(|json| out.extend_from_slice(&json)).map_err(Status::internal)
            }
            _ => self.encode_object(object, now).map(|json| out.extend_from_slice(json.trim_ascii_end())),
        };
        self.column_definitions = false;
        match written {
            Ok(()) => out.extend_from_slice(b"}\n"),
            Err(status) => {
                out.truncate(start);
                self.append_error(&status, out);
            }
        }
    }

    /// Appends an event in protobuf.
    fn append_frame(&self, event_type: &str, json: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        let (version, kind) = self.kind_in_answer("");
        protobuf::encode_watch_event(event_type, &version, &kind, json, out).map_err(Status::internal)
    }

    /// Appends an `ERROR` event with `status`, the last event of a watch.
    pub fn append_error(&self, status: &Status, out: &mut Vec<u8>) {
        // A Status has only strings and numbers, which always serialize.
        let json = serde_json::to_vec(status).unwrap_or_default();
        if self.format.encoding == Encoding::Protobuf {
            if let Err(error) = protobuf::encode_watch_event("ERROR", "v1", "Status", &json, out) {
                tracing::error!(%error, "cannot encode a status");
            }
            return;
        }
        out.extend_from_slice(br#"{"type":"ERROR","object":"#);
        out.extend(json);
        out.extend_from_slice(b"}\n");
    }

    /// Appends a bookmark: all changes up to `revision` have been sent. `initial_end` marks the end of the initial
    /// objects.
    pub fn append_bookmark(&self, revision: Revision, initial_end: bool, out: &mut Vec<u8>) {
        let annotations = match initial_end {
            true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            false => "",
        };
        let metadata = format!(r#"{{"resourceVersion":"{revision}","creationTimestamp":null{annotations}}}"#);
        let object = match self.format.form {
            ObjectForm::Full => {
                let (version, kind) = (self.served.api_version(), self.served.kind_name());
                format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata}}}"#)
            }
            ObjectForm::Metadata(version) => {
                let version = version.api_version();
                format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":{metadata}}}"#)
            }
            ObjectForm::Table(version) => {
                let version = version.api_version();
                let head = format!(
                    r#"{{"kind":"Table","apiVersion":"{version}","metadata":{{"resourceVersion":"{revision}"}}"#
                );
                let partial =
                    format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":{metadata}}}"#);
                format!(r#"{head},"columnDefinitions":[],"rows":[{{"cells":[],"object":{partial}}}]}}"#)
            }
        };
        if self.format.encoding == Encoding::Protobuf {
            if let Err(status) = self.append_frame("BOOKMARK", object.as_bytes(), out) {
                self.append_error(&status, out);
            }
            return;
        }
        out.extend_from_slice(format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").as_bytes());
    }

    /// Encodes one object as JSON in the negotiated form.
    fn encode_object(&self, object: &Arc<Object>, now: Timestamp) -> Result<Vec<u8>, Status> {
        match self.format.form {
            ObjectForm::Full => self.served.encode(object).map(|json| json.into_owned()).map_err(Status::internal),
            ObjectForm::Table(version) => tables::single(self.served, object, &self.table_options(version, now)),
            ObjectForm::Metadata(version) => partial::single(object, version),
        }
    }

    fn table_options(&self, version: MetaVersion, now: Timestamp) -> TableOptions {
        TableOptions { version, include: self.include_object, column_definitions: self.column_definitions, now }
    }

    /// Returns the text of a list before its first object.
    fn list_head(&self, metadata: &ListMeta) -> Result<Vec<u8>, Status> {
        let (version, kind) = (self.served.api_version(), self.served.kind_name());
        let mut head = format!(r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":"#).into_bytes();
        serde_json::to_writer(&mut head, metadata).map_err(Status::internal)?;
        head.extend_from_slice(b",\"items\":[");
        Ok(head)
    }

    fn encode_list(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Vec<u8>, Status> {
        let mut out = self.list_head(metadata)?;
        for (i, object) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.served.encode(object).map_err(Status::internal)?);
        }
        out.extend_from_slice(b"]}\n");
        Ok(out)
    }

    fn protobuf_list(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Vec<u8>, Status> {
        let metadata = serde_json::to_vec(metadata).map_err(Status::internal)?;
        let (version, kind) = self.kind_in_answer("List");
        let mut list = protobuf::ListEncoder::new(&version, &kind, &metadata, Vec::new()).map_err(Status::internal)?;
        for object in items {
            if self.sends_stored_objects() {
                list.push_encoded(self.stored_protobuf(object)?).map_err(Status::internal)?;
            } else {
                list.push(&self.served.encode(object).map_err(Status::internal)?).map_err(Status::internal)?;
            }
        }
        Ok(list.finish())
    }

    /// Returns an object that is sent as it is stored, in protobuf.
    fn stored_protobuf<'o>(&self, object: &'o Object) -> Result<&'o [u8], Status> {
        let encode = |json: &[u8]| {
            let mut envelope = Vec::with_capacity(json.len());
            protobuf::encode_object(&self.served.api_version(), self.served.kind_name(), json, &mut envelope)?;
            Ok(envelope)
        };
        object.protobuf(encode).map_err(|error: protobuf::EncodeError| Status::internal(error))
    }

    /// Returns version and kind of the answer's objects, or with the suffix `List` of the list.
    fn kind_in_answer(&self, suffix: &str) -> (String, String) {
        match self.format.form {
            ObjectForm::Full => (self.served.api_version(), format!("{}{suffix}", self.served.kind_name())),
            ObjectForm::Table(version) => (version.api_version().into(), "Table".into()),
            ObjectForm::Metadata(version) => (version.api_version().into(), format!("PartialObjectMetadata{suffix}")),
        }
    }

    fn respond(&self, json: Vec<u8>, (version, kind): (String, String)) -> Result<Response, Status> {
        encoded(self.format.encoding, json, &version, &kind)
    }
}

/// Returns a response with `json`, a `kind` of `version`, in the given encoding.
pub fn encoded(encoding: Encoding, json: Vec<u8>, version: &str, kind: &str) -> Result<Response, Status> {
    match encoding {
        Encoding::Json => Ok(response::json(json)),
        Encoding::Protobuf => {
            let mut body = Vec::with_capacity(json.len());
            protobuf::encode_object(version, kind, &json, &mut body).map_err(Status::internal)?;
            Ok(response::ok(encoding.content_type(), body))
        }
        Encoding::Yaml => {
            let value: serde_json::Value = serde_json::from_slice(&json).map_err(Status::internal)?;
            Ok(response::ok(encoding.content_type(), emit::to_yaml(&value)))
        }
    }
}
