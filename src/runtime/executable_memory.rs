//! Whether this process may make memory executable, as compiled programs need.

use std::io;
use std::ptr;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;

/// Makes a page executable, and frees it.
///
/// # Errors
/// Returns why the system does not permit that, such as systemd's `MemoryDenyWriteExecute`.
pub fn check_executable_memory() -> io::Result<()> {
    let (length, flags) = (page_size(), ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: the kernel chooses the address, so that no existing memory is affected; nothing refers to the page, which is
    // not executed, and is unmapped once.
    #[allow(unsafe_code)]
    unsafe {
        let page = mmap_anonymous(ptr::null_mut(), length, flags, MapFlags::PRIVATE)?;
        let result = mprotect(page, length, MprotectFlags::READ | MprotectFlags::EXEC);
        munmap(page, length)?;
        Ok(result?)
    }
}
