//! What is to be asked, made once from a container's description.

use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::url::{self, Url};
use crate::model::version;

/// A question to a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// A GET request.
    Http(HttpGet),
    /// A connection, closed at once.
    Tcp(Tcp),
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc(Grpc),
}

/// A GET request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpGet {
    pub(super) url: Url,
    /// All that is sent; `Host` only where the description sets it.
    pub(super) headers: HeaderMap,
    pub(super) purpose: Purpose,
}

/// Whom a request serves: they judge answers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The status tells.
    Probe,
    /// Any answer will do.
    Hook,
}

/// An address that is to accept connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A gRPC server, and the service that it is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grpc {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) service: String,
}

impl Check {
    /// What `probe` asks of `container` in the pod at `pod_ip`; an error where it can't be asked.
    /// `None` for an exec probe, which is not this room's.
    pub fn of_probe(probe: &Probe, container: &Container, pod_ip: &str) -> Option<Result<Check, String>> {
        if let Some(get) = &probe.http_get {
            return Some(http_get(get, container, pod_ip, Purpose::Probe));
        }
        if let Some(tcp) = &probe.tcp_socket {
            return Some(tcp_socket(tcp, container, pod_ip));
        }
        let grpc = probe.grpc.as_ref()?;
        let service = grpc.service.clone().unwrap_or_default();
        Some(valid(grpc.port.into()).map(|port| Check::Grpc(Grpc { host: pod_ip.into(), port, service })))
    }

    /// The request that a hook is. `None` for hooks that run a command or sleep; one that opens a
    /// socket is refused, as a kubelet does.
    pub fn of_hook(handler: &LifecycleHandler, container: &Container, pod_ip: &str) -> Option<Result<Check, String>> {
        if let Some(get) = &handler.http_get {
            return Some(http_get(get, container, pod_ip, Purpose::Hook));
        }
        let tcp = handler.tcp_socket.as_ref()?;
        let port = match &tcp.port {
            IntOrString::Int(number) => format!("{{0 {number} }}"),
            IntOrString::String(name) => format!("{{1 0 {name}}}"),
        };
        let socket = format!("&TCPSocketAction{{Port:{port},Host:{},}}", tcp.host.as_deref().unwrap_or_default());
        let told = format!("&LifecycleHandler{{Exec:nil,HTTPGet:nil,TCPSocket:{socket},Sleep:nil,}}");
        Some(Err(format!("invalid handler: {told}")))
    }
}

fn tcp_socket(tcp: &TCPSocketAction, container: &Container, pod_ip: &str) -> Result<Check, String> {
    let port = port(&tcp.port, container)?;
    Ok(Check::Tcp(Tcp { host: host(tcp.host.as_deref(), pod_ip), port }))
}

fn http_get(get: &HTTPGetAction, container: &Container, pod_ip: &str, purpose: Purpose) -> Result<Check, String> {
    let port = port(&get.port, container)?;
    let https = get.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let target = url::target(get.path.as_deref().unwrap_or_default());
    let url = Url::new(https, &host(get.host.as_deref(), pod_ip), port, target);
    let headers = headers(get.http_headers.as_deref().unwrap_or_default(), purpose)?;
    Ok(Check::Http(HttpGet { url, headers, purpose }))
}

fn host(given: Option<&str>, pod_ip: &str) -> String {
    given.filter(|host| !host.is_empty()).unwrap_or(pod_ip).into()
}

/// What is sent: the description's own, and what a kubelet adds to it.
fn headers(given: &[HTTPHeader], purpose: Purpose) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for HTTPHeader { name, value } in given {
        let bad = |what| format!("net/http: invalid header field {what} {name:?}");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("value for"))?;
        // How long the request is and how it travels are not the description's to say.
        if !matches!(key.as_str(), "content-length" | "transfer-encoding" | "trailer" | "connection") {
            headers.append(key, value);
        }
    }
    // An empty one means none at all.
    for key in [ACCEPT, USER_AGENT, HOST] {
        if headers.get(&key).is_some_and(HeaderValue::is_empty) {
            headers.remove(&key);
        } else if key == ACCEPT {
            headers.entry(key).or_insert(HeaderValue::from_static("*/*"));
        } else if key == USER_AGENT {
            let agent = HeaderValue::from_str(&user_agent(purpose)).map_err(|error| error.to_string())?;
            headers.entry(key).or_insert(agent);
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// As which the node introduces itself.
pub(super) fn user_agent(purpose: Purpose) -> String {
    let purpose = match purpose {
        Purpose::Probe => "probe",
        Purpose::Hook => "lifecycle",
    };
    format!("kube-{purpose}/{}.{}", version::MAJOR, version::MINOR)
}

/// A port by number or by its name among the container's.
fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let name = match port {
        IntOrString::Int(number) => return valid((*number).into()),
        IntOrString::String(name) => name,
    };
    let ports = container.ports.iter().flatten();
    match ports.into_iter().find(|port| port.name.as_deref() == Some(name)) {
        Some(port) => valid(port.container_port.into()),
        // It may be a number that was written as a string.
        None => valid(name.parse().map_err(|_| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?),
    }
}

fn valid(number: i64) -> Result<u16, String> {
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container() -> Container {
        let ports = json!([{"name": "web", "containerPort": 8080}]);
        serde_json::from_value(json!({"name": "c", "ports": ports})).expect("a container")
    }

    fn check(probe: serde_json::Value) -> Option<Result<Check, String>> {
        Check::of_probe(&serde_json::from_value(probe).expect("a probe"), &container(), "10.88.0.2")
    }

    #[test]
    fn ports_are_numbers_or_names_of_the_container() {
        for (given, found) in [
            (json!(80), Ok(80)),
            (json!("web"), Ok(8080)),
            (json!("81"), Ok(81)),
            (json!("nope"), Err("strconv.Atoi: parsing \"nope\": invalid syntax")),
            (json!(0), Err("invalid port number: 0")),
            (json!(65536), Err("invalid port number: 65536")),
        ] {
            let wanted = found.map_err(String::from).map(|port| Check::Tcp(Tcp { host: "10.88.0.2".into(), port }));
            assert_eq!(check(json!({"tcpSocket": {"port": given}})), Some(wanted), "{given}");
        }
    }

    #[test]
    fn exec_probes_are_somebody_elses() {
        assert_eq!(check(json!({"exec": {"command": ["true"]}})), None);
    }

    #[test]
    fn a_request_carries_the_nodes_headers_unless_they_are_given_or_emptied() {
        for (given, sent) in [
            (json!([]), "accept: */*, user-agent: kube-probe/1.36, connection: close"),
            (json!([{"name": "Accept", "value": ""}]), "user-agent: kube-probe/1.36, connection: close"),
            (
                json!([{"name": "user-agent", "value": "me"}, {"name": "X", "value": "1"}, {"name": "X", "value": "2"}]),
                "user-agent: me, x: 1, x: 2, accept: */*, connection: close",
            ),
            (
                json!([{"name": "Host", "value": "a.example"}, {"name": "Content-Length", "value": "5"}]),
                "host: a.example, accept: */*, user-agent: kube-probe/1.36, connection: close",
            ),
        ] {
            let Some(Ok(Check::Http(get))) = check(json!({"httpGet": {"port": 1, "httpHeaders": given}})) else {
                panic!("a request: {given}");
            };
            let told: Vec<_> =
                get.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
            assert_eq!(told.join(", "), sent, "{given}");
        }
    }

    #[test]
    fn a_hook_that_opens_a_socket_is_refused_as_a_kubelet_does() {
        let hook = |hook| Check::of_hook(&serde_json::from_value(hook).expect("a hook"), &container(), "10.88.0.2");
        assert_eq!(hook(json!({"exec": {"command": ["true"]}})), None);
        assert_eq!(hook(json!({"sleep": {"seconds": 1}})), None);
        let refused = "invalid handler: &LifecycleHandler{Exec:nil,HTTPGet:nil,\
                       TCPSocket:&TCPSocketAction{Port:{0 80 },Host:,},Sleep:nil,}";
        assert_eq!(hook(json!({"tcpSocket": {"port": 80}})), Some(Err(refused.into())));
    }
}
