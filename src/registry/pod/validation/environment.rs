//! Environment variables and the sources of their values.

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, FileKeySelector, ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};

use super::{or_empty, validate_path_no_backsteps};
use crate::model::{formats, pods, quantity};
use crate::registry::fields::{ErrorList, FieldPath};

/// Pod fields that a variable may refer to, in alphabetical order.
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

/// Pod fields that a file may refer to, in alphabetical order.
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

/// Validates `env` and `envFrom`.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container) {
    let variables = path.child("env");
    for (i, variable) in container.env.iter().flatten().enumerate() {
        let path = variables.index(i);
        if errors.require_non_empty(path.child("name"), &variable.name) {
            errors.invalid_each(path.child("name"), &variable.name, formats::env_var_name(&variable.name));
        }
        validate_env_var_value_from(errors, path.child("valueFrom"), variable);
    }
    validate_env_from(errors, path.child("envFrom"), container.env_from.as_deref().unwrap_or_default());
}

fn validate_env_var_value_from(errors: &mut ErrorList, path: FieldPath<'_>, variable: &EnvVar) {
    let Some(from) = &variable.value_from else { return };
    let mut sources = 0;
    if let Some(field) = &from.field_ref {
        sources += 1;
        validate_object_field_selector(errors, path.child("fieldRef"), field, ENV_FIELDS);
    }
    if let Some(resource) = &from.resource_field_ref {
        sources += 1;
        validate_resource_field_selector(errors, path.child("resourceFieldRef"), resource, false);
    }
    if let Some(key) = &from.config_map_key_ref {
        sources += 1;
        validate_key_selector(errors, path.child("configMapKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &from.secret_key_ref {
        sources += 1;
        validate_key_selector(errors, path.child("secretKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &from.file_key_ref {
        sources += 1;
        validate_file_key_selector(errors, path.child("fileKeyRef"), key);
    }
    if sources == 0 {
        let kinds = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                     `fileKeyRef`";
        errors.invalid(path, "", kinds);
    } else if !or_empty(&variable.value).is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

fn validate_key_selector(errors: &mut ErrorList, path: FieldPath<'_>, name: &str, key: &str) {
    errors.invalid_each(path.child("name"), name, formats::dns_subdomain(name));
    if errors.require_non_empty(path.child("key"), key) {
        errors.invalid_each(path.child("key"), key, formats::config_map_key(key));
    }
}

fn validate_file_key_selector(errors: &mut ErrorList, path: FieldPath<'_>, file: &FileKeySelector) {
    if errors.require_non_empty(path.child("key"), &file.key) {
        errors.invalid_each(path.child("key"), &file.key, formats::env_var_name(&file.key));
    }
    if errors.require_non_empty(path.child("volumeName"), &file.volume_name) {
        errors.invalid_each(path.child("volumeName"), &file.volume_name, formats::dns_label(&file.volume_name));
    }
    if errors.require_non_empty(path.child("path"), &file.path) {
        validate_path_no_backsteps(errors, path.child("path"), &file.path);
    }
}

/// Validates that each `fileKeyRef` refers to an emptyDir volume of the pod.
pub fn validate_file_key_volumes(errors: &mut ErrorList, path: FieldPath<'_>, spec: &PodSpec) {
    for (list, containers) in [("initContainers", pods::init_containers(spec)), ("containers", &spec.containers)] {
        for (i, container) in containers.iter().enumerate() {
            for (j, variable) in container.env.iter().flatten().enumerate() {
                let file = variable.value_from.as_ref().and_then(|from| from.file_key_ref.as_ref());
                let Some(name) = file.map(|file| &file.volume_name) else { continue };
                let containers_at = path.child(list);
                let container_at = containers_at.index(i);
                let env = container_at.child("env");
                let from = env.index(j);
                let from = from.child("valueFrom");
                let path = from.child("fileKeyRef");
                match spec.volumes.iter().flatten().find(|volume| volume.name == *name) {
                    None => errors.not_found(path.child("volumeName"), name),
                    Some(volume) if volume.empty_dir.is_none() => {
                        errors.invalid(path.child("volumeName"), name, "referenced volume must be of type emptyDir");
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Validates a reference to a pod field among `known`, or to one label or annotation.
pub fn validate_object_field_selector(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    field: &ObjectFieldSelector,
    known: &[&str],
) {
    let field_name = field.field_path.as_str();
    let version = or_empty(&field.api_version);
    if !errors.require_non_empty(path.child("apiVersion"), version)
        || !errors.require_non_empty(path.child("fieldPath"), field_name)
    {
        return;
    }
    let conversion_error = |detail: &str| format!("error converting fieldPath: {detail}");
    if version != "v1" {
        let detail = conversion_error(&format!("unsupported pod version: {version}"));
        errors.invalid(path.child("fieldPath"), field_name, detail);
        return;
    }
    if let Some((map, key)) = field_name.strip_suffix("']").and_then(|name| name.split_once("['")) {
        match map {
            "metadata.annotations" => {
                let key = key.to_lowercase();
                errors.invalid_each(path, &key, formats::qualified_name(&key));
            }
            "metadata.labels" => errors.invalid_each(path, key, formats::qualified_name(key)),
            _ => {
                let detail = conversion_error(&format!("field label does not support subscript: {field_name}"));
                errors.invalid(path.child("fieldPath"), field_name, detail);
            }
        }
        return;
    }
    let is_convertible = ENV_FIELDS.contains(&field_name)
        || FILE_FIELDS.contains(&field_name)
        || ["spec.restartPolicy", "spec.schedulerName", "status.phase"].contains(&field_name);
    if is_convertible {
        errors.check_one_of(path.child("fieldPath"), field_name, known);
    } else {
        errors.invalid(
            path.child("fieldPath"),
            field_name,
            conversion_error(&format!("field label not supported: {field_name}")),
        );
    }
}

/// Validates a reference to a container's resource. A file must name the container (`is_file`).
pub fn validate_resource_field_selector(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    field: &ResourceFieldSelector,
    is_file: bool,
) {
    let resource = field.resource.as_str();
    let is_huge_page = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if is_file && or_empty(&field.container_name).is_empty() {
        errors.required(path.child("containerName"), "");
    } else if errors.require_non_empty(path.child("resource"), resource) && !is_huge_page {
        errors.check_one_of(path.child("resource"), resource, CONTAINER_RESOURCES);
    }
    let Some(divisor) = field.divisor.as_ref().and_then(|divisor| quantity::canonical(divisor).ok()) else { return };
    let sizes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the";
    let kind = resource.split_once('.').map_or(resource, |(_, kind)| kind);
    let (allowed, supported): (&[&str], String) = match kind {
        "cpu" => (&["1m", "1"], "1m and 1 are supported with the cpu".into()),
        "memory" => (SIZE_DIVISORS, format!("{sizes} memory")),
        "ephemeral-storage" => (SIZE_DIVISORS, format!("{sizes} local ephemeral storage")),
        _ if is_huge_page => (SIZE_DIVISORS, format!("{sizes} hugepages")),
        _ => return,
    };
    if divisor.0 != "0" && !allowed.contains(&divisor.0.as_str()) {
        errors.invalid(path.child("divisor"), resource, format!("only divisor's values {supported} resource"));
    }
}

fn validate_env_from(errors: &mut ErrorList, path: FieldPath<'_>, sources: &[EnvFromSource]) {
    for (i, source) in sources.iter().enumerate() {
        let list = path;
        let path = list.index(i);
        let prefix = or_empty(&source.prefix);
        if !prefix.is_empty() {
            errors.invalid_each(path.child("prefix"), prefix, formats::env_var_name(prefix));
        }
        let names = [
            ("configMapRef", source.config_map_ref.as_ref().map(|map| &map.name)),
            ("secretRef", source.secret_ref.as_ref().map(|secret| &secret.name)),
        ];
        for (field, name) in names.iter().filter_map(|(field, name)| Some((field, (*name)?))) {
            let path = path.child(field);
            if errors.require_non_empty(path.child("name"), name) {
                errors.invalid_each(path.child("name"), name, formats::dns_subdomain(name));
            }
        }
        match names.iter().filter(|(_, name)| name.is_some()).count() {
            0 => errors.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(list, "", "may not have more than one field specified at a time"),
        }
    }
}
