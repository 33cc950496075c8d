//! The merging of lists: the `patchStrategy` and `patchMergeKey` tags of Kubernetes' types.

/// The way in which a strategic merge patch changes a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchStrategy {
    /// The patch's list replaces it.
    Replace,
    /// The union of both lists.
    Set,
    /// Items with the same value of this field merge.
    ByKey(&'static str),
}

/// Lists that merge, by kind (empty: all kinds) and path; `[]` stands for an item. All other lists are replaced.
const MERGED_LISTS: &[(&str, &str, PatchStrategy)] = &[
    ("", "metadata.finalizers", PatchStrategy::Set),
    ("", "metadata.ownerReferences", PatchStrategy::ByKey("uid")),
    ("Deployment", "status.conditions", PatchStrategy::ByKey("type")),
    ("ReplicaSet", "status.conditions", PatchStrategy::ByKey("type")),
    ("ReplicationController", "status.conditions", PatchStrategy::ByKey("type")),
    ("StatefulSet", "status.conditions", PatchStrategy::ByKey("type")),
    ("DaemonSet", "status.conditions", PatchStrategy::ByKey("type")),
    ("Job", "status.conditions", PatchStrategy::ByKey("type")),
    ("Pod", "spec.volumes", PatchStrategy::ByKey("name")),
    ("Pod", "spec.containers", PatchStrategy::ByKey("name")),
    ("Pod", "spec.initContainers", PatchStrategy::ByKey("name")),
    ("Pod", "spec.ephemeralContainers", PatchStrategy::ByKey("name")),
    ("Pod", "spec.imagePullSecrets", PatchStrategy::ByKey("name")),
    ("Pod", "spec.hostAliases", PatchStrategy::ByKey("ip")),
    ("Pod", "spec.topologySpreadConstraints", PatchStrategy::ByKey("topologyKey")),
    ("Pod", "spec.schedulingGates", PatchStrategy::ByKey("name")),
    ("Pod", "spec.resourceClaims", PatchStrategy::ByKey("name")),
    ("Pod", "spec.*ontainers[].ports", PatchStrategy::ByKey("containerPort")),
    ("Pod", "spec.*ontainers[].env", PatchStrategy::ByKey("name")),
    ("Pod", "spec.*ontainers[].volumeMounts", PatchStrategy::ByKey("mountPath")),
    ("Pod", "spec.*ontainers[].volumeDevices", PatchStrategy::ByKey("devicePath")),
    ("Pod", "status.conditions", PatchStrategy::ByKey("type")),
    ("Pod", "status.podIPs", PatchStrategy::ByKey("ip")),
    ("Pod", "status.hostIPs", PatchStrategy::ByKey("ip")),
    ("Pod", "status.resourceClaimStatuses", PatchStrategy::ByKey("name")),
    ("PersistentVolumeClaim", "status.conditions", PatchStrategy::ByKey("type")),
    ("Service", "spec.ports", PatchStrategy::ByKey("port")),
    ("Service", "status.conditions", PatchStrategy::ByKey("type")),
];

/// Kinds with a template of pods, and the template's path.
const TEMPLATES: &[(&str, &str)] = &[
    ("CronJob", "spec.jobTemplate.spec.template."),
    ("DaemonSet", "spec.template."),
    ("Deployment", "spec.template."),
    ("Job", "spec.template."),
    ("PodTemplate", "template."),
    ("ReplicaSet", "spec.template."),
    ("ReplicationController", "spec.template."),
    ("StatefulSet", "spec.template."),
];

/// Returns the lists of `kind` that merge, by path: `spec.*ontainers[].env`.
pub fn merged_lists(kind: &str) -> impl Iterator<Item = (&'static str, PatchStrategy)> {
    MERGED_LISTS
        .iter()
        .filter(move |(of_kind, ..)| of_kind.is_empty() || *of_kind == kind)
        .map(|(_, path, strategy)| (*path, *strategy))
}

/// Returns how the list at `path` of `kind` merges. Lists of a template merge like those of a pod.
pub fn patch_strategy(kind: &str, path: &str) -> PatchStrategy {
    let template = TEMPLATES.iter().find(|(of_kind, _)| *of_kind == kind);
    if let Some(path) = template.and_then(|(_, template)| path.strip_prefix(template)) {
        return patch_strategy("Pod", path);
    }
    let matches = |pattern: &str| match pattern.split_once('*') {
        Some((prefix, suffix)) => path.strip_prefix(prefix).is_some_and(|rest| {
            rest.find(suffix).is_some_and(|index| index + suffix.len() == rest.len() && !rest[..index].contains('.'))
        }),
        None => path == pattern,
    };
    let row =
        MERGED_LISTS.iter().find(|(of_kind, pattern, _)| (of_kind.is_empty() || *of_kind == kind) && matches(pattern));
    row.map_or(PatchStrategy::Replace, |(_, _, strategy)| *strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_the_strategies_of_kubernetes_types() {
        for (path, strategy) in [
            ("spec.containers", PatchStrategy::ByKey("name")),
            ("spec.containers[].env", PatchStrategy::ByKey("name")),
            ("spec.initContainers[].ports", PatchStrategy::ByKey("containerPort")),
            ("spec.ephemeralContainers[].volumeMounts", PatchStrategy::ByKey("mountPath")),
            ("spec.containers[].command", PatchStrategy::Replace),
            ("spec.tolerations", PatchStrategy::Replace),
            ("metadata.finalizers", PatchStrategy::Set),
        ] {
            assert_eq!(patch_strategy("Pod", path), strategy, "{path}");
        }
        assert_eq!(patch_strategy("ConfigMap", "spec.containers"), PatchStrategy::Replace);
        for (kind, path) in [
            ("Deployment", "spec.template.spec.containers"),
            ("CronJob", "spec.jobTemplate.spec.template.spec.volumes"),
            ("PodTemplate", "template.spec.containers[].env"),
        ] {
            assert_eq!(patch_strategy(kind, path), PatchStrategy::ByKey("name"), "{kind} {path}");
        }
        assert_eq!(patch_strategy("Deployment", "spec.template.metadata.finalizers"), PatchStrategy::Set);
        assert_eq!(patch_strategy("StatefulSet", "spec.volumeClaimTemplates"), PatchStrategy::Replace);
    }
}
