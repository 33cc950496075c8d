//! Answers writes to read-only mounts as Linux does ("Read-only file system").
//!
//! wasmtime-wasi answers that they are not permitted. This replaces its answers to WASI 0.2 components; those to core
//! modules and WASI 0.3 components stay.

use wasmtime::component::{Linker, Resource};
use wasmtime::{StoreContextMut, component::LinkerInstance};
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor, NewTimestamp, OpenFlags, PathFlags,
};

use super::host::Host;

/// Replaces a function that changes the mount of its first descriptor, and that of `target`.
macro_rules! replace_change {
    ($types:ident, $name:literal, $method:ident($($argument:ident: $ty:ty),*) $(to $target:ident)?) => {
        $types.func_wrap_async(
            concat!("[method]descriptor.", $name),
            |mut store: StoreContextMut<'_, Host>, (descriptor, $($argument),*): (Resource<Descriptor>, $($ty),*)| {
                Box::new(async move {
                    let mut files = store.data_mut().filesystem();
                    if is_read_only(&files, &descriptor)? $(|| is_read_only(&files, &$target)?)? {
                        return Ok((Err(ErrorCode::ReadOnly),));
                    }
                    answer(files.$method(descriptor, $($argument),*).await)
                })
            },
        )?
    };
}

/// Replaces wasmtime-wasi's functions that change files.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    replace_open(&mut types)?;
    replace_change!(types, "create-directory-at", create_directory_at(path: String));
    replace_change!(types, "remove-directory-at", remove_directory_at(path: String));
    replace_change!(types, "unlink-file-at", unlink_file_at(path: String));
    replace_change!(types, "rename-at", rename_at(from: String, target: Resource<Descriptor>, to: String) to target);
    replace_change!(
        types,
        "link-at",
        link_at(flags: PathFlags, from: String, target: Resource<Descriptor>, to: String) to target
    );
    replace_change!(
        types,
        "set-times-at",
        set_times_at(flags: PathFlags, path: String, accessed: NewTimestamp, modified: NewTimestamp)
    );
    replace_change!(types, "set-times", set_times(accessed: NewTimestamp, modified: NewTimestamp));
    replace_change!(types, "set-size", set_size(size: u64));
    Ok(())
}

/// Replaces `open-at`, which may create and truncate files.
fn replace_open(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    type Arguments = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, Host>, (directory, path_flags, path, open, flags): Arguments| {
            Box::new(async move {
                let mut files = store.data_mut().filesystem();
                let writes = open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
                    || flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
                if writes && is_read_only(&files, &directory)? {
                    return Ok((Err(ErrorCode::ReadOnly),));
                }
                answer(files.open_at(directory, path_flags, path, open, flags).await)
            })
        },
    )
}

/// Returns whether a descriptor belongs to a read-only mount.
pub(super) fn is_read_only(
    files: &WasiFilesystemCtxView<'_>,
    descriptor: &Resource<Descriptor>,
) -> wasmtime::Result<bool> {
    let perms = match files.table.get(descriptor)? {
        Descriptor::File(file) => file.perms,
        Descriptor::Dir(directory) => directory.perms,
    };
    Ok(matches!(perms, FsPerms::ReadOnly))
}

/// Returns the result of a function in the form in which a guest receives it.
pub(super) fn answer<T>(result: FsResult<T>) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
