//! Answers HTTP requests on `$PORT`, or 8080, one connection after the other.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("listening on port {port}");
    for stream in listener.incoming() {
        // A client that disconnects early must not stop the server.
        if let Err(error) = stream.and_then(answer) {
            eprintln!("connection failed: {error}");
        }
    }
    Ok(())
}

/// Reads one request, answers it and closes the connection.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The headers end with an empty line.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    println!("{request}");
    let (status, body) = match request.split(' ').nth(1) {
        Some("/healthz") => ("200 OK", "ok\n"),
        Some("/") => ("200 OK", "Hello over HTTP\n"),
        _ => ("404 Not Found", "not found\n"),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
