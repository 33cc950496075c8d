//! Security contexts of pods and containers: users, profiles, sysctls, host namespaces.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, PodSecurityContext, PodSpec, SeccompProfile};

use super::{or_empty, validate_local_descending_path, windows};
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};

/// Validates `spec.securityContext` and the pod's host namespaces.
pub fn validate_pod(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let empty = PodSecurityContext::default();
    let context = spec.security_context.as_ref().unwrap_or(&empty);
    let ids = [("fsGroup", context.fs_group), ("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)];
    validate_ids(errors, path, &ids);
    for (i, group) in context.supplemental_groups.iter().flatten().enumerate() {
        let groups = path.child("supplementalGroups");
        errors.invalid_each(groups.index(i), group, formats::id_number(*group));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(path.child("shareProcessNamespace"), true, detail);
    }
    validate_sysctls(errors, path.child("sysctls"), context, spec);
    if let Some(policy) = context.fs_group_change_policy.as_deref() {
        errors.check_one_of(path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    validate_seccomp(errors, path.child("seccompProfile"), context.seccomp_profile.as_ref());
    windows::validate_windows_options(errors, path.child("windowsOptions"), context.windows_options.as_ref());
    validate_app_armor(errors, path.child("appArmorProfile"), context.app_armor_profile.as_ref());
    if let Some(policy) = context.supplemental_groups_policy.as_deref() {
        errors.check_one_of(path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = context.se_linux_change_policy.as_deref() {
        errors.check_one_of(path.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
    }
}

/// Validates a container's `securityContext`.
pub fn validate_container(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container, spec: &PodSpec) {
    let Some(context) = &container.security_context else { return };
    validate_ids(errors, path, &[("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]);
    if let Some(mount) = context.proc_mount.as_deref() {
        errors.check_one_of(path.child("procMount"), mount, &["Default", "Unmasked"]);
        if mount == "Unmasked" && spec.host_users != Some(false) {
            errors.invalid(path.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    validate_seccomp(errors, path.child("seccompProfile"), context.seccomp_profile.as_ref());
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, context, detail);
        }
        let added = context.capabilities.as_ref().and_then(|capabilities| capabilities.add.as_ref());
        if added.is_some_and(|added| added.iter().any(|name| name == "CAP_SYS_ADMIN")) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, context, detail);
        }
    }
    windows::validate_windows_options(errors, path.child("windowsOptions"), context.windows_options.as_ref());
    validate_app_armor(errors, path.child("appArmorProfile"), context.app_armor_profile.as_ref());
}

fn validate_ids(errors: &mut ErrorList, path: FieldPath<'_>, ids: &[(&str, Option<i64>)]) {
    for (field, id) in ids.iter().filter_map(|(field, id)| Some((field, (*id)?))) {
        errors.invalid_each(path.child(field), id, formats::id_number(id));
    }
}

fn validate_sysctls(errors: &mut ErrorList, list: FieldPath<'_>, context: &PodSecurityContext, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    for (i, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = list.index(i);
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.required(path.child("name"), "");
        } else if !is_sysctl(name) {
            let regex = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.invalid(
                path.child("name"),
                name,
                format!("must have at most 253 characters and match regex {regex}"),
            );
        } else if names.contains(name) {
            errors.duplicate(path.child("name"), name);
        }
        names.insert(name);
        let dotted = name.replace('/', ".");
        if spec.host_network == Some(true) && dotted.starts_with("net.") {
            errors.invalid(path.child("name"), name, "may not be specified when 'hostNetwork' is true");
        }
        let is_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix));
        if spec.host_ipc == Some(true) && (is_ipc || dotted == "kernel.sem") {
            errors.invalid(path.child("name"), name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let is_alphanumeric = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_segment = |part: &str| {
        let bytes = part.as_bytes();
        let is_inner = |c: &u8| is_alphanumeric(Some(c)) || matches!(c, b'-' | b'_');
        is_alphanumeric(bytes.first()) && is_alphanumeric(bytes.last()) && bytes.iter().all(is_inner)
    };
    name.len() <= 253 && name.split(['.', '/']).all(is_segment)
}

fn validate_seccomp(errors: &mut ErrorList, path: FieldPath<'_>, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        errors.required(path.child("type"), "type is required when seccompProfile is set");
    } else {
        errors.check_one_of(path.child("type"), &profile.type_, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => {
            errors.required(path.child("localhostProfile"), "must be set when seccomp type is Localhost");
        }
        ("Localhost", Some(profile_path)) => {
            validate_local_descending_path(errors, path.child("localhostProfile"), profile_path)
        }
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.invalid(path.child("localhostProfile"), profile, detail);
        }
        (_, None) => {}
    }
}

const MAX_PATH: usize = 4095;

/// Returns whether the profile is valid in a field.
pub fn is_app_armor_profile(profile: &AppArmorProfile) -> bool {
    let mut errors = ErrorList::default();
    validate_app_armor(&mut errors, FieldPath::root("appArmorProfile"), Some(profile));
    errors.count() == 0
}

fn validate_app_armor(errors: &mut ErrorList, path: FieldPath<'_>, profile: Option<&AppArmorProfile>) {
    let Some(profile) = profile else { return };
    let local = path.child("localhostProfile");
    let required = "must be set when AppArmor type is Localhost";
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("", _) => errors.required(path.child("type"), "type is required when appArmorProfile is set"),
        ("Localhost", None) => errors.required(local, required),
        ("Localhost", Some(profile_path)) => {
            if profile_path.trim() != profile_path {
                errors.invalid(local, profile_path, "must not be padded with whitespace");
            } else if profile_path.is_empty() {
                errors.required(local, required);
            }
            if profile_path.len() > MAX_PATH {
                errors.too_long(local, MAX_PATH);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(profile_path)) => {
            errors.invalid(local, profile_path, "can only be set when AppArmor type is Localhost");
        }
        (kind, _) => errors.check_one_of(path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

/// Validates that a pod with its own user namespace shares no namespace or device with the host.
pub fn validate_host_users(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    if spec.host_users != Some(false) {
        return;
    }
    let shared = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
    for (field, _) in shared.iter().filter(|(_, shared)| *shared == Some(true)) {
        errors.forbidden(path.child(field), "when `hostUsers` is false");
    }
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        for (i, container) in containers.iter().enumerate() {
            if container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
                errors.forbidden(path.child(list).index(i).child("volumeDevices"), "when `hostUsers` is false");
            }
        }
    }
}

/// Compares a profile in a field with the one in an annotation (`runtime/default`, `unconfined`, `localhost/PATH`).
/// Returns the subfield that differs.
pub fn find_difference_from_annotation(kind: &str, local: &Option<String>, annotation: &str) -> Option<&'static str> {
    let matches = match kind {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => matches!(annotation, "runtime/default" | "docker/default"),
        "Localhost" => match annotation.strip_prefix("localhost/") {
            None => false,
            Some(path) if path == or_empty(local) => true,
            Some(_) => return Some("localhostProfile"),
        },
        _ => true,
    };
    (!matches).then_some("type")
}
