//! A manifest: a text that holds Pods, alone or in Lists, one document or many.

use k8s_openapi::api::core::v1::Pod;

use super::issue::{Issue, Issues};
use super::kinds::{Known, look_up};
use super::strict;
use super::tree::{self, Node, Value};

/// The Pods of one text, with their places for whoever finds faults later.
pub struct Manifest {
    source: String,
    text: String,
    documents: Vec<Node>,
    pods: Vec<(Pod, Place)>,
}

/// Which document, and where below it (an item of a List).
struct Place {
    document: usize,
    item: Option<usize>,
}

impl Manifest {
    /// The Pods in the order of the text.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().map(|(pod, _)| pod)
    }

    /// Says faults of pod number `index` that were found by their field (`spec.containers[0].name`)
    /// in the words and with the places of this text.
    pub fn fault(&self, index: usize, causes: impl Iterator<Item = (String, String)>) -> Issues {
        let node = self.pods.get(index).and_then(|(_, place)| {
            let document = self.documents.get(place.document)?;
            match (place.item, &document.value) {
                (Some(i), _) => match &document.get("items")?.value {
                    Value::List(items) => items.get(i),
                    _ => None,
                },
                (None, _) => Some(document),
            }
        });
        let issues = causes.map(|(path, message)| {
            let position = node.map(|node| node.locate(&path));
            Issue { path, position, message, hint: None }
        });
        Issues::new(&self.source, &self.text, issues.collect())
    }
}

/// Reads `text`, which came from `source`. All faults of the text are reported at once.
pub fn parse(source: &str, text: &str) -> Result<Manifest, Issues> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let all = |issues| Issues::new(source, text, issues);
    let documents = tree::read(text).map_err(|issue| all(vec![issue]))?;
    if documents.is_empty() {
        let hint = Some("write a Pod: apiVersion: v1, kind: Pod, metadata, spec".to_string());
        return Err(all(vec![Issue { path: String::new(), position: None, message: "holds no object".into(), hint }]));
    }
    let mut pods = Vec::new();
    let mut issues = Vec::new();
    for (document, node) in documents.iter().enumerate() {
        for (item, found) in objects(node, text) {
            match found {
                Ok(pod) => pods.push((pod, Place { document, item })),
                Err(faults) => issues.extend(faults),
            }
        }
    }
    if issues.is_empty() {
        return Ok(Manifest { source: source.into(), text: text.into(), documents, pods });
    }
    Err(all(issues))
}

type Found = Result<Pod, Vec<Issue>>;

/// The objects of a document: itself, or its items where it is a List.
fn objects(node: &Node, text: &str) -> Vec<(Option<usize>, Found)> {
    let header = match header(node) {
        Ok(header) => header,
        Err(issues) => return vec![(None, Err(with_spec_faults(node, text, issues)))],
    };
    match look_up(header.0, header.1) {
        Known::Pod => vec![(None, strict::read(node, text))],
        Known::List => match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => {
                let mut found = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    let prefixed = |issue: Issue| Issue { path: below_item(i, &issue.path), ..issue };
                    for (_, object) in objects(item, text) {
                        let object = object.map_err(|issues| issues.into_iter().map(prefixed).collect());
                        found.push((Some(i), object));
                    }
                }
                found
            }
            Some(Value::Null) | None => Vec::new(),
            Some(_) => vec![(None, Err(vec![issue(node, "items", "wanted a list of objects", None)]))],
        },
        Known::NotYet => {
            let message = format!("kind {} is not supported yet", header.1);
            let hint = match header.1 {
                "CronJob"
                | "DaemonSet"
                | "Deployment"
                | "Job"
                | "PodTemplate"
                | "ReplicaSet"
                | "ReplicationController"
                | "StatefulSet" => "wasmpod runs Pods: write its template as a Pod",
                _ => "wasmpod runs Pods: leave it out",
            };
            let hint = hint.to_string();
            vec![(None, Err(vec![issue(node, "kind", &message, Some(hint))]))]
        }
        Known::Unknown { known_in } => {
            let message = format!("no matches for kind {:?} in version {:?}", header.1, header.0);
            let hint = known_in.map(|version| format!("write apiVersion: {version}"));
            vec![(None, Err(vec![issue(node, "apiVersion", &message, hint)]))]
        }
    }
}

fn below_item(i: usize, path: &str) -> String {
    if path.is_empty() { format!("items[{i}]") } else { format!("items[{i}].{path}") }
}

fn issue(node: &Node, path: &str, message: &str, hint: Option<String>) -> Issue {
    Issue { path: path.into(), position: Some(node.locate(path)), message: message.into(), hint }
}

/// `apiVersion` and `kind`, which every object needs.
fn header(node: &Node) -> Result<(&str, &str), Vec<Issue>> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(vec![issue(node, "", "wanted an object (a mapping with apiVersion, kind and metadata)", None)]);
    }
    let field = |name: &str, hint: &str| match node.get(name) {
        Some(value) => value
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| issue(node, name, &format!("{name} must be a string that is not empty"), None)),
        None => Err(issue(node, "", &format!("{name} is missing"), Some(hint.into()))),
    };
    match (field("apiVersion", "write apiVersion: v1"), field("kind", "write kind: Pod")) {
        (Ok(version), Ok(kind)) => Ok((version, kind)),
        (version, kind) => Err([version.err(), kind.err()].into_iter().flatten().collect()),
    }
}

/// What resembles a Pod is checked as one even where it does not say that it is.
fn with_spec_faults(node: &Node, text: &str, mut issues: Vec<Issue>) -> Vec<Issue> {
    if node.get("spec").is_some_and(|spec| spec.get("containers").is_some()) {
        let pod: Found = strict::read(node, text);
        issues.extend(pod.err().into_iter().flatten());
    }
    issues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        parse("pod.yaml", text).map(|_| ()).map_or_else(|issues| issues.to_string(), |()| String::new())
    }

    #[test]
    fn pods_come_from_documents_and_lists() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
        let text = format!("---\n# nothing\n---\n{pod}---\n{list}");
        let manifest = parse("x", &text).expect("a manifest");
        let names: Vec<_> = manifest.pods().filter_map(|p| p.metadata.name.clone()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn every_unknown_field_is_named_with_its_place() {
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    resouces: {}\n    limage: x\n";
        insta::assert_snapshot!(faults(text), @r#"
        pod.yaml:6:5: spec.containers[0].resouces: unknown field "resouces"
           |
         6 |     resouces: {}
           |     ^^^^^^^^ did you mean "resources"?
        pod.yaml:7:5: spec.containers[0].limage: unknown field "limage"
           |
         7 |     limage: x
           |     ^^^^^^ did you mean "image"?
        "#);
    }

    #[test]
    fn wrong_types_say_what_was_found() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {tier: yes}\nspec:\n  containers: nginx\n  \
                    terminationGracePeriodSeconds: soon\n";
        insta::assert_snapshot!(faults(text), @r#"
        pod.yaml:4:18: metadata.labels.tier: wanted a string, found the boolean yes
           |
         4 |   labels: {tier: yes}
           |                  ^^^ quote it: "yes"
        pod.yaml:6:15: spec.containers: wanted a list, found the string "nginx"
           |
         6 |   containers: nginx
           |               ^^^^^
        pod.yaml:7:34: spec.terminationGracePeriodSeconds: wanted an integer, found the string "soon"
           |
         7 |   terminationGracePeriodSeconds: soon
           |                                  ^^^^
        "#);
    }

    #[test]
    fn other_kinds_are_told_apart_from_unknown_ones() {
        for (header, words) in [
            ("apiVersion: batch/v1\nkind: Job\n", "kind Job is not supported yet"),
            ("apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n", "write apiVersion: policy/v1"),
            ("apiVersion: v1\nkind: Pot\n", "no matches for kind \"Pot\" in version \"v1\""),
            ("kind: Pod\n", "apiVersion is missing"),
            ("- a\n", "wanted an object"),
            ("", "holds no object"),
            ("a: [", "not valid YAML"),
            ("a: 1\na: 2\n", "duplicate"),
        ] {
            assert!(faults(header).contains(words), "{header:?}: {}", faults(header));
        }
    }

    #[test]
    fn quantities_may_be_numbers() {
        let text =
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, resources: {limits: {cpu: 1, memory: 1e6}}}]}\n";
        assert_eq!(faults(text), "");
    }
}
