//! Messages to the service manager that started this process, in the protocol of systemd's `sd_notify(3)`.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Sends messages to the service manager, if one started this process.
pub struct ServiceNotifier {
    connection: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceNotifier {
    /// Connects to the service manager that the environment names. One that cannot be reached is logged and ignored.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> ServiceNotifier {
        let connection = variable("NOTIFY_SOCKET").and_then(|name| {
            let failed = |error| tracing::warn!(?name, %error, "cannot reach the service manager at NOTIFY_SOCKET");
            connect(&name).map_err(failed).ok()
        });
        let number = |name: &str| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        // systemd addresses the variables to one process; its children inherit them.
        let is_addressee = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_addressee && *micros > 0).map(Duration::from_micros);
        ServiceNotifier { watchdog: watchdog.filter(|_| connection.is_some()), connection }
    }

    /// Returns the time within which the manager expects [`watchdog`](ServiceNotifier::watchdog), if it does.
    pub fn watchdog_timeout(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Reports that this process serves.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=Serving the Kubernetes API\n");
    }

    /// Reports that this process reads its manifests again; [`ready`](ServiceNotifier::ready) ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the manifests again\n"));
    }

    /// Reports that this process stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Stopping the pods\n");
    }

    /// Reports that this process works.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n");
    }

    fn send(&self, message: &str) {
        let sent = self.connection.as_ref().map(|connection| connection.send(message.as_bytes()));
        if let Some(Err(error)) = sent {
            tracing::debug!(%error, message, "cannot notify the service manager");
        }
    }
}

/// Connects to a socket: a path, or an abstract name after `@`.
fn connect(name: &OsString) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read delays nothing.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the notifier of the manager that the environment `variables` name.
    fn notifier_from(variables: &[(&str, &str)]) -> ServiceNotifier {
        ServiceNotifier::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[track_caller]
    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let count = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    #[test]
    fn messages_reach_paths_and_abstract_sockets() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let abstract_name = format!("wasmpod-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("an address");
        let sockets = [
            (path.display().to_string(), UnixDatagram::bind(&path).expect("bound")),
            (format!("@{abstract_name}"), UnixDatagram::bind_addr(&address).expect("bound")),
        ];
        for (name, socket) in sockets {
            let notifier = notifier_from(&[("NOTIFY_SOCKET", &name)]);
            notifier.ready();
            assert!(received(&socket).starts_with("READY=1\n"));
            notifier.reloading();
            let reloading = received(&socket);
            let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.lines().next());
            assert!(time.is_some_and(|time| time.parse::<u64>().is_ok()), "{reloading}");
            notifier.stopping();
            assert!(received(&socket).starts_with("STOPPING=1\n"));
            notifier.watchdog();
            assert_eq!(received(&socket), "WATCHDOG=1\n");
        }
    }

    #[test]
    fn watchdog_needs_a_manager_and_its_own_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let _socket = UnixDatagram::bind(&path).expect("bound");
        let socket = ("NOTIFY_SOCKET", path.to_str().expect("text"));
        let own = std::process::id().to_string();
        let timeout = |variables: &[(&str, &str)]| notifier_from(variables).watchdog_timeout();
        let (usec, second) = (("WATCHDOG_USEC", "1000000"), Some(Duration::from_secs(1)));
        assert_eq!(timeout(&[socket, usec]), second);
        assert_eq!(timeout(&[socket, usec, ("WATCHDOG_PID", &own)]), second);
        assert_eq!(timeout(&[socket, usec, ("WATCHDOG_PID", "1")]), None);
        assert_eq!(timeout(&[usec]), None);
        assert_eq!(timeout(&[socket, ("WATCHDOG_USEC", "0")]), None);
        notifier_from(&[("NOTIFY_SOCKET", "vsock:2:1234"), usec]).ready();
    }
}
