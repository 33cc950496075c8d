//! Guests that open listeners and connections, and sessions without number.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use wasmpod_test_support::{guest, in_time};

use crate::attacked_node::{AttackedNode, rounds};

#[tokio::test]
async fn listeners_and_connections_without_number() {
    let node = AttackedNode::with_neighbour().await;
    let program = guest("wasm32-wasip2", "connections");
    node.attack("network", &format!("containers: [{{name: c, image: '{}'}}]", program.display())).await;
    node.assert_holds("listeners and connections").await;
}

/// Starts a command in the container and leaves.
async fn exec_and_leave(node: &AttackedNode, command: &str) {
    let address = format!("127.0.0.1:{}", node.client.port);
    let url = format!("ws://{address}/api/v1/namespaces/default/pods/shell-n1/exec?stdout=1&command={command}");
    let mut request = url.into_client_request().expect("a request");
    let token = format!("Bearer {}", node.node.token());
    request.headers_mut().insert("Authorization", token.parse().expect("a header"));
    request.headers_mut().insert("Sec-WebSocket-Protocol", "v5.channel.k8s.io".parse().expect("a header"));
    let stream = TcpStream::connect(&address).await.expect("connected");
    // Sessions beyond the limit of the pod are refused.
    let _ = in_time("a response", tokio_tungstenite::client_async(request, stream)).await;
}

#[tokio::test]
async fn floods_of_exec_sessions() {
    let node = AttackedNode::with_neighbour().await;
    node.attack("shell", "containers: [{name: c, image: busybox, command: [sleep, '1000']}]").await;
    let flood = async {
        loop {
            exec_and_leave(&node, "yes").await;
        }
    };
    let holds = async {
        for _ in 0..rounds(1) {
            node.assert_holds("sessions of clients that leave").await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = holds => {}
    }
}
