//! What the registry and the support table say of a pod, as faults of its manifest.

use k8s_openapi::api::core::v1::Pod;

use crate::control::Cause;
use crate::model::{Fault, Object, Rule, Template, restart_policies, template};
use crate::registry::field_support::{self, FieldSupport, UnsupportedField};
use crate::registry::{config_map, pod, secret};

/// Every fault of an object of a manifest, its `number`th: those that the API would find, and
/// what wasmpod does not do. Of most kinds that hold no pod, the form is all that is known.
pub fn object(object: &Object, number: usize) -> Vec<Fault> {
    match object {
        Object::Pod(pod) => faults(pod, number),
        Object::ConfigMap(map) => {
            let mut map = map.as_ref().clone();
            map.metadata.namespace.get_or_insert("default".into());
            invalid(config_map::validate(&map), number).collect()
        }
        Object::Secret(secret) => {
            let mut secret = secret.as_ref().clone();
            secret.metadata.namespace.get_or_insert("default".into());
            secret::set_defaults(&mut secret);
            invalid(secret::validate(&secret), number).collect()
        }
        other => template(other).map_or_else(Vec::new, |template| templated(other, &template, number)),
    }
}

fn invalid(causes: Vec<Cause>, number: usize) -> impl Iterator<Item = Fault> {
    let fault =
        move |c: Cause| Fault { object: number, rule: Rule::Invalid, path: c.field, message: c.message, hint: None };
    causes.into_iter().map(fault)
}

/// Every fault of a workload's template, by the workload's own fields.
pub fn templated(owner: &Object, template: &Template, number: usize) -> Vec<Fault> {
    let mut found = faults(&template.pod, number);
    let policy = template.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let allowed = restart_policies(owner);
    if !allowed.contains(&policy) {
        let names: Vec<String> = allowed.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        let message = match policy {
            // What is not set is Always.
            "Always" => format!("Required value: valid values: {names}"),
            policy => format!("Unsupported value: {policy:?}: supported values: {names}"),
        };
        let path = "spec.restartPolicy".to_string();
        found.push(Fault { object: number, rule: Rule::Invalid, path, message, hint: None });
    }
    found.iter_mut().for_each(|fault| fault.path = template.field(&fault.path));
    found
}

/// Every fault of a pod.
pub fn faults(pod: &Pod, number: usize) -> Vec<Fault> {
    let fault = |rule, path, message| Fault { object: number, rule, path, message, hint: None };
    let mut found: Vec<Fault> = match pod::before_create(pod.clone(), jiff::Timestamp::now()) {
        Ok(_) => Vec::new(),
        // Admission names no field.
        Err(status) if status.causes.is_empty() => vec![fault(Rule::Invalid, String::new(), status.message)],
        Err(status) => invalid(status.causes, number).collect(),
    };
    for UnsupportedField { field, support } in field_support::check(pod) {
        // What is wrong altogether need not be told twice.
        if found.iter().any(|fault| fault.rule == Rule::Invalid && fault.path == field) {
            continue;
        }
        let rule = match support {
            FieldSupport::Rejected(_) => Rule::Unsupported,
            FieldSupport::NotSupportedYet(_) => Rule::NotYet,
            FieldSupport::Enforced | FieldSupport::Ignored(_) | FieldSupport::NotEnforcedYet(_) => Rule::NoEffect,
        };
        found.push(fault(rule, field, support.to_string()));
    }
    found
}
