//! How lists merge: what Kubernetes' types say of theirs (`patchStrategy`, `patchMergeKey`).

/// What becomes of a list when a strategic merge patch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The patch's list takes its place.
    Replace,
    /// Items of both, each once.
    Set,
    /// Items with the same value of this field become one.
    ByKey(&'static str),
}

/// Lists that merge, by kind and path; `[]` stands for an item. All others are replaced.
const MERGED: &[(&str, &str, Strategy)] = &[
    ("", "metadata.finalizers", Strategy::Set),
    ("", "metadata.ownerReferences", Strategy::ByKey("uid")),
    ("Pod", "spec.volumes", Strategy::ByKey("name")),
    ("Pod", "spec.containers", Strategy::ByKey("name")),
    ("Pod", "spec.initContainers", Strategy::ByKey("name")),
    ("Pod", "spec.ephemeralContainers", Strategy::ByKey("name")),
    ("Pod", "spec.imagePullSecrets", Strategy::ByKey("name")),
    ("Pod", "spec.hostAliases", Strategy::ByKey("ip")),
    ("Pod", "spec.topologySpreadConstraints", Strategy::ByKey("topologyKey")),
    ("Pod", "spec.schedulingGates", Strategy::ByKey("name")),
    ("Pod", "spec.resourceClaims", Strategy::ByKey("name")),
    ("Pod", "spec.*ontainers[].ports", Strategy::ByKey("containerPort")),
    ("Pod", "spec.*ontainers[].env", Strategy::ByKey("name")),
    ("Pod", "spec.*ontainers[].volumeMounts", Strategy::ByKey("mountPath")),
    ("Pod", "spec.*ontainers[].volumeDevices", Strategy::ByKey("devicePath")),
    ("Pod", "status.conditions", Strategy::ByKey("type")),
    ("Pod", "status.podIPs", Strategy::ByKey("ip")),
    ("Pod", "status.hostIPs", Strategy::ByKey("ip")),
    ("Pod", "status.resourceClaimStatuses", Strategy::ByKey("name")),
];

/// The lists of a `kind` that merge, by their paths: `spec.*ontainers[].env`.
pub fn lists_of(kind: &str) -> impl Iterator<Item = (&'static str, Strategy)> {
    MERGED.iter().filter(move |(of, ..)| of.is_empty() || *of == kind).map(|(_, path, strategy)| (*path, *strategy))
}

/// How the list at `path` of a `kind` merges.
pub fn of(kind: &str, path: &str) -> Strategy {
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => path.strip_prefix(start).is_some_and(|rest| {
            rest.find(end).is_some_and(|at| at + end.len() == rest.len() && !rest[..at].contains('.'))
        }),
        None => path == pattern,
    };
    let row = MERGED.iter().find(|(of, pattern, _)| (of.is_empty() || *of == kind) && fits(pattern));
    row.map_or(Strategy::Replace, |(_, _, strategy)| *strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_as_kubernetes_types_say() {
        for (path, strategy) in [
            ("spec.containers", Strategy::ByKey("name")),
            ("spec.containers[].env", Strategy::ByKey("name")),
            ("spec.initContainers[].ports", Strategy::ByKey("containerPort")),
            ("spec.ephemeralContainers[].volumeMounts", Strategy::ByKey("mountPath")),
            ("spec.containers[].command", Strategy::Replace),
            ("spec.tolerations", Strategy::Replace),
            ("metadata.finalizers", Strategy::Set),
        ] {
            assert_eq!(of("Pod", path), strategy, "{path}");
        }
        assert_eq!(of("ConfigMap", "spec.containers"), Strategy::Replace);
    }
}
