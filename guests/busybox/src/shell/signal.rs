//! Signals by number and name.

pub const INT: i32 = 2;
pub const KILL: i32 = 9;
pub const TERM: i32 = 15;

/// A condition of `trap` that is not a signal: the shell exits.
pub const EXIT: i32 = 0;

/// Linux's numbers; the index is the number.
const NAMES: [&str; 32] = [
    "EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
    "POLL", "PWR", "SYS",
];

/// Parses `TERM`, `SIGTERM`, `sigterm` or `15`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<usize>() {
        return NAMES.get(number).map(|_| number as i32);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == name).map(|at| at as i32)
}

pub fn name(number: i32) -> &'static str {
    usize::try_from(number).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("?")
}

/// Returns the names of all signals with their numbers.
pub fn all() -> impl Iterator<Item = (usize, &'static str)> {
    NAMES.iter().copied().enumerate().skip(1)
}

/// Whether the default action leaves the process running.
pub fn is_harmless(number: i32) -> bool {
    matches!(name(number), "CHLD" | "CONT" | "URG" | "WINCH" | "STOP" | "TSTP" | "TTIN" | "TTOU")
}
