//! Answers HTTP requests on port 8080 from memory: `/zeros` with 64 MiB of zeros, all else with a short page.
//!
//! Opens no files and writes no log, so that a benchmark of its responses measures the network. Connections are kept
//! open, and served at the same time. Clients are trusted: they send a request once they have the previous response.

use std::io;

use wstd::io::{AsyncRead, AsyncWrite};
use wstd::iter::AsyncIterator;
use wstd::net::{TcpListener, TcpStream};

const ADDRESS: &str = "0.0.0.0:8080";
const PAGE: &str = "<!DOCTYPE html>\n<html>\n<head><title>wasmpod</title></head>\n<body>\n<h1>It works</h1>\n\
    <p>This page is resident: it is served from memory.</p>\n</body>\n</html>\n";
const ZEROS: usize = 64 * 1024 * 1024;

fn main() -> io::Result<()> {
    wstd::runtime::block_on(async {
        let listener = TcpListener::bind(ADDRESS).await?;
        let mut incoming = listener.incoming();
        while let Some(stream) = incoming.next().await {
            // A client that disconnects must not stop the server.
            if let Ok(stream) = stream {
                wstd::runtime::spawn(async move { serve(stream).await.unwrap_or_default() }).detach();
            }
        }
        Ok(())
    })
}

/// Answers the requests of a connection until the client closes it.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let page = format!("{}{PAGE}", head("text/html", PAGE.len()));
    let mut block = vec![0; 4096];
    let mut request = Vec::new();
    loop {
        let count = stream.read(&mut block).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(block.get(..count).unwrap_or_default());
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        if request.starts_with(b"GET /zeros ") {
            write_zeros(&mut stream).await?;
        } else {
            stream.write_all(page.as_bytes()).await?;
        }
        request.clear();
    }
}

fn head(content_type: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
}

async fn write_zeros(stream: &mut TcpStream) -> io::Result<()> {
    let block = [0; 64 * 1024];
    stream.write_all(head("application/octet-stream", ZEROS).as_bytes()).await?;
    for _ in 0..ZEROS / block.len() {
        stream.write_all(&block).await?;
    }
    Ok(())
}
