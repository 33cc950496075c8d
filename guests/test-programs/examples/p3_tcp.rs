//! Guarantee: TCP over WASI 0.3 works: listens on a free port of the loopback address, connects to it, sends both ways,
//! half-closes, and is refused at a port without a listener. Prints the results.

use wasip3::cli::stdout;
use wasip3::sockets::types::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};

wasip3::cli::command::export!(Tcp);

struct Tcp;

fn loopback(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

impl wasip3::exports::cli::run::Guest for Tcp {
    async fn run() -> Result<(), ()> {
        let (text, result) = match exchange().await {
            Ok(text) => (text, Ok(())),
            Err(code) => (format!("failed: {code:?}\n"), Err(())),
        };
        let (mut writer, reader) = wasip3::wit_stream::new();
        let written = stdout::write_via_stream(reader);
        writer.write_all(text.into_bytes()).await;
        drop(writer);
        written.await.map_err(|_| ())?;
        result
    }
}

async fn exchange() -> Result<String, ErrorCode> {
    let listener = TcpSocket::create(IpAddressFamily::Ipv4)?;
    listener.bind(loopback(0))?;
    let mut incoming = listener.listen()?;
    let port = match listener.get_local_address()? {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    };
    let client = TcpSocket::create(IpAddressFamily::Ipv4)?;
    client.connect(loopback(port)).await?;
    let server = incoming.next().await.ok_or(ErrorCode::ConnectionAborted)?;

    send(&client, b"ping").await?;
    let heard = receive(&server).await?;
    send(&server, b"pong").await?;
    let answered = receive(&client).await?;
    let mut text = format!("server read {heard:?} and the end\nclient read {answered:?} and the end\n");

    drop(incoming);
    drop(listener);
    let late = TcpSocket::create(IpAddressFamily::Ipv4)?;
    let refused = late.connect(loopback(port)).await.err();
    text += &format!("closed port: {refused:?}\n");
    Ok(text)
}

/// Sends and half-closes.
async fn send(socket: &TcpSocket, bytes: &[u8]) -> Result<(), ErrorCode> {
    let (mut writer, reader) = wasip3::wit_stream::new();
    let sent = socket.send(reader);
    writer.write_all(bytes.to_vec()).await;
    drop(writer);
    sent.await
}

/// Reads to the end.
async fn receive(socket: &TcpSocket) -> Result<String, ErrorCode> {
    let (reader, received) = socket.receive();
    let bytes = reader.collect().await;
    received.await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
