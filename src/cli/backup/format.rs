//! The format of backups: lines of JSON, a header first, then an object per line, and a checksum last.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::snapshot::Snapshot;
use crate::control::{Key, Object, Resource, Revision};
use crate::model::hex;
use crate::registry::kinds;

/// The version of the format that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
/// What the first line says of the file.
const FORMAT: &str = "wasmpod backup";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    format: String,
    version: u32,
    created: Timestamp,
    revision: Revision,
}

/// A line with an object, as stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'l> {
    group: &'l str,
    resource: &'l str,
    /// Marks Secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_secret: bool,
    #[serde(borrow)]
    object: &'l RawValue,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Footer {
    /// The number of objects.
    pub objects: usize,
    /// The number of Secrets among them.
    pub secrets: usize,
    /// Of all lines before, in hexadecimal.
    sha256: String,
}

/// A backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot read the file: {0}")]
    File(#[from] io::Error),
    #[error("this is not a backup of wasmpod")]
    Foreign,
    #[error("the backup has format {0}, and this version of wasmpod reads up to {VERSION}")]
    NewerFormat(u32),
    #[error("the backup is not complete: its last line is missing")]
    Truncated,
    #[error("the backup was changed or damaged: its checksum does not match")]
    Checksum,
    #[error("line {line}: {source}")]
    Line { line: usize, source: serde_json::Error },
    #[error("line {line}: this version of wasmpod has no kind {kind}; use the version that has written the backup")]
    UnknownKind { line: usize, kind: String },
    #[error("line {line}: the object has no name or no resourceVersion")]
    Unnamed { line: usize },
}

/// Writes a backup to a new file that only this user can read, durably.
pub fn write(path: &Path, snapshot: &Snapshot, created: Timestamp) -> io::Result<Footer> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = write_to(&file, snapshot, created).and_then(|footer| file.sync_all().map(|()| footer));
    if written.is_err() {
        // Half a backup is of no use.
        let _ = fs::remove_file(path);
    }
    written
}

fn write_to(file: impl Write, snapshot: &Snapshot, created: Timestamp) -> io::Result<Footer> {
    let mut output = HashedLines { file: BufWriter::new(file), hash: Sha256::new() };
    output.write(&Header { format: FORMAT.into(), version: VERSION, created, revision: snapshot.revision })?;
    let mut secrets = 0;
    for (resource, json) in &snapshot.objects {
        let is_secret = *resource == Resource::SECRETS;
        secrets += usize::from(is_secret);
        let object = serde_json::from_slice(json)?;
        output.write(&Line { group: resource.group(), resource: resource.plural(), is_secret, object })?;
    }
    let sha256 = hex::encode(&output.hash.clone().finalize());
    let footer = Footer { objects: snapshot.objects.len(), secrets, sha256 };
    output.write(&footer)?;
    output.file.flush()?;
    Ok(footer)
}

/// Lines of JSON with a checksum of them all.
struct HashedLines<W: Write> {
    file: BufWriter<W>,
    hash: Sha256,
}

impl<W: Write> HashedLines<W> {
    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.hash.update(&bytes);
        self.file.write_all(&bytes)
    }
}

/// The content of a backup.
#[derive(Debug)]
pub struct Backup {
    /// When it was written.
    pub created: Timestamp,
    /// The revision of the node.
    pub revision: Revision,
    /// All objects, at their revisions.
    pub objects: Vec<Arc<Object>>,
}

impl Backup {
    /// Reads and checks a backup.
    pub fn read(path: &Path) -> Result<Backup, BackupError> {
        let bytes = fs::read(path)?;
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let header: Header = lines.first().and_then(|line| decode(line)).ok_or(BackupError::Foreign)?;
        if header.format != FORMAT {
            return Err(BackupError::Foreign);
        }
        if header.version > VERSION {
            return Err(BackupError::NewerFormat(header.version));
        }
        let footer: Footer = lines.pop().and_then(decode).ok_or(BackupError::Truncated)?;
        let mut hash = Sha256::new();
        lines.iter().for_each(|line| hash.update(line));
        if hex::encode(&hash.finalize()) != footer.sha256 {
            return Err(BackupError::Checksum);
        }
        let objects = lines.iter().enumerate().skip(1).map(|(index, line)| read_object(index + 1, line));
        let objects = objects.collect::<Result<_, _>>()?;
        Ok(Backup { created: header.created, revision: header.revision, objects })
    }

    /// Returns the names of the objects of a resource.
    pub fn names(&self, resource: &Resource) -> Vec<String> {
        let objects = self.objects.iter().filter(|object| object.key.resource == *resource);
        objects.map(|object| object.key.name.to_string()).collect()
    }
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

fn read_object(line: usize, bytes: &[u8]) -> Result<Arc<Object>, BackupError> {
    #[derive(Deserialize)]
    struct Metadata {
        metadata: ObjectMeta,
    }
    let failed = |source| BackupError::Line { line, source };
    let Line { group, resource, object, .. } = serde_json::from_slice(bytes).map_err(failed)?;
    let unknown = || BackupError::UnknownKind { line, kind: format!("{group}/{resource}") };
    let resource = kinds::resource_of_names(group, resource).ok_or_else(unknown)?;
    let Metadata { metadata } = serde_json::from_str(object.get()).map_err(failed)?;
    let revision = metadata.resource_version.and_then(|version| version.parse().ok());
    let (Some(name), Some(revision)) = (metadata.name, revision) else { return Err(BackupError::Unnamed { line }) };
    let key = Key::new(resource, metadata.namespace.as_deref().unwrap_or_default(), &name);
    Ok(Arc::new(Object::stored(key, revision, object.get().as_bytes().to_vec().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let object = |resource: Resource, name: &str, revision: Revision| {
            let json =
                format!(r#"{{"metadata":{{"resourceVersion":"{revision}","name":"{name}","namespace":"default"}}}}"#);
            (resource, json.into())
        };
        Snapshot {
            revision: 12,
            objects: vec![object(Resource::CONFIG_MAPS, "settings", 3), object(Resource::SECRETS, "key", 7)],
        }
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b");
        let footer = write(&path, &snapshot(), "2026-01-01T00:00:00Z".parse().expect("a time")).expect("written");
        assert_eq!((footer.objects, footer.secrets), (2, 1));
        (directory, path)
    }

    #[test]
    fn backups_are_read_as_written() {
        let (_directory, path) = written();
        let backup = Backup::read(&path).expect("readable");
        assert_eq!((backup.revision, backup.created.to_string()), (12, "2026-01-01T00:00:00Z".into()));
        let objects: Vec<_> = backup.objects.iter().map(|o| (o.key.resource.clone(), o.json.clone())).collect();
        assert_eq!(objects, snapshot().objects);
        let keys: Vec<_> = backup.objects.iter().map(|o| (o.key.to_string(), o.revision)).collect();
        assert_eq!(keys, [("default/settings".to_string(), 3), ("default/key".to_string(), 7)]);
        let text = fs::read_to_string(&path).expect("text");
        let marked: Vec<bool> = text.lines().map(|line| line.contains(r#""isSecret":true"#)).collect();
        assert_eq!(marked, [false, false, true, false]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("metadata").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn changed_and_foreign_files_are_refused() {
        let (_directory, path) = written();
        let text = fs::read_to_string(&path).expect("text");
        let without_last: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        for (content, expected) in [
            (text.replace("settings", "sittings"), "the backup was changed or damaged: its checksum does not match"),
            (without_last, "the backup is not complete: its last line is missing"),
            (text[..text.len() - 9].to_string(), "the backup is not complete: its last line is missing"),
            (
                text.replace("\"version\":1", "\"version\":2"),
                "the backup has format 2, and this version of wasmpod reads up to 1",
            ),
            (String::new(), "this is not a backup of wasmpod"),
            ("kind: Pod\n".into(), "this is not a backup of wasmpod"),
        ] {
            fs::write(&path, content).expect("written");
            assert_eq!(Backup::read(&path).expect_err("refused").to_string(), expected);
        }
    }

    #[test]
    fn existing_file_is_kept() {
        let (_directory, path) = written();
        let error = write(&path, &snapshot(), Timestamp::UNIX_EPOCH).expect_err("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(Backup::read(&path).is_ok());
    }
}
