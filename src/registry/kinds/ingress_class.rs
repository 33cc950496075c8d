//! IngressClasses: controllers of Ingresses.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference, IngressClassSpec};
use serde_json::Value;

use crate::model::formats;
use crate::registry::columns::{self, Column, age};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::strategy::{KindInfo, Strategy};

const MAX_CONTROLLER_BYTES: usize = 250;
/// The annotation of the class that Ingresses without one get.
pub const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

impl Strategy for IngressClass {
    const INFO: KindInfo = KindInfo::new("ingressclass", "l/iqIbDgFyQ=");
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Controller", "The controller that acts on the class."),
        Column::text("Parameters", "The object with the controller's parameters."),
        Column::AGE,
    ];
    const HAS_GENERATION: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let parameters = spec.and_then(|spec| spec.parameters.as_ref()).map_or_else(
            || "<none>".into(),
            |parameters| match &parameters.api_group {
                Some(group) => format!("{}.{group}/{}", parameters.kind, parameters.name),
                None => format!("{}/{}", parameters.kind, parameters.name),
            },
        );
        vec![columns::name(&self.metadata), controller(spec).into(), parameters.into(), age(&self.metadata, now).into()]
    }

    fn set_defaults(&mut self) {
        if let Some(parameters) = self.spec.get_or_insert_default().parameters.as_mut() {
            parameters.scope.get_or_insert_with(|| "Cluster".into());
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_class(errors, self);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let new = controller(self.spec.as_ref());
        if new != controller(old.spec.as_ref()) {
            errors.invalid(FieldPath::root("spec").child("controller"), new, "field is immutable");
        }
        validate_class(errors, self);
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }
}

fn controller(spec: Option<&IngressClassSpec>) -> &str {
    spec.and_then(|spec| spec.controller.as_deref()).unwrap_or_default()
}

fn validate_class(errors: &mut ErrorList, class: &IngressClass) {
    metadata::validate_cluster_scoped_object_meta(errors, &class.metadata, formats::dns_subdomain);
    let path = FieldPath::root("spec");
    let controller = controller(class.spec.as_ref());
    if errors.require_non_empty(path.child("controller"), controller) {
        if controller.len() > MAX_CONTROLLER_BYTES {
            errors.too_long(path.child("controller"), MAX_CONTROLLER_BYTES);
        }
        validate_domain_prefixed_path(errors, path.child("controller"), controller);
    }
    if let Some(parameters) = class.spec.as_ref().and_then(|spec| spec.parameters.as_ref()) {
        validate_parameters(errors, path.child("parameters"), parameters);
    }
}

/// Validates a path below a domain: `example.com/controller`.
fn validate_domain_prefixed_path(errors: &mut ErrorList, path: FieldPath<'_>, value: &str) {
    let Some((host, rest)) = value.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        errors.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    };
    errors.invalid_each(path, host, formats::dns_subdomain(host));
    let is_path_char = |c: char| c.is_ascii_alphanumeric() || r"/-._~%!$&'()*+,;=:".contains(c);
    if !rest.chars().all(is_path_char) {
        let detail = r"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')";
        errors.invalid(path, rest, detail);
    }
}

fn validate_parameters(errors: &mut ErrorList, path: FieldPath<'_>, parameters: &IngressClassParametersReference) {
    let IngressClassParametersReference { api_group, kind, name, namespace, scope } = parameters;
    metadata::validate_reference(errors, path, api_group.as_deref(), kind, name);
    let Some(scope) = scope.as_deref() else {
        errors.required(path.child("scope"), "");
        return;
    };
    match (scope, namespace) {
        ("Namespace", None) => errors.required(path.child("namespace"), "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", Some(namespace)) => {
            errors.invalid_each(path.child("namespace"), namespace, formats::dns_label(namespace));
        }
        ("Cluster", Some(_)) => errors.forbidden(path.child("namespace"), "`parameters.scope` is set to 'Cluster'"),
        ("Cluster", None) => {}
        (other, _) => errors.not_supported(path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}
