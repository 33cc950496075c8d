use crate::model::KindType;
use std::collections::BTreeSet;
use std::path::Path;

use super::tree::expand;
use super::*;
use crate::model::schema;

fn unsupported(spec: &str) -> Vec<String> {
    let pod: Pod = serde_yaml::from_str(&format!("{{metadata: {{name: p}}, spec: {spec}}}")).expect("a pod");
    check(&pod).into_iter().map(|found| format!("{}: {}", found.field, found.support)).collect()
}

#[test]
fn unsupported_fields_are_found_with_their_paths() {
    for (spec, want) in [
        ("{containers: [{name: a, image: b}]}", &[][..]),
        ("{hostNetwork: true}", &["spec.hostNetwork: not supported: pods have an in-memory network of their own"]),
        ("{hostNetwork: false, securityContext: {}, volumes: []}", &[]),
        ("{volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {medium: ''}}]}", &[]),
        (
            "{volumes: [{name: a, emptyDir: {medium: Memory}}]}",
            &["spec.volumes[0].emptyDir.medium: no effect: emptyDir volumes are stored on disk"],
        ),
        (
            "{volumes: [{name: a, secret: {secretName: c}}, {name: b, projected: {sources: []}}]}",
            &[
                "spec.volumes[1].projected: not supported yet: only emptyDir, hostPath, configMap and secret volumes are implemented",
            ],
        ),
        (
            "{containers: [{name: a, livenessProbe: {tcpSocket: {port: 1}}}, {name: b, securityContext: {readOnlyRootFilesystem: true}}]}",
            &["spec.containers[1].securityContext.readOnlyRootFilesystem: no effect: it is not enforced yet"],
        ),
        (
            "{containers: [{name: a, ports: [{containerPort: 1, hostPort: 1, hostIP: 127.0.0.1}, {containerPort: 2, hostPort: 2, protocol: UDP}]}]}",
            &["spec.containers[0].ports[1].hostPort: no effect: only TCP ports can be published"],
        ),
        (
            "{containers: [{name: a, ports: [{containerPort: 1, hostPort: 1, hostIP: 300.1.1.1}]}]}",
            &["spec.containers[0].ports[0].hostIP: not supported: not an IP address"],
        ),
        (
            "{ephemeralContainers: [{name: a, securityContext: {privileged: true, runAsNonRoot: true}}]}",
            &[
                "spec.ephemeralContainers[0].securityContext.privileged: not supported: WebAssembly containers cannot be \
                 privileged",
            ],
        ),
        ("{initContainers: [{name: a, restartPolicy: Always}]}", &[]),
        ("{containers: [{name: a, resources: {limits: {memory: 1Mi, cpu: 1}}}]}", &[]),
        (
            "{containers: [{name: a, securityContext: {privileged: true, runAsUser: 7}}]}",
            &[
                "spec.containers[0].securityContext.privileged: not supported: WebAssembly containers cannot be privileged",
                "spec.containers[0].securityContext.runAsUser: no effect: it applies to Linux containers only",
            ],
        ),
        (
            "{affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}}",
            &["spec.affinity: no effect: wasmpod has only one node"],
        ),
        ("{nodeSelector: {a: b}}", &["spec.nodeSelector: no effect: wasmpod has only one node"]),
        ("{containers: [{name: a, env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]}", &[]),
        (
            "{containers: [{name: a, env: [{name: A, valueFrom: {resourceFieldRef: {resource: k}}}]}]}",
            &["spec.containers[0].env[0].valueFrom.resourceFieldRef: not supported yet: it is not implemented"],
        ),
        ("{priority: 0, schedulerName: default-scheduler, dnsPolicy: ClusterFirst, serviceAccount: default}", &[]),
        (
            "{priority: 5, priorityClassName: high}",
            &[
                "spec.priority: not supported yet: only the classes system-cluster-critical and system-node-critical exist",
                "spec.priorityClassName: not supported yet: only the classes system-cluster-critical and system-node-critical exist",
            ],
        ),
        (
            "{priority: 2000001000, priorityClassName: system-node-critical}",
            &[
                "spec.priority: no effect: priority and preemption are not implemented yet",
                "spec.priorityClassName: no effect: priority and preemption are not implemented yet",
            ],
        ),
        (
            "{serviceAccountName: web}",
            &["spec.serviceAccountName: not supported yet: only the service account default exists"],
        ),
        ("{runtimeClassName: gvisor}", &["spec.runtimeClassName: not supported: wasmpod has no runtime classes"]),
    ] {
        assert_eq!(unsupported(spec), want, "{spec}");
    }
}

/// Returns the differences between table and API: fields without a row, rows without a field.
fn gaps(rows: &[FieldRow]) -> (Vec<String>, Vec<String>) {
    let tree = FieldTree::new(rows);
    let paths = schema::paths(schema::of(&KindType::of::<Pod>()).expect("Pod"));
    let missing = paths.iter().filter(|path| tree.find(path).is_none()).cloned().collect();
    let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let maps = ["spec.containers[].resources.limits", "spec.initContainers[].resources.limits"];
    let is_known = |path: &str| {
        let in_map = path.rsplit_once('.').is_some_and(|(map, _)| maps.contains(&map));
        in_map || known.contains(path) || known.contains(format!("{path}[]").as_str())
    };
    let fields = rows.iter().flat_map(|row| row.fields).flat_map(|field| expand(field));
    let stray = fields
        .map(|(prefix, field)| {
            let field = field.split_once('=').map_or(field, |(field, _)| field);
            format!("{prefix}{}", field.strip_suffix(".**").unwrap_or(field))
        })
        .filter(|path| !is_known(path))
        .collect();
    (missing, stray)
}

#[test]
fn every_field_of_the_api_has_a_row_and_every_row_a_field() {
    assert_eq!(gaps(PODS), (vec![], vec![]));
}

#[test]
fn missing_and_stray_rows_are_detected() {
    for (i, row) in PODS.iter().enumerate() {
        // Rows for values and exceptions from a wider row leave no gap.
        let is_exception = |field: &str| field.contains(['=', '*']) && !field.ends_with("**");
        let is_narrower = |field: &str| is_exception(field) || field.contains("securityContext.");
        let alone = row.fields.iter().any(|field| !is_narrower(field));
        let rest: Vec<FieldRow> =
            PODS.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, row)| *row).collect();
        assert_eq!(gaps(&rest).0.is_empty(), !alone, "{row:?}");
    }
    let stray = FieldRow { support: FieldSupport::Enforced, fields: &["spec.hostNetwerk"] };
    let rows: Vec<FieldRow> = PODS.iter().copied().chain([stray]).collect();
    assert_eq!(gaps(&rows), (vec![], vec!["spec.hostNetwerk".to_string()]));
}

#[test]
fn clients_cannot_create_mirrors() {
    let mut pod = Pod::default();
    pod.metadata.annotations = Some([("kubernetes.io/config.mirror".to_string(), "0".repeat(32))].into());
    let found = check(&pod);
    let [UnsupportedField { field, support }] = found.as_slice() else { panic!("{found:?}") };
    assert!(support.rejects_pod());
    assert_eq!(
        format!("{field}: {support}"),
        "metadata.annotations[kubernetes.io/config.mirror]: not supported: only a node creates the mirrors of its \
         static pods"
    );
}

#[test]
fn no_field_has_two_rows() {
    let mut seen = BTreeSet::new();
    for field in PODS.iter().flat_map(|row| row.fields) {
        assert!(seen.insert(field), "{field}");
    }
}

#[test]
fn fields_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fields.md");
    let wanted = format!("{HEADER}{}", markdown(PODS).trim_end()) + "\n";
    if std::env::var_os("WASMPOD_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("docs/fields.md is written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == wanted, "docs/fields.md is stale: run WASMPOD_BLESS=1 cargo test --lib fields_document");
}

const HEADER: &str = "\
# Pod fields

How wasmpod treats each field of a Pod. Nothing in a manifest is silently ignored: a field works, has no effect and
causes a warning, or makes wasmpod reject the pod. `containers[]` includes init containers. Values that Kubernetes fills
in by default cause no warning. `wasmpod explain FIELD` shows the same for a single field.

This file is generated from `src/registry/field_support/table.rs`; update it with
`WASMPOD_BLESS=1 cargo test --lib fields_document`.

";
