//! Short time slices for threads that others wait for.
//!
//! Guests that compute keep all processors busy. Linux lets their threads finish a slice of some milliseconds before a thread
//! runs that an event has woken, such as one that serves a connection. A woken thread with a shorter slice runs at once
//! (EEVDF, since Linux 6.12); its part of the processor time stays the same.

use rustix::process::getpriority_process;

/// The slice of such a thread in nanoseconds: the least that Linux takes.
const SLICE_NANOS: u64 = 100_000;

/// Shortens the time slice of the calling thread. Does nothing where the system does not know such slices.
pub fn shorten_time_slice() {
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: 0, // SCHED_OTHER
        sched_flags: 0,
        // The nice value stays.
        sched_nice: getpriority_process(None).unwrap_or(0),
        sched_priority: 0,
        sched_runtime: SLICE_NANOS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of the structure, and changes nothing but the scheduling of this thread.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "cannot shorten a thread's time slice");
    }
}
