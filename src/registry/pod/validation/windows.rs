//! Operating systems: what a pod for one may not ask of the other.

use k8s_openapi::api::core::v1::{Container, PodSpec, WindowsSecurityContextOptions};

use super::text;
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};

const LARGEST_SPEC_KIB: usize = 64;

/// `windowsOptions` of a pod or a container.
pub fn check_options(faults: &mut Faults, at: Path<'_>, options: Option<&WindowsSecurityContextOptions>) {
    let Some(options) = options else { return };
    if let Some(name) = &options.gmsa_credential_spec_name {
        faults.invalid_for(at.child("gmsaCredentialSpecName"), name, formats::dns_subdomain(name));
    }
    if let Some(spec) = &options.gmsa_credential_spec {
        let at = at.child("gmsaCredentialSpec");
        if spec.is_empty() {
            faults.invalid(at, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > LARGEST_SPEC_KIB * 1024 {
            faults.invalid(at, spec, format!("gmsaCredentialSpec size must be under {LARGEST_SPEC_KIB} KiB"));
        }
    }
    if let Some(name) = &options.run_as_user_name {
        check_user(faults, at.child("runAsUserName"), name);
    }
}

fn check_user(faults: &mut Faults, at: Path<'_>, name: &str) {
    if name.is_empty() {
        return faults.invalid(at, name, "runAsUserName cannot be an empty string");
    }
    if name.chars().any(char::is_control) {
        return faults.invalid(at, name, "runAsUserName cannot contain control characters");
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, rest)) if rest.contains('\\') => {
            return faults.invalid(at, name, "runAsUserName cannot contain more than one backslash");
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            faults.invalid(at, name, "runAsUserName's Domain length must be under 256 characters");
        }
        let net_bios = !domain.is_empty()
            && domain.chars().count() <= 15
            && !domain.starts_with('.')
            && !domain.contains(['/', ':', '*', '?', '"', '<', '>', '|']);
        if !net_bios && !formats::dns_subdomain(&domain.to_lowercase()).is_empty() {
            faults.invalid(at, name, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        }
    }
    if user.is_empty() {
        faults.invalid(at, name, "runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        faults.invalid(at, name, "runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        faults.invalid(at, name, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let why = r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#;
        faults.invalid(at, name, why);
    }
}

fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| ("initContainers", i, c));
    init.chain(spec.containers.iter().enumerate().map(|(i, c)| ("containers", i, c)))
}

/// HostProcess containers come all together, and on the host's network.
pub fn check_host_processes(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let of = |options: Option<&WindowsSecurityContextOptions>| options.and_then(|options| options.host_process);
    let whole = of(spec.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
    let (mut total, mut on_host) = (0, 0);
    for (list, i, container) in all_containers(spec) {
        total += 1;
        let own = of(container.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let why = format!("pod hostProcess value must be identical if both are specified, was {whole}");
            let at = at.child(list);
            let at = at.index(i);
            let at = at.child("securityContext");
            faults.invalid(at.child("windowsOptions").child("hostProcess"), own, why);
        }
        on_host += usize::from(own.or(whole) == Some(true));
    }
    if on_host == 0 {
        return;
    }
    if on_host != total {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        faults.invalid(at, "", why);
    }
    if spec.host_network != Some(true) {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        faults.invalid(at.child("hostNetwork"), false, why);
    }
}

/// `spec.os`, and what a pod for it may not say.
pub fn check_os(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let Some(os) = &spec.os else { return };
    match os.name.as_str() {
        "" => faults.required(at.child("os").child("name"), ""),
        "linux" => check_linux(faults, at, spec),
        "windows" => check_windows(faults, at, spec),
        other => faults.one_of(at.child("os"), other, &["linux", "windows"]),
    }
}

fn check_linux(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let why = "windows options cannot be set for a linux pod";
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        faults.forbidden(at.child("securityContext").child("windowsOptions"), why);
    }
    for (list, i, container) in all_containers(spec) {
        if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
            faults.forbidden(at.child(list).index(i).child("securityContext").child("windowsOptions"), why);
        }
    }
}

const NOT_FOR_WINDOWS: &str = "cannot be set for a windows pod";

fn check_windows(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    let empty = Default::default();
    let context = spec.security_context.as_ref().unwrap_or(&empty);
    let inside = at.child("securityContext");
    for (at, field, set) in [
        (inside, "appArmorProfile", context.app_armor_profile.is_some()),
        (inside, "seLinuxOptions", context.se_linux_options.is_some()),
        (at, "hostUsers", spec.host_users.is_some()),
        (at, "hostPID", spec.host_pid == Some(true)),
        (at, "hostIPC", spec.host_ipc == Some(true)),
        (inside, "seccompProfile", context.seccomp_profile.is_some()),
        (inside, "fsGroup", context.fs_group.is_some()),
        (inside, "fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
        (inside, "sysctls", context.sysctls.as_ref().is_some_and(|sysctls| !sysctls.is_empty())),
        (at, "shareProcessNamespace", spec.share_process_namespace.is_some()),
        (inside, "runAsUser", context.run_as_user.is_some()),
        (inside, "runAsGroup", context.run_as_group.is_some()),
        (inside, "supplementalGroups", context.supplemental_groups.is_some()),
        (inside, "supplementalGroupsPolicy", !text(&context.supplemental_groups_policy).is_empty()),
        (inside, "seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
    ] {
        if set {
            faults.forbidden(at.child(field), NOT_FOR_WINDOWS);
        }
    }
    for (list, i, container) in all_containers(spec) {
        let Some(context) = &container.security_context else { continue };
        let at = at.child(list);
        let at = at.index(i);
        let at = at.child("securityContext");
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
                faults.forbidden(at.child(field), NOT_FOR_WINDOWS);
            }
        }
    }
}
