//! Absolute symbolic links, which wasmtime-wasi refuses to create.
//!
//! Programs in containers expect `ln -s /etc/x y` to work. Absolute links are never followed: neither by wasmtime-wasi nor
//! by wasmpod when it walks a guest's directories. Only WASI 0.2 components can create them.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor};

use super::filesystem::is_read_only;
use super::filesystem::p2::answer;
use super::host::Host;
use crate::files;

/// Replaces wasmtime-wasi's `symlink-at`.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap_async("[method]descriptor.symlink-at", |store, arguments| Box::new(symlink_at(store, arguments)))
}

async fn symlink_at(
    mut store: StoreContextMut<'_, Host>,
    (directory, target, at): (Resource<Descriptor>, String, String),
) -> wasmtime::Result<(Result<(), ErrorCode>,)> {
    let mut files = store.data_mut().filesystem();
    if is_read_only(files.table, &directory)? {
        return Ok((Err(ErrorCode::ReadOnly),));
    }
    if !target.starts_with('/') {
        return answer(files.symlink_at(directory, target, at).await);
    }
    let directory = match files.table.get(&directory)? {
        Descriptor::Dir(directory) => Arc::clone(&directory.dir),
        Descriptor::File(_) => return Ok((Err(ErrorCode::NotDirectory),)),
    };
    // The disk may be slow.
    let made = tokio::task::spawn_blocking(move || files::create_symlink(&directory, &target, &at)).await?;
    Ok((made.map_err(ErrorCode::from),))
}
