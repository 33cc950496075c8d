//! Guarantee: a guest that writes without end does not fill the host's memory and can be killed while it writes.
//! `flood [LINES]`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let most = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(u64::MAX);
    let mut out = io::stdout().lock();
    for number in 0..most {
        writeln!(out, "{number:020} the quick brown fox jumps over the lazy dog")?;
    }
    Ok(())
}
