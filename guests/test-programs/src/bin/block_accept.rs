//! Guarantee: a guest that waits for a connection costs no CPU and can be killed at once. `block_accept [ADDR]`. WASI
//! 0.2 only.

use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".into());
    let listener = TcpListener::bind(address)?;
    println!("accepting");
    let (_, peer) = listener.accept()?;
    println!("accepted {peer}");
    Ok(())
}
