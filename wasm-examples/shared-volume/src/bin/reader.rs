//! Waits for the writer's message in the volume at `/shared` and prints it.

use std::time::Duration;
use std::{fs, io, thread};

fn main() -> io::Result<()> {
    loop {
        match fs::read_to_string("/shared/message") {
            Ok(message) => {
                print!("{message}");
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
        }
    }
}
