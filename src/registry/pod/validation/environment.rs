//! Environment variables and where their values come from.

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, FileKeySelector, ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};

use super::{check_no_backsteps, text};
use crate::model::{formats, pods, quantity};
use crate::registry::fields::{Faults, Path};

/// Fields of a pod that a variable may have, in alphabetical order.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of a pod that a file may have, in alphabetical order.
pub const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const CONTAINER_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const SIZE_DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env` and `envFrom`.
pub fn check(faults: &mut Faults, at: Path<'_>, container: &Container) {
    let variables = at.child("env");
    for (i, variable) in container.env.iter().flatten().enumerate() {
        let at = variables.index(i);
        if faults.require_text(at.child("name"), &variable.name) {
            faults.invalid_for(at.child("name"), &variable.name, formats::env_var_name(&variable.name));
        }
        check_value_from(faults, at.child("valueFrom"), variable);
    }
    check_env_from(faults, at.child("envFrom"), container.env_from.as_deref().unwrap_or_default());
}

fn check_value_from(faults: &mut Faults, at: Path<'_>, variable: &EnvVar) {
    let Some(from) = &variable.value_from else { return };
    let mut sources = 0;
    if let Some(field) = &from.field_ref {
        sources += 1;
        check_field(faults, at.child("fieldRef"), field, ENV_FIELDS);
    }
    if let Some(resource) = &from.resource_field_ref {
        sources += 1;
        check_resource(faults, at.child("resourceFieldRef"), resource, false);
    }
    if let Some(key) = &from.config_map_key_ref {
        sources += 1;
        check_key(faults, at.child("configMapKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &from.secret_key_ref {
        sources += 1;
        check_key(faults, at.child("secretKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &from.file_key_ref {
        sources += 1;
        check_file_key(faults, at.child("fileKeyRef"), key);
    }
    if sources == 0 {
        let kinds = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                     `fileKeyRef`";
        faults.invalid(at, "", kinds);
    } else if !text(&variable.value).is_empty() {
        faults.invalid(at, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        faults.invalid(at, "", "may not have more than one field specified at a time");
    }
}

fn check_key(faults: &mut Faults, at: Path<'_>, name: &str, key: &str) {
    faults.invalid_for(at.child("name"), name, formats::dns_subdomain(name));
    if faults.require_text(at.child("key"), key) {
        faults.invalid_for(at.child("key"), key, formats::config_map_key(key));
    }
}

fn check_file_key(faults: &mut Faults, at: Path<'_>, file: &FileKeySelector) {
    if faults.require_text(at.child("key"), &file.key) {
        faults.invalid_for(at.child("key"), &file.key, formats::env_var_name(&file.key));
    }
    if faults.require_text(at.child("volumeName"), &file.volume_name) {
        faults.invalid_for(at.child("volumeName"), &file.volume_name, formats::dns_label(&file.volume_name));
    }
    if faults.require_text(at.child("path"), &file.path) {
        check_no_backsteps(faults, at.child("path"), &file.path);
    }
}

/// The volumes of `fileKeyRef`s are there, and are directories of the pod's own.
pub fn check_file_volumes(faults: &mut Faults, at: Path<'_>, spec: &PodSpec) {
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        for (i, container) in containers.iter().enumerate() {
            for (j, variable) in container.env.iter().flatten().enumerate() {
                let file = variable.value_from.as_ref().and_then(|from| from.file_key_ref.as_ref());
                let Some(name) = file.map(|file| &file.volume_name) else { continue };
                let containers_at = at.child(list);
                let container_at = containers_at.index(i);
                let env = container_at.child("env");
                let from = env.index(j);
                let from = from.child("valueFrom");
                let at = from.child("fileKeyRef");
                match spec.volumes.iter().flatten().find(|volume| volume.name == *name) {
                    None => faults.not_found(at.child("volumeName"), name),
                    Some(volume) if volume.empty_dir.is_none() => {
                        faults.invalid(at.child("volumeName"), name, "referenced volume must be of type emptyDir");
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// A field of the pod itself, one of `known`, or a single label or annotation.
pub fn check_field(faults: &mut Faults, at: Path<'_>, field: &ObjectFieldSelector, known: &[&str]) {
    let path = field.field_path.as_str();
    let version = text(&field.api_version);
    if !faults.require_text(at.child("apiVersion"), version) || !faults.require_text(at.child("fieldPath"), path) {
        return;
    }
    let cannot = |why: &str| format!("error converting fieldPath: {why}");
    if version != "v1" {
        let why = cannot(&format!("unsupported pod version: {version}"));
        faults.invalid(at.child("fieldPath"), path, why);
        return;
    }
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        match map {
            "metadata.annotations" => {
                let key = key.to_lowercase();
                faults.invalid_for(at, &key, formats::qualified_name(&key));
            }
            "metadata.labels" => faults.invalid_for(at, key, formats::qualified_name(key)),
            _ => {
                let why = cannot(&format!("field label does not support subscript: {path}"));
                faults.invalid(at.child("fieldPath"), path, why);
            }
        }
        return;
    }
    let convertible = ENV_FIELDS.contains(&path)
        || FILE_FIELDS.contains(&path)
        || ["spec.restartPolicy", "spec.schedulerName", "status.phase"].contains(&path);
    if convertible {
        faults.one_of(at.child("fieldPath"), path, known);
    } else {
        faults.invalid(at.child("fieldPath"), path, cannot(&format!("field label not supported: {path}")));
    }
}

/// A resource of a container; a file has to say of which.
pub fn check_resource(faults: &mut Faults, at: Path<'_>, field: &ResourceFieldSelector, file: bool) {
    let resource = field.resource.as_str();
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if file && text(&field.container_name).is_empty() {
        faults.required(at.child("containerName"), "");
    } else if faults.require_text(at.child("resource"), resource) && !huge {
        faults.one_of(at.child("resource"), resource, CONTAINER_RESOURCES);
    }
    let Some(divisor) = field.divisor.as_ref().and_then(|divisor| quantity::canonical(divisor).ok()) else { return };
    let sizes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the";
    let kind = resource.split_once('.').map_or(resource, |(_, kind)| kind);
    let (allowed, words): (&[&str], String) = match kind {
        "cpu" => (&["1m", "1"], "1m and 1 are supported with the cpu".into()),
        "memory" => (SIZE_DIVISORS, format!("{sizes} memory")),
        "ephemeral-storage" => (SIZE_DIVISORS, format!("{sizes} local ephemeral storage")),
        _ if huge => (SIZE_DIVISORS, format!("{sizes} hugepages")),
        _ => return,
    };
    if divisor.0 != "0" && !allowed.contains(&divisor.0.as_str()) {
        faults.invalid(at.child("divisor"), resource, format!("only divisor's values {words} resource"));
    }
}

fn check_env_from(faults: &mut Faults, at: Path<'_>, sources: &[EnvFromSource]) {
    for (i, source) in sources.iter().enumerate() {
        let list = at;
        let at = list.index(i);
        let prefix = text(&source.prefix);
        if !prefix.is_empty() {
            faults.invalid_for(at.child("prefix"), prefix, formats::env_var_name(prefix));
        }
        let names = [
            ("configMapRef", source.config_map_ref.as_ref().map(|map| &map.name)),
            ("secretRef", source.secret_ref.as_ref().map(|secret| &secret.name)),
        ];
        for (field, name) in names.iter().filter_map(|(field, name)| Some((field, (*name)?))) {
            let at = at.child(field);
            if faults.require_text(at.child("name"), name) {
                faults.invalid_for(at.child("name"), name, formats::dns_subdomain(name));
            }
        }
        match names.iter().filter(|(_, name)| name.is_some()).count() {
            0 => faults.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => faults.invalid(list, "", "may not have more than one field specified at a time"),
        }
    }
}
