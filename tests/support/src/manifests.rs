//! Manifests of pods, and the statuses of printed ones.

use serde_json::Value;

/// Returns the manifest of a pod with this spec, in YAML's flow style.
pub fn pod(name: &str, spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n")
}

/// Returns the manifest of a pod that never restarts, with a shell script in each container.
pub fn scripts(name: &str, containers: &[(&str, &str)]) -> String {
    let container = |(name, script): &(&str, &str)| {
        format!("{{name: {name}, image: busybox, command: [sh, -c, {}]}}", Value::from(*script))
    };
    let containers: Vec<String> = containers.iter().map(container).collect();
    pod(name, &format!("restartPolicy: Never, containers: [{}]", containers.join(", ")))
}

/// Returns the status of `container` in a printed pod.
#[track_caller]
pub fn container_status(pod: &Value, container: &str) -> Value {
    let statuses = |field: &str| pod["status"][field].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all = statuses("initContainerStatuses").iter().chain(statuses("containerStatuses"));
    all.find(|status| status["name"] == container)
        .cloned()
        .unwrap_or_else(|| panic!("no status of {container}: {pod:#}"))
}
