//! `spec.os` and the fields that belong to one operating system only.

use k8s_openapi::api::core::v1::{Container, PodSpec, WindowsSecurityContextOptions};

use super::or_empty;
use crate::model::{formats, pods};
use crate::registry::fields::{ErrorList, FieldPath};

const MAX_CREDENTIAL_SPEC_KIB: usize = 64;

/// Validates `windowsOptions` of a pod or container.
pub fn validate_windows_options(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    options: Option<&WindowsSecurityContextOptions>,
) {
    let Some(options) = options else { return };
    if let Some(name) = &options.gmsa_credential_spec_name {
        errors.invalid_each(path.child("gmsaCredentialSpecName"), name, formats::dns_subdomain(name));
    }
    if let Some(spec) = &options.gmsa_credential_spec {
        let path = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.invalid(path, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > MAX_CREDENTIAL_SPEC_KIB * 1024 {
            errors.invalid(path, spec, format!("gmsaCredentialSpec size must be under {MAX_CREDENTIAL_SPEC_KIB} KiB"));
        }
    }
    if let Some(name) = &options.run_as_user_name {
        validate_run_as_user_name(errors, path.child("runAsUserName"), name);
    }
}

fn validate_run_as_user_name(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    if name.is_empty() {
        return errors.invalid(path, name, "runAsUserName cannot be an empty string");
    }
    if name.chars().any(char::is_control) {
        return errors.invalid(path, name, "runAsUserName cannot contain control characters");
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, rest)) if rest.contains('\\') => {
            return errors.invalid(path, name, "runAsUserName cannot contain more than one backslash");
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            errors.invalid(path, name, "runAsUserName's Domain length must be under 256 characters");
        }
        let is_net_bios = !domain.is_empty()
            && domain.chars().count() <= 15
            && !domain.starts_with('.')
            && !domain.contains(['/', ':', '*', '?', '"', '<', '>', '|']);
        if !is_net_bios && !formats::dns_subdomain(&domain.to_lowercase()).is_empty() {
            errors.invalid(path, name, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        }
    }
    if user.is_empty() {
        errors.invalid(path, name, "runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        errors.invalid(path, name, "runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        errors.invalid(path, name, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let detail = r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#;
        errors.invalid(path, name, detail);
    }
}

fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| ("initContainers", i, c));
    init.chain(spec.containers.iter().enumerate().map(|(i, c)| ("containers", i, c)))
}

/// Validates that HostProcess containers are all of the pod's containers and use the host's network.
pub fn validate_host_processes(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let host_process =
        |options: Option<&WindowsSecurityContextOptions>| options.and_then(|options| options.host_process);
    let pod_value = host_process(spec.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
    let (mut total, mut host_processes) = (0, 0);
    for (list, i, container) in all_containers(spec) {
        total += 1;
        let own =
            host_process(container.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
        if let (Some(pod_value), Some(own)) = (pod_value, own)
            && pod_value != own
        {
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod_value}");
            let path = path.child(list);
            let path = path.index(i);
            let path = path.child("securityContext");
            errors.invalid(path.child("windowsOptions").child("hostProcess"), own, detail);
        }
        host_processes += usize::from(own.or(pod_value) == Some(true));
    }
    if host_processes == 0 {
        return;
    }
    if host_processes != total {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.invalid(path, "", detail);
    }
    if spec.host_network != Some(true) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(path.child("hostNetwork"), false, detail);
    }
}

/// Validates `spec.os` and rejects fields of the other operating system.
pub fn validate_os(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let Some(os) = &spec.os else { return };
    match os.name.as_str() {
        "" => errors.required(path.child("os").child("name"), ""),
        "linux" => validate_linux_pod(errors, path, spec),
        "windows" => validate_windows_pod(errors, path, spec),
        other => errors.check_one_of(path.child("os"), other, &["linux", "windows"]),
    }
}

fn validate_linux_pod(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let detail = "windows options cannot be set for a linux pod";
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        errors.forbidden(path.child("securityContext").child("windowsOptions"), detail);
    }
    for (list, i, container) in all_containers(spec) {
        if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
            errors.forbidden(path.child(list).index(i).child("securityContext").child("windowsOptions"), detail);
        }
    }
}

const NOT_FOR_WINDOWS: &str = "cannot be set for a windows pod";

fn validate_windows_pod(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    let empty = Default::default();
    let context = spec.security_context.as_ref().unwrap_or(&empty);
    let context_path = path.child("securityContext");
    for (path, field, set) in [
        (context_path, "appArmorProfile", context.app_armor_profile.is_some()),
        (context_path, "seLinuxOptions", context.se_linux_options.is_some()),
        (path, "hostUsers", spec.host_users.is_some()),
        (path, "hostPID", spec.host_pid == Some(true)),
        (path, "hostIPC", spec.host_ipc == Some(true)),
        (context_path, "seccompProfile", context.seccomp_profile.is_some()),
        (context_path, "fsGroup", context.fs_group.is_some()),
        (context_path, "fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
        (context_path, "sysctls", context.sysctls.as_ref().is_some_and(|sysctls| !sysctls.is_empty())),
        (path, "shareProcessNamespace", spec.share_process_namespace.is_some()),
        (context_path, "runAsUser", context.run_as_user.is_some()),
        (context_path, "runAsGroup", context.run_as_group.is_some()),
        (context_path, "supplementalGroups", context.supplemental_groups.is_some()),
        (context_path, "supplementalGroupsPolicy", !or_empty(&context.supplemental_groups_policy).is_empty()),
        (context_path, "seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
    ] {
        if set {
            errors.forbidden(path.child(field), NOT_FOR_WINDOWS);
        }
    }
    for (list, i, container) in all_containers(spec) {
        let Some(context) = &container.security_context else { continue };
        let path = path.child(list);
        let path = path.index(i);
        let path = path.child("securityContext");
        for (field, set) in [
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ] {
            if set {
                errors.forbidden(path.child(field), NOT_FOR_WINDOWS);
            }
        }
    }
}
