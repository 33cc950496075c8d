//! Guarantee: memory beyond the limit is refused or terminates the container (OOMKilled) and affects no other.
//! `hog MIB` grows to this size, touches every page and says so; then it holds the memory until its input ends.

use std::io::Read;

const MIB: usize = 1 << 20;

fn main() {
    let wanted = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(usize::MAX);
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() < wanted {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            println!("refused at {} MiB", held.len());
            std::process::exit(1);
        }
        block.resize(MIB, 0);
        for page in block.chunks_mut(4096) {
            page[0] = 1;
        }
        held.push(block);
        if held.len().is_power_of_two() {
            println!("{} MiB", held.len());
        }
    }
    println!("holding {} MiB", held.len());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
