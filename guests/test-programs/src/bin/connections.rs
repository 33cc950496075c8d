//! Guarantee: a guest that opens listeners and connections without end harms no other. It opens them until it is
//! refused, closes all and begins again.

use std::io;
use std::net::{TcpListener, TcpStream};

/// Sockets that it holds at most.
const MAX_SOCKETS: usize = 20_000;

fn open_all() -> io::Result<()> {
    let (mut listeners, mut streams) = (Vec::new(), Vec::new());
    while listeners.len() + streams.len() < MAX_SOCKETS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        for _ in 0..8 {
            streams.push(TcpStream::connect(address)?);
        }
        listeners.push(listener);
    }
    Ok(())
}

fn main() {
    println!("connecting");
    loop {
        // Refused or not, it tries again.
        let _ = open_all();
    }
}
