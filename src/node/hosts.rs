//! A pod's hostname and its `/etc/hosts` (K76; kubelet's `kubelet_pods.go`).

use std::fmt::Write;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::model::pods;

/// The beginning of every pod's `/etc/hosts`.
const HOSTS_HEADER: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

/// Returns the pod's hostname, at most 63 characters.
pub(super) fn hostname(pod: &Pod) -> String {
    let hostname = pod.spec.as_ref().and_then(|s| s.hostname.as_deref()).filter(|h| !h.is_empty());
    let name: String = hostname.unwrap_or(pods::name(pod)).chars().take(63).collect();
    name.trim_end_matches(['-', '.']).to_string()
}

/// Returns the pod's `/etc/hosts`.
pub(super) fn hosts_file(pod: &Pod, ip: &str) -> String {
    let mut file = format!("{HOSTS_HEADER}{ip}\t{}\n", hostname(pod));
    let aliases = pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten());
    for (index, alias) in aliases.enumerate() {
        if index == 0 {
            file.push_str("\n# Entries added by HostAliases.\n");
        }
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        // Writing to a string can't fail.
        let _ = writeln!(file, "{}\t{names}", alias.ip);
    }
    file
}

/// Returns the names, beside `localhost`, that the pod's network resolves, with their addresses.
pub(super) fn host_names(pod: &Pod, ip: IpAddr) -> Vec<(String, IpAddr)> {
    let mut names = vec![(hostname(pod), ip)];
    for alias in pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten()) {
        let Ok(ip) = alias.ip.parse() else { continue };
        names.extend(alias.hostnames.iter().flatten().map(|name| (name.clone(), ip)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file_is_kubelets_followed_by_host_aliases() {
        let yaml = "{metadata: {name: p}, spec: {hostname: web, hostAliases: [{ip: 1.2.3.4, hostnames: [foo, bar]}, \
                    {ip: 5.6.7.8, hostnames: [baz]}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let own = "10.88.0.2\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\tfoo\tbar\n5.6.7.8\tbaz\n";
        assert_eq!(hosts_file(&pod, "10.88.0.2"), format!("{HOSTS_HEADER}{own}"));
        let ip = IpAddr::from([10, 88, 0, 2]);
        let known: Vec<String> = host_names(&pod, ip).into_iter().map(|(name, ip)| format!("{name} {ip}")).collect();
        assert_eq!(known, ["web 10.88.0.2", "foo 1.2.3.4", "bar 1.2.3.4", "baz 5.6.7.8"]);
    }
}
