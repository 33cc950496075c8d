//! Serves a folder over HTTP: `httpd [FOLDER]`, by default nginx's `/usr/share/nginx/html`, on
//! `$PORT` or 80. Owns listening, the number of connections, and the graceful end: when the
//! container is asked to end it stops accepting, finishes what is open, and exits with 0.

mod answer;
mod connection;
mod date;
mod patience;
mod request;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};

use connection::Site;
use patience::{Patience, Waited};
use wstd::io::AsyncOutputStream;
use wstd::iter::AsyncIterator;
use wstd::net::TcpListener;

const FOLDER: &str = "/usr/share/nginx/html";

/// Beyond this many open connections new ones wait in the host's queue. Below 128 on purpose: with
/// that many sockets ready at once, a host on tokio spends its whole cooperative budget on telling
/// so, none is left for reading, and guest and host turn in circles.
const MOST_CONNECTIONS: usize = 100;

/// The open connections: their number, and who waits for it to sink.
#[derive(Default)]
pub struct Open {
    count: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
}

/// One of them; counts itself out however it ends.
struct Place(Rc<Open>);

impl Open {
    fn place(self: &Rc<Open>) -> Place {
        self.count.set(self.count.get() + 1);
        Place(self.clone())
    }

    /// Whether so many are open that idle ones should make room.
    pub fn crowded(&self) -> bool {
        self.count.get() > MOST_CONNECTIONS * 3 / 4
    }

    async fn at_most(&self, most: usize) {
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

impl Drop for Place {
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

/// The folder among the arguments. What nginx would take as options is told of, as nothing comes of it.
fn folder(mut args: impl Iterator<Item = String>) -> String {
    let mut folder = None;
    while let Some(arg) = args.next() {
        let takes_value = matches!(arg.as_str(), "-c" | "-e" | "-g" | "-p" | "-s");
        let value = if takes_value { args.next() } else { None };
        match value.as_deref() {
            // It runs in the foreground as it is.
            Some("daemon off;") => {}
            value if arg.starts_with('-') => {
                eprintln!(
                    "httpd: {}: nginx's options have no effect here",
                    [&arg, value.unwrap_or_default()].join(" ").trim_end()
                );
            }
            _ => folder = Some(arg),
        }
    }
    folder.unwrap_or_else(|| FOLDER.into())
}

async fn run() -> u8 {
    let folder = folder(std::env::args().skip(1));
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
    // Only now: whoever reads this line can connect.
    let address = listener.local_addr().map_or(port, |a| a.port().to_string());
    println!("httpd: serving {folder} on port {address}");
    let patience = Patience::begin();
    let open = Rc::new(Open::default());
    let log = AsyncOutputStream::new(wasip2::cli::stdout::get_stdout());
    let site = Rc::new(Site { root: Path::new(&folder).into(), log, patience: patience.clone(), open: open.clone() });
    let mut incoming = listener.incoming();
    loop {
        let next = async {
            open.at_most(MOST_CONNECTIONS - 1).await;
            incoming.next().await
        };
        match patience.within_life(None, next).await {
            Waited::Done(Some(Ok(stream))) => {
                let (site, place) = (site.clone(), open.place());
                let mut serving = Box::pin(async move {
                    connection::serve(site, stream).await;
                    drop(place);
                });
                // A probe's connection is closed by now: no task for what is over at the first look.
                if poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await.is_pending() {
                    wstd::runtime::spawn(serving).detach();
                }
            }
            // One client's trouble (it went away while waiting) is not the server's.
            Waited::Done(Some(Err(_))) => {}
            Waited::Done(None) | Waited::TooLong | Waited::Ending => break,
        }
    }
    drop(listener);
    open.at_most(0).await;
    0
}
