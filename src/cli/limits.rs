//! Resource limits of this process.

use anyhow::{anyhow, ensure};
use rustix::process::{Resource, getrlimit};

use crate::runtime::check_executable_memory;

/// Minimum address space in GiB: each guest reserves 4 GiB for its memory, most of which it never uses.
const MIN_ADDRESS_SPACE_GIB: u64 = 6;

/// Checks that this process may run guests.
///
/// # Errors
///
/// Fails if the limit of the address space is too low, or if memory cannot be made executable.
pub fn check_guest_limits() -> anyhow::Result<()> {
    check_address_space()?;
    check_executable_memory().map_err(|error| {
        anyhow!(
            "this process cannot make memory executable ({error}), as compiled programs need: set \
             `MemoryDenyWriteExecute=no` in its systemd unit, or lift what else forbids it (SELinux: execmem)"
        )
    })
}

/// Checks that this process may reserve the memory of a guest.
///
/// # Errors
///
/// Fails if the limit of the address space is too low.
fn check_address_space() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::As).current;
    let (kib, min) = (limit.map(|bytes| bytes >> 10), MIN_ADDRESS_SPACE_GIB);
    ensure!(
        limit.is_none_or(|bytes| bytes >= min << 30),
        "the address space of this process is limited to {} KiB: programs need at least {min} GiB of it, most of which \
         they only reserve; raise the limit (`ulimit -v unlimited`)",
        kib.unwrap_or_default()
    );
    Ok(())
}

/// Raises the limit of open files to its maximum: the files and connections of all guests count towards it.
pub fn raise_file_limit() {
    use rustix::process::{Rlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}
