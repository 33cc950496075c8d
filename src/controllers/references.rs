//! The API objects that a pod refers to, which a static pod may not (kubelet's `PreventStaticPodAPIReferences`).

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod, PodSpec, Volume};

/// Returns the resource of an API object that a pod refers to, if it does.
pub(super) fn referenced_resource(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    if spec.service_account_name.as_ref().is_some_and(|name| !name.is_empty()) {
        return Some("serviceaccounts");
    }
    if spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty()) {
        return Some("secrets");
    }
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.flat_map(in_environment).chain(in_volumes(spec)).next()
}

fn in_environment(container: &Container) -> impl Iterator<Item = &'static str> {
    let in_variable = |from: &EnvVarSource| {
        let secret = from.secret_key_ref.as_ref().map(|_| "secrets");
        secret.or(from.config_map_key_ref.as_ref().map(|_| "configmaps"))
    };
    let in_source = |from: &EnvFromSource| {
        let secret = from.secret_ref.as_ref().map(|_| "secrets");
        secret.or(from.config_map_ref.as_ref().map(|_| "configmaps"))
    };
    let variables = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
    variables.filter_map(in_variable).chain(container.env_from.iter().flatten().filter_map(in_source))
}

fn in_volumes(spec: &PodSpec) -> impl Iterator<Item = &'static str> {
    let in_volume = |volume: &Volume| {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        let (mut secret, mut config_map) = (volume.secret.is_some(), volume.config_map.is_some());
        for source in sources {
            secret |= source.secret.is_some();
            config_map |= source.config_map.is_some();
        }
        let claim = volume.persistent_volume_claim.is_some();
        [(secret, "secrets"), (config_map, "configmaps"), (claim, "persistentvolumeclaims")]
    };
    let all = spec.volumes.iter().flatten().flat_map(in_volume);
    all.filter_map(|(is_referenced, resource)| is_referenced.then_some(resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_all_places_are_found() {
        for (spec, expected) in [
            ("containers: [{name: c}]", None),
            ("containers: [{name: c}], volumes: [{name: v, emptyDir: {}}, {name: h, hostPath: {path: /x}}]", None),
            ("containers: [{name: c, env: [{name: A, value: b}]}]", None),
            ("serviceAccountName: me, containers: [{name: c}]", Some("serviceaccounts")),
            ("imagePullSecrets: [{name: s}], containers: [{name: c}]", Some("secrets")),
            ("containers: [{name: c, envFrom: [{configMapRef: {name: m}}]}]", Some("configmaps")),
            ("containers: [{name: c, envFrom: [{secretRef: {name: m}}]}]", Some("secrets")),
            (
                "initContainers: [{name: i, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}], containers: [{name: c}]",
                Some("configmaps"),
            ),
            (
                "containers: [{name: c, env: [{name: A, valueFrom: {secretKeyRef: {name: m, key: k}}}]}]",
                Some("secrets"),
            ),
            ("containers: [{name: c}], volumes: [{name: v, configMap: {name: m}}]", Some("configmaps")),
            ("containers: [{name: c}], volumes: [{name: v, secret: {secretName: m}}]", Some("secrets")),
            (
                "containers: [{name: c}], volumes: [{name: v, persistentVolumeClaim: {claimName: m}}]",
                Some("persistentvolumeclaims"),
            ),
            (
                "containers: [{name: c}], volumes: [{name: v, projected: {sources: [{configMap: {name: m}}]}}]",
                Some("configmaps"),
            ),
        ] {
            let spec: PodSpec = serde_yaml::from_str(&format!("{{{spec}}}")).expect("a spec");
            let pod = Pod { spec: Some(spec.clone()), ..Pod::default() };
            assert_eq!(referenced_resource(&pod), expected, "{spec:?}");
        }
    }
}
