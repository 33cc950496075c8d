use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::registry::pod::before_create;

/// Returns the warnings about a pod with these fields in its metadata, spec and first container.
fn warnings(metadata: &Value, spec: &Value, container: &Value) -> Vec<String> {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let set = |into: &mut Value, fields: &Value| {
        for (name, value) in fields.as_object().expect("fields") {
            into[name] = value.clone();
        }
    };
    set(&mut pod["metadata"], metadata);
    set(&mut pod["spec"], spec);
    set(&mut pod["spec"]["containers"][0], container);
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let replaced = warnings_on_replaced_values(&pod);
    let created = before_create(pod, "2026-01-01T00:00:00Z".parse().expect("a time")).expect("a valid pod");
    warnings_on_create(&created).into_iter().chain(replaced).collect()
}

#[test]
fn questionable_metadata_causes_warnings() {
    let name = "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS \
                label is recommended: [";
    assert!(warnings(&json!({"name": "a.b"}), &json!({}), &json!({}))[0].starts_with(name));
    let annotated = |key: &str, value: &str| json!({"annotations": {key: value}});
    let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    let sysctls = "non-functional in v1.11+; use the \"sysctls\" field instead";
    for (key, value, want) in [
        ("a", "b", None),
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            "",
            Some("non-functional in v1.16+; use the \"priorityClassName\" field instead"),
        ),
        ("security.alpha.kubernetes.io/sysctls", "a", Some(sysctls)),
        ("security.alpha.kubernetes.io/unsafe-sysctls", "a", Some(sysctls)),
        ("seccomp.security.alpha.kubernetes.io/pod", "unconfined", Some(seccomp)),
        ("container.seccomp.security.alpha.kubernetes.io/c", "unconfined", Some(seccomp)),
        ("container.seccomp.security.alpha.kubernetes.io/d", "unconfined", None),
    ] {
        let want: Vec<String> = want.into_iter().map(|why| format!("metadata.annotations[{key}]: {why}")).collect();
        assert_eq!(warnings(&annotated(key, value), &json!({}), &json!({})), want, "{key}");
    }
}

#[test]
fn questionable_specs_cause_warnings() {
    let term =
        |key: &str, value: &str| json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]});
    let spread = |key: &str, selector: Value| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}]})
    };
    let affinity = |kind: &str, required: Value, preferred: Value| {
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": required,
            "preferredDuringSchedulingIgnoredDuringExecution": preferred}}})
    };
    let near = json!({"topologyKey": "z"});
    let volume = |source: Value| json!({"volumes": [source]});
    let items = json!([{"key": "a", "path": "d/"}, {"key": "b", "path": "dd"}, {"key": "c", "path": "d/e"}]);
    for (spec, want) in [
        (json!({"nodeSelector": {"kubernetes.io/arch": "x"}}), vec![]),
        (
            json!({"nodeSelector": {"beta.kubernetes.io/arch": "x"}}),
            vec![
                "spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            ],
        ),
        (
            affinity(
                "nodeAffinity",
                json!({"nodeSelectorTerms": [term("beta.kubernetes.io/os", "x")]}),
                json!([{"weight": 1, "preference": term("a", "-b")}]),
            ),
            vec![
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]: -b is invalid, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        ),
        (spread("z", json!({})), vec![]),
        (
            spread("failure-domain.beta.kubernetes.io/zone", Value::Null),
            vec![
                "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
                "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            ],
        ),
        (
            affinity("podAffinity", json!([near]), json!([{"weight": 1, "podAffinityTerm": near}])),
            vec![
                "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
                "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
            ],
        ),
        (
            affinity("podAntiAffinity", json!([near]), json!([])),
            vec![
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
            ],
        ),
        (
            volume(json!({"name": "v", "configMap": {"name": "m", "items": items}})),
            vec!["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"d/e\" with \"d\""],
        ),
        (
            volume(json!({"name": "v", "secret": {"secretName": "s", "items": items}})),
            vec!["volume \"v\" (Secret \"s\"): overlapping paths: \"d/e\" with \"d\""],
        ),
        (
            json!({"hostAliases": [{"ip": "::ffff:1.2.3.4"}, {"ip": "1::0"}, {"ip": "1::0"}]}),
            vec![
                "spec.hostAliases[2].ip: duplicate ip \"1::0\"",
                "spec.hostAliases[0].ip: non-standard IP address \"::ffff:1.2.3.4\" will be considered invalid in a future Kubernetes release: use \"1.2.3.4\"",
                "spec.hostAliases[1].ip: IPv6 address \"1::0\" should be in RFC 5952 canonical format (\"1::\")",
                "spec.hostAliases[2].ip: IPv6 address \"1::0\" should be in RFC 5952 canonical format (\"1::\")",
            ],
        ),
        (
            json!({"dnsConfig": {"nameservers": ["1.1.1.1", "2::0"]}}),
            vec![
                "spec.dnsConfig.nameservers[1]: IPv6 address \"2::0\" should be in RFC 5952 canonical format (\"2::\")",
            ],
        ),
        (
            json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}]}),
            vec![
                "spec.imagePullSecrets[1].name: duplicate name \"a\"",
                "spec.imagePullSecrets[2].name: invalid empty name \"\"",
            ],
        ),
        (
            json!({"terminationGracePeriodSeconds": -1}),
            vec![
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        ),
    ] {
        assert_eq!(warnings(&json!({}), &spec, &json!({})), want, "{spec}");
    }
}

#[test]
fn questionable_containers_cause_warnings() {
    let hides = |i: usize| {
        format!(
            "spec.containers[0].env[{i}]: hides previous definition of \"A\", which may be dropped when using apply"
        )
    };
    let variables = json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"},
        {"name": "A", "value": "$(A)"}, {"name": "A", "value": "$(A) 3"},
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]});
    assert_eq!(warnings(&json!({}), &json!({}), &variables), [1, 2, 4].map(hides));
    let fraction = |what: &str, amount: &str| {
        format!("spec.containers[0].resources.{what}: fractional byte value {amount:?} is invalid, must be an integer")
    };
    let amounts =
        json!({"resources": {"limits": {"memory": "1500m", "cpu": "100m"}, "requests": {"ephemeral-storage": "1m"}}});
    assert_eq!(
        warnings(&json!({}), &json!({}), &amounts),
        [
            fraction("limits[memory]", "1500m"),
            fraction("requests[memory]", "1500m"),
            fraction("requests[ephemeral-storage]", "1m"),
        ]
    );
}

#[test]
fn overlapping_ports_cause_warnings() {
    let path = |i: usize| format!("spec.containers[0].ports[{i}]");
    for (ports, want) in [
        (json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}, {"containerPort": 81}]), vec![]),
        (
            json!([{"containerPort": 80}, {"containerPort": 80}]),
            vec![format!("{}: duplicate port definition with {}", path(1), path(0))],
        ),
        (
            json!([{"containerPort": 80}, {"containerPort": 80, "hostPort": 1}]),
            vec![format!("{}: overlapping port definition with {}", path(1), path(0))],
        ),
        (
            json!([{"containerPort": 80, "hostPort": 1}, {"containerPort": 80, "hostPort": 1, "hostIP": "1.1.1.1"}]),
            vec![format!("{}: dangerously ambiguous port definition with {}", path(1), path(0))],
        ),
        (
            json!([{"containerPort": 80, "hostIP": "1.1.1.1", "name": "web"}]),
            vec![format!(
                "{}: hostIP set without hostPort: {{Name:web HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}}",
                path(0)
            )],
        ),
    ] {
        assert_eq!(warnings(&json!({}), &json!({}), &json!({"ports": ports})), want, "{ports}");
    }
    let ports = |port: u16| json!([{"containerPort": port, "name": "web"}]);
    let init = json!({"initContainers": [{"name": "i", "image": "x", "restartPolicy": "Always", "ports": ports(80)}]});
    assert_eq!(
        warnings(&json!({}), &init, &json!({"ports": ports(81)})),
        [
            "spec.containers[0].ports[0]: duplicate port name \"web\" with spec.initContainers[0].ports[0], services and \
             probes that select ports by name will use spec.initContainers[0].ports[0]"
        ]
    );
}

#[test]
fn non_canonical_status_addresses_cause_warnings() {
    let status = json!({"podIPs": [{"ip": "1::0"}], "hostIPs": [{"ip": "1.1.1.1"}, {"ip": "::FFFF:1.1.1.1"}]});
    assert_eq!(
        warnings_on_status_update(&serde_json::from_value(status).expect("a status")),
        [
            "status.podIPs[0].ip: IPv6 address \"1::0\" should be in RFC 5952 canonical format (\"1::\")",
            "status.hostIPs[1].ip: non-standard IP address \"::FFFF:1.1.1.1\" will be considered invalid in a future \
             Kubernetes release: use \"1.1.1.1\"",
        ]
    );
}
