//! Files of core modules (p1).
//!
//! wasmtime-wasi keeps the descriptors of core modules to itself, so their numbers are followed here: those of the mounts,
//! of what is opened below them, and what is closed and renumbered.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use wasmtime::{AsContextMut, Caller, Extern, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as functions, WasiSnapshotPreview1};
use wiggle::GuestMemory;

use crate::files::{Mounts, OpenFile};
use crate::runtime::host::ModuleHost;

const P1: &str = "wasi_snapshot_preview1";

/// The number of the first mount, after the standard streams.
const FIRST_MOUNT: i32 = 3;

const ERRNO_SUCCESS: i32 = 0;
const ERRNO_MFILE: i32 = 33;
const ERRNO_ROFS: i32 = 69;

/// `oflags` of `path_open` that change a file.
const OFLAGS_CREAT_OR_TRUNC: i32 = 1 | 8;
/// The right to write.
const RIGHTS_FD_WRITE: i64 = 1 << 6;

/// The files that a core module has open.
#[derive(Default)]
pub struct ModuleFiles {
    mounts: Option<Arc<Mounts>>,
    open: HashMap<i32, ModuleFile>,
}

struct ModuleFile {
    read_only: bool,
    /// The mark by which the file counts; `None` for a mount.
    _counted: Option<Arc<()>>,
}

impl ModuleFiles {
    /// Returns the files of a module with these mounts, of which some are read-only.
    pub fn new(mounts: Arc<Mounts>, read_only: &[bool]) -> ModuleFiles {
        let open = read_only.iter().map(|read_only| ModuleFile { read_only: *read_only, _counted: None });
        ModuleFiles { mounts: Some(mounts), open: (FIRST_MOUNT..).zip(open).collect() }
    }

    fn is_read_only(&self, descriptor: i32) -> bool {
        self.open.get(&descriptor).is_some_and(|file| file.read_only)
    }

    fn may_open(&self) -> bool {
        self.mounts.as_ref().is_none_or(|mounts| mounts.open_files().check().is_ok())
    }

    fn opened(&mut self, descriptor: i32, below: i32) {
        let counted = Arc::new(());
        if let Some(mounts) = &self.mounts {
            let mark: Weak<dyn OpenFile> = Arc::downgrade(&counted) as Weak<dyn OpenFile>;
            mounts.open_files().add(mark);
        }
        self.open.insert(descriptor, ModuleFile { read_only: self.is_read_only(below), _counted: Some(counted) });
    }

    fn closed(&mut self, descriptor: i32) {
        self.open.remove(&descriptor);
    }

    fn renumbered(&mut self, from: i32, to: i32) {
        if from == to {
            return;
        }
        self.closed(to);
        if let Some(file) = self.open.remove(&from) {
            self.open.insert(to, file);
        }
    }
}

/// Replaces a function that changes files below `descriptor`s.
macro_rules! replace_change {
    ($linker:ident, $name:ident($($argument:ident: $ty:ty),*) of $($descriptor:ident),+) => {
        $linker.func_wrap_async(
            P1,
            stringify!($name),
            |mut caller: Caller<'_, ModuleHost>, ($($argument,)*): ($($ty,)*)| {
                Box::new(async move {
                    let files = &caller.data().files;
                    if [$($descriptor),+].into_iter().any(|descriptor| files.is_read_only(descriptor)) {
                        return Ok(ERRNO_ROFS);
                    }
                    let (mut memory, host) = guest(&mut caller)?;
                    functions::$name(&mut host.wasi, &mut memory, $($argument),*).await
                })
            },
        )?
    };
}

/// Replaces wasmtime-wasi's functions that open and change files.
pub(in crate::runtime) fn add_to_linker(linker: &mut Linker<ModuleHost>) -> wasmtime::Result<()> {
    replace_change!(linker, path_create_directory(fd: i32, path: i32, length: i32) of fd);
    replace_change!(linker, path_remove_directory(fd: i32, path: i32, length: i32) of fd);
    replace_change!(linker, path_unlink_file(fd: i32, path: i32, length: i32) of fd);
    replace_change!(
        linker,
        path_rename(fd: i32, from: i32, from_length: i32, target: i32, to: i32, to_length: i32) of fd, target
    );
    replace_change!(
        linker,
        path_link(fd: i32, flags: i32, from: i32, from_length: i32, target: i32, to: i32, to_length: i32) of fd, target
    );
    replace_change!(
        linker,
        path_symlink(target: i32, target_length: i32, fd: i32, path: i32, length: i32) of fd
    );
    replace_change!(
        linker,
        path_filestat_set_times(
            fd: i32, flags: i32, path: i32, length: i32, accessed: i64, modified: i64, times: i32
        ) of fd
    );
    replace_change!(linker, fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, times: i32) of fd);
    replace_change!(linker, fd_filestat_set_size(fd: i32, size: i64) of fd);
    linker.func_wrap_async(P1, "path_open", |caller, arguments| Box::new(path_open(caller, arguments)))?;
    linker.func_wrap_async(P1, "fd_close", |caller, arguments| Box::new(fd_close(caller, arguments)))?;
    linker.func_wrap_async(P1, "fd_renumber", |caller, arguments| Box::new(fd_renumber(caller, arguments)))?;
    Ok(())
}

/// Returns what wasmtime-wasi's functions need to work for the caller.
fn guest<'c>(caller: &'c mut Caller<'_, ModuleHost>) -> wasmtime::Result<(GuestMemory<'c>, &'c mut ModuleHost)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the program exports no memory");
    };
    let (bytes, host) = memory.data_and_store_mut(caller);
    host.wasi.set_hostcall_fuel(fuel);
    Ok((GuestMemory::Unshared(bytes), host))
}

type PathOpenArguments = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

async fn path_open(mut caller: Caller<'_, ModuleHost>, arguments: PathOpenArguments) -> wasmtime::Result<i32> {
    let (fd, lookup, path, length, oflags, rights, inherited, flags, opened) = arguments;
    let files = &caller.data().files;
    let writes = oflags & OFLAGS_CREAT_OR_TRUNC != 0 || rights & RIGHTS_FD_WRITE != 0;
    if writes && files.is_read_only(fd) {
        return Ok(ERRNO_ROFS);
    }
    if !files.may_open() {
        return Ok(ERRNO_MFILE);
    }
    let (mut memory, host) = guest(&mut caller)?;
    let errno = functions::path_open(
        &mut host.wasi,
        &mut memory,
        fd,
        lookup,
        path,
        length,
        oflags,
        rights,
        inherited,
        flags,
        opened,
    )
    .await?;
    if errno == ERRNO_SUCCESS {
        let number = memory.read(wiggle::GuestPtr::<u32>::new(opened.cast_unsigned()))?;
        host.files.opened(number.cast_signed(), fd);
    }
    Ok(errno)
}

async fn fd_close(mut caller: Caller<'_, ModuleHost>, (fd,): (i32,)) -> wasmtime::Result<i32> {
    let (mut memory, host) = guest(&mut caller)?;
    let errno = functions::fd_close(&mut host.wasi, &mut memory, fd).await?;
    if errno == ERRNO_SUCCESS {
        host.files.closed(fd);
    }
    Ok(errno)
}

async fn fd_renumber(mut caller: Caller<'_, ModuleHost>, (from, to): (i32, i32)) -> wasmtime::Result<i32> {
    let (mut memory, host) = guest(&mut caller)?;
    let errno = functions::fd_renumber(&mut host.wasi, &mut memory, from, to).await?;
    if errno == ERRNO_SUCCESS {
        host.files.renumbered(from, to);
    }
    Ok(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_followed_as_they_are_renumbered() {
        let mut files = ModuleFiles::default();
        files.open.insert(3, ModuleFile { read_only: false, _counted: None });
        files.open.insert(4, ModuleFile { read_only: true, _counted: None });
        files.opened(5, 3);
        files.opened(6, 4);
        assert_eq!([3, 4, 5, 6, 7].map(|number| files.is_read_only(number)), [false, true, false, true, false]);
        files.renumbered(6, 5);
        assert!(files.is_read_only(5) && !files.is_read_only(6));
        files.renumbered(5, 5);
        assert!(files.is_read_only(5));
        files.closed(5);
        assert!(!files.is_read_only(5));
    }
}
