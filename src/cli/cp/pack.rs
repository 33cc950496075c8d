//! Writes local files to an archive.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tar::{Builder, EntryType, Header};

/// Writes the file or directory at `source` to an archive, in which it is named `name`.
///
/// # Errors
///
/// Fails if a file cannot be read or the archive cannot be written.
pub fn pack(source: &Path, name: &Path, archive: impl Write) -> anyhow::Result<()> {
    let mut builder = Builder::new(archive);
    pack_path(&mut builder, source, name)?;
    builder.into_inner()?.flush()?;
    Ok(())
}

fn pack_path(builder: &mut Builder<impl Write>, path: &Path, name: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    let metadata = fs::symlink_metadata(path).with_context(unreadable)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        pack_directory(builder, path, name, &metadata)
    } else if kind.is_symlink() {
        let target = fs::read_link(path).with_context(unreadable)?;
        Ok(builder.append_link(&mut header(&metadata, EntryType::Symlink, 0), name, target)?)
    } else if kind.is_file() {
        let file = File::open(path).with_context(unreadable)?;
        let size = metadata.len();
        // The archive must have as many bytes as its header says, even if the file changes meanwhile.
        let content = file.chain(io::repeat(0)).take(size);
        Ok(builder.append_data(&mut header(&metadata, EntryType::Regular, size), name, content)?)
    } else {
        stderrln!("warning: skipping {path:?}: neither a file, a directory nor a link");
        Ok(())
    }
}

/// Writes the content of a directory, and the directory itself only if it is empty: others are created with their
/// content and keep their permissions if they exist, as with kubectl.
fn pack_directory(
    builder: &mut Builder<impl Write>,
    path: &Path,
    name: &Path,
    metadata: &Metadata,
) -> anyhow::Result<()> {
    let entries = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let mut children: Vec<_> =
        io::Result::<Vec<_>>::with_context(entries, || format!("cannot read {}", path.display()))?;
    if children.is_empty() {
        builder.append_data(&mut header(metadata, EntryType::Directory, 0), name, io::empty())?;
    }
    children.sort();
    for child in children {
        let name: PathBuf = if name == Path::new(".") { child.clone().into() } else { name.join(&child) };
        pack_path(builder, &path.join(&child), &name)?;
    }
    Ok(())
}

fn header(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_has_files_links_and_empty_directories() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("in");
        let long = "long".repeat(50);
        fs::create_dir_all(source.join("sub dir")).expect("created");
        fs::create_dir(source.join("empty")).expect("created");
        fs::write(source.join("sub dir").join(&long), "text").expect("written");
        std::os::unix::fs::symlink("sub dir", source.join("link")).expect("linked");
        let mut bytes = Vec::new();
        pack(&source, Path::new("out"), &mut bytes).expect("packed");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("content");
            let link = entry.link_name().expect("a link").map(|target| target.display().to_string());
            (entry.path().expect("a path").display().to_string(), link, content)
        });
        let entry = |path: &str, link: Option<&str>, content: &str| (path.into(), link.map(Into::into), content.into());
        assert_eq!(
            entries.collect::<Vec<(String, Option<String>, String)>>(),
            [
                entry("out/empty", None, ""),
                entry("out/link", Some("sub dir"), ""),
                entry(&format!("out/sub dir/{long}"), None, "text"),
            ]
        );
    }
}
