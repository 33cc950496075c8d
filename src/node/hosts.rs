//! A pod's names: its own, and those of its `/etc/hosts` (K76; kubelet's `kubelet_pods.go`).

use std::fmt::Write;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::model::pods;

/// What every pod's file begins with.
const HEAD: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

/// The pod's host name: at most 63 characters.
pub(super) fn name(pod: &Pod) -> String {
    let asked = pod.spec.as_ref().and_then(|s| s.hostname.as_deref()).filter(|h| !h.is_empty());
    let name: String = asked.unwrap_or(pods::name(pod)).chars().take(63).collect();
    name.trim_end_matches(['-', '.']).to_string()
}

/// The pod's `/etc/hosts`.
pub(super) fn file(pod: &Pod, ip: &str) -> String {
    let mut file = format!("{HEAD}{ip}\t{}\n", name(pod));
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

/// The names that the pod's network knows beside `localhost`, and their addresses.
pub(super) fn names(pod: &Pod, ip: IpAddr) -> Vec<(String, IpAddr)> {
    let mut names = vec![(name(pod), ip)];
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
    fn k76_a_pods_hosts_file_is_kubelets_with_its_aliases_behind() {
        let yaml = "{metadata: {name: p}, spec: {hostname: web, hostAliases: [{ip: 1.2.3.4, hostnames: [foo, bar]}, \
                    {ip: 5.6.7.8, hostnames: [baz]}]}}";
        let pod: Pod = serde_yaml::from_str(yaml).expect("a pod");
        let own = "10.88.0.2\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\tfoo\tbar\n5.6.7.8\tbaz\n";
        assert_eq!(file(&pod, "10.88.0.2"), format!("{HEAD}{own}"));
        let ip = IpAddr::from([10, 88, 0, 2]);
        let known: Vec<String> = names(&pod, ip).into_iter().map(|(name, ip)| format!("{name} {ip}")).collect();
        assert_eq!(known, ["web 10.88.0.2", "foo 1.2.3.4", "bar 1.2.3.4", "baz 5.6.7.8"]);
    }
}
