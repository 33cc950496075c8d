//! Guests that open files without number.

use wasmpod_test_support::guest;

use crate::attacked_node::{AttackedNode, rounds};

/// Descriptors that the process may have.
const DESCRIPTORS: u64 = 1024;

#[tokio::test]
async fn open_files_without_number() {
    for platform in ["wasm32-wasip1", "wasm32-wasip2"] {
        let node = AttackedNode::with_open_files(DESCRIPTORS);
        let program = guest(platform, "open_files");
        let container =
            |number: usize| format!("{{name: c{number}, image: '{}', args: [/etc/hosts, forever]}}", program.display());
        let containers: Vec<String> = (0..3).map(container).collect();
        let spec = format!("containers: [{}]", containers.join(", "));
        let neighbour = "restartPolicy: Never, containers: [{name: c, image: busybox, command: [cat, /etc/hosts]}]";
        // Its program is compiled before the guests keep the processors busy.
        node.add("earlier", neighbour);
        node.wait_until("earlier", |status| status["phase"] == "Succeeded").await;
        node.attack("opener", &spec).await;
        for _ in 0..rounds(20) {
            node.assert_serves();
        }
        // A pod beside them opens files, too.
        node.add("neighbour", neighbour);
        node.wait_until("neighbour", |status| status["phase"] == "Succeeded").await;
        // The node has descriptors even if guests have used up theirs.
        node.attack("another", &spec).await;
        for _ in 0..rounds(20) {
            node.assert_serves();
        }
        println!("6 guests open files ({platform}): {} of {DESCRIPTORS} descriptors", node.descriptors());
    }
}
