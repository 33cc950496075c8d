//! Creates files from a container's archive below a local target, and nowhere else, whatever the archive contains.
//!
//! An entry is refused if its name is absolute or contains `..`, or if it is a link that leads out of the target. No
//! link is followed below the target, so that a link which exists there already does not lead out of it, either.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use tar::{Archive, Entry, EntryType};

use super::target_directory::TargetDirectory;
use crate::cli::exit::RequestFailed;

/// Maximum length of a name; names are held in memory.
const MAX_NAME: u64 = 64 * 1024;

/// Creates the file or directory `name` of `archive` at `target`. Returns the number of entries that it refused.
///
/// # Errors
///
/// Fails if the archive is not valid or a file cannot be written.
pub fn unpack(archive: impl Read, name: &str, target: &Path) -> anyhow::Result<usize> {
    let mut archive = Archive::new(archive);
    let mut unpacker =
        Unpacker { name: OsStr::new(name), target: target.into(), directory: None, is_first: true, refused: 0 };
    let (mut long_name, mut long_link) = (None, None);
    for entry in archive.entries().map_err(invalid)?.raw(true) {
        let mut entry = entry.map_err(invalid)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(read_text(&mut entry)?),
            EntryType::GNULongLink => long_link = Some(read_text(&mut entry)?),
            EntryType::XHeader => read_pax(&read_text(&mut entry)?, &mut long_name, &mut long_link),
            EntryType::XGlobalHeader => {}
            _ => {
                let path = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                let link = long_link.take().or_else(|| entry.link_name_bytes().map(|link| link.into_owned()));
                let link = link.unwrap_or_default();
                unpacker.add(&mut entry, Path::new(OsStr::from_bytes(&path)), Path::new(OsStr::from_bytes(&link)))?;
            }
        }
    }
    // The padding at the end: who writes the archive must be able to finish it.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(invalid)?;
    Ok(unpacker.refused)
}

fn invalid(error: io::Error) -> anyhow::Error {
    RequestFailed(format!("cannot read the container's archive: {error}")).into()
}

/// Reads the text of an entry that belongs to the next one, without the NUL at its end.
fn read_text(entry: &mut Entry<impl Read>) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let size = entry.size();
    if size > MAX_NAME || entry.read_to_end(&mut text).map_err(invalid)? as u64 != size {
        return Err(invalid(io::Error::new(io::ErrorKind::InvalidData, "a name is too long")));
    }
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// Reads name and link from extended headers (POSIX pax).
fn read_pax(records: &[u8], name: &mut Option<Vec<u8>>, link: &mut Option<Vec<u8>>) {
    for record in tar::PaxExtensions::new(records).flatten() {
        match record.key_bytes() {
            b"path" => *name = Some(record.value_bytes().into()),
            b"linkpath" => *link = Some(record.value_bytes().into()),
            _ => {}
        }
    }
}

struct Unpacker<'a> {
    /// The first part of all names; `.` if they have none.
    name: &'a OsStr,
    target: PathBuf,
    /// The target, once it is a directory.
    directory: Option<TargetDirectory>,
    is_first: bool,
    refused: usize,
}

impl Unpacker<'_> {
    fn add(&mut self, entry: &mut Entry<impl Read>, path: &Path, link: &Path) -> anyhow::Result<()> {
        let Some(parts) = self.parts_below_target(path) else {
            self.refuse(path, "its name leads out of the target");
            return Ok(());
        };
        let kind = entry.header().entry_type();
        let is_first = std::mem::take(&mut self.is_first);
        match kind {
            EntryType::Directory => self.directory()?.create_directory(&parts).with_context(|| unwritable(path)),
            EntryType::Regular | EntryType::Continuous => {
                let mut file = match parts.is_empty() {
                    true => self.create_target(is_first)?,
                    false => {
                        let mode = entry.header().mode().unwrap_or(0o644);
                        self.directory()?.create_file(&parts, mode).with_context(|| unwritable(path))?
                    }
                };
                copy(entry, &mut file, path)
            }
            EntryType::Symlink if leads_inside(&parts, link) => {
                self.directory()?.create_link(&parts, link).with_context(|| unwritable(path))
            }
            EntryType::Link => match self.parts_below_target(link).filter(|own| !own.is_empty() && !parts.is_empty()) {
                Some(existing) => {
                    self.directory()?.create_hard_link(&parts, &existing).with_context(|| unwritable(path))
                }
                None => {
                    self.refuse(path, "it is a link that leads out of the target");
                    Ok(())
                }
            },
            EntryType::Symlink => {
                self.refuse(path, &format!("it is a link to {link:?}, which is not in the target"));
                Ok(())
            }
            _ => {
                self.refuse(path, "it is neither a file, a directory nor a link");
                Ok(())
            }
        }
    }

    /// Returns the parts of a name after the one of the copied file or directory. Returns `None` if the name leads
    /// elsewhere.
    fn parts_below_target<'p>(&self, path: &'p Path) -> Option<Vec<&'p OsStr>> {
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(part) => parts.push(part),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        match parts.first() {
            _ if self.name == "." => Some(parts),
            Some(first) if *first == self.name => Some(parts.split_off(1)),
            Some(_) | None => None,
        }
    }

    /// Creates the target as a file; inside of the target if that is a directory.
    fn create_target(&self, is_first: bool) -> anyhow::Result<File> {
        let mut path = self.target.clone();
        if is_first && path.is_dir() {
            path.push(self.name);
        }
        create_parent(&path)?;
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))
    }

    /// Returns the target as a directory, which it creates if it does not exist.
    fn directory(&mut self) -> anyhow::Result<&TargetDirectory> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => {
                let path = &self.target;
                TargetDirectory::open(path).with_context(|| format!("cannot create {}", path.display()))?
            }
        };
        Ok(self.directory.insert(directory))
    }

    fn refuse(&mut self, path: &Path, reason: &str) {
        stderrln!("warning: skipping {path:?}: {reason}");
        self.refused += 1;
    }
}

fn unwritable(path: &Path) -> String {
    format!("cannot create {path:?} of the archive")
}

fn create_parent(path: &Path) -> anyhow::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))
}

fn copy(entry: &mut Entry<impl Read>, file: &mut File, path: &Path) -> anyhow::Result<()> {
    let size = entry.size();
    let copied = io::copy(entry, file).with_context(|| unwritable(path))?;
    if copied != size {
        return Err(invalid(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends early")));
    }
    Ok(())
}

/// Returns whether a symbolic link at `parts` leads to something in the target. `..` may only be at its beginning:
/// behind another link it would lead elsewhere than its text says.
fn leads_inside(parts: &[&OsStr], link: &Path) -> bool {
    let Some(depth) = parts.len().checked_sub(1) else { return false };
    let mut components = link.components().filter(|component| *component != Component::CurDir).peekable();
    let mut ups = 0;
    while components.next_if_eq(&Component::ParentDir).is_some() {
        ups += 1;
    }
    !link.as_os_str().is_empty()
        && ups <= depth
        && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests;
