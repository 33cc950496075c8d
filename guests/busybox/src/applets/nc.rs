//! nc: TCP between the standard streams; and ping, which refers to it. Owns connecting by name, which wget shares.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use wstd::io::{AsyncRead, AsyncWrite};
use wstd::iter::AsyncIterator;
use wstd::net::{TcpListener, TcpStream};

use super::nslookup::resolve;
use super::sleep::within;
use super::{Options, Outcome, fail, usage};
use crate::proc::{Proc, strerror};

/// Seconds without input after which a connection ends once the peer has half-closed.
const LINGER: f64 = 0.2;

/// Why there is no connection. Displays as busybox's messages.
pub enum ConnectError {
    BadAddress(String),
    /// The first address that failed, and why.
    CannotConnect(IpAddr, ConnectFailure),
}

/// Why a connection to an address fails.
pub enum ConnectFailure {
    Unreachable,
    TimedOut,
    Io(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::BadAddress(host) => write!(f, "bad address '{host}'"),
            ConnectError::CannotConnect(ip, failure) => write!(f, "can't connect to remote host ({ip}): {failure}"),
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectFailure::Unreachable => f.write_str("Network is unreachable"),
            ConnectFailure::TimedOut => f.write_str("Connection timed out"),
            ConnectFailure::Io(error) => f.write_str(&strerror(error)),
        }
    }
}

/// Connects to the first address that answers.
pub async fn connect(host: &str, port: u16, seconds: f64) -> Result<(TcpStream, IpAddr), ConnectError> {
    let mut first_error = None;
    for ip in resolve(host).await {
        // wstd dials IPv4 only.
        let attempt = if ip.is_ipv4() {
            within(seconds, pin!(TcpStream::connect_addr(SocketAddr::new(ip, port)))).await
        } else {
            Some(Err(io::Error::other("Network is unreachable")))
        };
        let failure = match attempt {
            Some(Ok(stream)) => return Ok((stream, ip)),
            Some(Err(error)) if error.kind() == io::ErrorKind::Other => ConnectFailure::Unreachable,
            Some(Err(error)) => ConnectFailure::Io(error),
            None => ConnectFailure::TimedOut,
        };
        first_error.get_or_insert(ConnectError::CannotConnect(ip, failure));
    }
    Err(first_error.unwrap_or_else(|| ConnectError::BadAddress(host.to_string())))
}

/// Explains what to do instead: WASI has no sockets for ICMP.
pub async fn ping(p: Proc) -> Outcome {
    let host = p.args.iter().skip(1).rfind(|arg| !arg.starts_with('-')).map_or("HOST", String::as_str);
    fail(&p, 1, &format!("not supported: there are no raw sockets; to test a TCP port, use `nc -zv {host} PORT`")).await
}

pub async fn nc(p: Proc) -> Outcome {
    let o = Options::parse(&p, "lp:w:zvnuki:s:").await?;
    let seconds = o.number(&p, 'w').await?.map_or(f64::INFINITY, |s| s as f64);
    let port = |text: &str| text.parse::<u16>().ok();
    if o.has('u') {
        return fail(&p, 1, "UDP is not supported").await;
    }
    if o.has('l') {
        // Both `-l -p PORT` and `-l PORT` are in use.
        let text = o.get('p').or(o.operands.last().map(String::as_str)).unwrap_or_default();
        let Some(port) = port(text) else { return fail(&p, 1, &format!("bad port '{text}'")).await };
        let listener = match TcpListener::bind(&format!("0.0.0.0:{port}")).await {
            Ok(listener) => listener,
            Err(error) => return fail(&p, 1, &format!("bind: {}", strerror(&error))).await,
        };
        let mut incoming = listener.incoming();
        loop {
            match within(seconds, pin!(incoming.next())).await {
                None => return fail(&p, 1, "timed out").await,
                Some(Some(Ok(stream))) => relay(&p, &stream, seconds).await?,
                Some(Some(Err(error))) => return fail(&p, 1, &format!("accept: {}", strerror(&error))).await,
                Some(None) => return Ok(1),
            }
            if !o.has('k') {
                return Ok(0);
            }
        }
    }
    let [host, text] = o.operands.as_slice() else { return usage(&p).await };
    let Some(port) = port(text) else { return fail(&p, 1, &format!("bad port '{text}'")).await };
    match connect(host, port, seconds).await {
        Err(error) => fail(&p, 1, &error.to_string()).await,
        Ok((_, ip)) if o.has('z') => {
            if o.has('v') {
                let _ = p.stderr.write_all(format!("{host} ({ip}:{port}) open\n").as_bytes()).await;
            }
            Ok(0)
        }
        Ok((stream, _)) => {
            relay(&p, &stream, seconds).await?;
            Ok(0)
        }
    }
}

/// Copies bytes both ways until the peer closes the connection. The end of our input is sent as a half-close; the
/// peer's end may be one as well, so our output continues.
async fn relay(p: &Proc, stream: &TcpStream, seconds: f64) -> io::Result<()> {
    let (mut from_net, to_net) = stream.split();
    let sent = Cell::new(0u64);
    let mut send = pin!(async {
        let mut to_net = to_net;
        let mut buf = vec![0; 16 * 1024];
        loop {
            let n = p.stdin.read(&mut buf).await?;
            if n == 0 {
                return Ok::<(), io::Error>(());
            }
            to_net.write_all(buf.get(..n).unwrap_or_default()).await?;
            to_net.flush().await?;
            sent.set(sent.get() + 1);
        }
    });
    let mut receive = pin!(async {
        let mut buf = vec![0; 16 * 1024];
        loop {
            let read = within(seconds, pin!(from_net.read(&mut buf))).await;
            match read {
                // A connection that the peer resets counts as closed.
                None | Some(Ok(0) | Err(_)) => return Ok(()),
                Some(Ok(n)) => p.stdout.write_all(buf.get(..n).unwrap_or_default()).await?,
            }
        }
    });
    let mut sending = true;
    let received = poll_fn(|cx| {
        if let Poll::Ready(result) = receive.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if sending && send.as_mut().poll(cx).is_ready() {
            sending = false;
        }
        Poll::Pending
    })
    .await;
    while sending && received.is_ok() {
        let before = sent.get();
        sending = within(LINGER, send.as_mut()).await.is_none() && sent.get() > before;
    }
    received
}
