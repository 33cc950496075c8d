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
use crate::model::emit;

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
        let include_object = match format.form {
            ObjectForm::Table(_) => IncludeObject::parse(params.get("includeObject"))?,
            ObjectForm::Full | ObjectForm::Metadata(_) => IncludeObject::None,
        };
        Ok(Representation { served, format, include_object, column_definitions: true, now })
    }

    /// Returns the response with one object.
    pub fn object_response(&self, object: &Arc<Object>) -> Result<Response, Status> {
        match self.format.form {
            ObjectForm::Full if self.format.encoding == Encoding::Json && self.served.is_served_as_stored() => {
                Ok(response::json(object.json.clone()))
            }
            _ => self.respond(self.encode_object(object, self.now)?),
        }
    }

    /// Returns the response with a list; `metadata` is that of the list.
    pub fn list_response(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Response, Status> {
        let json = match self.format.form {
            ObjectForm::Full if self.format.encoding == Encoding::Json && self.served.is_served_as_stored() => {
                let body = ListBody::new(self.list_head(metadata)?, items.to_vec());
                return Ok(response::ok(response::JSON, Body::new(body)));
            }
            ObjectForm::Full => self.encode_list(items, metadata)?,
            ObjectForm::Table(version) => {
                tables::list(self.served, items, metadata, &self.table_options(version, self.now))?
            }
            ObjectForm::Metadata(version) => partial::list(items, metadata, version)?,
        };
        self.respond(json)
    }

    /// Appends one event of a watch.
    pub fn append_event(&mut self, event_type: &str, object: &Arc<Object>, now: Timestamp, out: &mut Vec<u8>) {
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
                append_error_event(&status, out);
            }
        }
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

    fn respond(&self, json: Vec<u8>) -> Result<Response, Status> {
        encoded(self.format.encoding, json)
    }
}

/// Returns a response with `json` in the given encoding.
pub fn encoded(encoding: Encoding, json: Vec<u8>) -> Result<Response, Status> {
    match encoding {
        Encoding::Json => Ok(response::json(json)),
        Encoding::Yaml => {
            let value: serde_json::Value = serde_json::from_slice(&json).map_err(Status::internal)?;
            Ok(response::ok(encoding.content_type(), emit::to_yaml(&value)))
        }
    }
}

/// Appends an `ERROR` event with `status`, the last event of a watch.
pub fn append_error_event(status: &Status, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"ERROR","object":"#);
    // A Status has only strings and numbers, which always serialize.
    out.extend(serde_json::to_vec(status).unwrap_or_default());
    out.extend_from_slice(b"}\n");
}
