//! Differences between Pod specs, rendered as API errors show them: in Kubernetes' internal types, with every field,
//! set or not, under its Go name.
//!
//! `internal_types.txt` lists the types.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{EphemeralContainer, PodSpec};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::registry::diff;

const TYPES: &str = include_str!("internal_types.txt");

/// Returns the unified diff of two specs.
pub fn diff_specs(old: &PodSpec, new: &PodSpec) -> String {
    diff::unified(&render("PodSpec", old), &render("PodSpec", new))
}

/// Returns the unified diff of two versions of an ephemeral container.
pub fn diff_ephemeral_containers(old: &EphemeralContainer, new: &EphemeralContainer) -> String {
    diff::unified(&render("EphemeralContainer", old), &render("EphemeralContainer", new))
}

/// Returns the unified diff of two values, in the form of the internal type `kind`.
pub fn diff_as<T: Serialize>(kind: &str, old: &T, new: &T) -> String {
    diff::unified(&render(kind, old), &render(kind, new))
}

fn render(kind: &str, value: &impl Serialize) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(value) else { return String::new() };
    if kind == "PodSpec" {
        move_host_fields(&mut fields);
    }
    let mut out = String::new();
    write_struct(&mut out, kind, &fields, 0);
    out.push('\n');
    out
}

/// Moves the fields about host namespaces into the security context, where the internal types have them.
fn move_host_fields(spec: &mut Map<String, Value>) {
    let host_fields = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];
    let moved: Vec<(String, Value)> = host_fields.iter().filter_map(|name| spec.remove_entry(*name)).collect();
    if let Some(Value::Object(context)) = spec.get_mut("securityContext") {
        context.extend(moved);
    }
}

/// Returns the names and types of the fields of `kind`.
fn fields_of(kind: &str) -> Vec<(&'static str, &'static str)> {
    let mut fields = Vec::new();
    let lines = TYPES.lines().skip_while(|line| *line != kind).skip(1).take_while(|line| line.starts_with(' '));
    for (name, type_) in lines.filter_map(|line| line.trim().split_once(' ')) {
        if name == "+" {
            fields.extend(fields_of(type_));
        } else {
            fields.push((name, type_));
        }
    }
    fields
}

fn indent(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth));
}

fn write_struct(out: &mut String, kind: &str, values: &Map<String, Value>, depth: usize) {
    out.push('{');
    for (i, (name, type_)) in fields_of(kind).into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        indent(out, depth + 1);
        let _ = write!(out, "\"{name}\": ");
        let value = values.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        write_field(out, type_, value, depth + 1);
    }
    indent(out, depth);
    out.push('}');
}

fn write_field(out: &mut String, type_: &str, value: Option<&Value>, depth: usize) {
    match (type_, value) {
        ("string", None) => out.push_str("\"\""),
        ("int", None) => out.push('0'),
        ("bool", None) => out.push_str("false"),
        ("quantity", None) => out.push_str("\"0\""),
        (kind, None) if kind == "map" || kind.starts_with(['*', '[']) => out.push_str("null"),
        (kind, None) => write_struct(out, kind, &Map::new(), depth),
        (kind, Some(value)) => match (kind.strip_prefix("[]"), value) {
            (Some(item), Value::Array(items)) => write_list(out, item, items, depth),
            (_, Value::Object(values)) if is_struct(kind) => {
                write_struct(out, kind.trim_start_matches('*'), values, depth);
            }
            (_, value) => write_json(out, value, depth),
        },
    }
}

fn is_struct(type_: &str) -> bool {
    let name = type_.trim_start_matches('*');
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

fn write_list(out: &mut String, item: &str, items: &[Value], depth: usize) {
    out.push('[');
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        indent(out, depth + 1);
        match value {
            Value::Object(values) if is_struct(item) => write_struct(out, item, values, depth + 1),
            other => write_json(out, other, depth + 1),
        }
    }
    indent(out, depth);
    out.push(']');
}

fn write_json(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(values) => {
            out.push('{');
            for (i, (name, value)) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                let _ = write!(out, "\"{name}\": ");
                write_json(out, value, depth + 1);
            }
            indent(out, depth);
            out.push('}');
        }
        Value::Array(items) => write_list(out, "", items, depth),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_referenced_type_is_listed() {
        let mut missing = Vec::new();
        for line in TYPES.lines().filter(|line| line.starts_with(' ')) {
            let type_ = line.trim().split_once(' ').map_or("", |(_, type_)| type_);
            let name = type_.trim_start_matches(['*', '[', ']']);
            if is_struct(name) && fields_of(name).is_empty() {
                missing.push(name);
            }
        }
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn unset_fields_are_rendered() {
        let spec: PodSpec =
            serde_yaml::from_str("{hostPID: true, securityContext: {}, containers: []}").expect("a spec");
        let text = render("PodSpec", &spec);
        assert!(
            text.contains("\n \"SecurityContext\": {\n  \"HostNetwork\": false,\n  \"HostPID\": true,\n"),
            "{text}"
        );
        assert!(text.contains("\n \"DNSPolicy\": \"\",\n \"NodeSelector\": null,\n"), "{text}");
    }
}
