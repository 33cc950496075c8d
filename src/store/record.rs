//! The encoding of what the database holds: versions of objects, and the state of the store, each with a checksum.

use std::str;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::history::{LostRevisions, ObjectChange};
use crate::control::{ChangeKind, Key, Object, Resource, Revision};

/// The version of the format that this program writes.
pub(super) const FORMAT: u32 = 1;

/// A record cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes are not those that were written.
    #[error("{0} is damaged")]
    Damaged(String),
    /// The record is of a kind that this program does not have.
    #[error("revision {revision} is an object of the unknown kind {kind}")]
    UnknownKind {
        /// The revision of the object.
        revision: Revision,
        /// Group and resource: `apps/deployments`.
        kind: String,
    },
}

/// Finds the resource with a group and a plural name.
pub type FindResource<'r> = &'r dyn Fn(&str, &str) -> Option<Resource>;

/// A version of an object: a change and the revision of the version before it.
///
/// Encoded as checksum, whether it is a deletion, revision before (0 without one), length of the key, key
/// (`group/resource/namespace/name`), JSON. Integers are little-endian; the checksum covers the revision as well.
#[derive(Debug)]
pub(super) struct Version {
    pub object: Arc<Object>,
    pub is_deletion: bool,
    pub previous: Revision,
}

const CHECKSUM: usize = 4;
/// Checksum, deletion, revision before, length of the key.
const HEAD: usize = CHECKSUM + 1 + 8 + 2;

/// Returns the key of a version in the database: revisions sort as numbers.
pub(super) fn version_key(revision: Revision) -> [u8; 8] {
    revision.to_be_bytes()
}

/// Returns the number of bytes that `change` takes, and its key as text.
pub(super) fn version_size(change: &ObjectChange) -> (usize, String) {
    let Key { resource, namespace, name } = &change.object.key;
    let key = format!("{}/{}/{namespace}/{name}", resource.group(), resource.plural());
    (HEAD + key.len() + change.object.json.len(), key)
}

/// Writes `change` into `buffer`, which has the size of [`version_size`].
pub(super) fn write_version(change: &ObjectChange, key: &str, buffer: &mut [u8]) {
    let previous = change.previous.as_ref().map_or(0, |previous| previous.revision);
    // Names and namespaces have at most 253 bytes.
    let key_length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let parts: [&[u8]; 5] = [
        &[u8::from(change.kind == ChangeKind::Deleted)],
        &previous.to_le_bytes(),
        &key_length.to_le_bytes(),
        key.as_bytes(),
        &change.object.json,
    ];
    let checksum = checksum(change.revision(), &parts);
    let mut rest = buffer;
    for part in [&checksum.to_le_bytes()[..]].into_iter().chain(parts) {
        let Some((head, tail)) = rest.split_at_mut_checked(part.len()) else { return };
        head.copy_from_slice(part);
        rest = tail;
    }
}

/// Reads the version at `revision`.
pub(super) fn read_version(
    revision: Revision,
    bytes: &[u8],
    find_resource: FindResource<'_>,
) -> Result<Version, RecordError> {
    let damaged = || RecordError::Damaged(format!("the object of revision {revision}"));
    let (checked, body) = split_checksum(bytes).ok_or_else(damaged)?;
    if checksum(revision, &[body]) != checked {
        return Err(damaged());
    }
    let (head, rest) = body.split_at_checked(HEAD - CHECKSUM).ok_or_else(damaged)?;
    let (deletion, numbers) = head.split_first().ok_or_else(damaged)?;
    let (previous, key_length) = numbers.split_first_chunk::<8>().ok_or_else(damaged)?;
    let key_length = key_length.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes)).ok_or_else(damaged)?;
    let (key, json) = rest.split_at_checked(key_length.into()).ok_or_else(damaged)?;
    let mut parts = str::from_utf8(key).map_err(|_| damaged())?.split('/');
    let mut part = || parts.next().ok_or_else(damaged);
    let (group, plural, namespace, name) = (part()?, part()?, part()?, part()?);
    let unknown = || RecordError::UnknownKind { revision, kind: format!("{group}/{plural}") };
    let resource = find_resource(group, plural).ok_or_else(unknown)?;
    let key = Key::new(resource, namespace, name);
    Ok(Version {
        object: Arc::new(Object::stored(key, revision, Bytes::copy_from_slice(json))),
        is_deletion: *deletion != 0,
        previous: Revision::from_le_bytes(*previous),
    })
}

/// What the database says of the store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateRecord {
    pub format: u32,
    /// The newest revision in the database.
    pub revision: Revision,
    /// All changes after this revision are in the database, but for the lost ones.
    pub oldest: Revision,
    /// No larger revision has been answered.
    pub reserved: Revision,
    /// Whether the store was closed in order, so that no revision after the newest one has been answered.
    pub is_closed: bool,
    pub lost: Vec<LostRevisions>,
}

impl StateRecord {
    pub fn encode(&self) -> Vec<u8> {
        // A record of numbers always encodes.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = checksum(0, &[&json]).to_le_bytes().to_vec();
        bytes.extend_from_slice(&json);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<StateRecord, RecordError> {
        let damaged = || RecordError::Damaged("the record of the newest revision".into());
        let (checked, json) = split_checksum(bytes).ok_or_else(damaged)?;
        if checksum(0, &[json]) != checked {
            return Err(damaged());
        }
        serde_json::from_slice(json).map_err(|_| damaged())
    }
}

fn checksum(revision: Revision, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&revision.to_le_bytes());
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

fn split_checksum(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM>()?;
    Some((u32::from_le_bytes(*checksum), rest))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::control::UnversionedObject;

    fn find(group: &str, plural: &str) -> Option<Resource> {
        [Resource::PODS, Resource::EVENTS].into_iter().find(|r| (r.group(), r.plural()) == (group, plural))
    }

    fn encoded(change: &ObjectChange) -> Vec<u8> {
        let (size, key) = version_size(change);
        let mut bytes = vec![0; size];
        write_version(change, &key, &mut bytes);
        bytes
    }

    fn change(resource: Resource, revision: Revision) -> ObjectChange {
        let object = UnversionedObject::encode(&Pod::default()).expect("a pod encodes");
        let object = Arc::new(object.with_revision(Key::new(resource, "ns", "a"), revision));
        ObjectChange { kind: ChangeKind::Deleted, object: object.clone(), previous: Some(object) }
    }

    #[test]
    fn versions_are_read_as_written() {
        let change = change(Resource::PODS, 7);
        let read = read_version(7, &encoded(&change), &find).expect("readable");
        assert_eq!((&read.object.key, read.object.revision), (&change.object.key, 7));
        assert_eq!((&read.object.json, read.is_deletion, read.previous), (&change.object.json, true, 7));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let bytes = encoded(&change(Resource::PODS, 7));
        let damaged = RecordError::Damaged("the object of revision 7".into());
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert_eq!(read_version(7, &changed, &find).expect_err("damaged"), damaged, "byte {position}");
            assert_eq!(read_version(7, &bytes[..position], &find).expect_err("cut"), damaged, "cut at {position}");
        }
        assert!(read_version(8, &bytes, &find).is_err(), "of another revision");
    }

    #[test]
    fn objects_of_unknown_kinds_are_named() {
        let error = read_version(7, &encoded(&change(Resource::NODES, 7)), &find).expect_err("unknown");
        assert_eq!(error.to_string(), "revision 7 is an object of the unknown kind /nodes");
    }

    #[test]
    fn state_is_read_as_written() {
        let lost = vec![LostRevisions { after: 3, until: 9 }];
        let state = StateRecord { format: FORMAT, revision: 9, oldest: 2, reserved: 99, is_closed: true, lost };
        let mut bytes = state.encode();
        assert_eq!(StateRecord::decode(&bytes), Ok(state));
        bytes[9] ^= 1;
        assert!(StateRecord::decode(&bytes).is_err());
    }
}
