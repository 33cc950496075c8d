//! Probes and lifecycle hooks: what they do and how often.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, PodSpec, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::text;
use crate::model::formats;
use crate::registry::fields::{Faults, Path};

/// Hooks and probes of a container that goes on running.
pub fn check_all(faults: &mut Faults, at: Path<'_>, container: &Container, spec: &PodSpec) {
    let grace = spec.termination_grace_period_seconds;
    if let Some(lifecycle) = &container.lifecycle {
        let at = at.child("lifecycle");
        for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            let Some(hook) = hook else { continue };
            let handlers = Handlers {
                exec: hook.exec.as_ref(),
                http_get: hook.http_get.as_ref(),
                tcp_socket: hook.tcp_socket.as_ref(),
                grpc: None,
                sleep: hook.sleep.as_ref(),
            };
            check_handlers(faults, at.child(field), &handlers, grace);
        }
    }
    if let Some(probe) = &container.liveness_probe {
        check_probe(faults, at.child("livenessProbe"), probe);
        check_success_is_one(faults, at.child("livenessProbe"), probe);
    }
    if let Some(probe) = &container.readiness_probe {
        let at = at.child("readinessProbe");
        check_probe(faults, at, probe);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let why = "must not be set for readinessProbes";
            faults.invalid(at.child("terminationGracePeriodSeconds"), seconds, why);
        }
    }
    if let Some(probe) = &container.startup_probe {
        check_probe(faults, at.child("startupProbe"), probe);
        check_success_is_one(faults, at.child("startupProbe"), probe);
    }
}

fn check_success_is_one(faults: &mut Faults, at: Path<'_>, probe: &Probe) {
    let threshold = probe.success_threshold.unwrap_or(0);
    if threshold != 1 {
        faults.invalid(at.child("successThreshold"), threshold, "must be 1");
    }
}

fn check_probe(faults: &mut Faults, at: Path<'_>, probe: &Probe) {
    let handlers = Handlers {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    check_handlers(faults, at, &handlers, None);
    for (field, number) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        faults.not_negative(at.child(field), i64::from(number.unwrap_or(0)));
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        faults.invalid(at.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

/// What a probe or a hook may do; one of them.
struct Handlers<'h> {
    exec: Option<&'h ExecAction>,
    http_get: Option<&'h HTTPGetAction>,
    tcp_socket: Option<&'h TCPSocketAction>,
    grpc: Option<&'h GRPCAction>,
    sleep: Option<&'h SleepAction>,
}

fn check_handlers(faults: &mut Faults, at: Path<'_>, handlers: &Handlers<'_>, grace: Option<i64>) {
    let set = [
        ("exec", handlers.exec.is_some()),
        ("httpGet", handlers.http_get.is_some()),
        ("tcpSocket", handlers.tcp_socket.is_some()),
        ("grpc", handlers.grpc.is_some()),
        ("sleep", handlers.sleep.is_some()),
    ];
    let mut names = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    let Some(first) = names.next() else {
        faults.required(at, "must specify a handler type");
        return;
    };
    let handler = at.child(first);
    match first {
        "exec" if handlers.exec.is_some_and(|exec| exec.command.as_ref().is_none_or(Vec::is_empty)) => {
            faults.required(handler.child("command"), "");
        }
        "httpGet" => check_http(faults, handler, handlers.http_get),
        "tcpSocket" => {
            if let Some(tcp) = handlers.tcp_socket {
                check_port(faults, handler.child("port"), &tcp.port);
            }
        }
        "grpc" => {
            let port = handlers.grpc.map_or(0, |grpc| grpc.port);
            faults.invalid_for(handler.child("port"), port, formats::port_number(port));
        }
        "sleep" => {
            let seconds = handlers.sleep.map_or(0, |sleep| sleep.seconds);
            if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
                let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                faults.invalid(handler, seconds, why);
            }
        }
        _ => {}
    }
    for further in names {
        faults.forbidden(at.child(further), "may not specify more than 1 handler type");
    }
}

fn check_http(faults: &mut Faults, at: Path<'_>, http: Option<&HTTPGetAction>) {
    let Some(http) = http else { return };
    faults.require_text(at.child("path"), text(&http.path));
    check_port(faults, at.child("port"), &http.port);
    faults.one_of(at.child("scheme"), text(&http.scheme), &["HTTP", "HTTPS"]);
    for header in http.http_headers.iter().flatten() {
        faults.invalid_for(at.child("httpHeaders"), &header.name, formats::http_header_name(&header.name));
    }
}

fn check_port(faults: &mut Faults, at: Path<'_>, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => faults.invalid_for(at, number, formats::port_number(*number)),
        IntOrString::String(name) => faults.invalid_for(at, name, formats::port_name(name)),
    }
}
