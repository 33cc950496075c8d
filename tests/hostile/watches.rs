//! Watches that nobody reads.

use std::net::TcpStream;

use serde_json::json;
use wasmpod_test_support::eventually;

use crate::attacked_node::{AttackedNode, is_soak, rounds};

/// Unread watches of the attack.
const WATCHES: usize = 200;
/// Maximum memory of an unread watch, in KiB. The socket's own buffer belongs to the kernel.
const MAX_WATCH_KIB: u64 = 256;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// ConfigMaps that are watched.
const MAPS: usize = 40;
/// Size of a ConfigMap, in KiB.
const MAP_KIB: usize = 16;

/// Creates ConfigMap `name`, or replaces its text.
fn write(node: &AttackedNode, name: &str, round: usize) {
    let text = format!("{round}").repeat(MAP_KIB * 1024);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": &text[..MAP_KIB * 1024]}});
    let (method, path) =
        if round == 0 { ("POST", CONFIG_MAPS.to_string()) } else { ("PUT", format!("{CONFIG_MAPS}/{name}")) };
    let (code, text) = node.client.send(method, &path, &map.to_string());
    assert!(code < 300, "{code}: {text}");
}

#[tokio::test]
async fn unread_watches_hold_little_memory() {
    let node = AttackedNode::start();
    for round in 0..12 {
        (0..MAPS).for_each(|map| write(&node, &format!("map{map}"), round));
    }
    let before = node.resident_kib();
    // Half of them begin with the objects, half with the changes.
    let paths = [format!("{CONFIG_MAPS}?watch=1"), format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")];
    let open: Vec<TcpStream> = (0..WATCHES).map(|number| node.client.open("GET", &paths[number % 2])).collect();
    for round in 0..rounds(4) {
        (0..MAPS).for_each(|map| write(&node, &format!("map{map}"), round + 1));
    }
    // The history of the changes belongs to the node.
    let history = rounds(4) * MAPS * MAP_KIB;
    let each = node.resident_kib().saturating_sub(before + history as u64) / WATCHES as u64;
    println!("{WATCHES} unread watches: {each} KiB each, {} MiB before", before / 1024);
    assert!(each <= MAX_WATCH_KIB, "{each} KiB");
    node.assert_serves();
    // They end after a minute, which is too long for a test of every day.
    if is_soak() {
        let sockets = || node.descriptors();
        for _ in 0..3 {
            let awaited = std::panic::AssertUnwindSafe(eventually("they end", async || sockets() < WATCHES / 2));
            if futures_util::FutureExt::catch_unwind(awaited).await.is_ok() {
                break;
            }
        }
        assert!(sockets() < WATCHES / 2, "{} descriptors", sockets());
    }
    drop(open);
}
