//! How a guest's end is told: exit codes as Kubernetes shows them, traps that can be read.

use std::fmt::Write;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It returned or called exit.
    Code(u8),
    /// It crashed; the message tells where.
    Trap {
        /// 128 + the signal that a native program would have died of.
        code: u8,
        /// What happened, and the guest's call stack where it is known.
        message: String,
    },
    /// It wanted more memory than its container may have.
    OutOfMemory,
    /// It was killed.
    Killed,
    /// It was asked to end and does not handle that itself.
    Terminated,
    /// It never ran.
    StartError {
        /// Why not, with all causes.
        message: String,
    },
}

impl Exit {
    /// The exit code that Kubernetes shows: 0 to 255, 128 + n for signal n.
    pub fn code(&self) -> i32 {
        match self {
            Exit::Code(code) | Exit::Trap { code, .. } => i32::from(*code),
            Exit::OutOfMemory | Exit::Killed => 137,
            Exit::Terminated => 143,
            Exit::StartError { .. } => 128,
        }
    }

    /// The reason that goes with it (K45).
    pub fn reason(&self) -> &'static str {
        match self {
            Exit::Code(0) => "Completed",
            Exit::Code(_) | Exit::Trap { .. } | Exit::Killed | Exit::Terminated => "Error",
            Exit::OutOfMemory => "OOMKilled",
            Exit::StartError { .. } => "StartError",
        }
    }

    /// What there is to say beside code and reason.
    pub fn message(&self) -> Option<&str> {
        match self {
            Exit::Trap { message, .. } | Exit::StartError { message } => Some(message),
            Exit::Code(_) | Exit::OutOfMemory | Exit::Killed | Exit::Terminated => None,
        }
    }
}

/// A container's memory limit was reached; ends the guest wherever it is.
#[derive(Debug, thiserror::Error)]
#[error("the container's memory limit is reached")]
pub struct OutOfMemory;

/// A p1 guest called `proc_exit`.
#[derive(Debug, thiserror::Error)]
#[error("exit with code {0}")]
pub struct ProcExit(pub i32);

/// The exit that `error` means.
pub fn of_error(error: &wasmtime::Error) -> Exit {
    // Codes above 255 do not exist; as in POSIX, the low byte is what a parent sees.
    let low_byte = |code: i32| Exit::Code(code.to_le_bytes()[0]);
    if let Some(ProcExit(code)) = error.downcast_ref() {
        return low_byte(*code);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return low_byte(*code);
    }
    if error.downcast_ref::<OutOfMemory>().is_some() {
        return Exit::OutOfMemory;
    }
    Exit::Trap { code: code_of_trap(error.downcast_ref()), message: trap_message(error) }
}

/// 128 + the signal that a native program would have died of.
fn code_of_trap(trap: Option<&Trap>) -> u8 {
    match trap {
        Some(Trap::UnreachableCodeReached) => 134,
        Some(Trap::StackOverflow | Trap::MemoryOutOfBounds | Trap::TableOutOfBounds | Trap::HeapMisaligned) => 139,
        Some(Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger) => 136,
        Some(_) | None => 134,
    }
}

/// What happened and the guest's call stack, innermost first, with places where it has them.
fn trap_message(error: &wasmtime::Error) -> String {
    let mut message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return message };
    if backtrace.frames().iter().all(|frame| frame.func_name().is_none()) {
        message.push_str("\n    (the program has no names of its functions: it was built stripped)");
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

/// An error and its causes in one line.
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
    fn k45_ends_have_the_codes_and_reasons_of_containerd() {
        let no = || "no".to_string();
        for (exit, code, reason) in [
            (Exit::Code(0), 0, "Completed"),
            (Exit::Code(3), 3, "Error"),
            (Exit::Trap { code: 134, message: no() }, 134, "Error"),
            (Exit::OutOfMemory, 137, "OOMKilled"),
            (Exit::Killed, 137, "Error"),
            (Exit::Terminated, 143, "Error"),
            (Exit::StartError { message: no() }, 128, "StartError"),
        ] {
            assert_eq!((exit.code(), exit.reason()), (code, reason), "{exit:?}");
        }
    }
}
