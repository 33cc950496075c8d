//! Serves a directory over HTTP: `httpd [DIRECTORY]`, by default nginx's `/usr/share/nginx/html`, on `$PORT` or 80.
//!
//! Owns listening, the number of connections and the graceful end: when the container is asked to terminate, it stops
//! accepting, finishes the open requests and exits with 0.

mod connection;
mod date;
mod request;
mod response;
mod timeouts;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};

use connection::Site;
use timeouts::{Timeouts, WaitOutcome};
use wstd::io::AsyncOutputStream;
use wstd::iter::AsyncIterator;
use wstd::net::TcpListener;

const DEFAULT_ROOT: &str = "/usr/share/nginx/html";

/// The most open connections; further ones wait in the host's queue. Below 128 because a host on tokio would spend its
/// whole cooperative budget on polling that many ready sockets and never read from them.
const MAX_CONNECTIONS: usize = 100;

/// Counts the open connections.
#[derive(Default)]
pub struct OpenConnections {
    count: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
}

/// Counts as one open connection until it is dropped.
struct ConnectionGuard(Rc<OpenConnections>);

impl OpenConnections {
    fn track(self: &Rc<OpenConnections>) -> ConnectionGuard {
        self.count.set(self.count.get() + 1);
        ConnectionGuard(self.clone())
    }

    /// Whether idle connections should be closed soon to make space for new ones.
    pub fn is_crowded(&self) -> bool {
        self.count.get() > MAX_CONNECTIONS * 3 / 4
    }

    async fn wait_until_at_most(&self, most: usize) {
        poll_fn(|cx| {
            if self.count.get() <= most {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if let Some(waker) = self.0.waiting.borrow_mut().take() {
            waker.wake();
        }
    }
}

fn main() {
    let code = wstd::runtime::block_on(run());
    wasip2::cli::exit::exit_with_code(code);
}

/// Returns the directory among the arguments; reports nginx's options, which have no effect.
fn root_directory(mut args: impl Iterator<Item = String>) -> String {
    let mut root = None;
    while let Some(arg) = args.next() {
        let takes_value = matches!(arg.as_str(), "-c" | "-e" | "-g" | "-p" | "-s");
        let value = if takes_value { args.next() } else { None };
        match value.as_deref() {
            // It always runs in the foreground.
            Some("daemon off;") => {}
            value if arg.starts_with('-') => {
                eprintln!(
                    "httpd: {}: nginx's options have no effect here",
                    [&arg, value.unwrap_or_default()].join(" ").trim_end()
                );
            }
            _ => root = Some(arg),
        }
    }
    root.unwrap_or_else(|| DEFAULT_ROOT.into())
}

async fn run() -> u8 {
    let root = root_directory(std::env::args().skip(1));
    let port = std::env::var("PORT").unwrap_or_else(|_| "80".into());
    if port.parse::<u16>().is_err() {
        eprintln!("httpd: invalid port in $PORT: {port:?}");
        return 1;
    }
    let listener = match TcpListener::bind(&format!("0.0.0.0:{port}")).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("httpd: cannot listen on port {port}: {error}");
            return 1;
        }
    };
    // Printed once clients can connect.
    let address = listener.local_addr().map_or(port, |a| a.port().to_string());
    println!("httpd: serving {root} on port {address}");
    let timeouts = Timeouts::start();
    let open = Rc::new(OpenConnections::default());
    let log = AsyncOutputStream::new(wasip2::cli::stdout::get_stdout());
    let site = Rc::new(Site { root: Path::new(&root).into(), log, timeouts: timeouts.clone(), open: open.clone() });
    let mut incoming = listener.incoming();
    loop {
        let next = async {
            open.wait_until_at_most(MAX_CONNECTIONS - 1).await;
            incoming.next().await
        };
        match timeouts.until_termination(None, next).await {
            WaitOutcome::Done(Some(Ok(stream))) => {
                let (site, guard) = (site.clone(), open.track());
                let mut serving = Box::pin(async move {
                    connection::serve(site, stream).await;
                    drop(guard);
                });
                // A probe's connection is often finished after the first poll and needs no task.
                if poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await.is_pending() {
                    wstd::runtime::spawn(serving).detach();
                }
            }
            // A client that disconnects while it waits must not stop the server.
            WaitOutcome::Done(Some(Err(_))) => {}
            WaitOutcome::Done(None) | WaitOutcome::TimedOut | WaitOutcome::Terminating => break,
        }
    }
    drop(listener);
    open.wait_until_at_most(0).await;
    0
}
