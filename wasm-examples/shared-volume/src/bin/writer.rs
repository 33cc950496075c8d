//! Writes a message into the volume at `/shared`.

use std::{fs, io};

fn main() -> io::Result<()> {
    // Renaming is atomic: the reader never sees half a message.
    fs::write("/shared/message.tmp", "written by another container\n")?;
    fs::rename("/shared/message.tmp", "/shared/message")?;
    println!("wrote /shared/message");
    Ok(())
}
