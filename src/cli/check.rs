//! What the registry and the support table say of a pod, as faults of its manifest.

use k8s_openapi::api::core::v1::Pod;

use crate::model::{Fault, Object, Rule, template};
use crate::registry::pod;
use crate::registry::support::{self, Finding, State};

/// Every fault of an object of a manifest, its `number`th: those that the API would find, and
/// what wasmpod does not do. Of kinds that hold no pod, the form is all that is known.
pub fn object(object: &Object, number: usize) -> Vec<Fault> {
    match object {
        Object::Pod(pod) => faults(pod, number),
        other => template(other).map_or_else(Vec::new, |template| {
            let mut found = faults(&template.pod, number);
            found.iter_mut().for_each(|fault| fault.path = template.field(&fault.path));
            found
        }),
    }
}

/// Every fault of a pod.
pub fn faults(pod: &Pod, number: usize) -> Vec<Fault> {
    let fault = |rule, path, message| Fault { object: number, rule, path, message, hint: None };
    let mut found: Vec<Fault> = match pod::prepare_for_create(pod.clone(), jiff::Timestamp::now()) {
        Ok(_) => Vec::new(),
        // Admission names no field.
        Err(status) if status.causes.is_empty() => vec![fault(Rule::Invalid, String::new(), status.message)],
        Err(status) => status.causes.into_iter().map(|c| fault(Rule::Invalid, c.field, c.message)).collect(),
    };
    for Finding { field, state } in support::judge(pod) {
        // What is wrong altogether need not be told twice.
        if found.iter().any(|fault| fault.rule == Rule::Invalid && fault.path == field) {
            continue;
        }
        let rule = match state {
            State::Refused(_) => Rule::Unsupported,
            State::NotYet(_) => Rule::NotYet,
            State::Enforced | State::Inert(_) | State::NotEnforced(_) => Rule::NoEffect,
        };
        found.push(fault(rule, field, state.to_string()));
    }
    found
}
