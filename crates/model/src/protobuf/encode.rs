//! Objects, lists and watch events in Kubernetes' protobuf, byte for byte as a Go server writes them.
//!
//! Reads JSON text, with keys in any order, and writes to the end of a buffer of the caller. After an error, the buffer
//! is as it was.

use super::encoder::Encoder;
use super::schema::{Cardinality, MessageId, Schema, ValueType};
use super::wire_writer::{insert_length, write_bytes, write_bytes_tag, write_length};
use super::{Envelope, PREFIX, ProtobufError};

/// The error of an object that cannot be written as protobuf.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The kind has no protobuf form.
    #[error("{kind} of {api_version} has no protobuf form")]
    UnknownKind {
        /// The API version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The JSON does not describe an object of this kind.
    #[error("the JSON is not an object of this kind")]
    InvalidJson(#[from] serde_json::Error),
    /// The JSON is not text.
    #[error("the JSON is not valid UTF-8")]
    InvalidUtf8(#[from] std::str::Utf8Error),
}

/// Returns whether a kind has a protobuf form. Custom resources and Tables have none.
pub fn has_schema(api_version: &str, kind: &str) -> bool {
    Schema::get().message_of_kind(api_version, kind).is_some()
}

/// Writes an object in its envelope. The version and kind in the JSON are ignored, as are fields that the kind lacks.
///
/// # Errors
/// Returns an error if the kind has no protobuf form, or the JSON is not an object of this kind.
pub fn encode_object(api_version: &str, kind: &str, json: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let message = message_of_kind(api_version, kind)?;
    let json = std::str::from_utf8(json)?;
    let start = out.len();
    write_type_meta(api_version, kind, out);
    if let Err(error) = Encoder::new(Schema::get(), out).write_field(RAW, message, json) {
        out.truncate(start);
        return Err(error.into());
    }
    write_encoding(out);
    Ok(())
}

/// Writes the frame of a watch event with an object.
///
/// # Errors
/// Returns an error if [`encode_object`] does.
pub fn encode_watch_event(
    event_type: &str,
    api_version: &str,
    kind: &str,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    encode_object(api_version, kind, json, out)?;
    let header = watch_event_header(event_type, out.len() - start);
    out.splice(start..start, header);
    Ok(())
}

/// Writes the frame of a watch event, given the envelope that [`encode_object`] has written of its object.
pub fn frame_watch_event(event_type: &str, envelope: &[u8], out: &mut Vec<u8>) {
    out.extend(watch_event_header(event_type, envelope.len()));
    out.extend_from_slice(envelope);
}

/// Returns what is before the envelope in the frame of a watch event: the frame's length, and a `WatchEvent` whose last
/// field is a `RawExtension` with the envelope.
fn watch_event_header(event_type: &str, envelope: usize) -> Vec<u8> {
    let mut raw = Vec::new();
    write_bytes_tag(&mut raw, 1);
    write_length(&mut raw, envelope);
    let mut header = vec![0; 4];
    write_bytes(&mut header, 1, event_type.as_bytes());
    write_bytes_tag(&mut header, 2);
    write_length(&mut header, raw.len() + envelope);
    header.extend(raw);
    let length = u32::try_from(header.len() - 4 + envelope).unwrap_or(u32::MAX);
    header.splice(..4, length.to_be_bytes());
    header
}

/// Writes a list in its envelope, one item after the other.
///
/// ```
/// # use wasmpod_model::protobuf::{EncodeError, ListEncoder};
/// # fn main() -> Result<(), EncodeError> {
/// let mut list = ListEncoder::new("v1", "PodList", br#"{"resourceVersion": "7"}"#, Vec::new())?;
/// list.push(br#"{"metadata": {"name": "web"}}"#)?;
/// let body = list.finish();
/// assert!(body.starts_with(b"k8s\0"));
/// # Ok(())
/// # }
/// ```
pub struct ListEncoder {
    out: Vec<u8>,
    /// Where the list's message begins, once its length is known.
    start: usize,
    items: u16,
    item: MessageId,
}

impl ListEncoder {
    /// Begins a list at the end of `out`. `kind` is the list's, such as `PodList`; `metadata` is a `ListMeta` as JSON.
    ///
    /// # Errors
    /// Returns an error if the kind is not a list that has a protobuf form, or the metadata is not valid.
    pub fn new(api_version: &str, kind: &str, metadata: &[u8], mut out: Vec<u8>) -> Result<ListEncoder, EncodeError> {
        let schema = Schema::get();
        let fields = schema.fields(message_of_kind(api_version, kind)?);
        let field = |name: &str| fields.iter().find(|field| field.name == name).map(|field| (field, field.value_type));
        let (Some((metadata_field, ValueType::Message(list_meta))), Some((items_field, ValueType::Message(item)))) =
            (field("metadata"), field("items"))
        else {
            return Err(unknown_kind(api_version, kind));
        };
        if items_field.cardinality != Cardinality::List {
            return Err(unknown_kind(api_version, kind));
        }
        write_type_meta(api_version, kind, &mut out);
        write_bytes_tag(&mut out, RAW);
        let start = out.len();
        let metadata = std::str::from_utf8(metadata)?;
        Encoder::new(schema, &mut out).write_field(metadata_field.number, list_meta, metadata)?;
        Ok(ListEncoder { out, start, items: items_field.number, item })
    }

    /// Writes the next item, an object as JSON. After an error, the list is as it was.
    ///
    /// # Errors
    /// Returns an error if the JSON is not an object of the items' kind.
    pub fn push(&mut self, json: &[u8]) -> Result<(), EncodeError> {
        let json = std::str::from_utf8(json)?;
        let start = self.out.len();
        if let Err(error) = Encoder::new(Schema::get(), &mut self.out).write_field(self.items, self.item, json) {
            self.out.truncate(start);
            return Err(error.into());
        }
        Ok(())
    }

    /// Writes the next item, which [`encode_object`] has written before.
    ///
    /// # Errors
    /// Returns an error if `envelope` is not an envelope.
    pub fn push_encoded(&mut self, envelope: &[u8]) -> Result<(), ProtobufError> {
        let Envelope { message, .. } = Envelope::read(envelope)?;
        write_bytes(&mut self.out, self.items, message);
        Ok(())
    }

    /// Returns the buffer with the complete list.
    pub fn finish(mut self) -> Vec<u8> {
        insert_length(&mut self.out, self.start);
        write_encoding(&mut self.out);
        self.out
    }
}

/// Writes a list in its envelope: [`ListEncoder`] with all items at once.
///
/// # Errors
/// Returns the errors of [`ListEncoder`].
pub fn encode_list<'j>(
    api_version: &str,
    kind: &str,
    metadata: &[u8],
    items: impl IntoIterator<Item = &'j [u8]>,
) -> Result<Vec<u8>, EncodeError> {
    let mut list = ListEncoder::new(api_version, kind, metadata, Vec::new())?;
    items.into_iter().try_for_each(|item| list.push(item))?;
    Ok(list.finish())
}

/// The number of the object's message in the envelope.
const RAW: u16 = 2;

fn message_of_kind(api_version: &str, kind: &str) -> Result<MessageId, EncodeError> {
    Schema::get().message_of_kind(api_version, kind).ok_or_else(|| unknown_kind(api_version, kind))
}

fn unknown_kind(api_version: &str, kind: &str) -> EncodeError {
    EncodeError::UnknownKind { api_version: api_version.into(), kind: kind.into() }
}

/// Writes the beginning of an envelope, up to the object's message.
fn write_type_meta(api_version: &str, kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(PREFIX);
    write_bytes_tag(out, 1);
    let start = out.len();
    write_bytes(out, 1, api_version.as_bytes());
    write_bytes(out, 2, kind.as_bytes());
    insert_length(out, start);
}

/// Writes the end of an envelope: content encoding and content type, which Go leaves empty.
fn write_encoding(out: &mut Vec<u8>) {
    write_bytes(out, 3, b"");
    write_bytes(out, 4, b"");
}
