//! The files of service accounts in containers.

use serde_json::Value;

use crate::support::{pod, serve_node};

const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[test]
fn containers_find_their_namespace_unless_the_pod_opts_out() {
    let node = serve_node();
    let script = format!(
        "cat {NAMESPACE_FILE} && echo ' end' && ls /var/run/secrets/kubernetes.io/serviceaccount; \
         echo x > {NAMESPACE_FILE} || echo read-only"
    );
    let container =
        |name: &str| format!("{{name: {name}, image: busybox, command: [sh, -c, {}]}}", Value::from(script.as_str()));
    let spec = |more: &str| {
        format!("{more}restartPolicy: Never, initContainers: [{}], containers: [{}]", container("i"), container("c"))
    };
    node.kubectl_stdout("create namespace shop");
    let create = |manifest: String| {
        node.kubectl("create -n shop -f -").stdin(manifest).output().expect_code(0);
    };
    create(pod("in", &spec("")));
    create(pod("out", &spec("automountServiceAccountToken: false, ")));
    for name in ["in", "out"] {
        node.kubectl_stdout(&format!(
            "wait -n shop --timeout=30s --for=jsonpath={{.status.phase}}=Succeeded pod/{name}"
        ));
    }
    for container in ["i", "c"] {
        let log = node.kubectl_stdout(&format!("logs -n shop in -c {container}"));
        assert!(log.starts_with("shop end\nnamespace\n") && log.ends_with("read-only\n"), "{log}");
        let log = node.kubectl_stdout(&format!("logs -n shop out -c {container}"));
        assert!(log.contains("No such file or directory") && !log.contains("end"), "{log}");
    }
}
