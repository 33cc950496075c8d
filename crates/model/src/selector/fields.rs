//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! One table per kind lists the selectable fields, which are the same as in Kubernetes.

use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, PodSpec, PodStatus, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::SelectorError;

/// Requirements on an object's fields; an empty selector selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: &'static str,
    value: String,
    /// `!=`
    negated: bool,
}

impl FieldSelector {
    /// Parses a selector for objects of `kind` in API group `group`; an empty text selects everything.
    pub fn parse(text: &str, group: &str, kind: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = split_terms(text);
        // Kubernetes reports the first error in this order.
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms {
            requirements.push(parse_requirement(text, term)?);
        }
        let known = |(label, value, negated)| {
            let field = field_of_label(group, kind, label)?;
            Ok(FieldRequirement { field, value, negated })
        };
        requirements.into_iter().map(known).collect::<Result<_, _>>().map(FieldSelector)
    }

    /// Returns whether the selector selects every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value that the selector requires of `field`, such as the name in `metadata.name=a`.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        let requirement = self.0.iter().find(|requirement| requirement.field == field && !requirement.negated)?;
        Some(&requirement.value)
    }

    /// Returns the fields that the selector uses.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|requirement| requirement.field)
    }

    /// Returns whether the selector matches an object with the fields that `value_of` returns; a missing field is
    /// empty.
    pub fn matches<'o>(&self, value_of: impl Fn(&str) -> Option<&'o str>) -> bool {
        let holds = |r: &FieldRequirement| (value_of(r.field).unwrap_or_default() == r.value) != r.negated;
        self.0.iter().all(holds)
    }
}

// ---------------------------------------------------------------- fields of kinds

/// A field's name and the accessor of its value.
type Field<T> = (&'static str, fn(&T) -> Option<&str>);

const METADATA: [Field<ObjectMeta>; 2] =
    [("metadata.name", |m| m.name.as_deref()), ("metadata.namespace", |m| m.namespace.as_deref())];

const POD: [Field<Pod>; 9] = [
    ("spec.nodeName", |p| spec(p)?.node_name.as_deref()),
    ("spec.restartPolicy", |p| spec(p)?.restart_policy.as_deref()),
    ("spec.schedulerName", |p| spec(p)?.scheduler_name.as_deref()),
    ("spec.serviceAccountName", |p| spec(p)?.service_account_name.as_deref()),
    ("spec.hostNetwork", |p| Some(bool_text(spec(p)?.host_network))),
    ("status.phase", |p| status(p)?.phase.as_deref()),
    ("status.podIP", pod_ip),
    // As in Kubernetes, the field is selectable but always empty.
    ("status.podIPs", |_| None),
    ("status.nominatedNodeName", |p| status(p)?.nominated_node_name.as_deref()),
];

const EVENT: [Field<Event>; 11] = [
    ("involvedObject.kind", |e| e.involved_object.kind.as_deref()),
    ("involvedObject.namespace", |e| e.involved_object.namespace.as_deref()),
    ("involvedObject.name", |e| e.involved_object.name.as_deref()),
    ("involvedObject.uid", |e| e.involved_object.uid.as_deref()),
    ("involvedObject.apiVersion", |e| e.involved_object.api_version.as_deref()),
    ("involvedObject.resourceVersion", |e| e.involved_object.resource_version.as_deref()),
    ("involvedObject.fieldPath", |e| e.involved_object.field_path.as_deref()),
    ("reason", |e| e.reason.as_deref()),
    ("reportingComponent", |e| e.reporting_component.as_deref()),
    ("source", |e| {
        let component = e.source.as_ref().and_then(|source| source.component.as_deref());
        component.filter(|component| !component.is_empty()).or(e.reporting_component.as_deref())
    }),
    ("type", |e| e.type_.as_deref()),
];

const NODE: [Field<Node>; 1] =
    [("spec.unschedulable", |n| Some(bool_text(n.spec.as_ref().and_then(|spec| spec.unschedulable))))];

const NAMESPACE: [Field<Namespace>; 1] = [("status.phase", |n| n.status.as_ref()?.phase.as_deref())];

const SECRET: [Field<Secret>; 1] = [("type", |s| s.type_.as_deref())];

/// Aliases of fields by group and kind: of older clients, and of `events.k8s.io`.
const ALIASES: &[(&str, &str, &str, &str)] = &[
    ("", "Pod", "spec.host", "spec.nodeName"),
    ("events.k8s.io", "Event", "regarding.kind", "involvedObject.kind"),
    ("events.k8s.io", "Event", "regarding.namespace", "involvedObject.namespace"),
    ("events.k8s.io", "Event", "regarding.name", "involvedObject.name"),
    ("events.k8s.io", "Event", "regarding.uid", "involvedObject.uid"),
    ("events.k8s.io", "Event", "regarding.apiVersion", "involvedObject.apiVersion"),
    ("events.k8s.io", "Event", "regarding.resourceVersion", "involvedObject.resourceVersion"),
    ("events.k8s.io", "Event", "regarding.fieldPath", "involvedObject.fieldPath"),
    ("events.k8s.io", "Event", "reportingController", "reportingComponent"),
];

/// Returns a pod's selectable field.
pub fn pod_field<'p>(pod: &'p Pod, field: &str) -> Option<&'p str> {
    value(&METADATA, &pod.metadata, field).or_else(|| value(&POD, pod, field))
}

/// Returns an event's selectable field.
pub fn event_field<'e>(event: &'e Event, field: &str) -> Option<&'e str> {
    value(&METADATA, &event.metadata, field).or_else(|| value(&EVENT, event, field))
}

/// Returns a node's selectable field.
pub fn node_field<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    value(&METADATA, &node.metadata, field).or_else(|| value(&NODE, node, field))
}

/// Returns a namespace's selectable field.
pub fn namespace_field<'n>(namespace: &'n Namespace, field: &str) -> Option<&'n str> {
    value(&METADATA, &namespace.metadata, field).or_else(|| value(&NAMESPACE, namespace, field))
}

/// Returns a secret's selectable field.
pub fn secret_field<'s>(secret: &'s Secret, field: &str) -> Option<&'s str> {
    value(&METADATA, &secret.metadata, field).or_else(|| value(&SECRET, secret, field))
}

fn value<'o, T>(fields: &[Field<T>], object: &'o T, field: &str) -> Option<&'o str> {
    let (_, accessor) = fields.iter().find(|(name, _)| *name == field)?;
    accessor(object)
}

/// Returns the field that a client's `label` names.
fn field_of_label(group: &str, kind: &str, label: &str) -> Result<&'static str, SelectorError> {
    let alias = ALIASES.iter().find(|(g, k, alias, _)| (*g, *k, *alias) == (group, kind, label));
    if let Some((.., field)) = alias {
        return Ok(field);
    }
    let mut known: Vec<&'static str> = names(&METADATA);
    match (group, kind) {
        ("", "Pod") => known.extend(names(&POD)),
        ("", "Event") => known.extend(names(&EVENT)),
        ("events.k8s.io", "Event") => known.extend(["reason", "type"]),
        ("", "Node") => known.extend(names(&NODE)),
        ("", "Namespace") => known.extend(names(&NAMESPACE)),
        ("", "Secret") => known.extend(names(&SECRET)),
        _ => {
            let message =
                || format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
            return known.into_iter().find(|field| *field == label).ok_or_else(|| SelectorError(message()));
        }
    }
    let error = || SelectorError(format!("field label not supported: {label}"));
    known.into_iter().find(|field| *field == label).ok_or_else(error)
}

fn names<T>(fields: &[Field<T>]) -> Vec<&'static str> {
    fields.iter().map(|(name, _)| *name).collect()
}

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

fn status(pod: &Pod) -> Option<&PodStatus> {
    pod.status.as_ref()
}

fn pod_ip(pod: &Pod) -> Option<&str> {
    let status = status(pod)?;
    let first = status.pod_ips.as_deref().unwrap_or_default().first();
    first.map(|ip| ip.ip.as_str()).or(status.pod_ip.as_deref())
}

fn bool_text(value: Option<bool>) -> &'static str {
    if value == Some(true) { "true" } else { "false" }
}

// ---------------------------------------------------------------- grammar

/// Splits at unescaped commas; drops empty terms.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let at_comma = |c: char| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text.split(at_comma).filter(|term| !term.is_empty()).collect()
}

/// Parses `field=value`, `field==value` or `field!=value` into field, value and negation.
fn parse_requirement<'t>(text: &str, term: &'t str) -> Result<(&'t str, String, bool), SelectorError> {
    let at = term.find("!=").into_iter().chain(term.find('=')).min();
    let error = || SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'"));
    let (field, rest) = at.and_then(|at| term.split_at_checked(at)).ok_or_else(error)?;
    let operators = [("!=", true), ("==", false), ("=", false)];
    let operator = operators.iter().find_map(|(operator, negated)| Some((rest.strip_prefix(operator)?, *negated)));
    let (value, negated) = operator.ok_or_else(error)?;
    Ok((field, unescape(value)?, negated))
}

/// Removes backslashes, which may escape only `,`, `=` and `\`.
fn unescape(value: &str) -> Result<String, SelectorError> {
    let error = |reason: String| SelectorError(format!("invalid field selector: {reason}"));
    let (mut plain, mut chars) = (String::with_capacity(value.len()), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(error(format!("invalid escape sequence: \\{other}")));
                }
            },
            // Kubernetes prints the character's number here.
            ',' | '=' => return Err(error(format!("unescaped character in value: {c}"))),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NamespaceStatus, NodeSpec};

    use super::*;

    fn parse(text: &str) -> Result<FieldSelector, String> {
        FieldSelector::parse(text, "", "Pod").map_err(|error| error.to_string())
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
            let parsed = parse(selector).unwrap_or_else(|error| panic!("{selector:?}: {error}"));
            assert_eq!(parsed.matches(|field| pod_field(&pod, field)), expected, "{selector:?}");
        }
    }

    #[test]
    fn values_are_unescaped() {
        let selector = parse(r"metadata.name=a\=b\\c\,d").expect("a selector");
        assert_eq!(selector.required_value("metadata.name"), Some(r"a=b\c,d"));
        assert_eq!(selector.required_value("metadata.namespace"), None);
        assert_eq!(parse("metadata.name!=a").expect("a selector").required_value("metadata.name"), None);
    }

    #[test]
    fn invalid_field_selectors_get_kubernetes_messages() {
        for (group, kind, selector, expected) in [
            ("", "Pod", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("", "Pod", "z,metadata.name", "invalid selector: 'z,metadata.name'; can't understand 'metadata.name'"),
            ("", "Pod", "a!b", "invalid selector: 'a!b'; can't understand 'a!b'"),
            ("", "Pod", "spec.hostname=x", "field label not supported: spec.hostname"),
            ("", "Pod", "=x", "field label not supported: "),
            ("", "Pod", "metadata.name===x", "invalid field selector: unescaped character in value: ="),
            ("", "Pod", r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
            ("", "Pod", r"metadata.name=a\", r"invalid field selector: invalid escape sequence: \"),
            ("", "Event", "status.phase=x", "field label not supported: status.phase"),
            ("events.k8s.io", "Event", "involvedObject.name=x", "field label not supported: involvedObject.name"),
            ("", "Node", "status.phase=x", "field label not supported: status.phase"),
            (
                "",
                "ConfigMap",
                "data=x",
                "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            ),
        ] {
            let read = FieldSelector::parse(selector, group, kind).map_err(|error| error.to_string());
            assert_eq!(read, Err(expected.into()), "{selector:?} of {group}/{kind}");
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
            let parsed = FieldSelector::parse(selector, group, "Event").expect(selector);
            assert_eq!(parsed.matches(|field| event_field(&event, field)), expected, "{selector:?}");
        }
        let cordoned =
            Node { spec: Some(NodeSpec { unschedulable: Some(true), ..Default::default() }), ..Default::default() };
        for (node, expected) in [(cordoned, true), (Node::default(), false)] {
            let parsed = FieldSelector::parse("spec.unschedulable=true", "", "Node").expect("a selector");
            assert_eq!(parsed.matches(|field| node_field(&node, field)), expected);
        }
        let status = NamespaceStatus { phase: Some("Active".into()), ..Default::default() };
        let namespace = Namespace { status: Some(status), ..Default::default() };
        let parsed = FieldSelector::parse("status.phase=Active,metadata.name=", "", "Namespace").expect("a selector");
        assert!(parsed.matches(|field| namespace_field(&namespace, field)));
    }
}
