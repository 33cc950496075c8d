//! Resource limits of this process.

use anyhow::ensure;
use rustix::process::{Resource, getrlimit};

/// Minimum address space in GiB: each guest reserves 4 GiB for its memory, most of which it never uses.
const MIN_ADDRESS_SPACE_GIB: u64 = 6;

/// Checks that this process may reserve the memory of a guest.
///
/// # Errors
///
/// Fails if the limit of the address space is too low.
pub fn check_address_space() -> anyhow::Result<()> {
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
