//! Files of WASI 0.2 components.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor, NewTimestamp, OpenFlags, PathFlags,
};

use super::{is_read_only, open_file};
use crate::runtime::host::Host;

/// Replaces a function that changes the mount of its first descriptor, and that of `target`.
macro_rules! replace_change {
    ($types:ident, $name:literal, $method:ident($($argument:ident: $ty:ty),*) $(to $target:ident)?) => {
        $types.func_wrap_async(
            concat!("[method]descriptor.", $name),
            |mut store: StoreContextMut<'_, Host>, (descriptor, $($argument),*): (Resource<Descriptor>, $($ty),*)| {
                Box::new(async move {
                    let mut files = store.data_mut().filesystem();
                    if is_read_only(files.table, &descriptor)? $(|| is_read_only(files.table, &$target)?)? {
                        return Ok((Err(ErrorCode::ReadOnly),));
                    }
                    answer(files.$method(descriptor, $($argument),*).await)
                })
            },
        )?
    };
}

/// Replaces wasmtime-wasi's functions that open and change files.
pub(in crate::runtime) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
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
    types.func_wrap_async("[method]descriptor.open-at", |store, arguments| Box::new(open_at(store, arguments)))
}

type OpenArguments = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

async fn open_at(
    mut store: StoreContextMut<'_, Host>,
    (directory, path_flags, path, open, flags): OpenArguments,
) -> wasmtime::Result<(Result<Resource<Descriptor>, ErrorCode>,)> {
    let host = store.data_mut();
    let writes = open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
        || flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
    if writes && is_read_only(&host.table, &directory)? {
        return Ok((Err(ErrorCode::ReadOnly),));
    }
    if host.mounts.open_files().check().is_err() {
        // WASI 0.2 has no code for too many open files.
        return Ok((Err(ErrorCode::InsufficientMemory),));
    }
    let (opened,) = answer(host.filesystem().open_at(directory, path_flags, path, open, flags).await)?;
    if let Ok(opened) = &opened {
        host.mounts.open_files().add(open_file(&host.table, opened)?);
    }
    Ok((opened,))
}

/// Returns the result of a function in the form in which a guest receives it.
pub(in crate::runtime) fn answer<T>(result: FsResult<T>) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
