//! Security contexts of pods and containers: users, profiles, sysctls, what is shared with the host.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, PodSecurityContext, PodSpec, SeccompProfile};

use super::{check_descending, text, windows};
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};

/// `spec.securityContext`, with what the pod shares with the host.
pub fn check_pod(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let empty = PodSecurityContext::default();
    let context = spec.security_context.as_ref().unwrap_or(&empty);
    let ids = [("fsGroup", context.fs_group), ("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)];
    check_ids(faults, at, &ids);
    for (i, group) in context.supplemental_groups.iter().flatten().enumerate() {
        let groups = at.child("supplementalGroups");
        faults.invalid_for(groups.index(i), group, formats::id_number(*group));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        faults.invalid(at.child("shareProcessNamespace"), true, why);
    }
    check_sysctls(faults, at.child("sysctls"), context, spec);
    if let Some(policy) = context.fs_group_change_policy.as_deref() {
        faults.one_of(at.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    check_seccomp(faults, at.child("seccompProfile"), context.seccomp_profile.as_ref());
    windows::check_options(faults, at.child("windowsOptions"), context.windows_options.as_ref());
    check_app_armor(faults, at.child("appArmorProfile"), context.app_armor_profile.as_ref());
    if let Some(policy) = context.supplemental_groups_policy.as_deref() {
        faults.one_of(at.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = context.se_linux_change_policy.as_deref() {
        faults.one_of(at.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
    }
}

/// A container's own `securityContext`.
pub fn check_container(faults: &mut Faults, at: Path<'_>, container: &Container, spec: &PodSpec) {
    let Some(context) = &container.security_context else { return };
    check_ids(faults, at, &[("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]);
    if let Some(mount) = context.proc_mount.as_deref() {
        faults.one_of(at.child("procMount"), mount, &["Default", "Unmasked"]);
        if mount == "Unmasked" && spec.host_users != Some(false) {
            faults.invalid(at.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    check_seccomp(faults, at.child("seccompProfile"), context.seccomp_profile.as_ref());
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            faults.invalid(at, context, why);
        }
        let added = context.capabilities.as_ref().and_then(|capabilities| capabilities.add.as_ref());
        if added.is_some_and(|added| added.iter().any(|name| name == "CAP_SYS_ADMIN")) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            faults.invalid(at, context, why);
        }
    }
    windows::check_options(faults, at.child("windowsOptions"), context.windows_options.as_ref());
    check_app_armor(faults, at.child("appArmorProfile"), context.app_armor_profile.as_ref());
}

fn check_ids(faults: &mut Faults, at: Path<'_>, ids: &[(&str, Option<i64>)]) {
    for (field, id) in ids.iter().filter_map(|(field, id)| Some((field, (*id)?))) {
        faults.invalid_for(at.child(field), id, formats::id_number(id));
    }
}

fn check_sysctls(faults: &mut Faults, list: Path<'_>, context: &PodSecurityContext, spec: &PodSpec) {
    let mut names = BTreeSet::new();
    for (i, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let at = list.index(i);
        let name = sysctl.name.as_str();
        if name.is_empty() {
            faults.required(at.child("name"), "");
        } else if !is_sysctl(name) {
            let regex = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            faults.invalid(at.child("name"), name, format!("must have at most 253 characters and match regex {regex}"));
        } else if names.contains(name) {
            faults.duplicate(at.child("name"), name);
        }
        names.insert(name);
        let dotted = name.replace('/', ".");
        if spec.host_network == Some(true) && dotted.starts_with("net.") {
            faults.invalid(at.child("name"), name, "may not be specified when 'hostNetwork' is true");
        }
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|start| dotted.starts_with(start));
        if spec.host_ipc == Some(true) && (ipc || dotted == "kernel.sem") {
            faults.invalid(at.child("name"), name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |c: &u8| edge(Some(c)) || matches!(c, b'-' | b'_');
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

fn check_seccomp(faults: &mut Faults, at: Path<'_>, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        faults.required(at.child("type"), "type is required when seccompProfile is set");
    } else {
        faults.one_of(at.child("type"), &profile.type_, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => {
            faults.required(at.child("localhostProfile"), "must be set when seccomp type is Localhost");
        }
        ("Localhost", Some(path)) => check_descending(faults, at.child("localhostProfile"), path),
        (_, Some(_)) => {
            let why = "can only be set when seccomp type is Localhost";
            faults.invalid(at.child("localhostProfile"), profile, why);
        }
        (_, None) => {}
    }
}

const LONGEST_PATH: usize = 4095;

/// Whether a field may say so.
pub fn is_app_armor_profile(profile: &AppArmorProfile) -> bool {
    let mut faults = Faults::default();
    check_app_armor(&mut faults, Path::root("appArmorProfile"), Some(profile));
    faults.count() == 0
}

fn check_app_armor(faults: &mut Faults, at: Path<'_>, profile: Option<&AppArmorProfile>) {
    let Some(profile) = profile else { return };
    let local = at.child("localhostProfile");
    let must = "must be set when AppArmor type is Localhost";
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("", _) => faults.required(at.child("type"), "type is required when appArmorProfile is set"),
        ("Localhost", None) => faults.required(local, must),
        ("Localhost", Some(path)) => {
            if path.trim() != path {
                faults.invalid(local, path, "must not be padded with whitespace");
            } else if path.is_empty() {
                faults.required(local, must);
            }
            if path.len() > LONGEST_PATH {
                faults.too_long(local, LONGEST_PATH);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(path)) => {
            faults.invalid(local, path, "can only be set when AppArmor type is Localhost");
        }
        (kind, _) => faults.one_of(at.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

/// Users of the pod's own do not go with the host's processes.
pub fn check_host_users(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    if spec.host_users != Some(false) {
        return;
    }
    let shared = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
    for (field, _) in shared.iter().filter(|(_, shared)| *shared == Some(true)) {
        faults.forbidden(at.child(field), "when `hostUsers` is false");
    }
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        for (i, container) in containers.iter().enumerate() {
            if container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
                faults.forbidden(at.child(list).index(i).child("volumeDevices"), "when `hostUsers` is false");
            }
        }
    }
}

/// Whether a profile in a field says what the same profile in an annotation says (`runtime/default`,
/// `unconfined`, `localhost/PATH`); the field that does not, otherwise.
pub fn differs_from_annotation(kind: &str, local: &Option<String>, annotation: &str) -> Option<&'static str> {
    let same = match kind {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => matches!(annotation, "runtime/default" | "docker/default"),
        "Localhost" => match annotation.strip_prefix("localhost/") {
            None => false,
            Some(path) if path == text(local) => true,
            Some(_) => return Some("localhostProfile"),
        },
        _ => true,
    };
    (!same).then_some("type")
}
