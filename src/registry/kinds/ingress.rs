//! Ingresses: HTTP routes from outside the cluster to Services.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressLoadBalancerIngress, IngressLoadBalancerStatus,
    IngressRule, IngressSpec, IngressStatus, IngressTLS,
};
use serde_json::Value;

use super::{ingress_class, service};
use crate::control::{Status, Subresource};
use crate::model::formats;
use crate::registry::admission::default_class;
use crate::registry::columns::{self, Column, age, non_empty_or};
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::strategy::{KindInfo, Strategy, SubresourceInfo};
use crate::registry::{Registry, addresses, metadata};

/// The annotation that named the class before `spec.ingressClassName` did.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// What no path may contain, and what none may end with.
const INVALID_SEQUENCES: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
const INVALID_SUFFIXES: &[&str] = &["/..", "/."];

impl Strategy for Ingress {
    const INFO: KindInfo = KindInfo {
        short_names: &["ing"],
        subresources: &[SubresourceInfo::status("Ingress")],
        ..KindInfo::new("ingress", "39NQlfNR+bo=")
    };
    const COLUMNS: &'static [Column] = &[
        Column::NAME,
        Column::text("Class", "Name of the ingress class."),
        Column::text("Hosts", "The first hosts."),
        Column::text("Address", "Addresses of the load balancer."),
        Column::text("Ports", "Ports that are open."),
        Column::AGE,
    ];
    const HAS_GENERATION: bool = true;

    fn cells(&self, now: Timestamp) -> Vec<Value> {
        let empty = IngressSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let has_tls = spec.tls.as_ref().is_some_and(|tls| !tls.is_empty());
        vec![
            columns::name(&self.metadata),
            spec.ingress_class_name.as_deref().unwrap_or("<none>").into(),
            host_list(spec).into(),
            address_list(self).into(),
            if has_tls { "80, 443" } else { "80" }.into(),
            age(&self.metadata, now).into(),
        ]
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        let rules = spec.rules.iter_mut().flatten().filter_map(|rule| rule.http.as_mut());
        let backends = rules.flat_map(|http| &mut http.paths).map(|path| &mut path.backend);
        for backend in backends.chain(&mut spec.default_backend) {
            if let Some(service) = &mut backend.service {
                service.port.get_or_insert_default();
            }
        }
    }

    fn begin(&mut self, registry: &Registry, old: Option<&Self>, _subresource: Subresource) -> Result<(), Status> {
        let has_annotation = class_annotation(self).is_some();
        let Some(spec) = self.spec.as_mut().filter(|_| old.is_none() && !has_annotation) else { return Ok(()) };
        if spec.ingress_class_name.is_none() {
            spec.ingress_class_name = default_class::find::<IngressClass>(registry, &[ingress_class::IS_DEFAULT]);
        }
        Ok(())
    }

    fn prepare_for_create(&mut self) {
        self.status = Some(IngressStatus { load_balancer: Some(IngressLoadBalancerStatus::default()) });
    }

    fn validate(&self, errors: &mut ErrorList) {
        validate_ingress(errors, self, Leniency::default());
        let class = self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
        if let (Some(annotation), Some(class)) = (class_annotation(self), class)
            && annotation != class
        {
            let detail = "must match `ingressClassName` when both are specified";
            errors.invalid(FieldPath::root("annotations").child(CLASS_ANNOTATION), annotation, detail);
        }
    }

    fn warnings_on_create(&self) -> Vec<String> {
        let class = self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
        let is_deprecated = class_annotation(self).is_some() && class.is_none();
        let warning =
            format!("annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead");
        is_deprecated.then_some(warning).into_iter().collect()
    }

    fn prepare_for_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn validate_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        validate_ingress(errors, self, Leniency::for_update_of(old));
    }

    fn warnings_on_update(&self, _old: &Self) -> Vec<String> {
        Vec::new()
    }

    fn prepare_for_status_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, old: &Self, errors: &mut ErrorList) {
        metadata::validate_object_meta_update(errors, &self.metadata, &old.metadata);
        let existing: Vec<String> = points(old).iter().filter_map(|point| point.ip.clone()).collect();
        let status = FieldPath::root("status");
        let balancer = status.child("loadBalancer");
        let list = balancer.child("ingress");
        for (i, point) in points(self).iter().enumerate() {
            let path = list.index(i);
            if let Some(ip) = point.ip.as_deref().filter(|ip| !ip.is_empty()) {
                addresses::validate_ip(errors, path.child("ip"), ip, &existing);
            }
            service::validate_hostname(errors, path.child("hostname"), point.hostname.as_deref().unwrap_or_default());
        }
    }

    fn is_spec_changed(&self, old: &Self) -> bool {
        self.spec != old.spec
    }
}

fn class_annotation(ingress: &Ingress) -> Option<&String> {
    ingress.metadata.annotations.as_ref()?.get(CLASS_ANNOTATION)
}

fn points(ingress: &Ingress) -> &[IngressLoadBalancerIngress] {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default()
}

fn host(rule: &IngressRule) -> &str {
    rule.host.as_deref().unwrap_or_default()
}

/// Returns the HOSTS cell.
fn host_list(spec: &IngressSpec) -> String {
    const SHOWN: usize = 3;
    let rules = spec.rules.as_deref().unwrap_or_default();
    let mut hosts = rules.iter().map(host).filter(|host| !host.is_empty());
    let shown: Vec<&str> = hosts.by_ref().take(SHOWN).collect();
    if shown.is_empty() {
        return "*".into();
    }
    // A rule without a host counts only if it follows the hosts that are shown.
    let last_shown = shown.last().and_then(|last| rules.iter().position(|rule| host(rule) == *last)).unwrap_or(0);
    if shown.len() == SHOWN && rules.len() > last_shown + 1 {
        format!("{} + {} more...", shown.join(","), rules.len() - SHOWN)
    } else {
        shown.join(",")
    }
}

/// Returns the ADDRESS cell.
fn address_list(ingress: &Ingress) -> String {
    let address = |point: &IngressLoadBalancerIngress| {
        let ip = non_empty_or(point.ip.as_deref(), non_empty_or(point.hostname.as_deref(), ""));
        ip.to_string()
    };
    let addresses: BTreeSet<String> = points(ingress).iter().map(address).filter(|text| !text.is_empty()).collect();
    Vec::from_iter(addresses).join(",")
}

/// Which rules an update need not follow, because the stored object does not follow them either.
#[derive(Debug, Clone, Copy, Default)]
struct Leniency {
    secret_names: bool,
    wildcard_rules: bool,
}

impl Leniency {
    fn for_update_of(old: &Ingress) -> Leniency {
        let Some(spec) = &old.spec else { return Leniency::default() };
        let has_invalid_rule = |rule: &IngressRule| {
            let mut errors = ErrorList::default();
            validate_rule_value(&mut errors, FieldPath::root(""), rule);
            host(rule).contains('*') && errors.count() > 0
        };
        Leniency {
            secret_names: spec.tls.iter().flatten().any(|tls| !secret_name_violations(tls).is_empty()),
            wildcard_rules: spec.rules.iter().flatten().any(has_invalid_rule),
        }
    }
}

fn validate_ingress(errors: &mut ErrorList, ingress: &Ingress, leniency: Leniency) {
    metadata::validate_object_meta(errors, &ingress.metadata, formats::dns_subdomain);
    let empty = IngressSpec::default();
    let spec = ingress.spec.as_ref().unwrap_or(&empty);
    let path = FieldPath::root("spec");
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        errors.invalid(path, &spec.rules, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = &spec.default_backend {
        validate_backend(errors, path.child("defaultBackend"), backend);
    }
    for (i, rule) in rules.iter().enumerate() {
        let list = path.child("rules");
        validate_host(errors, list.index(i).child("host"), host(rule));
        if !host(rule).contains('*') || !leniency.wildcard_rules {
            validate_rule_value(errors, list.index(i), rule);
        }
    }
    for (i, tls) in spec.tls.iter().flatten().enumerate() {
        let list = path.child("tls");
        validate_tls(errors, list.index(i), tls, leniency);
    }
    if let Some(class) = &spec.ingress_class_name {
        errors.invalid_each(path.child("ingressClassName"), class, formats::dns_subdomain(class));
    }
}

/// Checks a name that may begin with a wildcard.
fn host_violations(name: &str) -> formats::Violations {
    if name.contains('*') { formats::wildcard_dns_subdomain(name) } else { formats::dns_subdomain(name) }
}

fn validate_host(errors: &mut ErrorList, path: FieldPath<'_>, host: &str) {
    if host.is_empty() {
        return;
    }
    if addresses::parse_ip(host).is_some() {
        errors.invalid(path, host, "must be a DNS name, not an IP address");
    }
    errors.invalid_each(path, host, host_violations(host));
}

fn validate_rule_value(errors: &mut ErrorList, path: FieldPath<'_>, rule: &IngressRule) {
    let Some(http) = &rule.http else { return };
    let http_path = path.child("http");
    let list = http_path.child("paths");
    if http.paths.is_empty() {
        errors.required(list, "");
    }
    for (i, path) in http.paths.iter().enumerate() {
        validate_path(errors, list.index(i), path);
    }
}

fn validate_path(errors: &mut ErrorList, path: FieldPath<'_>, rule: &HTTPIngressPath) {
    let value = rule.path.as_deref().unwrap_or_default();
    match rule.path_type.as_str() {
        "" => {
            errors.required(path.child("pathType"), "pathType must be specified");
            return;
        }
        "Exact" | "Prefix" => {
            if !value.starts_with('/') {
                errors.invalid(path.child("path"), value, "must be an absolute path");
            }
            for sequence in INVALID_SEQUENCES.iter().filter(|sequence| value.contains(**sequence)) {
                errors.invalid(path.child("path"), value, format!("must not contain '{sequence}'"));
            }
            for suffix in INVALID_SUFFIXES.iter().filter(|suffix| value.ends_with(**suffix)) {
                errors.invalid(path.child("path"), value, format!("cannot end with '{suffix}'"));
            }
        }
        "ImplementationSpecific" => {
            if !value.is_empty() && !value.starts_with('/') {
                errors.invalid(path.child("path"), value, "must be an absolute path");
            }
        }
        other => errors.not_supported(path.child("pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    validate_backend(errors, path.child("backend"), &rule.backend);
}

fn validate_backend(errors: &mut ErrorList, path: FieldPath<'_>, backend: &IngressBackend) {
    let service = match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => {
            errors.invalid(path, "", "cannot set both resource and service backends");
            return;
        }
        (Some(resource), None) => {
            let group = resource.api_group.as_deref();
            metadata::validate_reference(errors, path.child("resource"), group, &resource.kind, &resource.name);
            return;
        }
        (None, None) => {
            errors.invalid(path, "", "resource or service backend is required");
            return;
        }
        (None, Some(service)) => service,
    };
    let service_path = path.child("service");
    if errors.require_non_empty(service_path.child("name"), &service.name) {
        errors.invalid_each(service_path.child("name"), &service.name, formats::dns_label(&service.name));
    }
    let port = service.port.clone().unwrap_or_default();
    let port_path = service_path.child("port");
    match (port.name.as_deref().unwrap_or_default(), port.number.unwrap_or_default()) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", number) => errors.invalid_each(port_path.child("number"), number, formats::port_number(number)),
        (name, 0) => errors.invalid_each(port_path.child("name"), name, formats::port_name(name)),
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}

fn secret_name_violations(tls: &IngressTLS) -> formats::Violations {
    let name = tls.secret_name.as_deref().filter(|name| !name.is_empty());
    name.map(formats::dns_subdomain).unwrap_or_default()
}

fn validate_tls(errors: &mut ErrorList, path: FieldPath<'_>, tls: &IngressTLS, leniency: Leniency) {
    let list = path.child("hosts");
    for (i, host) in tls.hosts.iter().flatten().enumerate() {
        errors.invalid_each(list.index(i), host, host_violations(host));
    }
    if !leniency.secret_names {
        errors.invalid_each(path.child("secretName"), &tls.secret_name, secret_name_violations(tls));
    }
}
