//! How lists merge: what Kubernetes' types say of theirs (`patchStrategy`, `patchMergeKey`).

/// What becomes of a list when a strategic merge patch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchStrategy {
    /// The patch's list takes its place.
    Replace,
    /// Items of both, each once.
    Set,
    /// Items with the same value of this field become one.
    ByKey(&'static str),
}

/// Lists that merge, by kind and path; `[]` stands for an item. All others are replaced.
const MERGED: &[(&str, &str, PatchStrategy)] = &[
    ("", "metadata.finalizers", PatchStrategy::Set),
    ("", "metadata.ownerReferences", PatchStrategy::ByKey("uid")),
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
];

/// The lists of a `kind` that merge, by their paths: `spec.*ontainers[].env`.
pub fn lists_of(kind: &str) -> impl Iterator<Item = (&'static str, PatchStrategy)> {
    MERGED.iter().filter(move |(of, ..)| of.is_empty() || *of == kind).map(|(_, path, strategy)| (*path, *strategy))
}

/// How the list at `path` of a `kind` merges.
pub fn of(kind: &str, path: &str) -> PatchStrategy {
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => path.strip_prefix(start).is_some_and(|rest| {
            rest.find(end).is_some_and(|at| at + end.len() == rest.len() && !rest[..at].contains('.'))
        }),
        None => path == pattern,
    };
    let row = MERGED.iter().find(|(of, pattern, _)| (of.is_empty() || *of == kind) && fits(pattern));
    row.map_or(PatchStrategy::Replace, |(_, _, strategy)| *strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_as_kubernetes_types_say() {
        for (path, strategy) in [
            ("spec.containers", PatchStrategy::ByKey("name")),
            ("spec.containers[].env", PatchStrategy::ByKey("name")),
            ("spec.initContainers[].ports", PatchStrategy::ByKey("containerPort")),
            ("spec.ephemeralContainers[].volumeMounts", PatchStrategy::ByKey("mountPath")),
            ("spec.containers[].command", PatchStrategy::Replace),
            ("spec.tolerations", PatchStrategy::Replace),
            ("metadata.finalizers", PatchStrategy::Set),
        ] {
            assert_eq!(of("Pod", path), strategy, "{path}");
        }
        assert_eq!(of("ConfigMap", "spec.containers"), PatchStrategy::Replace);
    }
}
