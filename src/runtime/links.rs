//! Absolute links, which wasmtime-wasi refuses to make.
//!
//! A container's programs expect `ln -s /etc/x y` to work. What such a link leads to is another matter:
//! wasmtime-wasi follows none, and whoever of us goes through a guest's folders neither. Only components of
//! WASI 0.2 can make them.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor};

use super::host::Host;
use crate::files;

type Made = Result<(), ErrorCode>;

/// Puts ours in the place of wasmtime-wasi's `symlink-at`.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap_async("[method]descriptor.symlink-at", |store, arguments| {
        Box::new(async move { Ok((symlink_at(store, arguments).await?,)) })
    })
}

async fn symlink_at(
    mut store: StoreContextMut<'_, Host>,
    (folder, target, at): (Resource<Descriptor>, String, String),
) -> wasmtime::Result<Made> {
    let mut files = store.data_mut().filesystem();
    if !target.starts_with('/') {
        return match files.symlink_at(folder, target, at).await {
            Ok(()) => Ok(Ok(())),
            Err(error) => error.downcast().map(Err),
        };
    }
    let folder = match files.table.get(&folder)? {
        Descriptor::Dir(dir) if matches!(dir.perms, FsPerms::ReadWrite) => Arc::clone(&dir.dir),
        Descriptor::Dir(_) => return Ok(Err(ErrorCode::NotPermitted)),
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    // The disk may be slow.
    let made = tokio::task::spawn_blocking(move || files::make_link(&folder, &target, &at)).await?;
    Ok(made.map_err(ErrorCode::from))
}
