//! Property tests: mutated manifests and random bytes.

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
    fn random_bytes_keep_the_properties(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        properties::check(&bytes);
    }
}
