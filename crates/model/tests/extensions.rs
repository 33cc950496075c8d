//! The extensions of types against the recorded OpenAPI documents (`tests/golden`).

use std::fmt::Write;

use serde_json::Value;

#[test]
fn table_is_generated_from_the_recorded_documents() {
    let golden = include_str!("../../../tests/golden/openapi-extensions-1.36.json");
    let golden: Value = serde_json::from_str(golden).expect("golden data");
    let mut wanted = String::new();
    for (name, extensions) in golden["schemas"].as_object().expect("schemas") {
        let name = name.strip_prefix("io.k8s.api.").or(name.strip_prefix("io.k8s.apimachinery.pkg.")).expect(name);
        writeln!(wanted, "{name} {extensions}").expect("a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/extensions/table.txt");
    if std::env::var_os("WASMPOD_BLESS").is_some() {
        std::fs::write(path, &wanted).expect("written");
    }
    let written = std::fs::read_to_string(path).expect("a file");
    assert!(written == wanted, "{path} is stale: run WASMPOD_BLESS=1 cargo test -p wasmpod-model extensions");
}
