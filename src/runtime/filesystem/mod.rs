//! Files as guests see them, where wasmtime-wasi differs from Linux: writes to read-only mounts are answered with
//! "Read-only file system" instead of "Permission denied", and a container may open a limited number of files.

pub(super) mod p1;
pub(super) mod p2;
pub(super) mod p3;

use std::sync::{Arc, Weak};

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::Descriptor;

use crate::files::OpenFile;

/// Returns whether a descriptor belongs to a read-only mount.
pub(super) fn is_read_only(table: &ResourceTable, descriptor: &Resource<Descriptor>) -> wasmtime::Result<bool> {
    let perms = match table.get(descriptor)? {
        Descriptor::File(file) => file.perms,
        Descriptor::Dir(directory) => directory.perms,
    };
    Ok(matches!(perms, FsPerms::ReadOnly))
}

/// Returns the file of a descriptor, for counting.
fn open_file(table: &ResourceTable, descriptor: &Resource<Descriptor>) -> wasmtime::Result<Weak<dyn OpenFile>> {
    let file = match table.get(descriptor)? {
        Descriptor::File(file) => &file.file,
        Descriptor::Dir(directory) => &directory.dir,
    };
    let file = Arc::downgrade(file);
    Ok(file)
}
