//! Files of WASI 0.3 components.

use wasmtime::component::{Accessor, Linker, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptorWithStore, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemResult;

use super::{is_read_only, open_file};
use crate::runtime::host::Host;

/// Replaces a function that changes the mount of its first descriptor, and that of `target`.
macro_rules! replace_change {
    ($types:ident, $name:literal, $method:ident($($argument:ident: $ty:ty),*) $(to $target:ident)?) => {
        $types.func_wrap_concurrent(
            concat!("[method]descriptor.", $name),
            |accessor, (descriptor, $($argument),*): (Resource<Descriptor>, $($ty),*)| {
                Box::pin(async move {
                    let read_only = accessor.with(|mut store| {
                        let table = &store.data_mut().table;
                        wasmtime::error::Ok(is_read_only(table, &descriptor)? $(|| is_read_only(table, &$target)?)?)
                    })?;
                    if read_only {
                        return Ok((Err(ErrorCode::ReadOnly),));
                    }
                    let files = accessor.with_getter::<WasiFilesystem>(Host::filesystem);
                    answer(WasiFilesystem::$method(&files, descriptor, $($argument),*).await)
                })
            },
        )?
    };
}

/// Replaces wasmtime-wasi's functions that open and change files.
pub(in crate::runtime) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.3.0")?;
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
    replace_change!(types, "symlink-at", symlink_at(target_path: String, path: String));
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
    types.func_wrap_concurrent("[method]descriptor.open-at", |accessor, arguments| {
        Box::pin(async move { Ok((open_at(accessor, arguments).await?,)) })
    })
}

type OpenArguments = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

async fn open_at(
    accessor: &Accessor<Host>,
    (directory, path_flags, path, open, flags): OpenArguments,
) -> wasmtime::Result<Result<Resource<Descriptor>, ErrorCode>> {
    let writes = open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
        || flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
    let refused = accessor.with(|mut store| {
        let host = store.data_mut();
        wasmtime::error::Ok(if writes && is_read_only(&host.table, &directory)? {
            Some(ErrorCode::ReadOnly)
        } else {
            host.mounts.open_files().check().err().map(|_| ErrorCode::InsufficientMemory)
        })
    })?;
    if let Some(refused) = refused {
        return Ok(Err(refused));
    }
    let files = accessor.with_getter::<WasiFilesystem>(Host::filesystem);
    let (opened,) = answer(WasiFilesystem::open_at(&files, directory, path_flags, path, open, flags).await)?;
    if let Ok(opened) = &opened {
        accessor.with(|mut store| {
            let host = store.data_mut();
            host.mounts.open_files().add(open_file(&host.table, opened)?);
            wasmtime::error::Ok(())
        })?;
    }
    Ok(opened)
}

/// Returns the result of a function in the form in which a guest receives it.
fn answer<T>(result: FilesystemResult<T>) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
