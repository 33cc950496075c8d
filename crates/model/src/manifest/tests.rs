use k8s_openapi::api::core::v1::ConfigMap;

use super::*;
use crate::kinds::SOME_KINDS;

fn diagnostics(text: &str) -> String {
    Manifest::read(SOME_KINDS, "pod.yaml", text).diagnostics().to_string()
}

/// Returns a Pod with this spec, in one line.
fn pod(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}\n")
}

#[test]
fn documents_and_lists_yield_objects() {
    let text = "---\n# nothing\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n\
                ---\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: d}\n---\napiVersion: apps/v1\nkind: DeploymentList\n\
                items: [{metadata: {name: e}}]\n";
    let manifest = parse(SOME_KINDS, "x", text).expect("a manifest");
    let found: Vec<_> =
        manifest.objects().map(|o| (o.kind().name(), o.metadata().name.clone().unwrap_or_default())).collect();
    let expected = [("Pod", "a"), ("Pod", "b"), ("ConfigMap", "c"), ("Pod", "d"), ("Deployment", "e")];
    assert_eq!(found, expected.map(|(kind, name)| (kind, name.to_string())));
    assert_eq!(manifest.pods().count(), 3);
}

fn names(source: &str, text: &str) -> Vec<String> {
    let manifest = parse(SOME_KINDS, source, text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    manifest.objects().map(|object| object.metadata().name.clone().unwrap_or_default()).collect()
}

#[test]
fn streams_of_json_objects_are_read() {
    let object =
        |name: &str| format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}"}}}}"#);
    let [a, b, c] = ["a", "b", "c"].map(object);
    for text in [
        format!("{a}{b}{c}"),
        format!("{a}\n{b}\n\n{c}\n"),
        format!("{a}\n---\n{b}\n---\n{c}"),
        format!("\n {a} {b}\t{c} "),
    ] {
        assert_eq!(names("x.json", &text), ["a", "b", "c"], "{text}");
    }
    let broken = Manifest::read(SOME_KINDS, "x.json", &format!("{a}\n{b}\n{{\"kind\": ]}}")).diagnostics().to_string();
    assert!(broken.contains("x.json:3:10: not valid JSON: expected value"), "{broken}");
}

#[test]
fn byte_order_marks_may_begin_any_document() {
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let [a, b] = ["a", "b"].map(map);
    for text in [
        format!("\u{feff}{a}---\n\u{feff}{b}"),
        format!("{a}\u{feff}---\n{b}"),
        format!("\u{feff}---\n{a}--- # next\n\u{feff}{b}"),
    ] {
        assert_eq!(names("x.yaml", &text), ["a", "b"], "{text:?}");
    }
}

#[test]
fn null_is_an_empty_string_and_a_zero_quantity() {
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {x: null}}\ndata: {b: null, c: ~, d: 'null'}\n";
    let manifest = parse(SOME_KINDS, "x", text).expect("a manifest");
    let Some(map) = manifest.objects().next().and_then(ManifestObject::downcast_ref::<ConfigMap>) else {
        panic!("a ConfigMap")
    };
    let entries: Vec<_> = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(entries, [("b", ""), ("c", ""), ("d", "null")]);
    assert_eq!(map.metadata.labels.as_ref().and_then(|labels| labels.get("x")).map(String::as_str), Some(""));
    let limits = "containers: [{name: c, image: x, args: [null], resources: {limits: {cpu: null}}}]";
    let manifest = parse(SOME_KINDS, "x", &pod(limits)).expect("a manifest");
    let spec = manifest.pods().next().and_then(|pod| pod.spec.clone()).expect("a spec");
    assert_eq!(spec.containers[0].args, Some(vec![String::new()]));
    let limits = spec.containers[0].resources.as_ref().and_then(|resources| resources.limits.as_ref());
    assert_eq!(limits.and_then(|limits| limits.get("cpu")).map(|cpu| cpu.0.as_str()), Some("0"));
}

#[test]
fn unknown_fields_are_reported_with_their_position() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    resouces: {}\n    limage: x\n";
    insta::assert_snapshot!(diagnostics(text), @r#"
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
fn wrong_types_are_reported_with_the_value() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {tier: y}\nspec:\n  containers: nginx\n  \
                terminationGracePeriodSeconds: soon\n  hostNetwork: 'true'\n  priority: 99999999999\n  volumes: {name: a}\n";
    insta::assert_snapshot!(diagnostics(text), @r#"
    pod.yaml:4:18: metadata.labels.tier: expected a string, found the boolean y
       |
     4 |   labels: {tier: y}
       |                  ^ quote it: "y"
    pod.yaml:6:15: spec.containers: expected a list, found the string "nginx"
       |
     6 |   containers: nginx
       |               ^^^^^ write a list: ["nginx"]
    pod.yaml:7:34: spec.terminationGracePeriodSeconds: expected an integer, found the string "soon"
       |
     7 |   terminationGracePeriodSeconds: soon
       |                                  ^^^^
    pod.yaml:8:16: spec.hostNetwork: expected a boolean, found the string "true"
       |
     8 |   hostNetwork: 'true'
       |                ^^^^^^ write it without quotes: true
    pod.yaml:9:13: spec.priority: 99999999999 is out of range (-2147483648 to 2147483647)
       |
     9 |   priority: 99999999999
       |             ^^^^^^^^^^^
    pod.yaml:10:12: spec.volumes: expected a list, found a mapping
        |
     10 |   volumes: {name: a}
        |            ^ begin each item of the list with a dash
    "#);
}

#[test]
fn duplicate_keys_are_reported_beside_other_errors() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n  labels: {x: a, x: b}\nspec:\n  \
                restartPolicy: Never\n  restartPolicy: Always\n  contaners: []\n";
    insta::assert_snapshot!(diagnostics(text), @r#"
    pod.yaml:5:3: metadata.name: duplicate key "name": first set on line 4
       |
     5 |   name: b
       |   ^^^^ remove one of the two
    pod.yaml:6:18: metadata.labels.x: duplicate key "x": first set on line 6
       |
     6 |   labels: {x: a, x: b}
       |                  ^ remove one of the two
    pod.yaml:9:3: spec.restartPolicy: duplicate key "restartPolicy": first set on line 8
       |
     9 |   restartPolicy: Always
       |   ^^^^^^^^^^^^^ remove one of the two
    pod.yaml:10:3: spec.contaners: unknown field "contaners"
        |
     10 |   contaners: []
        |   ^^^^^^^^^ did you mean "containers"?
    "#);
}

#[test]
fn misplaced_fields_get_a_hint() {
    for (text, hint) in [
        (pod("containers: [{name: a, image: b}], env: []"), "move it to spec.containers[0]"),
        (
            pod("containers: [{name: a, livenessProbe: {httpGet: {port: 80, periodSeconds: 3}}}]"),
            "move it to spec.containers[0].livenessProbe",
        ),
        (pod("containers: [{name: a, restartPolicyy: Never}]"), "did you mean \"restartPolicy\"?"),
        (pod("containers: [{name: a, dnsPolicy: None}]"), "move it to spec"),
        (pod("containers: [{name: a, limit: {}}]"), "did you mean \"resources.limits\"?"),
        (pod("containers: [{name: a, Image: x}]"), "did you mean \"image\"?"),
        (
            "{apiVersion: v1, kind: Pod, spec: {metadata: {}, containers: []}}".into(),
            "move it to the top level of the object",
        ),
        ("{apiVersion: batch/v1, kind: Job, spec: {template: , spec: {}}}".into(), "move it to spec.template"),
        ("{apiVersion: v1, kind: Pod, containers: [], spec: {}}".into(), "move it to spec"),
        ("{apiVersion: apps/v1, kind: Deployment, spec: {matchLabels: {a: b}}}".into(), "move it to spec.selector"),
        (
            "{apiVersion: batch/v1, kind: Job, spec: {template: , containers: []}}".into(),
            "move it to spec.template.spec",
        ),
        (pod("containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, emptyDir: {}}]}]"), "unknown field"),
        (pod("on: x"), "YAML 1.1 reads on as true; quote it: \"on\""),
    ] {
        assert!(diagnostics(&text).contains(hint), "{hint}: {}", diagnostics(&text));
    }
}

#[test]
fn misleading_scalars_are_warned_about() {
    for (text, warning) in [
        (pod("hostNetwork: no"), "spec.hostNetwork: warning: no is read as false"),
        (pod("containers: [{name: a, ports: [{containerPort: 0100}]}]"), "containerPort: warning: 0100 is read as 64"),
        (pod("priority: 0x10"), "spec.priority: warning: 0x10 is read as 16"),
        (pod("terminationGracePeriodSeconds: 1e3"), "warning: 1e3 is read as 1000"),
        (pod("nodeSelector: {on: a}"), "warning: the key on is read as \"true\""),
        (pod("hostNetwork: True"), ""),
        (pod("priority: -10"), ""),
        (pod("nodeSelector: {7: a, a: '7'}"), ""),
        (pod("volumes: [{name: a, configMap: {name: b, defaultMode: 0644}}]"), ""),
    ] {
        let manifest = parse(SOME_KINDS, "pod.yaml", &text).expect("only warnings");
        let printed = manifest.diagnostics().to_string();
        assert_eq!(printed.is_empty(), warning.is_empty(), "{text}: {printed}");
        assert!(printed.contains(warning), "{text}: {printed}");
    }
}

#[test]
fn octal_modes_and_numeric_quantities_match_kubectl() {
    let text = pod("volumes: [{name: a, configMap: {name: b, defaultMode: 0644}}], \
         containers: [{name: c, env: [{name: T, value: 12:30}], resources: {limits: {cpu: 1, memory: 1e6}}}]");
    let manifest = parse(SOME_KINDS, "x", &text).expect("a manifest");
    let spec = manifest.pods().next().and_then(|pod| pod.spec.clone()).expect("a spec");
    let mode = spec.volumes.as_ref().and_then(|v| v[0].config_map.as_ref()).and_then(|c| c.default_mode);
    assert_eq!(mode, Some(420));
    let container = &spec.containers[0];
    assert_eq!(container.env.as_ref().and_then(|e| e[0].value.as_deref()), Some("12:30"));
    let limits = container.resources.as_ref().and_then(|r| r.limits.clone()).expect("limits");
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("1", "1000000"));
}

#[test]
fn rejected_values_do_not_hide_other_errors() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: yesterday\n  deletionTimestamp: soon\nspec:\n  \
                containers:\n  - name: a\n    livenessProbe: {httpGet: {port: [80]}}\n    resources: {limits: {memory: 64Mb}}\n    x: 1\n";
    let printed = diagnostics(text);
    for words in [
        "pod.yaml:4:22: metadata.creationTimestamp: ",
        "pod.yaml:5:22: metadata.deletionTimestamp: ",
        "spec.containers[0].livenessProbe.httpGet.port: expected an integer or a string, found a list",
        "spec.containers[0].resources.limits.memory: \"64Mb\" is not a valid quantity: quantities must match",
        "did you mean \"64M\"?",
        "unknown field \"x\"",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert_eq!(printed.matches("pod.yaml:").count(), 5, "{printed}");
    let secret = "{apiVersion: v1, kind: Secret, data: {a: '%%', b: '&&', c: aGk=}}";
    let printed = super::Manifest::read(SOME_KINDS, "s", secret).diagnostics().to_string();
    assert!(
        printed.contains("s:1:42: data.a: expected base64") && printed.contains("s:1:51: data.b: expected base64"),
        "{printed}"
    );
}

#[test]
fn unsupported_and_unknown_kinds_differ() {
    for (header, words) in [
        ("apiVersion: v1\nkind: ServiceAccount\n", "kind: ServiceAccount is not supported yet"),
        ("apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n", "write `apiVersion: policy/v1`"),
        ("apiVersion: v1\nkind: Pot\n", "no matches for kind \"Pot\" in version \"v1\""),
        ("apiVersion: v1\nkind: Pot\n", "did you mean `kind: Pod`?"),
        ("kind: Pod\n", "apiVersion is missing"),
        ("kind: Job\n", "write `apiVersion: batch/v1`"),
        ("apiVersion: 1\nkind: Pod\n", "apiVersion must be a non-empty string"),
        ("spec: {containers: [{name: a, imge: b}]}\n", "checked as a Pod, the most similar kind"),
        ("spec: {containers: [{name: a, imge: b}]}\n", "did you mean \"image\"?"),
        ("spec: {selector: {matchLabels: {a: b}}, template: {}, replicas: 2}\n", "checked as a Deployment"),
        ("data: {a: b}\n", "checked as a ConfigMap"),
        ("- a\n", "expected an object"),
        ("", "no objects found"),
        ("a: [", "not valid YAML"),
    ] {
        assert!(diagnostics(header).contains(words), "{header:?}: {}", diagnostics(header));
    }
}

#[test]
fn objects_with_errors_are_counted() {
    for (text, valid, all) in [
        ("apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: Pod\nspek: {}\n", 1, 2),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}, {kind: Pod}, {apiVersion: v1, kind: Pot}]",
            1,
            3,
        ),
        ("hello\n---\na: [", 0, 0),
    ] {
        let manifest = Manifest::read(SOME_KINDS, "x", text);
        assert_eq!((manifest.objects().len(), manifest.object_count()), (valid, all), "{text}");
    }
}

#[test]
fn field_diagnostics_get_positions() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- apiVersion: v1\n  \
                kind: Pod\n  metadata:\n    name: b\n";
    let manifest =
        parse(SOME_KINDS, "x", &format!("# first\n---\n{list}---\n  {}", pod("containers: []"))).expect("a manifest");
    let diagnostic = |(object, path): (usize, &str)| FieldDiagnostic {
        object,
        rule: Rule::Invalid,
        path: path.into(),
        message: "wrong".into(),
        hint: None,
    };
    let fields = [(0, "metadata.name"), (1, "metadata.name"), (1, "spec.containers"), (2, "spec.containers[0].name")];
    let placed = manifest.diagnostics_with(&fields.map(diagnostic));
    let places: Vec<_> = placed.as_slice().iter().filter_map(|i| i.position).map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(6, 42), (7, 3), (10, 5), (12, 59)]);
}

#[test]
fn large_texts_are_read_in_parallel() {
    let pods: Vec<String> =
        (0..2000).map(|i| format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p{i}\n")).collect();
    let text = pods.join("---\n") + "---\napiVersion: v1\nkind: Pod\nmetadata:\n  nam: x\n";
    let manifest = Manifest::read(SOME_KINDS, "x", &text);
    let names: Vec<_> = manifest.pods().filter_map(|pod| pod.metadata.name.clone()).collect();
    assert_eq!(names, (0..2000).map(|i| format!("p{i}")).collect::<Vec<_>>());
    let printed = manifest.diagnostics().to_string();
    assert!(printed.starts_with("x:10004:3: metadata.nam: unknown field"), "{printed}");
    let diagnostic = FieldDiagnostic {
        object: 1999,
        rule: Rule::Invalid,
        path: "metadata.name".into(),
        message: String::new(),
        hint: None,
    };
    let line = manifest.diagnostics_with(&[diagnostic]).as_slice()[0].position.map(|position| position.line);
    assert_eq!(line, Some(9999));
}

#[test]
fn json_errors_name_json() {
    let printed = Manifest::read(SOME_KINDS, "pod.json", "{\"kind\": \"Pod\",, }").diagnostics().to_string();
    assert!(printed.starts_with("pod.json:1:16: not valid JSON: "), "{printed}");
    let fine = "{\r\n\t\"apiVersion\": \"v1\",\r\n\t\"kind\": \"Pod\",\r\n\t\"metadata\": {\"name\": \"\\ud83d\\ude00\\/\"}\r\n}\r\n";
    let manifest = parse(SOME_KINDS, "pod.json", fine).expect("JSON with tabs");
    assert_eq!(manifest.pods().next().and_then(|pod| pod.metadata.name.as_deref()), Some("\u{1f600}/"));
}

#[test]
fn control_characters_are_reported_with_their_position() {
    let printed = diagnostics("apiVersion: v1\nkind: P\0od\n");
    assert!(printed.starts_with("pod.yaml:2:8: the character U+0000 is not allowed in a manifest"), "{printed}");
}
