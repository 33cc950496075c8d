//! Objects in Kubernetes' protobuf (`application/vnd.kubernetes.protobuf`), read as JSON text and written from it.
//!
//! Owns the envelope (`k8s\0` and a `runtime.Unknown`), the frames of watch events, the wire format and the schema of
//! Kubernetes 1.36. The JSON of a body is what Go would have written of the same object, so that it takes the same way
//! as any other JSON body. What is written is, byte for byte, what Go would have written of the same JSON.

mod encode;
mod encoder;
mod field_value;
mod json;
mod layout;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
mod wire;
pub(crate) mod wire_writer;

use serde::de::DeserializeOwned;

pub use self::encode::{
    EncodeError, ListEncoder, encode_list, encode_object, encode_watch_event, frame_watch_event, has_schema,
};
use self::json::JsonWriter;
use self::schema::Schema;
use self::wire::{WireField, WireReader};
use super::decode::{DecodeError, Decoded, TextFormat, decode_object};

/// The bytes at the beginning of every body.
const PREFIX: &[u8] = b"k8s\0";

/// The error of a body that cannot be read. The messages are those of Kubernetes' decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// There is no body.
    #[error("empty data")]
    EmptyData,
    /// The body does not begin as it must.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    MissingPrefix,
    /// The body ends after its beginning.
    #[error("empty body")]
    EmptyBody,
    /// A message ends within a value.
    #[error("unexpected EOF")]
    UnexpectedEnd,
    /// An integer has more than 64 bits.
    #[error("proto: integer overflow")]
    IntegerOverflow,
    /// A length has 64 bits.
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    /// A field has no valid number.
    #[error("proto: illegal tag {tag} (wire type {wire_type})")]
    IllegalTag {
        /// The number.
        tag: u64,
        /// The wire type beside it.
        wire_type: u8,
    },
    /// A wire type does not exist.
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    /// A group ends that has not begun.
    #[error("proto: unexpected end of group")]
    UnexpectedEndOfGroup,
    /// The value of a known field has another wire type.
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WrongWireType {
        /// The field's name in JSON.
        field: &'static str,
        /// The wire type of the value.
        wire_type: u8,
    },
    /// A string is not text.
    #[error("{0}: the string is not valid UTF-8")]
    InvalidUtf8(&'static str),
    /// A field of JSON text is not JSON.
    #[error("{0}: the value is not valid JSON")]
    InvalidJson(&'static str),
    /// A time is beyond the years that can be written.
    #[error("{0}: the time is out of range")]
    InvalidTime(&'static str),
    /// An integer or string is neither.
    #[error("{0}: impossible IntOrString.Type")]
    InvalidIntOrString(&'static str),
    /// Kubernetes has no such kind.
    #[error("the kind is not registered")]
    UnknownKind,
    /// Messages are nested too deeply.
    #[error("messages are nested too deeply")]
    TooDeep,
    /// The object is too large.
    #[error("the object is too large")]
    TooLarge,
}

/// The envelope of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'b> {
    /// The object's API version; may be empty.
    pub api_version: &'b str,
    /// The object's kind; may be empty.
    pub kind: &'b str,
    /// The object's message.
    message: &'b [u8],
}

impl<'b> Envelope<'b> {
    /// Reads the envelope in `body`, but not the object inside.
    pub fn read(body: &'b [u8]) -> Result<Envelope<'b>, ProtobufError> {
        let unknown = match body.strip_prefix(PREFIX) {
            None if body.is_empty() => return Err(ProtobufError::EmptyData),
            None => return Err(ProtobufError::MissingPrefix),
            Some([]) => return Err(ProtobufError::EmptyBody),
            Some(unknown) => unknown,
        };
        let mut envelope = Envelope { api_version: "", kind: "", message: &[] };
        for field in WireReader::new(unknown) {
            match field? {
                WireField { number: 1, value } => envelope.read_type_meta(value.bytes("typeMeta")?)?,
                WireField { number: 2, value } => envelope.message = value.bytes("raw")?,
                WireField { .. } => {}
            }
        }
        Ok(envelope)
    }

    fn read_type_meta(&mut self, type_meta: &'b [u8]) -> Result<(), ProtobufError> {
        for field in WireReader::new(type_meta) {
            match field? {
                WireField { number: 1, value } => self.api_version = value.string("apiVersion")?,
                WireField { number: 2, value } => self.kind = value.string("kind")?,
                WireField { .. } => {}
            }
        }
        Ok(())
    }

    /// Returns the object as JSON. Fields that the schema lacks are ignored, as Go ignores them.
    ///
    /// # Errors
    /// Returns an error if the kind does not exist, or its message is broken or too large.
    pub fn to_json(&self) -> Result<String, ProtobufError> {
        let schema = Schema::get();
        let id = schema.message_of_kind(self.api_version, self.kind).ok_or(ProtobufError::UnknownKind)?;
        JsonWriter::new(schema).write_object(self.api_version, self.kind, id, self.message)
    }
}

/// Decodes `body` as a `T`, which is a `kind` of `version`; the envelope may omit both.
pub fn decode_protobuf<T: DeserializeOwned>(
    version: &str,
    kind: &'static str,
    body: &[u8],
) -> Result<Decoded<T>, DecodeError> {
    decode_object(version, kind, TextFormat::Json, &json_of(version, kind, body)?)
}

/// Returns the JSON of an object in `body`, which is a `kind` of `version`.
fn json_of(version: &str, kind: &str, body: &[u8]) -> Result<String, DecodeError> {
    let mut envelope = Envelope::read(body).map_err(|error| DecodeError::NotAnObject(error.to_string()))?;
    if envelope.api_version.is_empty() {
        envelope.api_version = version;
    }
    if envelope.kind.is_empty() {
        envelope.kind = kind;
    }
    if (envelope.api_version, envelope.kind) != (version, kind) {
        return Err(DecodeError::WrongKind { version: envelope.api_version.into(), kind: envelope.kind.into() });
    }
    envelope.to_json().map_err(|error| DecodeError::InvalidValues(vec![error.to_string()]))
}
