//! Guarantee: std's TCP works inside of a pod. `tcp serve ADDR` echoes one connection after another until each is
//! half-closed; `tcp client ADDR TEXT` sends, half-closes and prints the response; `tcp refused ADDR` prints how a
//! connection fails; `tcp pair` plays both sides on `localhost`. WASI 0.2 only: WASI 0.1 can't bind.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["serve", address] => serve(address),
        ["client", address, text] => client(address, text),
        ["refused", address] => {
            match TcpStream::connect(address) {
                Ok(_) => println!("connected"),
                Err(error) => println!("{:?}", error.kind()),
            }
            Ok(())
        }
        [] | ["pair"] => pair(),
        _ => {
            eprintln!("usage: tcp serve ADDR | client ADDR TEXT | refused ADDR | pair");
            std::process::exit(2);
        }
    };
    if let Err(error) = result {
        println!("failed: {:?}: {error}", error.kind());
        std::process::exit(1);
    }
}

fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        println!("from {}", stream.peer_addr()?.ip());
        let mut buf = [0; 4096];
        loop {
            match stream.read(&mut buf)? {
                0 => break,
                n => stream.write_all(&buf[..n])?,
            }
        }
        // The peer has half-closed; sent bytes may still be in flight.
        stream.write_all(b"bye\n")?;
        stream.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

fn client(address: &str, text: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{answer}");
    Ok(())
}

fn pair() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let addresses: Vec<_> = ("localhost", port).to_socket_addrs()?.collect();
    println!("localhost is loopback: {}", addresses.iter().all(|a| a.ip().is_loopback()));
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    let (mut server, peer) = listener.accept()?;
    println!("peer matches: {}", peer == client.local_addr()?);
    client.write_all(b"ping")?;
    client.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    println!("server read {text:?} and the end");
    server.write_all(b"pong")?;
    drop(server);
    text.clear();
    client.read_to_string(&mut text)?;
    println!("client read {text:?} and the end");
    drop(listener);
    let refused = TcpStream::connect(("127.0.0.1", port)).err();
    println!("closed port: {:?}", refused.map(|e| e.kind()));
    Ok(())
}
