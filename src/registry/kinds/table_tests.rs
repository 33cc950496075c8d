//! Compares columns, cells and discovery of the kinds with those of a Kubernetes 1.36 API server.

use serde_json::{Value, json};

use super::KINDS;
use super::golden_tests::is_tested;
use crate::control::{Key, UnversionedObject};
use crate::model::object::api_version;
use crate::registry::columns::Column;
use crate::registry::kind::Kind;

const COLUMNS: &str = include_str!("../../../tests/golden/table-columns-all-1.36.json");
const ROWS: &str = include_str!("../../../tests/golden/tables-workloads-1.36.json");
const DISCOVERY: &str = include_str!("../../../tests/golden/discovery-all-1.36.json");

/// Verbs and subresources that are not served yet.
const UNSERVED: &[(&str, &str)] = &[("nodes", "proxy"), ("serviceaccounts", "token")];

fn read(golden: &str) -> Value {
    serde_json::from_str(golden).expect("golden data")
}

fn tested_kinds() -> impl Iterator<Item = &'static dyn Kind> {
    KINDS.iter().copied().filter(|kind| is_tested(kind.names().plural))
}

fn group_version(kind: &dyn Kind) -> String {
    let names = kind.names();
    api_version(names.group, names.version)
}

#[test]
fn columns_are_those_of_kubernetes() {
    let golden = read(COLUMNS);
    let mut compared = 0;
    for kind in tested_kinds() {
        let name = format!("{}/{}", group_version(kind), kind.names().plural);
        let expected = golden[&name].as_array().expect("a recorded kind");
        compared += 1;
        let describe = |column: &Column| json!([column.name, column.kind, column.format, column.priority]);
        let actual: Vec<Value> = kind.columns().iter().map(describe).collect();
        let expected: Vec<Value> =
            expected.iter().map(|column| column.as_array().expect("a column")[..4].into()).collect();
        assert_eq!(actual, expected, "{name}");
    }
    assert!(compared > 0, "no kind was compared");
}

#[test]
fn cells_are_those_of_kubernetes() {
    let golden = read(ROWS);
    let mut compared = 0;
    for row in golden["rows"].as_array().expect("rows") {
        let is_named = |kind: &&dyn Kind| {
            row["object"]["kind"] == kind.names().kind && row["object"]["apiVersion"] == *group_version(*kind)
        };
        let Some(kind) = tested_kinds().find(is_named) else { continue };
        compared += 1;
        let now = row["now"].as_str().and_then(|now| now.parse().ok()).expect("a time");
        let object = UnversionedObject::encode(&row["object"]).expect("metadata");
        let object = object.with_revision(Key::new(kind.resource(), "", "x"), 1);
        let mut cells = Vec::new();
        let mut keep = |row: crate::registry::kind::Row<'_>| {
            cells = row.cells;
            Ok(())
        };
        kind.with_row(&object, now, &mut keep).expect("a row");
        // The recorded ages are rounded at another time than `now`.
        let without_age = |cells: &[Value]| -> Vec<Value> {
            let columns = kind.columns().iter().zip(cells).filter(|(column, _)| column.name != "Age");
            columns.map(|(_, cell)| cell.clone()).collect()
        };
        let expected = row["cells"].as_array().expect("cells");
        assert_eq!(cells.len(), expected.len(), "{} {}", row["kind"], row["name"]);
        assert_eq!(without_age(&cells), without_age(expected), "{} {}", row["kind"], row["name"]);
    }
    assert!(compared > 0, "no row was compared");
}

#[test]
fn discovery_is_that_of_kubernetes() {
    let golden = read(DISCOVERY);
    let groups = ["/api", "/apis"].into_iter().flat_map(|path| golden[path]["items"].as_array().expect("groups"));
    let groups: Vec<&Value> = groups.collect();
    for kind in tested_kinds() {
        let names = kind.names();
        let group = groups.iter().find(|group| group["metadata"]["name"].as_str().unwrap_or_default() == names.group);
        let mut versions = group.expect("a group")["versions"].as_array().into_iter().flatten();
        let version = versions.find(|version| version["version"] == names.version).expect("a version");
        let mut resources = version["resources"].as_array().into_iter().flatten();
        let expected = resources.find(|resource| resource["resource"] == names.plural).expect("a resource");
        let info = kind.info();
        let is_served = |name: &Value| !UNSERVED.iter().any(|(plural, part)| *plural == names.plural && name == part);
        let list = |field: &str| expected[field].as_array().cloned().unwrap_or_default();
        let verbs: Vec<Value> = list("verbs").into_iter().filter(is_served).collect();
        let recorded_subresources = list("subresources").into_iter().filter(|part| is_served(&part["subresource"]));
        let actual = json!([info.singular, info.short_names, info.categories, info.verbs]);
        let recorded = json!([expected["singularResource"], list("shortNames"), list("categories"), verbs]);
        assert_eq!(actual, recorded, "{}", names.kind);
        let subresources = info.subresources.iter().map(|subresource| {
            let kind = json!({"group": subresource.group, "version": subresource.version, "kind": subresource.kind});
            json!({"subresource": subresource.name, "responseKind": kind, "verbs": subresource.verbs})
        });
        assert_eq!(subresources.collect::<Vec<_>>(), recorded_subresources.collect::<Vec<_>>(), "{}", names.kind);
    }
}
