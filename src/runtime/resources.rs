//! `wasmpod:resources`: memory and file systems of the container, as its programs see them (`wit/resources`).

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::host::Host;
use crate::files::MountUsage;

const INTERFACE: &str = "wasmpod:resources/resources@0.1.0";

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Memory {
    limit: u64,
    used: u64,
    available: u64,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Mount {
    path: String,
    #[component(name = "read-only")]
    read_only: bool,
    size: u64,
    free: u64,
    available: u64,
    inodes: u64,
    #[component(name = "free-inodes")]
    free_inodes: u64,
}

impl From<MountUsage> for Mount {
    fn from(usage: MountUsage) -> Mount {
        let MountUsage { mount_path: path, read_only, size, free, available, inodes, free_inodes } = usage;
        Mount { path, read_only, size, free, available, inodes, free_inodes }
    }
}

/// Adds the interface to the component linker.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get-memory", |store, (): ()| {
        let memory = store.data().account.memory();
        Ok((Memory { limit: memory.limit, used: memory.used, available: memory.available },))
    })?;
    interface.func_wrap_async("list-mounts", |store, (): ()| Box::new(list_mounts(store)))
}

async fn list_mounts(store: StoreContextMut<'_, Host>) -> wasmtime::Result<(Vec<Mount>,)> {
    let mounts = Arc::clone(&store.data().mounts);
    // The disk may be slow.
    let usages = tokio::task::spawn_blocking(move || mounts.usages()).await?;
    let mut mounts: Vec<Mount> = usages.unwrap_or_default().into_iter().map(Mount::from).collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((mounts,))
}
