//! Property tests: mutated manifests and protobuf bodies, and random bytes.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use proptest::prelude::*;

use super::properties;

const SEEDS: [&str; 5] = [
    include_str!("../../../tests/manifests/config-volume.yaml"),
    include_str!("../../../tests/manifests/probes.yaml"),
    include_str!("../../../tests/manifests/web-multi.yaml"),
    include_str!("../../../tests/manifests/pvc-subpath.yaml"),
    include_str!("../../../tests/manifests/bad/job-misindented.yaml"),
];

const FRAGMENTS: [&str; 24] = [
    "\n", " ", "  ", "\t", "- ", ": ", "---\n", "...\n", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "<<: *a\n",
    "!!str ", "|\n", "yes", "0777", "#", "\r\n", "\u{e4}",
];

/// One edit of a text; offsets wrap around its length.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, usize),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = 0..2000_usize;
    prop_oneof![
        (at.clone(), 0..FRAGMENTS.len()).prop_map(|(at, fragment)| Edit::Insert(at, fragment)),
        (at.clone(), 0..20_usize).prop_map(|(at, len)| Edit::Remove(at, len)),
        (at.clone(), 0..80_usize, at).prop_map(|(from, len, to)| Edit::Repeat(from, len, to)),
    ]
}

fn apply(text: &mut Vec<char>, edit: &Edit) {
    let within = |at: usize| at % (text.len() + 1);
    match *edit {
        Edit::Insert(at, fragment) => {
            let at = within(at);
            text.splice(at..at, FRAGMENTS[fragment].chars());
        }
        Edit::Remove(at, len) => {
            let at = within(at);
            text.drain(at..(at + len).min(text.len()));
        }
        Edit::Repeat(from, len, to) => {
            let (from, to) = (within(from), within(to));
            let copy = text[from..(from + len).min(text.len())].to_vec();
            text.splice(to..to, copy);
        }
    }
}

fn protobuf_cases() -> Vec<serde_json::Value> {
    let golden = include_str!("../../../tests/golden/protobuf-1.36.json");
    serde_json::from_str(golden).expect("golden cases")
}

/// Returns the recorded bodies and objects.
fn protobuf_seeds() -> Vec<Vec<u8>> {
    static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let bodies = protobuf_cases().into_iter().filter_map(|case| case.get("protobuf").cloned());
        bodies.map(|body| serde_json::from_value::<ByteString>(body).expect("base64").0).collect()
    });
    SEEDS.clone()
}

/// Returns the version, the kind and the JSON of the recorded objects.
fn json_seeds() -> Vec<(String, String, String)> {
    static SEEDS: LazyLock<Vec<(String, String, String)>> = LazyLock::new(|| {
        let objects = protobuf_cases().into_iter().filter_map(|case| case.get("json").cloned());
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        objects.map(|object| (text(&object["apiVersion"]), text(&object["kind"]), object.to_string())).collect()
    });
    SEEDS.clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn mutated_manifests_keep_the_properties(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec(edit(), 0..12),
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        properties::check(text.into_iter().collect::<String>().as_bytes());
    }

    #[test]
    fn mutated_protobuf_bodies_keep_the_properties(
        seed in 0..protobuf_seeds().len(),
        edits in prop::collection::vec((0..2000_usize, any::<u8>(), 0..4_usize), 0..8),
    ) {
        let mut body = protobuf_seeds().swap_remove(seed);
        for (at, byte, removed) in edits {
            let at = at % body.len();
            let end = (at + removed).min(body.len());
            body.splice(at..end, [byte]);
        }
        properties::check_protobuf(&body);
    }

    #[test]
    fn random_protobuf_pods_keep_the_properties(
        message in prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 0..120),
    ) {
        let pod = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12";
        properties::check_protobuf(&[&pod[..], &[message.len() as u8], &message].concat());
    }

    #[test]
    fn mutated_json_keeps_the_properties_of_protobuf(
        seed in 0..json_seeds().len(),
        edits in prop::collection::vec(edit(), 0..6),
    ) {
        let (version, kind, json) = json_seeds().swap_remove(seed);
        let mut text: Vec<char> = json.chars().collect();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        properties::check_protobuf_of_json(&version, &kind, text.into_iter().collect::<String>().as_bytes());
    }

    #[test]
    fn random_bytes_keep_the_properties(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        properties::check(&bytes);
    }
}
