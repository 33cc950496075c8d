//! Guests that compute, yield, poll and grow without end.

use std::path::Path;
use std::time::Duration;

use wasmpod_test_support::{guest, test_file};

use crate::attacked_node::{AttackedNode, rounds};

/// Guests of an attack.
const GUESTS: usize = 8;

/// Returns a spec whose containers all run `program` with `words`.
fn crowd(program: &Path, words: &str, limits: &str) -> String {
    let container = |number: usize| {
        format!(
            "{{name: c{number}, image: '{}', args: [{words}], resources: {{limits: {{{limits}}}}}}}",
            program.display()
        )
    };
    let containers: Vec<String> = (0..GUESTS).map(container).collect();
    format!("containers: [{}]", containers.join(", "))
}

/// Runs `program` in many containers and measures the neighbour.
async fn attack_with(name: &str, program: &Path, words: &str) {
    let node = AttackedNode::with_neighbour().await;
    node.attack("crowd", &crowd(program, words, "memory: 64Mi")).await;
    node.assert_holds(name).await;
}

#[tokio::test]
async fn guests_that_spin() {
    attack_with("8 guests spin", &guest("wasm32-wasip2", "spin"), "").await;
}

#[tokio::test]
async fn guests_that_yield_in_a_loop() {
    attack_with("8 guests yield", &guest("wasm32-wasip1", "yields"), "'yield'").await;
}

#[tokio::test]
async fn guests_that_poll_in_a_loop() {
    for platform in ["wasm32-wasip1", "wasm32-wasip2"] {
        attack_with(&format!("8 guests poll ({platform})"), &guest(platform, "yields"), "poll").await;
    }
}

#[tokio::test]
async fn guests_that_poll_in_a_loop_stay_within_their_quota() {
    for platform in ["wasm32-wasip1", "wasm32-wasip2"] {
        let node = AttackedNode::start();
        node.attack("crowd", &crowd(&guest(platform, "yields"), "poll", "cpu: 50m")).await;
        // The best window: what else the node does is not the guests'.
        let mut least = f64::MAX;
        for _ in 0..rounds(4) {
            least = least.min(node.processors_used(Duration::from_secs(1)).await);
        }
        println!("8 guests with a quota of 0.4 processors poll ({platform}): {least:.2} processors");
        assert!(least < 0.4 * 1.4, "{least}");
    }
}

#[tokio::test]
async fn guests_that_grow_tables_in_a_loop() {
    attack_with("8 guests grow tables", &test_file("programs/table_growth.wasm"), "").await;
}

#[tokio::test]
async fn guests_that_exceed_their_memory_again_and_again() {
    attack_with("8 guests take memory", &guest("wasm32-wasip2", "hog"), "").await;
}
