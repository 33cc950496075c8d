//! Guarantee: a guest that waits for input costs no CPU and can be killed at once; without input the read ends at once.

use std::io::Read;

fn main() -> std::io::Result<()> {
    println!("reading");
    let mut byte = [0];
    let read = std::io::stdin().read(&mut byte)?;
    println!("read {read}");
    Ok(())
}
