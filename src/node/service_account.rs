//! The files of a pod's service account, at the path where Kubernetes mounts them (K79).
//!
//! Kubernetes adds a projected volume to the pod's spec. wasmpod provides the file `namespace` only, without a volume: it
//! issues no tokens yet.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};

use crate::control::ControlPlane;
use crate::files::{Mount, Mounts};
use crate::model::pods::{self, MIRROR_ANNOTATION};

/// The directory in containers.
const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Returns whether the containers of `pod` get the files: unless it opts out, or its service account does and it does not
/// opt in (`plugin/pkg/admission/serviceaccount/admission.go`, `shouldAutomount`). Static pods get none.
pub(super) async fn is_mounted(control: &dyn ControlPlane, pod: &Pod) -> bool {
    if pods::annotation(pod, MIRROR_ANNOTATION).is_some() {
        return false;
    }
    let spec = pod.spec.as_ref();
    if let Some(is_mounted) = spec.and_then(|spec| spec.automount_service_account_token) {
        return is_mounted;
    }
    let account = spec.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    // The account `default` may not exist yet when the first pod of its namespace starts.
    let account = control.api::<ServiceAccount>(pods::namespace(pod)).get(account).await;
    account.map_or(true, |account| account.automount_service_account_token != Some(false))
}

/// Returns the mount of the files, which are in the container's root directory, unless the container mounts something
/// else there.
pub(super) fn mount(root: &Path, mounts: &[Mount]) -> Option<Mount> {
    let is_taken = mounts.iter().any(|mount| mount.mount_path == DIRECTORY);
    (!is_taken).then(|| Mount {
        mount_path: DIRECTORY.into(),
        volume_dir: root.into(),
        sub_path: DIRECTORY.trim_start_matches('/').into(),
        read_only: true,
        size_limit: None,
    })
}

/// Adds the files to the root directory.
pub(super) fn add_files(tree: Mounts, pod: &Pod) -> Mounts {
    tree.with_file(NAMESPACE_FILE, pods::namespace(pod).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::Body;
    use crate::registry::Registry;
    use crate::store::ObjectStore;

    #[tokio::test(start_paused = true)]
    async fn pods_and_their_accounts_can_opt_out_of_the_files() {
        let registry = Registry::new(ObjectStore::new(100), Clock::system());
        for (name, automount) in [("silent", None), ("out", Some(false)), ("in", Some(true))] {
            let yaml = format!("{{metadata: {{name: {name}, namespace: default}}}}");
            let mut account: ServiceAccount = serde_yaml::from_str(&yaml).expect("an account");
            account.automount_service_account_token = automount;
            registry.create(Body::from(account)).await.expect("stored");
        }
        for (account, automount, expected) in [
            ("silent", "null", true),
            ("silent", "false", false),
            ("out", "null", false),
            ("out", "true", true),
            ("in", "null", true),
            ("in", "false", false),
            ("missing", "null", true),
        ] {
            let spec = format!("{{serviceAccountName: {account}, automountServiceAccountToken: {automount}}}");
            let yaml = format!("{{metadata: {{name: p, namespace: default}}, spec: {spec}}}");
            let mut pod: Pod = serde_yaml::from_str(&yaml).expect("a pod");
            assert_eq!(is_mounted(&registry, &pod).await, expected, "{spec}");
            pod.metadata.annotations = Some([(MIRROR_ANNOTATION.to_string(), "hash".to_string())].into());
            assert!(!is_mounted(&registry, &pod).await, "static pod with {spec}");
        }
    }

    #[test]
    fn containers_may_mount_something_else_at_the_path() {
        let root = tempfile::tempdir().expect("a directory");
        let own = mount(root.path(), &[]).expect("a mount");
        assert!(own.read_only && mount(root.path(), std::slice::from_ref(&own)).is_none());
        let pod: Pod = serde_yaml::from_str("{metadata: {name: p, namespace: shop}}").expect("a pod");
        let directory = root.path().join("root");
        let own = mount(&directory, &[]).expect("a mount");
        let opened = add_files(Mounts::new(Some(directory), &[], vec![own]), &pod).open().expect("opens");
        let last = opened.last().expect("the mount");
        let namespace = std::fs::read_to_string(last.path().join("namespace")).expect("the file");
        assert_eq!((last.mount_path.as_str(), last.read_only, namespace.as_str()), (DIRECTORY, true, "shop"));
    }
}
