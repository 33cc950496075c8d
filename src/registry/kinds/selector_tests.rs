//! Selectors of kinds, compared with recorded answers of a Kubernetes 1.36 API server.

use k8s_openapi::api::core::v1::{Event, Namespace, NamespaceStatus, Node, NodeSpec, Pod};
use serde_json::Value;

use crate::control::{Key, Resource, UnversionedObject};
use crate::model::object::ApiType;
use crate::model::selector::{FieldSelector, Selector, SelectorError};
use crate::registry::kinds;

/// Parses a field selector of the kind `plural` in `group`, which may be another than the stored one's.
fn parse(text: &str, group: &str, plural: &str) -> Result<FieldSelector, SelectorError> {
    let kind = kinds::KINDS.iter().find(|kind| kind.names().plural == plural).expect("a kind");
    let version = kind.other_versions().iter().find(|version| version.group == group);
    FieldSelector::parse(text, |label| match version {
        Some(version) => {
            let field = version.fields.iter().find(|(known, _)| *known == label);
            field.map(|(_, field)| *field).ok_or_else(|| SelectorError::unsupported_label(label))
        }
        None => kind.field_of_label(label),
    })
}

fn matches<T: ApiType>(object: &T, labels: &Selector, fields: &FieldSelector) -> bool {
    let key = Key::new(Resource::of::<T>(), "ns", "o");
    let stored = UnversionedObject::encode(object).expect("encodes").with_revision(key, 7);
    let kind = kinds::of(&Resource::of::<T>()).expect("a kind");
    kind.matches(&stored, labels, fields).expect("decodes")
}

/// Returns the pods of the recording: a (app=x, tier=f), b (app=x) and c (app=y), all on node ghost.
fn pods() -> Vec<Pod> {
    let pod = |(name, labels): (&str, Value)| {
        let metadata = serde_json::json!({"name": name, "namespace": "NS", "labels": labels});
        let pod = serde_json::json!({"metadata": metadata, "spec": {"nodeName": "ghost", "containers": []}});
        serde_json::from_value(pod).expect("a pod")
    };
    let x = serde_json::json!({"app": "x"});
    let labels =
        [("a", serde_json::json!({"app": "x", "tier": "f"})), ("b", x), ("c", serde_json::json!({"app": "y"}))];
    labels.into_iter().map(pod).collect()
}

/// Returns the names of the selected pods.
fn select(labels: &str, fields: &str) -> Result<Vec<String>, SelectorError> {
    let (labels, fields) = (Selector::parse(labels)?, parse(fields, "", "pods")?);
    let mut pods = pods();
    pods.retain(|pod| matches(pod, &labels, &fields));
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}

#[test]
fn selectors_match_a_recorded_api_server() {
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/requests-1.36.json")).expect("golden data");
    let mut compared = 0;
    for case in golden
        .iter()
        .filter(|case| case["request"]["method"] == "GET" && !case["list"].is_null() || case["code"] == 400)
    {
        let (_, query) = case["request"]["path"].as_str().and_then(|path| path.split_once('?')).unwrap_or_default();
        let parameter = |name: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes());
            all.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        let (labels, fields) = (parameter("labelSelector"), parameter("fieldSelector"));
        if labels.is_none() && fields.is_none() {
            continue;
        }
        let selected = select(&labels.unwrap_or_default(), &fields.unwrap_or_default());
        let names = || serde_json::from_value(case["list"]["names"].clone()).expect("names");
        let expected = match case["status"]["message"].as_str() {
            Some(message) => Err(message.to_string()),
            None => Ok(names()),
        };
        assert_eq!(selected.map_err(|error| error.to_string()), expected, "{}", case["name"]);
        compared += 1;
    }
    assert_eq!(compared, 11, "cases with selectors in the golden data");
}

fn pod() -> Pod {
    let json = serde_json::json!({
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"nodeName": "ghost", "restartPolicy": "Always", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
    });
    serde_json::from_value(json).expect("a pod")
}

#[test]
fn field_selectors_match_as_in_kubernetes() {
    let pod = pod();
    for (selector, expected) in [
        ("", true),
        (",,", true),
        ("metadata.name=a", true),
        ("metadata.name==a", true),
        ("metadata.name!=a", false),
        ("metadata.name=b", false),
        ("metadata.name=a,metadata.namespace=ns", true),
        ("metadata.name=a,metadata.namespace=other", false),
        ("status.phase!=Running,metadata.name=a", false),
        ("spec.nodeName=ghost", true),
        ("spec.host=ghost", true),
        ("spec.hostNetwork=false", true),
        ("spec.hostNetwork!=true", true),
        ("spec.serviceAccountName=", true),
        ("status.nominatedNodeName=", true),
        ("status.podIP=10.0.0.1", true),
        ("status.podIP=", false),
        ("status.podIPs=", true),
        ("status.podIPs=10.0.0.1", false),
        (r"metadata.name=a\,b", false),
        (r"metadata.name!=a\=b\\c\,d", true),
    ] {
        let parsed = parse(selector, "", "pods").unwrap_or_else(|error| panic!("{selector:?}: {error}"));
        assert_eq!(matches(&pod, &Selector::default(), &parsed), expected, "{selector:?}");
    }
}

#[test]
fn events_nodes_and_namespaces_have_their_own_fields() {
    let event: Event = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "e", "namespace": "ns"},
        "involvedObject": {"kind": "Pod", "name": "p", "uid": "u", "fieldPath": "spec.containers{c}"},
        "reason": "Started", "type": "Normal", "reportingComponent": "kubelet",
    }))
    .expect("an event");
    for (group, selector, expected) in [
        ("", "involvedObject.name=p,involvedObject.uid=u,involvedObject.kind=Pod", true),
        ("", "reason!=Started", false),
        ("", "source=kubelet,reportingComponent=kubelet,type=Normal", true),
        ("events.k8s.io", "regarding.name=p,reportingController=kubelet", true),
        ("events.k8s.io", "regarding.fieldPath=other", false),
    ] {
        let parsed = parse(selector, group, "events").expect(selector);
        assert_eq!(matches(&event, &Selector::default(), &parsed), expected, "{selector:?}");
    }
    let cordoned =
        Node { spec: Some(NodeSpec { unschedulable: Some(true), ..Default::default() }), ..Default::default() };
    for (node, expected) in [(cordoned, true), (Node::default(), false)] {
        let parsed = parse("spec.unschedulable=true", "", "nodes").expect("a selector");
        assert_eq!(matches(&node, &Selector::default(), &parsed), expected);
    }
    let status = NamespaceStatus { phase: Some("Active".into()), ..Default::default() };
    let namespace = Namespace { status: Some(status), ..Default::default() };
    let parsed = parse("status.phase=Active,metadata.name=", "", "namespaces").expect("a selector");
    assert!(matches(&namespace, &Selector::default(), &parsed));
}

#[test]
fn fields_of_other_kinds_are_not_supported() {
    for (group, plural, selector, expected) in [
        ("", "pods", "spec.hostname=x", "field label not supported: spec.hostname"),
        ("", "events", "status.phase=x", "field label not supported: status.phase"),
        ("events.k8s.io", "events", "involvedObject.name=x", "field label not supported: involvedObject.name"),
        ("", "nodes", "status.phase=x", "field label not supported: status.phase"),
        (
            "",
            "configmaps",
            "data=x",
            "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        let read = parse(selector, group, plural).map_err(|error| error.to_string());
        assert_eq!(read, Err(expected.into()), "{selector:?} of {group}/{plural}");
    }
}
