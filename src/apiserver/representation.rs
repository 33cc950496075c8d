//! An answer's objects in the form that the client asked for: whole, as a table, as metadata;
//! in JSON or YAML; as a list, or as events of a watch.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;

use super::accept::{self, Answer, Asked, Encoding, MetaVersion, Shape};
use super::answer;
use super::list_body::ListBody;
use super::partial;
use super::request::Params;
use super::served::Served;
use super::tables::{self, Include, TableOptions};
use super::watch;
use crate::control::{Object, Revision, Status};
use crate::model::emit;

/// The form of one answer.
pub struct Representation {
    served: &'static Served,
    answer: Answer,
    include: Include,
    /// Whether the next table tells its columns; in a watch only the first does.
    headers: bool,
    now: Timestamp,
}

impl Representation {
    /// What a client gets that accepts `header`; `now` is what ages are told by.
    pub fn of(
        served: &'static Served,
        header: Option<&str>,
        asked: Asked,
        params: &Params,
        now: Timestamp,
    ) -> Result<Representation, Status> {
        let answer = accept::objects(served.resource.kind, header, asked)?;
        let include = match answer.shape {
            Shape::Table(_) => Include::of(params.get("includeObject"))?,
            Shape::Whole | Shape::Metadata(_) => Include::None,
        };
        Ok(Representation { served, answer, include, headers: true, now })
    }

    /// The answer with one object.
    pub fn one(&self, object: &Arc<Object>) -> Result<Response, Status> {
        match self.answer.shape {
            Shape::Whole if self.answer.encoding == Encoding::Json && self.served.is_stored_form() => {
                Ok(answer::json(object.json.clone()))
            }
            _ => self.encoded(self.json(object, self.now)?),
        }
    }

    /// The answer with a list; `metadata` is the list's own.
    pub fn list(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Response, Status> {
        let json = match self.answer.shape {
            Shape::Whole if self.answer.encoding == Encoding::Json && self.served.is_stored_form() => {
                let body = ListBody::new(self.list_head(metadata)?, items.to_vec());
                return Ok(answer::body(answer::JSON, Body::new(body)));
            }
            Shape::Whole => self.whole_list(items, metadata)?,
            Shape::Table(version) => tables::list(self.served, items, metadata, &self.table(version, self.now))?,
            Shape::Metadata(version) => partial::list(items, metadata, version)?,
        };
        self.encoded(json)
    }

    /// Appends one event of a watch.
    pub fn event(&mut self, word: &str, object: &Arc<Object>, now: Timestamp, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        let written = match self.answer.shape {
            Shape::Whole => {
                self.served.encode(object).map(|json| out.extend_from_slice(&json)).map_err(Status::internal)
            }
            _ => self.json(object, now).map(|json| out.extend_from_slice(json.trim_ascii_end())),
        };
        self.headers = false;
        match written {
            Ok(()) => out.extend_from_slice(b"}\n"),
            Err(status) => {
                out.truncate(begin);
                watch::error_event(&status, out);
            }
        }
    }

    /// Appends a bookmark: everything up to `revision` has been told. `initial_end` marks the end
    /// of what there was when the watch began.
    pub fn bookmark(&self, revision: Revision, initial_end: bool, out: &mut Vec<u8>) {
        let annotations = match initial_end {
            true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            false => "",
        };
        let metadata = format!(r#"{{"resourceVersion":"{revision}","creationTimestamp":null{annotations}}}"#);
        let object = match self.answer.shape {
            Shape::Whole => {
                let (version, kind) = (self.served.api_version(), self.served.resource.kind);
                format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata}}}"#)
            }
            Shape::Metadata(version) => {
                let version = version.api_version();
                format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":{metadata}}}"#)
            }
            Shape::Table(version) => {
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

    /// One object as JSON in the client's shape.
    fn json(&self, object: &Arc<Object>, now: Timestamp) -> Result<Vec<u8>, Status> {
        match self.answer.shape {
            Shape::Whole => self.served.encode(object).map(|json| json.into_owned()).map_err(Status::internal),
            Shape::Table(version) => tables::one(self.served, object, &self.table(version, now)),
            Shape::Metadata(version) => partial::one(object, version),
        }
    }

    fn table(&self, version: MetaVersion, now: Timestamp) -> TableOptions {
        TableOptions { version, include: self.include, headers: self.headers, now }
    }

    /// What comes before a list's first object.
    fn list_head(&self, metadata: &ListMeta) -> Result<Vec<u8>, Status> {
        let (version, kind) = (self.served.api_version(), self.served.resource.kind);
        let mut head = format!(r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":"#).into_bytes();
        serde_json::to_writer(&mut head, metadata).map_err(Status::internal)?;
        head.extend_from_slice(b",\"items\":[");
        Ok(head)
    }

    fn whole_list(&self, items: &[Arc<Object>], metadata: &ListMeta) -> Result<Vec<u8>, Status> {
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

    fn encoded(&self, json: Vec<u8>) -> Result<Response, Status> {
        encoded(self.answer.encoding, json)
    }
}

/// JSON as it is, or as YAML.
pub fn encoded(encoding: Encoding, json: Vec<u8>) -> Result<Response, Status> {
    match encoding {
        Encoding::Json => Ok(answer::json(json)),
        Encoding::Yaml => {
            let value: serde_json::Value = serde_json::from_slice(&json).map_err(Status::internal)?;
            Ok(answer::body(encoding.content_type(), emit::yaml(&value)))
        }
    }
}
