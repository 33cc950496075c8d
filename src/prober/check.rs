//! Checks, made from the probes and hooks of a container's spec.

use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::url::{self, Url};
use crate::model::version;

/// A check of a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// A GET request.
    Http(HttpCheck),
    /// A connection that is closed at once.
    Tcp(TcpCheck),
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc(GrpcCheck),
}

/// A GET request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCheck {
    pub(super) url: Url,
    /// All headers that are sent; `Host` only if the spec sets it.
    pub(super) headers: HeaderMap,
    pub(super) purpose: Purpose,
}

/// The purpose of a request, which decides how its response is interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The status code decides.
    Probe,
    /// Any response succeeds.
    Hook,
}

/// An address that has to accept connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpCheck {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A gRPC server and the service whose health is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCheck {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) service: String,
}

/// A check that cannot be made, in the words of kubelet and Go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A port number is out of range.
    #[error("invalid port number: {0}")]
    Port(i64),
    /// A port is neither a number nor the name of one of the container's ports.
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    PortName(String),
    /// A header's name is not valid.
    #[error("net/http: invalid header field name {0:?}")]
    HeaderName(String),
    /// A header's value is not valid.
    #[error("net/http: invalid header field value for {0:?}")]
    HeaderValue(String),
    /// A hook opens a socket, which kubelet does not support; with the hook as Go prints it.
    #[error("invalid handler: {0}")]
    InvalidHandler(String),
}

impl Check {
    /// Returns the check of `probe` for `container` in the pod at `pod_ip`; `None` for an exec probe.
    pub fn from_probe(probe: &Probe, container: &Container, pod_ip: &str) -> Option<Result<Check, CheckError>> {
        if let Some(get) = &probe.http_get {
            return Some(http_get(get, container, pod_ip, Purpose::Probe));
        }
        if let Some(tcp) = &probe.tcp_socket {
            return Some(tcp_socket(tcp, container, pod_ip));
        }
        let grpc = probe.grpc.as_ref()?;
        let service = grpc.service.clone().unwrap_or_default();
        Some(valid_port(grpc.port.into()).map(|port| Check::Grpc(GrpcCheck { host: pod_ip.into(), port, service })))
    }

    /// Returns the request of an HTTP hook; `None` for a hook that runs a command or sleeps. A hook that opens a
    /// socket is an error, as in kubelet.
    pub fn from_hook(
        handler: &LifecycleHandler,
        container: &Container,
        pod_ip: &str,
    ) -> Option<Result<Check, CheckError>> {
        if let Some(get) = &handler.http_get {
            return Some(http_get(get, container, pod_ip, Purpose::Hook));
        }
        let tcp = handler.tcp_socket.as_ref()?;
        let port = match &tcp.port {
            IntOrString::Int(number) => format!("{{0 {number} }}"),
            IntOrString::String(name) => format!("{{1 0 {name}}}"),
        };
        let socket = format!("&TCPSocketAction{{Port:{port},Host:{},}}", tcp.host.as_deref().unwrap_or_default());
        let printed = format!("&LifecycleHandler{{Exec:nil,HTTPGet:nil,TCPSocket:{socket},Sleep:nil,}}");
        Some(Err(CheckError::InvalidHandler(printed)))
    }
}

fn tcp_socket(tcp: &TCPSocketAction, container: &Container, pod_ip: &str) -> Result<Check, CheckError> {
    let port = port(&tcp.port, container)?;
    Ok(Check::Tcp(TcpCheck { host: host(tcp.host.as_deref(), pod_ip), port }))
}

fn http_get(get: &HTTPGetAction, container: &Container, pod_ip: &str, purpose: Purpose) -> Result<Check, CheckError> {
    let port = port(&get.port, container)?;
    let https = get.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let target = url::request_target(get.path.as_deref().unwrap_or_default());
    let url = Url::new(https, &host(get.host.as_deref(), pod_ip), port, target);
    let headers = headers(get.http_headers.as_deref().unwrap_or_default(), purpose)?;
    Ok(Check::Http(HttpCheck { url, headers, purpose }))
}

fn host(given: Option<&str>, pod_ip: &str) -> String {
    given.filter(|host| !host.is_empty()).unwrap_or(pod_ip).into()
}

/// Returns the headers of the spec and those that a kubelet adds.
fn headers(given: &[HTTPHeader], purpose: Purpose) -> Result<HeaderMap, CheckError> {
    let mut headers = HeaderMap::new();
    for HTTPHeader { name, value } in given {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| CheckError::HeaderName(name.clone()))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| CheckError::HeaderValue(name.clone()))?;
        // The length of the request and its transfer are the client's to decide.
        if !matches!(key.as_str(), "content-length" | "transfer-encoding" | "trailer" | "connection") {
            headers.append(key, value);
        }
    }
    // An empty value removes a default header.
    for key in [ACCEPT, USER_AGENT, HOST] {
        if headers.get(&key).is_some_and(HeaderValue::is_empty) {
            headers.remove(&key);
        } else if key == ACCEPT {
            headers.entry(key).or_insert(HeaderValue::from_static("*/*"));
        } else if key == USER_AGENT {
            let agent = HeaderValue::from_str(&user_agent(purpose));
            let agent = agent.map_err(|_| CheckError::HeaderValue(key.to_string()))?;
            headers.entry(key).or_insert(agent);
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// Returns the `User-Agent` of kubelet's requests.
pub(super) fn user_agent(purpose: Purpose) -> String {
    let purpose = match purpose {
        Purpose::Probe => "probe",
        Purpose::Hook => "lifecycle",
    };
    format!("kube-{purpose}/{}.{}", version::MAJOR, version::MINOR)
}

/// Resolves a port by number or by its name among the container's ports.
fn port(port: &IntOrString, container: &Container) -> Result<u16, CheckError> {
    let name = match port {
        IntOrString::Int(number) => return valid_port((*number).into()),
        IntOrString::String(name) => name,
    };
    let ports = container.ports.iter().flatten();
    match ports.into_iter().find(|port| port.name.as_deref() == Some(name)) {
        Some(port) => valid_port(port.container_port.into()),
        // The string may hold a number.
        None => valid_port(name.parse().map_err(|_| CheckError::PortName(name.clone()))?),
    }
}

fn valid_port(number: i64) -> Result<u16, CheckError> {
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or(CheckError::Port(number))
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
        let probe = serde_json::from_value(probe).expect("a probe");
        let check = Check::from_probe(&probe, &container(), "10.88.0.2")?;
        Some(check.map_err(|error| error.to_string()))
    }

    #[test]
    fn ports_are_numbers_or_names_of_container_ports() {
        for (given, expected) in [
            (json!(80), Ok(80)),
            (json!("web"), Ok(8080)),
            (json!("81"), Ok(81)),
            (json!("nope"), Err("strconv.Atoi: parsing \"nope\": invalid syntax")),
            (json!(0), Err("invalid port number: 0")),
            (json!(65536), Err("invalid port number: 65536")),
        ] {
            let expected =
                expected.map_err(String::from).map(|port| Check::Tcp(TcpCheck { host: "10.88.0.2".into(), port }));
            assert_eq!(check(json!({"tcpSocket": {"port": given}})), Some(expected), "{given}");
        }
    }

    #[test]
    fn exec_probes_have_no_network_check() {
        assert_eq!(check(json!({"exec": {"command": ["true"]}})), None);
    }

    #[test]
    fn default_headers_can_be_replaced_and_removed() {
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
            let headers: Vec<_> =
                get.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
            assert_eq!(headers.join(", "), sent, "{given}");
        }
    }

    #[test]
    fn tcp_socket_hook_is_rejected_in_kubelets_words() {
        let hook = |hook| {
            let hook = serde_json::from_value(hook).expect("a hook");
            let check = Check::from_hook(&hook, &container(), "10.88.0.2")?;
            Some(check.map_err(|error| error.to_string()))
        };
        assert_eq!(hook(json!({"exec": {"command": ["true"]}})), None);
        assert_eq!(hook(json!({"sleep": {"seconds": 1}})), None);
        let rejected = "invalid handler: &LifecycleHandler{Exec:nil,HTTPGet:nil,\
                       TCPSocket:&TCPSocketAction{Port:{0 80 },Host:,},Sleep:nil,}";
        assert_eq!(hook(json!({"tcpSocket": {"port": 80}})), Some(Err(rejected.into())));
    }
}
