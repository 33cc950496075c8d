use super::*;

fn pods(specs: &[(&str, &str)]) -> Vec<Pod> {
    let pod = |(name, ports): &(&str, &str)| {
        let yaml =
            format!("{{metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: x, ports: [{ports}]}}]}}}}");
        serde_yaml::from_str(&yaml).expect("a pod")
    };
    specs.iter().map(pod).collect()
}

fn arg(pod: Option<&str>, host_port: u16, port: u16) -> PublishedPortArg {
    let text = format!("{}{host_port}:{port}", pod.map(|pod| format!("{pod}:")).unwrap_or_default());
    PublishedPortArg { text, pod: pod.map(Into::into), host_ip: None, host_port, port }
}

fn args(ports: Vec<PublishedPortArg>, all: bool) -> PublishArgs {
    PublishArgs { ports, all, address: [127, 0, 0, 1].into() }
}

fn error(args: &PublishArgs, pods: &[Pod]) -> String {
    RunPorts::open(args, pods).err().expect("it cannot be opened").to_string()
}

/// Returns a port that another program holds.
fn taken() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

#[tokio::test]
async fn single_pod_needs_no_name() {
    let ports = RunPorts::open(&args(vec![arg(None, 0, 80)], false), &pods(&[("web", "")])).expect("opened");
    let lines = ports.addresses();
    assert!(lines.len() == 1 && lines[0].starts_with("web: http://127.0.0.1:"), "{lines:?}");
    let published = ports.config().published;
    let web: Pod = serde_yaml::from_str("{metadata: {name: web, namespace: default}}").expect("a pod");
    assert_eq!(published.of(&web).iter().map(|port| port.port).collect::<Vec<_>>(), [80]);
}

#[tokio::test]
async fn ambiguous_and_unknown_pods_are_named() {
    let pods = pods(&[("a", ""), ("b", "")]);
    assert_eq!(
        error(&args(vec![arg(None, 8080, 80)], false), &pods),
        "--publish 8080:80: there are several pods (a, b); name one, such as --publish a:8080:80"
    );
    assert_eq!(
        error(&args(vec![arg(Some("c"), 8080, 80)], false), &pods),
        "--publish c:8080:80: there is no pod c; the pods are: a, b"
    );
}

#[tokio::test]
async fn taken_ports_are_reported_with_a_way_out() {
    let (_listener, port) = taken();
    assert_eq!(
        error(&args(vec![arg(None, port, 80)], false), &pods(&[("web", "")])),
        format!("--publish {port}:80: address already in use; choose another host port, or 0 for a free one")
    );
    let declared = pods(&[("web", &format!("{{containerPort: 80, hostPort: {port}}}"))]);
    assert_eq!(
        error(&args(Vec::new(), false), &declared),
        format!("pod web: host port {port}: address already in use; free it or change hostPort")
    );
    assert_eq!(
        publish_error(&arg(None, 80, 80), &BindError::PermissionDenied).to_string(),
        "--publish 80:80: permission denied; choose a host port of 1024 or above, such as 8080:80"
    );
}

#[tokio::test]
async fn publish_all_opens_declared_tcp_ports_or_the_next_free_ones() {
    let (_listener, port) = taken();
    let declared = format!(
        "{{containerPort: {port}}}, {{containerPort: {port}}}, {{containerPort: {}, protocol: UDP}}",
        port.saturating_add(1)
    );
    let pods = pods(&[("a", &declared), ("b", &format!("{{containerPort: {port}}}"))]);
    let ports = RunPorts::open(&args(Vec::new(), true), &pods).expect("opened");
    let open: Vec<_> =
        ports.open.iter().map(|o| (o.pod.name.as_str(), o.port, o.reservation.address().port())).collect();
    let [(first, a, at), (second, b, next)] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((*first, *a, *second, *b), ("a", port, "b", port));
    assert!(*at > port && next > at, "{open:?}");
}

#[test]
fn privileged_ports_move_above_8000() {
    assert_eq!(nearby(80).take(3).collect::<Vec<_>>(), [80, 8080, 8081]);
    assert_eq!(nearby(8080).take(3).collect::<Vec<_>>(), [8080, 8081, 8082]);
}

#[tokio::test]
async fn hint_is_given_once_for_each_unpublished_port() {
    let mut ports = RunPorts::open(&args(vec![arg(None, 0, 81)], false), &pods(&[("web", "")])).expect("opened");
    let mut hint = |pod: &str, address: &str| {
        let address = address.parse().expect("an address");
        ports.hint(&OpenedListener { namespace: "default".into(), pod: pod.into(), address })
    };
    assert_eq!(
        hint("web", "0.0.0.0:80").as_deref(),
        Some("web listens on 80 inside its pod; publish it with --publish 8080:80")
    );
    for address in ["0.0.0.0:80", "0.0.0.0:81", "127.0.0.1:82", "0.0.0.0:40000"] {
        assert_eq!(hint("web", address), None, "{address}");
    }
}

#[tokio::test]
async fn changed_manifests_open_and_close_host_ports() {
    let (listener, port) = taken();
    drop(listener);
    let mut ports = RunPorts::open(&args(Vec::new(), false), &pods(&[("web", "")])).expect("opened");
    let declared = pods(&[("web", &format!("{{containerPort: 80, hostPort: {port}}}"))]);
    let lines = [format!("web: http://127.0.0.1:{port}")];
    assert_eq!(ports.update(&declared), lines);
    assert!(ports.update(&declared).is_empty());
    assert!(ports.update(&pods(&[("web", "")])).is_empty());
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("closed");
}
