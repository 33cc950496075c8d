//! Probes and lifecycle hooks: handlers, periods, thresholds.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, PodSpec, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::or_empty;
use crate::model::formats;
use crate::registry::fields::{ErrorList, FieldPath};

/// Validates the hooks and probes of a long-running container.
pub fn validate_hooks_and_probes(errors: &mut ErrorList, path: FieldPath<'_>, container: &Container, spec: &PodSpec) {
    let grace = spec.termination_grace_period_seconds;
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.child("lifecycle");
        for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            let Some(hook) = hook else { continue };
            let handlers = Handlers {
                exec: hook.exec.as_ref(),
                http_get: hook.http_get.as_ref(),
                tcp_socket: hook.tcp_socket.as_ref(),
                grpc: None,
                sleep: hook.sleep.as_ref(),
            };
            validate_handlers(errors, path.child(field), &handlers, grace);
        }
    }
    if let Some(probe) = &container.liveness_probe {
        validate_probe(errors, path.child("livenessProbe"), probe);
        validate_success_threshold_is_one(errors, path.child("livenessProbe"), probe);
    }
    if let Some(probe) = &container.readiness_probe {
        let path = path.child("readinessProbe");
        validate_probe(errors, path, probe);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let detail = "must not be set for readinessProbes";
            errors.invalid(path.child("terminationGracePeriodSeconds"), seconds, detail);
        }
    }
    if let Some(probe) = &container.startup_probe {
        validate_probe(errors, path.child("startupProbe"), probe);
        validate_success_threshold_is_one(errors, path.child("startupProbe"), probe);
    }
}

fn validate_success_threshold_is_one(errors: &mut ErrorList, path: FieldPath<'_>, probe: &Probe) {
    let threshold = probe.success_threshold.unwrap_or(0);
    if threshold != 1 {
        errors.invalid(path.child("successThreshold"), threshold, "must be 1");
    }
}

fn validate_probe(errors: &mut ErrorList, path: FieldPath<'_>, probe: &Probe) {
    let handlers = Handlers {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    validate_handlers(errors, path, &handlers, None);
    for (field, number) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        errors.check_non_negative(path.child(field), i64::from(number.unwrap_or(0)));
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

/// The handlers of a probe or hook; exactly one must be set.
struct Handlers<'h> {
    exec: Option<&'h ExecAction>,
    http_get: Option<&'h HTTPGetAction>,
    tcp_socket: Option<&'h TCPSocketAction>,
    grpc: Option<&'h GRPCAction>,
    sleep: Option<&'h SleepAction>,
}

fn validate_handlers(errors: &mut ErrorList, path: FieldPath<'_>, handlers: &Handlers<'_>, grace: Option<i64>) {
    let set = [
        ("exec", handlers.exec.is_some()),
        ("httpGet", handlers.http_get.is_some()),
        ("tcpSocket", handlers.tcp_socket.is_some()),
        ("grpc", handlers.grpc.is_some()),
        ("sleep", handlers.sleep.is_some()),
    ];
    let mut names = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    let Some(first) = names.next() else {
        errors.required(path, "must specify a handler type");
        return;
    };
    let handler = path.child(first);
    match first {
        "exec" if handlers.exec.is_some_and(|exec| exec.command.as_ref().is_none_or(Vec::is_empty)) => {
            errors.required(handler.child("command"), "");
        }
        "httpGet" => validate_http(errors, handler, handlers.http_get),
        "tcpSocket" => {
            if let Some(tcp) = handlers.tcp_socket {
                validate_port(errors, handler.child("port"), &tcp.port);
            }
        }
        "grpc" => {
            let port = handlers.grpc.map_or(0, |grpc| grpc.port);
            errors.invalid_each(handler.child("port"), port, formats::port_number(port));
        }
        "sleep" => {
            let seconds = handlers.sleep.map_or(0, |sleep| sleep.seconds);
            if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
                let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.invalid(handler, seconds, detail);
            }
        }
        _ => {}
    }
    for other in names {
        errors.forbidden(path.child(other), "may not specify more than 1 handler type");
    }
}

fn validate_http(errors: &mut ErrorList, path: FieldPath<'_>, http: Option<&HTTPGetAction>) {
    let Some(http) = http else { return };
    errors.require_non_empty(path.child("path"), or_empty(&http.path));
    validate_port(errors, path.child("port"), &http.port);
    errors.check_one_of(path.child("scheme"), or_empty(&http.scheme), &["HTTP", "HTTPS"]);
    for header in http.http_headers.iter().flatten() {
        errors.invalid_each(path.child("httpHeaders"), &header.name, formats::http_header_name(&header.name));
    }
}

fn validate_port(errors: &mut ErrorList, path: FieldPath<'_>, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => errors.invalid_each(path, number, formats::port_number(*number)),
        IntOrString::String(name) => errors.invalid_each(path, name, formats::port_name(name)),
    }
}
