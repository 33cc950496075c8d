//! The ports of `port-forward`: `8080:80`, `:80` and `80`, or a container port's name in the place of 80.

use k8s_openapi::api::core::v1::Pod;

use crate::model::pods;

/// A local port and the pod's port that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedPort {
    /// The port on this machine; 0 for any free one.
    pub local: u16,
    /// The port in the pod.
    pub remote: u16,
}

/// A port argument is not valid. The texts are close to kubectl's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortArgumentError {
    /// The argument has more than one colon.
    #[error("invalid port format {0:?}; expected [LOCAL:]REMOTE, such as 8080:80, :80 or 80")]
    Format(String),
    /// The local port is not a number of 16 bits.
    #[error("error parsing local port {0:?}; expected a number up to 65535")]
    Local(String),
    /// The port in the pod is 0.
    #[error("remote port must be > 0")]
    Zero,
    /// The pod has no port of this name.
    #[error("Pod '{pod}' does not have a named port '{name}'")]
    UnknownName {
        /// The pod's name.
        pod: String,
        /// The port's name.
        name: String,
    },
}

impl ForwardedPort {
    /// Parses an argument. Names are looked up in `pod`; a name without a local port stands for both.
    pub fn parse(argument: &str, pod: &Pod) -> Result<ForwardedPort, PortArgumentError> {
        let (local, remote) = match argument.split_once(':') {
            Some((_, remote)) if remote.contains(':') => return Err(PortArgumentError::Format(argument.into())),
            Some((local, remote)) => (Some(local), remote),
            None => (None, argument),
        };
        let remote = remote_port(remote, pod)?;
        let local = match local {
            Some("") => 0,
            Some(local) => local.parse().map_err(|_| PortArgumentError::Local(local.into()))?,
            None => remote,
        };
        Ok(ForwardedPort { local, remote })
    }
}

fn remote_port(text: &str, pod: &Pod) -> Result<u16, PortArgumentError> {
    match text.parse() {
        Ok(0) => Err(PortArgumentError::Zero),
        Ok(port) => Ok(port),
        Err(_) => named_port(text, pod)
            .ok_or_else(|| PortArgumentError::UnknownName { pod: pods::name(pod).into(), name: text.into() }),
    }
}

fn named_port(name: &str, pod: &Pod) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(pods::init_containers(spec)));
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbers_or_names() {
        let json = r#"{"metadata": {"name": "web"}, "spec": {"containers": [
            {"name": "c", "ports": [{"name": "http", "containerPort": 8000}]}]}}"#;
        let pod: Pod = serde_json::from_str(json).expect("a pod");
        let parse = |argument| {
            ForwardedPort::parse(argument, &pod)
                .map(|port| (port.local, port.remote))
                .map_err(|error| error.to_string())
        };
        for (argument, expected) in
            [("80", (80, 80)), ("8080:80", (8080, 80)), (":80", (0, 80)), ("http", (8000, 8000)), ("9:http", (9, 8000))]
        {
            assert_eq!(parse(argument), Ok(expected), "{argument}");
        }
        for (argument, expected) in [
            ("0", "remote port must be > 0"),
            ("1:2:3", "invalid port format \"1:2:3\"; expected [LOCAL:]REMOTE, such as 8080:80, :80 or 80"),
            ("x:80", "error parsing local port \"x\"; expected a number up to 65535"),
            ("65536", "Pod 'web' does not have a named port '65536'"),
            ("https", "Pod 'web' does not have a named port 'https'"),
        ] {
            assert_eq!(parse(argument), Err(expected.into()), "{argument}");
        }
    }
}
