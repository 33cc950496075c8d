//! The published ports of a single program.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ports::{address_line, is_internal, open_exact, unpublished_hint};
use crate::cli::args::PublishArgs;
use crate::cli::exit::bad_input;
use crate::embedded::engine;
use crate::gateway::{Gateway, Publication, Reservation, Target};
use crate::network::{ListenObserver, PodNetwork};

/// The ports of this machine that lead to the program, whichever instance of it runs.
pub struct ProgramPorts {
    name: String,
    gateway: Gateway,
    open: Vec<(Reservation, u16)>,
    /// Protects the ports for which a hint was printed.
    hinted: Arc<Mutex<BTreeSet<u16>>>,
}

impl ProgramPorts {
    /// Opens the ports for the program `name` and prints their addresses.
    pub fn open(args: &PublishArgs, name: &str) -> anyhow::Result<ProgramPorts> {
        let gateway = Gateway::new(engine()?.threads());
        let mut open = Vec::new();
        for arg in &args.ports {
            if let Some(pod) = &arg.pod {
                return Err(bad_input(format!("--publish {}: a .wasm file has no pods; remove `{pod}:`", arg.text)));
            }
            let reservation = open_exact(&gateway, arg, args.address)?;
            stderrln!("{}", address_line(name, arg.port, reservation.address()));
            open.push((reservation, arg.port));
        }
        Ok(ProgramPorts { name: name.into(), gateway, open, hinted: Arc::default() })
    }

    /// Publishes the ports of an instance with this network.
    pub fn publish(&self, network: &Arc<PodNetwork>) -> anyhow::Result<Vec<Publication>> {
        let publish = |(reservation, port): &(Reservation, u16)| {
            let (name, port) = (self.name.clone(), *port);
            let warned = Mutex::new(false);
            let on_loopback_only = Arc::new(move || {
                if !std::mem::replace(&mut *warned.lock(), true) {
                    stderrln!(
                        "{name}: port {port} is published, but the program listens on 127.0.0.1 only; \
                         let it listen on 0.0.0.0"
                    );
                }
            });
            let target = Target { network: Arc::downgrade(network), port, on_loopback_only };
            self.gateway.publish(reservation.address(), target)
        };
        Ok(self.open.iter().map(publish).collect::<Result<_, _>>()?)
    }

    /// Returns an observer that prints a hint about each port that is not published. None if standard error is not a
    /// terminal, where the program's own messages must stay alone.
    pub fn observer(&self) -> Option<ListenObserver> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let published: BTreeSet<u16> = self.open.iter().map(|(_, port)| *port).collect();
        let (name, hinted) = (self.name.clone(), self.hinted.clone());
        Some(Arc::new(move |address: SocketAddr| {
            let port = address.port();
            if !is_internal(address) && !published.contains(&port) && hinted.lock().insert(port) {
                stderrln!("{}", unpublished_hint(&name, "", port));
            }
        }))
    }
}
