//! Checks the objects of a manifest against the registry's validation and the table of supported fields.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;

use crate::control::{Body, Cause};
use crate::model::{FieldDiagnostic, Kind, ManifestObject, Rule, TemplatePod, allowed_restart_policies, template_pod};
use crate::registry::field_support::{self, FieldSupport, UnsupportedField};
use crate::registry::pod::{app_armor, warnings};
use crate::registry::{kinds, pod};

/// Returns the diagnostics of an object, the `number`th of its manifest: the errors that the API server would report,
/// and the fields that wasmpod does not support. Kinds without a pod are checked no further than their schema.
pub fn check_object(object: &ManifestObject, number: usize) -> Vec<FieldDiagnostic> {
    match object {
        ManifestObject::Pod(pod) => check_pod(pod, number),
        ManifestObject::ConfigMap(_) | ManifestObject::Secret(_) => {
            let body = Body::from_config_object(object);
            let causes = body.and_then(|body| Some(kinds::of(body.resource())?.validate_new(body)));
            invalid_fields(causes.unwrap_or_default(), number).collect()
        }
        other => {
            let mut diagnostics =
                template_pod(other).map_or_else(Vec::new, |template| check_template(other, &template, number));
            if let Err(NotRunnable { message, hint }) = pod_of(other) {
                let (path, hint) = ("kind".into(), Some(hint.to_string()));
                diagnostics.push(FieldDiagnostic { object: number, rule: Rule::NotYet, path, message, hint });
            }
            diagnostics
        }
    }
}

/// The reason for which an object cannot be run.
pub struct NotRunnable {
    pub message: String,
    pub hint: &'static str,
}

/// Returns the pod that an object is, or the one of its template.
pub fn pod_of(object: &ManifestObject) -> Result<(Pod, Option<TemplatePod>), NotRunnable> {
    if let ManifestObject::Pod(pod) = object {
        return Ok((pod.as_ref().clone(), None));
    }
    let kind = object.kind();
    match template_pod(object).filter(|_| kind != Kind::CronJob) {
        Some(template) => Ok((template.pod.clone(), Some(template))),
        None => {
            let hint = match kind {
                Kind::CronJob => "use a Job instead; schedules are not supported yet",
                _ => "remove it; Pods, workloads with a pod template, ConfigMaps and Secrets are supported",
            };
            Err(NotRunnable {
                message: format!("{} is not supported in manifests of `run` and `serve` yet", kind.name()),
                hint,
            })
        }
    }
}

fn invalid_fields(causes: Vec<Cause>, number: usize) -> impl Iterator<Item = FieldDiagnostic> {
    let diagnostic = move |c: Cause| FieldDiagnostic {
        object: number,
        rule: Rule::Invalid,
        path: c.field,
        message: c.message,
        hint: None,
    };
    causes.into_iter().map(diagnostic)
}

/// Returns the diagnostics of a workload's pod template, at the paths of the workload's fields.
pub fn check_template(owner: &ManifestObject, template: &TemplatePod, number: usize) -> Vec<FieldDiagnostic> {
    let mut diagnostics = check_pod(&template.pod, number);
    let policy = template.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let allowed = allowed_restart_policies(owner);
    if !allowed.contains(&policy) {
        let names: Vec<String> = allowed.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        let message = match policy {
            // The default, so the field may be unset.
            "Always" => format!("Required value: valid values: {names}"),
            policy => format!("Unsupported value: {policy:?}: supported values: {names}"),
        };
        let path = "spec.restartPolicy".to_string();
        diagnostics.push(FieldDiagnostic { object: number, rule: Rule::Invalid, path, message, hint: None });
    }
    diagnostics.iter_mut().for_each(|diagnostic| diagnostic.path = template.workload_field(&diagnostic.path));
    diagnostics
}

/// Returns the diagnostics of a pod.
pub fn check_pod(pod: &Pod, number: usize) -> Vec<FieldDiagnostic> {
    let diagnostic = |rule, path, message| FieldDiagnostic { object: number, rule, path, message, hint: None };
    let mut diagnostics: Vec<FieldDiagnostic> = match pod::before_create(pod.clone(), jiff::Timestamp::now()) {
        Ok(completed) => {
            let warnings = warnings::warnings_on_create(&completed).into_iter();
            let warnings = warnings.chain(warnings::warnings_on_replaced_values(pod));
            let warnings = warnings.chain(app_armor::warnings_on_create(pod));
            let warning = |text: String| match text.split_once(": ") {
                Some((path, message)) => diagnostic(Rule::Discouraged, path.into(), message.into()),
                None => diagnostic(Rule::Discouraged, String::new(), text),
            };
            warnings.map(warning).collect()
        }
        // Admission names no field: a priority that differs from the class.
        Err(status) if status.causes.is_empty() => vec![diagnostic(Rule::Invalid, String::new(), status.message)],
        Err(status) => invalid_fields(status.causes, number).collect(),
    };
    let is_invalid = |diagnostic: &&FieldDiagnostic| diagnostic.rule == Rule::Invalid;
    let invalid: HashSet<String> = diagnostics.iter().filter(is_invalid).map(|invalid| invalid.path.clone()).collect();
    for UnsupportedField { field, support } in field_support::check(pod) {
        // An invalid field is reported once.
        if invalid.contains(&field) {
            continue;
        }
        let rule = match support {
            FieldSupport::Rejected(_) => Rule::Unsupported,
            FieldSupport::NotSupportedYet(_) => Rule::NotYet,
            FieldSupport::Enforced | FieldSupport::Ignored(_) | FieldSupport::NotEnforcedYet(_) => Rule::NoEffect,
        };
        diagnostics.push(diagnostic(rule, field, support.to_string()));
    }
    diagnostics
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
