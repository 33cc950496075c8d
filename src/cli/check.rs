//! Checks the objects of a manifest against the registry's validation and the table of supported fields.

use std::collections::HashSet;
use std::path::Path;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;

use super::report;
use crate::control::Status;
use crate::images::Images;
use crate::model::{FieldDiagnostic, ManifestObject, Rule, Severity, pods};
use crate::registry::field_support::{self, FieldSupport, UnsupportedField};
use crate::registry::pod::{app_armor, warnings};
use crate::registry::workload::{TemplatePod, template_pod};
use crate::registry::{kinds, pod};

/// Returns the diagnostics of an object, the `number`th of its manifest: the errors and warnings that the API server would
/// report, and the fields that wasmpod does not support.
pub fn check_object(object: &ManifestObject, number: usize) -> Vec<FieldDiagnostic> {
    if let Some(pod) = object.downcast_ref::<Pod>() {
        return check_pod(pod, number);
    }
    let mut diagnostics = check_kind(object, number);
    if let Some(template) = template_pod(object) {
        diagnostics.extend(unsupported_fields(&template, &diagnostics, number));
    } else if let Some(message) = limitation(object) {
        diagnostics.push(FieldDiagnostic {
            object: number,
            rule: Rule::NotYet,
            path: "kind".into(),
            message,
            hint: None,
        });
    }
    diagnostics
}

/// Returns the diagnostics of an object as [`check_object`] does, and those of images that a run of it would not find in
/// `images`.
pub fn check_object_and_images(
    object: &ManifestObject,
    number: usize,
    images: &Images,
    manifest: Option<&Path>,
) -> Vec<FieldDiagnostic> {
    let mut diagnostics = check_object(object, number);
    let is_error = |diagnostic: &FieldDiagnostic| diagnostic.rule.severity() == Severity::Error;
    if !diagnostics.iter().any(is_error)
        && let Some((pod, template)) = pod_of(object)
    {
        diagnostics.extend(missing_images(&pod, template.as_ref(), images, manifest, number));
    }
    diagnostics
}

/// Returns the pod that an object is, or the one of its template if `run` acts on it.
pub fn pod_of(object: &ManifestObject) -> Option<(Pod, Option<TemplatePod>)> {
    if let Some(pod) = object.downcast_ref::<Pod>() {
        return Some((pod.clone(), None));
    }
    let has_schedule = object.downcast_ref::<CronJob>().is_some();
    let template = template_pod(object).filter(|_| !has_schedule)?;
    Some((template.pod.clone(), Some(template)))
}

/// Returns the message about an object of a kind that does not work entirely yet.
pub fn limitation(object: &ManifestObject) -> Option<String> {
    kinds::of_manifest(object)?.limitation()
}

/// Returns the errors and warnings of an object's kind.
pub fn check_kind(object: &ManifestObject, number: usize) -> Vec<FieldDiagnostic> {
    match kinds::check_new(object) {
        Ok(warnings) => warnings.into_iter().map(|text| discouraged(text, number)).collect(),
        Err(status) => refused(status, number),
    }
}

/// Returns the diagnostic of a warning of the API.
fn discouraged(text: String, number: usize) -> FieldDiagnostic {
    let (path, message) = match text.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => (path.to_string(), message.to_string()),
        _ => (String::new(), text),
    };
    FieldDiagnostic { object: number, rule: Rule::Discouraged, path, message, hint: None }
}

/// Returns the diagnostics of the answer to an object that is not valid.
fn refused(status: Status, number: usize) -> Vec<FieldDiagnostic> {
    let diagnostic = |path, message| FieldDiagnostic { object: number, rule: Rule::Invalid, path, message, hint: None };
    match status.causes.as_slice() {
        // Admission names no field: a priority that differs from the class.
        [] => vec![diagnostic(String::new(), status.message)],
        _ => status.causes.into_iter().map(|cause| diagnostic(cause.field, cause.message)).collect(),
    }
}

/// Returns the diagnostics of a workload and of its pod template, at the paths of the workload's fields.
pub fn check_template(owner: &ManifestObject, template: &TemplatePod, number: usize) -> Vec<FieldDiagnostic> {
    let mut diagnostics = check_kind(owner, number);
    diagnostics.extend(unsupported_fields(template, &diagnostics, number));
    diagnostics
}

/// Returns the diagnostics of the fields of a template that wasmpod does not support, unless they are `reported`.
fn unsupported_fields(template: &TemplatePod, reported: &[FieldDiagnostic], number: usize) -> Vec<FieldDiagnostic> {
    let invalid: HashSet<&str> = reported.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
    let fields = field_support::check(&template.pod).into_iter();
    let at_path = |field: UnsupportedField| UnsupportedField { field: template.workload_field(&field.field), ..field };
    let fields = fields.map(at_path).filter(|field| !invalid.contains(field.field.as_str()));
    fields.map(|field| unsupported(field, number)).collect()
}

fn unsupported(field: UnsupportedField, number: usize) -> FieldDiagnostic {
    let UnsupportedField { field: path, support } = field;
    let rule = match support {
        FieldSupport::Rejected(_) => Rule::Unsupported,
        FieldSupport::KeepsPending(_) | FieldSupport::NotSupportedYet(_) => Rule::NotYet,
        FieldSupport::Enforced | FieldSupport::Ignored(_) | FieldSupport::NotEnforcedYet(_) => Rule::NoEffect,
    };
    FieldDiagnostic { object: number, rule, path, message: support.to_string(), hint: None }
}

/// Returns the diagnostics of a pod.
pub fn check_pod(pod: &Pod, number: usize) -> Vec<FieldDiagnostic> {
    let mut diagnostics: Vec<FieldDiagnostic> = match pod::before_create(pod.clone(), jiff::Timestamp::now()) {
        Ok(completed) => {
            let warnings = warnings::warnings_on_create(&completed).into_iter();
            let warnings = warnings.chain(warnings::warnings_on_replaced_values(pod));
            let warnings = warnings.chain(app_armor::warnings_on_create(pod));
            warnings.map(|text| discouraged(text, number)).collect()
        }
        Err(status) => refused(status, number),
    };
    let is_invalid = |diagnostic: &&FieldDiagnostic| diagnostic.rule == Rule::Invalid;
    let invalid: HashSet<String> = diagnostics.iter().filter(is_invalid).map(|invalid| invalid.path.clone()).collect();
    // An invalid field is reported once.
    let fields = field_support::check(pod).into_iter().filter(|field| !invalid.contains(&field.field));
    diagnostics.extend(fields.map(|field| unsupported(field, number)));
    diagnostics
}

/// Returns the images of a pod that cannot be found, as diagnostics of the fields that name them. Paths of local images
/// are relative to the directory of the manifest.
pub fn missing_images(
    pod: &Pod,
    template: Option<&TemplatePod>,
    images: &Images,
    manifest: Option<&Path>,
    number: usize,
) -> Vec<FieldDiagnostic> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let base = manifest.and_then(Path::parent).unwrap_or(Path::new("."));
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let apps = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    let missing = init.chain(apps).filter_map(|(path, container)| {
        let error = images.find(container.image.as_deref()?, base).err()?;
        let (path, message) = (format!("{path}.image"), report::error_chain(&error.into()));
        let path = template.map_or(path.clone(), |template| template.workload_field(&path));
        Some(FieldDiagnostic { object: number, rule: Rule::NotYet, path, message, hint: None })
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(spec: &str) -> Vec<String> {
        let pod = format!("{{metadata: {{name: p}}, spec: {spec}}}");
        let pod: Pod = serde_yaml::from_str(&pod).expect("a pod");
        check_pod(&pod, 0).into_iter().map(|d| format!("{} {}: {}", d.rule.id(), d.path, d.message)).collect()
    }

    #[test]
    fn unknown_names_are_reported_once_at_their_fields() {
        for (field, expected) in [
            (
                "serviceAccountName: web",
                "not-yet spec.serviceAccountName: not supported yet: only the service account default exists",
            ),
            (
                "priorityClassName: high",
                "not-yet spec.priorityClassName: not supported yet: only the classes system-cluster-critical and \
                 system-node-critical exist",
            ),
            (
                "runtimeClassName: gvisor",
                "unsupported spec.runtimeClassName: not supported: wasmpod has no runtime classes",
            ),
        ] {
            assert_eq!(reported(&format!("{{{field}, containers: [{{name: c, image: x}}]}}")), [expected]);
            let with_error = reported(&format!("{{{field}, containers: []}}"));
            assert_eq!(with_error, ["invalid-value spec.containers: Required value", expected]);
        }
    }
}
