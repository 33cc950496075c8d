//! The sections of containers: program, state, resources, probes, environment and mounts.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvFromSource, EnvVar, Pod, Probe, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::prefix_writer::{PrefixWriter, format_date};
use crate::model::pods;

/// Writes the containers of one kind, such as init containers, below `title`.
pub fn describe(
    out: &mut PrefixWriter,
    title: &str,
    pod: &Pod,
    containers: &[Container],
    statuses: Option<&[ContainerStatus]>,
) {
    out.line(0, format_args!("{title}:"));
    for container in containers {
        let status = statuses.unwrap_or_default().iter().find(|status| status.name == container.name);
        out.line(1, format_args!("{}:", container.name));
        program(out, container, status);
        if let Some(status) = status {
            container_status(out, status);
        }
        resources(out, container);
        for (name, probe) in [
            ("Liveness", &container.liveness_probe),
            ("Readiness", &container.readiness_probe),
            ("Startup", &container.startup_probe),
        ] {
            if let Some(probe) = probe {
                out.field(2, name, format_probe(probe));
            }
        }
        environment(out, pod, container);
        mounts(out, container.volume_mounts.as_deref().unwrap_or_default());
    }
}

fn program(out: &mut PrefixWriter, container: &Container, status: Option<&ContainerStatus>) {
    if let Some(status) = status {
        out.field(2, "Container ID", status.container_id.as_deref().unwrap_or_default());
    }
    out.field(2, "Image", container.image.as_deref().unwrap_or_default());
    if let Some(status) = status {
        out.field(2, "Image ID", &status.image_id);
    }
    let ports = container.ports.as_deref().unwrap_or_default();
    for (name, number) in [
        ("Port", (|p| p.container_port) as fn(&ContainerPort) -> i32),
        ("Host Port", |p| p.host_port.unwrap_or_default()),
    ] {
        let protocol = |port: &ContainerPort| port.protocol.clone().unwrap_or("TCP".into());
        let all: Vec<String> = ports.iter().map(|port| format!("{}/{}", number(port), protocol(port))).collect();
        match all.as_slice() {
            [] => out.field(2, name, "<none>"),
            [one] => out.field(2, name, one),
            many => out.field(2, &format!("{name}s"), many.join(", ")),
        }
    }
    for (name, words) in [("Command", &container.command), ("Args", &container.args)] {
        if let Some(words) = words.as_ref().filter(|words| !words.is_empty()) {
            out.line(2, format_args!("{name}:"));
            words.iter().flat_map(|word| word.split('\n')).for_each(|line| out.line(3, line));
        }
    }
}

fn container_status(out: &mut PrefixWriter, status: &ContainerStatus) {
    state(out, "State", status.state.as_ref());
    if let Some(last) = status.last_state.as_ref().filter(|last| last.terminated.is_some()) {
        state(out, "Last State", Some(last));
    }
    out.field(2, "Ready", if status.ready { "True" } else { "False" });
    out.field(2, "Restart Count", status.restart_count);
}

fn state(out: &mut PrefixWriter, name: &str, state: Option<&ContainerState>) {
    let (running, terminated) = state.map_or((None, None), |s| (s.running.as_ref(), s.terminated.as_ref()));
    if let Some(running) = running {
        out.field(2, name, "Running");
        out.field(3, "Started", format_date(running.started_at.as_ref()));
    } else if let Some(end) = terminated {
        out.field(2, name, "Terminated");
        out.field_if(3, "Reason", end.reason.as_deref());
        out.field_if(3, "Message", end.message.as_deref());
        out.field(3, "Exit Code", end.exit_code);
        if let Some(signal) = end.signal.filter(|signal| *signal > 0) {
            out.field(3, "Signal", signal);
        }
        out.field(3, "Started", format_date(end.started_at.as_ref()));
        out.field(3, "Finished", format_date(end.finished_at.as_ref()));
    } else {
        out.field(2, name, "Waiting");
        let waiting = state.and_then(|s| s.waiting.as_ref());
        out.field_if(3, "Reason", waiting.and_then(|waiting| waiting.reason.as_deref()));
    }
}

fn resources(out: &mut PrefixWriter, container: &Container) {
    let Some(resources) = &container.resources else { return };
    for (name, all) in [("Limits", &resources.limits), ("Requests", &resources.requests)] {
        if let Some(all) = all.as_ref().filter(|all| !all.is_empty()) {
            out.line(2, format_args!("{name}:"));
            all.iter().for_each(|(resource, quantity)| out.field(3, resource, &quantity.0));
        }
    }
}

fn format_probe(probe: &Probe) -> String {
    let handler = if let Some(exec) = &probe.exec {
        format!("exec [{}]", exec.command.as_deref().unwrap_or_default().join(" "))
    } else if let Some(http) = &probe.http_get {
        let scheme = http.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let (host, path) = (http.host.as_deref().unwrap_or_default(), http.path.as_deref().unwrap_or_default());
        format!("http-get {scheme}://{host}:{}/{}", port(&http.port), path.trim_start_matches('/'))
    } else if let Some(tcp) = &probe.tcp_socket {
        format!("tcp-socket {}:{}", tcp.host.as_deref().unwrap_or_default(), port(&tcp.port))
    } else if let Some(grpc) = &probe.grpc {
        format!("grpc <pod>:{} {}", grpc.port, grpc.service.as_deref().unwrap_or_default())
    } else {
        "unknown".into()
    };
    format!(
        "{handler} delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or_default(),
        probe.timeout_seconds.unwrap_or_default(),
        probe.period_seconds.unwrap_or_default(),
        probe.success_threshold.unwrap_or_default(),
        probe.failure_threshold.unwrap_or_default()
    )
}

fn port(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

fn environment(out: &mut PrefixWriter, pod: &Pod, container: &Container) {
    let sources = container.env_from.as_deref().unwrap_or_default();
    if !sources.is_empty() {
        out.line(2, "Environment Variables from:");
        sources.iter().for_each(|source| environment_source(out, source));
    }
    let variables = container.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        out.field(2, "Environment", "<none>");
        return;
    }
    out.line(2, "Environment:");
    variables.iter().for_each(|variable| environment_variable(out, pod, variable));
}

fn environment_source(out: &mut PrefixWriter, source: &EnvFromSource) {
    let (name, kind, optional) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(map), _) => (&map.name, "ConfigMap", map.optional),
        (None, Some(secret)) => (&secret.name, "Secret", secret.optional),
        (None, None) => return,
    };
    let prefix = source.prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| format!(" with prefix '{prefix}'")).unwrap_or_default();
    out.line(3, format_args!("{name}\t{kind}{prefix}\tOptional: {}", optional.unwrap_or_default()));
}

fn environment_variable(out: &mut PrefixWriter, pod: &Pod, variable: &EnvVar) {
    let name = &variable.name;
    let Some(source) = &variable.value_from else {
        let mut lines = variable.value.as_deref().unwrap_or_default().split('\n');
        out.field(3, name, lines.next().unwrap_or_default());
        lines.for_each(|line| out.line(3, format_args!("\t{line}")));
        return;
    };
    let key_reference = |kind: &str, object: &str, key: &str, optional: Option<bool>| {
        format!("<set to the key '{key}' {kind} '{object}'>\tOptional: {}", optional.unwrap_or_default())
    };
    if let Some(field) = &source.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        out.field(3, name, format_args!("{} ({version}:{})", field_value(pod, &field.field_path), field.field_path));
    } else if let Some(resource) = &source.resource_field_ref {
        let container = resource.container_name.as_deref().unwrap_or_default();
        out.field(3, name, format_args!("{container} ({})", resource.resource));
    } else if let Some(map) = &source.config_map_key_ref {
        out.field(3, name, key_reference("of config map", &map.name, &map.key, map.optional));
    } else if let Some(secret) = &source.secret_key_ref {
        out.field(3, name, key_reference("in secret", &secret.name, &secret.key, secret.optional));
    }
}

/// Returns the value of a field reference to the pod's metadata; empty for other fields.
fn field_value(pod: &Pod, path: &str) -> String {
    let meta = &pod.metadata;
    let keyed = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    let found = match path {
        "metadata.name" => meta.name.as_deref(),
        "metadata.namespace" => Some(pods::namespace(pod)),
        "metadata.uid" => meta.uid.as_deref(),
        _ => {
            let label = keyed("metadata.labels").and_then(|key| meta.labels.as_ref()?.get(key));
            let annotation = || keyed("metadata.annotations").and_then(|key| meta.annotations.as_ref()?.get(key));
            label.or_else(annotation).map(String::as_str)
        }
    };
    found.unwrap_or_default().into()
}

fn mounts(out: &mut PrefixWriter, mounts: &[VolumeMount]) {
    if mounts.is_empty() {
        out.field(2, "Mounts", "<none>");
        return;
    }
    out.line(2, "Mounts:");
    let mut mounts: Vec<&VolumeMount> = mounts.iter().collect();
    mounts.sort_by_key(|mount| &mount.mount_path);
    for VolumeMount { mount_path, name, read_only, sub_path, .. } in mounts {
        let access = if *read_only == Some(true) { "ro" } else { "rw" };
        let part = sub_path.as_deref().filter(|path| !path.is_empty());
        let part = part.map(|path| format!(",path=\"{path}\"")).unwrap_or_default();
        out.line(3, format_args!("{mount_path} from {name} ({access}{part})"));
    }
}
