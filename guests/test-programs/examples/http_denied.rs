//! Guarantee: a program that imports wasi:http runs, and its requests are denied. Sends a request with a body and prints
//! the error; built as an example, because only WASI 0.2 has the interface.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

fn main() {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain").expect("a header");
    let request = OutgoingRequest::new(headers);
    request.set_method(&Method::Post).expect("a method");
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some("127.0.0.1:80")).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    let body = request.body().expect("a body");
    let response = match outgoing_handler::handle(request, None) {
        Ok(response) => response,
        Err(code) => return println!("refused: {code:?}"),
    };
    // Nobody reads the body of a denied request.
    let written = body.write().expect("a stream").blocking_write_and_flush(b"hello");
    println!("body read: {}", written.is_ok());
    drop(body);
    response.subscribe().block();
    match response.get() {
        Some(Ok(Err(code))) => println!("denied: {code:?}"),
        other => println!("unexpected: {}", other.is_some()),
    }
}
