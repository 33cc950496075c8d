//! A run without flags opens no host socket but its private one.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{pod, run};

/// Returns the inodes of all network sockets of the host, from the kernel's tables.
fn network_sockets(pid: u32) -> BTreeSet<String> {
    let tables = ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"];
    let mut inodes = BTreeSet::new();
    for table in tables {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        inodes.extend(text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9).map(str::to_string)));
    }
    for (table, column) in [("unix", 6), ("packet", 8), ("netlink", 9)] {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        let of_others = |line: &&str| table != "unix" || line.split_whitespace().nth(7).is_some();
        let lines = text.lines().skip(1).filter(of_others);
        inodes.extend(lines.filter_map(|line| line.split_whitespace().nth(column).map(str::to_string)));
    }
    inodes
}

/// Returns the inode of the Unix socket at `path`.
fn unix_socket(pid: u32, path: &str) -> String {
    let table = fs::read_to_string(format!("/proc/{pid}/net/unix")).expect("the kernel's table");
    let line = table.lines().find(|line| line.split_whitespace().nth(7) == Some(path));
    line.and_then(|line| line.split_whitespace().nth(6)).unwrap_or_else(|| panic!("{path} is not open")).to_string()
}

/// Returns the inodes of the process's open sockets.
fn open_sockets(pid: u32) -> BTreeSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is running");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inode = |target: std::path::PathBuf| {
        Some(target.to_string_lossy().strip_prefix("socket:[")?.strip_suffix(']')?.to_string())
    };
    targets.filter_map(inode).collect()
}

#[test]
fn socket_check_detects_a_listening_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = std::process::id();
    assert!(!open_sockets(own).is_disjoint(&network_sockets(own)));
    drop(listener);
}

#[test]
fn pod_traffic_opens_no_host_socket() {
    let spec = "containers: [{name: web, image: nginx}, {name: client, image: busybox, command: [sh, -c, \
        'until wget -qO- http://localhost/ > page; do sleep 0.02; done; nc -l -p 9999 < /dev/null & \
         wget -T 1 -qO- http://example.com/; nslookup example.com; nc 10.0.0.1 80 < /dev/null; echo talking; sleep 1000']}]";
    let runtime = tempfile::tempdir().expect("a directory");
    let child = run().manifest(&pod("p", spec)).env("XDG_RUNTIME_DIR", runtime.path()).start();
    child.wait_for("p/client | talking\n");
    let network = network_sockets(child.pid());
    let open = open_sockets(child.pid());
    let used: Vec<&String> = open.intersection(&network).collect();
    let private = runtime.path().join(format!("wasmpod/run-{}.sock", child.pid()));
    let private = unix_socket(child.pid(), &private.display().to_string());
    assert_eq!(used, [&private], "open host sockets");
    child.interrupt();
    child.output().expect_code(130);
}
