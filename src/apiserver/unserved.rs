//! Resources of Kubernetes that this server does not serve yet, so that requests for them get a clear answer.

use super::request::Target;
use super::served;

/// Group, version and plural names of the resources that an API server of Kubernetes 1.36 serves. Sorted by group.
const KUBERNETES: &[(&str, &str, &str)] = &[
    (
        "",
        "v1",
        "bindings componentstatuses configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims \
         persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations \
         validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "controllerrevisions daemonsets deployments replicasets statefulsets"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews tokenreviews"),
    (
        "authorization.k8s.io",
        "v1",
        "localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews",
    ),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "cronjobs jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("flowcontrol.apiserver.k8s.io", "v1", "flowschemas prioritylevelconfigurations"),
    ("networking.k8s.io", "v1", "ingressclasses ingresses ipaddresses networkpolicies servicecidrs"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings clusterroles rolebindings roles"),
    ("resource.k8s.io", "v1", "deviceclasses resourceclaims resourceclaimtemplates resourceslices"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    (
        "storage.k8s.io",
        "v1",
        "csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses",
    ),
];

/// Returns what a request asks for if Kubernetes serves it and this server does not: `deployments.apps`.
pub fn resource(target: &Target) -> Option<String> {
    let Target { group, version, resource, .. } = target;
    let is_known = |row: &&(&str, &str, &str)| row.0 == group && row.1 == version && has_resource(row.2, resource);
    KUBERNETES.iter().find(is_known)?;
    served::find(group, version, resource).is_none().then(|| match group.as_str() {
        "" => resource.clone(),
        group => format!("{resource}.{group}"),
    })
}

/// Returns whether Kubernetes has this API group, in this version if one is given, and this server serves nothing of it.
pub fn is_group(group: &str, version: Option<&str>) -> bool {
    let is_own = |own: &str, own_version: &str| own == group && version.is_none_or(|version| version == own_version);
    KUBERNETES.iter().any(|row| is_own(row.0, row.1))
        && !served::versions().any(|(group, version)| is_own(group, version))
}

fn has_resource(resources: &str, resource: &str) -> bool {
    resources.split_whitespace().any(|own| own == resource)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn table_has_what_a_real_server_serves() {
        let text = include_str!("../../tests/golden/discovery-all-1.36.json");
        let golden: Value = serde_json::from_str(text).expect("golden data");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let mut expected = Vec::new();
        for group in ["/api", "/apis"].iter().flat_map(|path| golden[path]["items"].as_array().into_iter().flatten()) {
            for version in group["versions"].as_array().into_iter().flatten() {
                let resources = version["resources"].as_array().into_iter().flatten();
                let names: Vec<String> = resources.map(|resource| text(&resource["resource"])).collect();
                expected.push((text(&group["metadata"]["name"]), text(&version["version"]), names.join(" ")));
            }
        }
        expected.sort();
        let table: Vec<_> = KUBERNETES
            .iter()
            .map(|(group, version, names)| {
                let names: Vec<&str> = names.split_whitespace().collect();
                ((*group).to_string(), (*version).to_string(), names.join(" "))
            })
            .collect();
        assert_eq!(table, expected);
    }

    #[test]
    fn only_unserved_resources_of_kubernetes_are_named() {
        let name = |path: &str| resource(&Target::parse(path).expect("a target"));
        assert_eq!(name("/apis/storage.k8s.io/v1/csidrivers"), Some("csidrivers.storage.k8s.io".into()));
        assert_eq!(name("/api/v1/componentstatuses/b"), Some("componentstatuses".into()));
        for path in ["/api/v1/pods", "/api/v1/podz", "/api/v2/services", "/apis/example.com/v1/deployments"] {
            assert_eq!(name(path), None, "{path}");
        }
        assert!(is_group("resource.k8s.io", None) && is_group("certificates.k8s.io", Some("v1")));
        assert!(!is_group("apps", Some("v1beta1")) && !is_group("", Some("v1")) && !is_group("example.com", None));
    }
}
