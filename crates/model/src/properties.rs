//! What holds of every text that is given as a manifest. The fuzzer and the tests of `model` try to break it.
#![expect(clippy::expect_used, reason = "a property that is broken panics")]

use crate::{Fault, Issues, Manifest, Rule, decode};

/// Panics where `bytes` break a law.
pub fn check(bytes: &[u8]) {
    let Ok(text) = decode(bytes.to_vec()) else { return };
    for source in ["text.yaml", "text.json"] {
        let manifest = Manifest::read(source, &text);
        let issues = manifest.issues();
        places_lie_in_the_text(&issues, &text);
        assert_eq!(issues.errors() > 0, manifest.has_errors());
        let fault = |object| {
            let path = "metadata.name".to_string();
            Fault { object, rule: Rule::Invalid, path, message: "wrong".into(), hint: None }
        };
        let faults: Vec<Fault> = (0..manifest.objects().len()).map(fault).collect();
        places_lie_in_the_text(&manifest.issues_with(&faults), &text);
        what_is_read_is_read_again(&manifest);
    }
}

fn places_lie_in_the_text(issues: &Issues, text: &str) {
    // A lone CR ends a line of YAML, and no line of an editor.
    let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 2;
    for position in issues.all().iter().filter_map(|issue| issue.position) {
        assert!((1..=lines).contains(&position.line), "{position:?} of {lines} lines");
        assert!(position.column >= 1 && position.len >= 1, "{position:?}");
    }
    assert!(issues.to_string().len() <= 4096 + issues.all().len() * 4096 + 8 * text.len());
}

fn what_is_read_is_read_again(manifest: &Manifest) {
    for object in manifest.objects() {
        let json = object.to_json().expect("JSON of an object");
        let again = Manifest::read("again.json", &json);
        assert!(!again.has_errors(), "{json}\n{}", again.issues());
        let same: Vec<String> = again.objects().map(|object| object.to_json().expect("JSON of an object")).collect();
        assert_eq!(same, [json]);
    }
}
