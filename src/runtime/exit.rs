//! The exit of a guest: codes as Kubernetes shows them, traps as readable messages.

use std::fmt::Write;

use wasmtime::{GcHeapOutOfMemory, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// The exit of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It returned from its entry point or called exit.
    Code(u8),
    /// It crashed.
    Trap {
        /// 128 + n, where n is the signal that would have killed a native program.
        code: u8,
        /// The trap and, if known, the guest's call stack.
        message: String,
    },
    /// It exceeded the memory limit of its container.
    OutOfMemory,
    /// It was killed.
    Killed,
    /// It was asked to terminate and does not handle termination itself.
    Terminated,
    /// It was ended by Ctrl-C on its terminal.
    Interrupted,
    /// It could not be started.
    StartError {
        /// The error with all its causes.
        message: String,
    },
}

impl Exit {
    /// Returns the exit code that Kubernetes shows: 0 to 255, 128 + n for signal n.
    pub fn code(&self) -> i32 {
        match self {
            Exit::Code(code) | Exit::Trap { code, .. } => i32::from(*code),
            Exit::OutOfMemory | Exit::Killed => 137,
            Exit::Terminated => 143,
            Exit::Interrupted => 130,
            Exit::StartError { .. } => 128,
        }
    }

    /// Returns the reason that Kubernetes shows with the code (K45).
    pub fn reason(&self) -> &'static str {
        match self {
            Exit::Code(0) => "Completed",
            Exit::Code(_) | Exit::Trap { .. } | Exit::Killed | Exit::Terminated | Exit::Interrupted => "Error",
            Exit::OutOfMemory => "OOMKilled",
            Exit::StartError { .. } => "StartError",
        }
    }

    /// Returns details beyond code and reason.
    pub fn message(&self) -> Option<&str> {
        match self {
            Exit::Trap { message, .. } | Exit::StartError { message } => Some(message),
            Exit::Code(_) | Exit::OutOfMemory | Exit::Killed | Exit::Terminated | Exit::Interrupted => None,
        }
    }
}

/// The container's memory limit is reached; unwinds the guest.
#[derive(Debug, thiserror::Error)]
#[error("the container's memory limit is reached")]
pub struct OutOfMemory;

/// A p1 guest called `proc_exit`; unwinds the guest.
#[derive(Debug, thiserror::Error)]
#[error("exit with code {0}")]
pub struct ProcExit(pub i32);

/// Converts the error that ended a guest.
pub fn exit_from_error(error: &wasmtime::Error) -> Exit {
    // As in POSIX, a parent sees the low byte of the code.
    let low_byte = |code: i32| Exit::Code(code.to_le_bytes()[0]);
    if let Some(ProcExit(code)) = error.downcast_ref() {
        return low_byte(*code);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return low_byte(*code);
    }
    // Garbage-collected objects count as memory; collecting freed too little.
    if error.is::<OutOfMemory>() || error.is::<GcHeapOutOfMemory<()>>() {
        return Exit::OutOfMemory;
    }
    Exit::Trap { code: trap_exit_code(error.downcast_ref()), message: trap_message(error) }
}

/// Returns 128 + n, where n is the signal that would have killed a native program.
fn trap_exit_code(trap: Option<&Trap>) -> u8 {
    match trap {
        Some(Trap::UnreachableCodeReached) => 134,
        Some(Trap::StackOverflow | Trap::MemoryOutOfBounds | Trap::TableOutOfBounds | Trap::HeapMisaligned) => 139,
        Some(Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger) => 136,
        Some(_) | None => 134,
    }
}

/// Describes the trap and the guest's call stack, innermost frame first, with source positions if known.
fn trap_message(error: &wasmtime::Error) -> String {
    let mut message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return message };
    if backtrace.frames().iter().all(|frame| frame.func_name().is_none()) {
        message.push_str("\n    (no function names: the program was built stripped)");
        return message;
    }
    for frame in backtrace.frames() {
        let inlined: Vec<_> = frame.symbols().iter().map(|s| (s.name(), s.file(), s.line())).collect();
        let raw = [(frame.func_name(), None, None)];
        let symbols = if inlined.is_empty() { raw.as_slice() } else { inlined.as_slice() };
        for (name, file, line) in symbols {
            let name = name.or(frame.func_name()).map_or("<unknown function>".into(), demangled);
            let _ = write!(message, "\n    at {name}");
            if let (Some(file), Some(line)) = (file, line) {
                let _ = write!(message, " ({file}:{line})");
            }
        }
    }
    message
}

fn demangled(name: &str) -> String {
    // The alternate form leaves out the hash that the compiler appends.
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Formats an error and its causes on one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn exits_have_the_codes_and_reasons_of_containerd() {
        let no = || "no".to_string();
        for (exit, code, reason) in [
            (Exit::Code(0), 0, "Completed"),
            (Exit::Code(3), 3, "Error"),
            (Exit::Trap { code: 134, message: no() }, 134, "Error"),
            (Exit::OutOfMemory, 137, "OOMKilled"),
            (Exit::Killed, 137, "Error"),
            (Exit::Terminated, 143, "Error"),
            (Exit::Interrupted, 130, "Error"),
            (Exit::StartError { message: no() }, 128, "StartError"),
        ] {
            assert_eq!((exit.code(), exit.reason()), (code, reason), "{exit:?}");
        }
    }
}
