//! Host state of one instance, stored in its `wasmtime::Store`.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::filesystem::p1::ModuleFiles;
use super::http::DeniedHttp;
use super::memory::Memory;
use super::processes::VisibleProcesses;
use super::terminal::Terminal;
use super::termination_notice::TerminationNotice;
use crate::budget::Account;
use crate::clock::Clock;
use crate::files::{self, MountError, Mounts, TooManyOpenFiles};
use crate::network::Endpoint;

/// Host state of a component (p2, p3).
pub struct Host {
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) memory: Memory,
    pub(super) notice: Arc<TerminationNotice>,
    /// Terminal that the program is connected to.
    pub(super) terminal: Option<Arc<Terminal>>,
    /// Programs that the program sees.
    pub(super) processes: Arc<VisibleProcesses>,
    pub(super) clock: Clock,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) http: DeniedHttp,
    /// The container's files.
    pub(super) mounts: Arc<Mounts>,
    /// Whether the guest has asked for files.
    pub(super) has_opened_files: bool,
    /// The container's budget.
    pub(super) account: Arc<Account>,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Host state of a core module (p1).
pub struct ModuleHost {
    pub(super) wasi: WasiP1Ctx,
    pub(super) memory: Memory,
    pub(super) notice: Arc<TerminationNotice>,
    pub(super) clock: Clock,
    /// Standard input, opened when the guest first polls it.
    pub(super) stdin: Option<Resource<DynInputStream>>,
    /// The files that the guest has open.
    pub(super) files: ModuleFiles,
}

impl ModuleHost {
    /// Returns host state without a guest, for listing a linker's definitions.
    pub(super) fn detached() -> ModuleHost {
        let (wasi, clock, memory) = (WasiCtx::builder().build_p1(), Clock::system(), Memory::new(None, Arc::default()));
        ModuleHost { wasi, memory, notice: Arc::default(), clock, stdin: None, files: ModuleFiles::default() }
    }
}

/// Opens `mounts` as the guest's preopened directories. Returns whether each of them is read-only.
pub(super) fn preopen(wasi: &mut WasiCtxBuilder, mounts: &Mounts) -> Result<Vec<bool>, PreopenError> {
    files::check_descriptors()?;
    let opened = mounts.open()?;
    for mount in &opened {
        let perms = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        let opened = wasi.preopened_dir(mount.path(), &mount.mount_path, perms);
        opened.map_err(|source| PreopenError::Preopen {
            at: mount.mount_path.clone(),
            source: source.into_boxed_dyn_error(),
        })?;
    }
    Ok(opened.iter().map(|mount| mount.read_only).collect())
}

/// Errors of [`preopen`].
#[derive(Debug, thiserror::Error)]
pub enum PreopenError {
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("cannot open the container's files")]
    Descriptors(#[from] TooManyOpenFiles),
    #[error("cannot open {at}")]
    Preopen { at: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Host {
    /// Opens the mounts on first use, so that guests that never touch files hold no descriptors.
    fn open_files(&mut self) -> wasmtime::Result<()> {
        if !std::mem::replace(&mut self.has_opened_files, true) {
            let mut opened = WasiCtx::builder();
            preopen(&mut opened, &self.mounts)?;
            *self.wasi.filesystem() = opened.build().filesystem().clone();
        }
        Ok(())
    }

    fn directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.open_files()?;
        wasmtime_wasi::p2::bindings::filesystem::preopens::Host::get_directories(&mut self.filesystem())
    }
}

/// Replaces wasmtime-wasi's preopens with the lazily opened mounts, for p2 and p3.
pub(super) fn add_preopens_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    for interface in ["wasi:filesystem/preopens@0.2.12", "wasi:filesystem/preopens@0.3.0"] {
        let mut interface = linker.instance(interface)?;
        interface.func_wrap("get-directories", |mut store, (): ()| Ok((store.data_mut().directories()?,)))?;
    }
    Ok(())
}
