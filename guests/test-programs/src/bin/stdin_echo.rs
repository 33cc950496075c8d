//! Guarantee: standard input arrives complete and ends, and each written line leaves at once. Echoes lines to stdout
//! and counts them on stderr.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut count = 0;
    for line in io::stdin().lock().lines() {
        println!("{}", line?);
        io::stdout().flush()?;
        count += 1;
    }
    eprintln!("{count} lines");
    Ok(())
}
