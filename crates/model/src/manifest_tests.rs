use super::*;

fn told(text: &str) -> String {
    Manifest::read("pod.yaml", text).issues().to_string()
}

/// A Pod with this spec, in one line.
fn pod(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}\n")
}

#[test]
fn objects_come_from_documents_and_lists() {
    let text = "---\n# nothing\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n\
                ---\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: d}\n---\napiVersion: apps/v1\nkind: DeploymentList\n\
                items: [{metadata: {name: e}}]\n";
    let manifest = parse("x", text).expect("a manifest");
    let found: Vec<_> =
        manifest.objects().map(|o| (o.kind().name(), o.metadata().name.clone().unwrap_or_default())).collect();
    let wanted = [("Pod", "a"), ("Pod", "b"), ("ConfigMap", "c"), ("Pod", "d"), ("Deployment", "e")];
    assert_eq!(found, wanted.map(|(kind, name)| (kind, name.to_string())));
    assert_eq!(manifest.pods().count(), 3);
}

#[test]
fn every_unknown_field_is_named_with_its_place() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    resouces: {}\n    limage: x\n";
    insta::assert_snapshot!(told(text), @r#"
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
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {tier: y}\nspec:\n  containers: nginx\n  \
                terminationGracePeriodSeconds: soon\n  hostNetwork: 'true'\n  priority: 99999999999\n  volumes: {name: a}\n";
    insta::assert_snapshot!(told(text), @r#"
    pod.yaml:4:18: metadata.labels.tier: wanted a string, found the boolean y
       |
     4 |   labels: {tier: y}
       |                  ^ quote it: "y"
    pod.yaml:6:15: spec.containers: wanted a list, found the string "nginx"
       |
     6 |   containers: nginx
       |               ^^^^^ write a list: ["nginx"]
    pod.yaml:7:34: spec.terminationGracePeriodSeconds: wanted an integer, found the string "soon"
       |
     7 |   terminationGracePeriodSeconds: soon
       |                                  ^^^^
    pod.yaml:8:16: spec.hostNetwork: wanted a boolean, found the string "true"
       |
     8 |   hostNetwork: 'true'
       |                ^^^^^^ write it without quotes: true
    pod.yaml:9:13: spec.priority: 99999999999 is out of range (-2147483648 to 2147483647)
       |
     9 |   priority: 99999999999
       |             ^^^^^^^^^^^
    pod.yaml:10:12: spec.volumes: wanted a list, found a mapping
        |
     10 |   volumes: {name: a}
        |            ^ begin each item of the list with a dash
    "#);
}

#[test]
fn keys_that_stand_twice_are_all_told_beside_other_faults() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n  labels: {x: a, x: b}\nspec:\n  \
                restartPolicy: Never\n  restartPolicy: Always\n  contaners: []\n";
    insta::assert_snapshot!(told(text), @r#"
    pod.yaml:5:3: metadata.name: key "name" is already set in line 4
       |
     5 |   name: b
       |   ^^^^ remove one of them
    pod.yaml:6:18: metadata.labels.x: key "x" is already set in line 6
       |
     6 |   labels: {x: a, x: b}
       |                  ^ remove one of them
    pod.yaml:9:3: spec.restartPolicy: key "restartPolicy" is already set in line 8
       |
     9 |   restartPolicy: Always
       |   ^^^^^^^^^^^^^ remove one of them
    pod.yaml:10:3: spec.contaners: unknown field "contaners"
        |
     10 |   contaners: []
        |   ^^^^^^^^^ did you mean "containers"?
    "#);
}

#[test]
fn misplaced_fields_are_told_where_they_belong() {
    for (text, hint) in [
        (pod("containers: [{name: a, image: b}], env: []"), "it belongs to spec.containers[0]"),
        (
            pod("containers: [{name: a, livenessProbe: {httpGet: {port: 80, periodSeconds: 3}}}]"),
            "it belongs to spec.containers[0].livenessProbe",
        ),
        (pod("containers: [{name: a, restartPolicyy: Never}]"), "did you mean \"restartPolicy\"?"),
        (pod("containers: [{name: a, dnsPolicy: None}]"), "it belongs to spec"),
        (pod("containers: [{name: a, limit: {}}]"), "did you mean \"resources.limits\"?"),
        (pod("containers: [{name: a, Image: x}]"), "did you mean \"image\"?"),
        ("{apiVersion: v1, kind: Pod, spec: {metadata: {}, containers: []}}".into(), "it belongs to the object itself"),
        ("{apiVersion: batch/v1, kind: Job, spec: {template: , spec: {}}}".into(), "it belongs to spec.template"),
        ("{apiVersion: v1, kind: Pod, containers: [], spec: {}}".into(), "it belongs to spec"),
        ("{apiVersion: apps/v1, kind: Deployment, spec: {matchLabels: {a: b}}}".into(), "it belongs to spec.selector"),
        (
            "{apiVersion: batch/v1, kind: Job, spec: {template: , containers: []}}".into(),
            "it belongs to spec.template.spec",
        ),
        (pod("containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, emptyDir: {}}]}]"), "unknown field"),
        (pod("on: x"), "YAML 1.1 reads on as true; quote it: \"on\""),
    ] {
        assert!(told(&text).contains(hint), "{hint}: {}", told(&text));
    }
}

#[test]
fn scalars_that_are_not_what_they_look_like_are_warned_of() {
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
        let manifest = parse("pod.yaml", &text).expect("only warnings");
        let told = manifest.issues().to_string();
        assert_eq!(told.is_empty(), warning.is_empty(), "{text}: {told}");
        assert!(told.contains(warning), "{text}: {told}");
    }
}

#[test]
fn octal_modes_and_numbers_as_quantities_are_read_as_kubectl_reads_them() {
    let text = pod("volumes: [{name: a, configMap: {name: b, defaultMode: 0644}}], \
         containers: [{name: c, env: [{name: T, value: 12:30}], resources: {limits: {cpu: 1, memory: 1e6}}}]");
    let manifest = parse("x", &text).expect("a manifest");
    let spec = manifest.pods().next().and_then(|pod| pod.spec.clone()).expect("a spec");
    let mode = spec.volumes.as_ref().and_then(|v| v[0].config_map.as_ref()).and_then(|c| c.default_mode);
    assert_eq!(mode, Some(420));
    let container = &spec.containers[0];
    assert_eq!(container.env.as_ref().and_then(|e| e[0].value.as_deref()), Some("12:30"));
    let limits = container.resources.as_ref().and_then(|r| r.limits.clone()).expect("limits");
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("1", "1000000"));
}

#[test]
fn values_that_their_types_refuse_do_not_hide_other_faults() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: yesterday\n  deletionTimestamp: soon\nspec:\n  \
                containers:\n  - name: a\n    livenessProbe: {httpGet: {port: [80]}}\n    resources: {limits: {memory: 64Mb}}\n    x: 1\n";
    let told = told(text);
    for words in [
        "pod.yaml:4:22: metadata.creationTimestamp: ",
        "pod.yaml:5:22: metadata.deletionTimestamp: ",
        "spec.containers[0].livenessProbe.httpGet.port: wanted an integer or a string, found a list",
        "spec.containers[0].resources.limits.memory: \"64Mb\" is no quantity: quantities must match",
        "did you mean \"64M\"?",
        "unknown field \"x\"",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(told.matches("pod.yaml:").count(), 5, "{told}");
    let secret = "{apiVersion: v1, kind: Secret, data: {a: '%%', b: '&&', c: aGk=}}";
    let told = super::Manifest::read("s", secret).issues().to_string();
    assert!(told.contains("s:1:42: data.a: wanted base64") && told.contains("s:1:51: data.b: wanted base64"), "{told}");
}

#[test]
fn other_kinds_are_told_apart_from_unknown_ones() {
    for (header, words) in [
        ("apiVersion: v1\nkind: ServiceAccount\n", "kind ServiceAccount is not supported yet"),
        ("apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n", "write apiVersion: policy/v1"),
        ("apiVersion: v1\nkind: Pot\n", "no matches for kind \"Pot\" in version \"v1\""),
        ("apiVersion: v1\nkind: Pot\n", "did you mean kind: Pod?"),
        ("kind: Pod\n", "apiVersion is missing"),
        ("kind: Job\n", "write apiVersion: batch/v1"),
        ("apiVersion: 1\nkind: Pod\n", "apiVersion must be a string that is not empty"),
        ("spec: {containers: [{name: a, imge: b}]}\n", "it is checked as a Pod, which it most resembles"),
        ("spec: {containers: [{name: a, imge: b}]}\n", "did you mean \"image\"?"),
        ("spec: {selector: {matchLabels: {a: b}}, template: {}, replicas: 2}\n", "checked as a Deployment"),
        ("data: {a: b}\n", "checked as a ConfigMap"),
        ("- a\n", "wanted an object"),
        ("", "holds no object"),
        ("a: [", "not valid YAML"),
    ] {
        assert!(told(header).contains(words), "{header:?}: {}", told(header));
    }
}

#[test]
fn faults_of_objects_are_placed_in_the_text() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- apiVersion: v1\n  \
                kind: Pod\n  metadata:\n    name: b\n";
    let manifest = parse("x", &format!("# first\n---\n{list}---\n  {}", pod("containers: []"))).expect("a manifest");
    let fault = |(object, path): (usize, &str)| Fault {
        object,
        rule: Rule::Invalid,
        path: path.into(),
        message: "wrong".into(),
        hint: None,
    };
    let faults = [(0, "metadata.name"), (1, "metadata.name"), (1, "spec.containers"), (2, "spec.containers[0].name")];
    let placed = manifest.issues_with(&faults.map(fault));
    let places: Vec<_> = placed.all().iter().filter_map(|i| i.position).map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(6, 42), (7, 3), (10, 5), (12, 59)]);
}

#[test]
fn large_texts_are_read_in_parallel_to_the_same_end() {
    let pods: Vec<String> =
        (0..2000).map(|i| format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p{i}\n")).collect();
    let text = pods.join("---\n") + "---\napiVersion: v1\nkind: Pod\nmetadata:\n  nam: x\n";
    let manifest = Manifest::read("x", &text);
    let names: Vec<_> = manifest.pods().filter_map(|pod| pod.metadata.name.clone()).collect();
    assert_eq!(names, (0..2000).map(|i| format!("p{i}")).collect::<Vec<_>>());
    let told = manifest.issues().to_string();
    assert!(told.starts_with("x:10004:3: metadata.nam: unknown field"), "{told}");
    let fault =
        Fault { object: 1999, rule: Rule::Invalid, path: "metadata.name".into(), message: String::new(), hint: None };
    let line = manifest.issues_with(&[fault]).all()[0].position.map(|position| position.line);
    assert_eq!(line, Some(9999));
}

#[test]
fn json_is_called_json() {
    let told = Manifest::read("pod.json", "{\"kind\": \"Pod\",, }").issues().to_string();
    assert!(told.starts_with("pod.json:1:16: not valid JSON: "), "{told}");
    let fine = "{\r\n\t\"apiVersion\": \"v1\",\r\n\t\"kind\": \"Pod\",\r\n\t\"metadata\": {\"name\": \"\\ud83d\\ude00\\/\"}\r\n}\r\n";
    let manifest = parse("pod.json", fine).expect("JSON with tabs");
    assert_eq!(manifest.pods().next().and_then(|pod| pod.metadata.name.as_deref()), Some("\u{1f600}/"));
}

#[test]
fn control_characters_are_named_with_their_place() {
    let told = told("apiVersion: v1\nkind: P\0od\n");
    assert!(told.starts_with("pod.yaml:2:8: the character U+0000 is not allowed in a manifest"), "{told}");
}
