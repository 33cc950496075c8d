//! `wasmpod explain`: prints the documentation of a field, and whether wasmpod supports it.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::Value;

use super::args::ExplainArgs;
use super::exit::{Outcome, bad_input};
use super::terminal_text::print;
use crate::control::Resource;
use crate::model::{KindType, names, schema};
use crate::registry::kind::Kind;
use crate::registry::strategy::KindInfo;
use crate::registry::{field_support, kinds};

/// Prints the documentation of a kind or a field.
pub fn main(args: &ExplainArgs) -> anyhow::Result<Outcome> {
    let text = explain(&args.field, args.recursive).map_err(|error| bad_input(error.to_string()))?;
    print(&text).context("cannot write the explanation")?;
    Ok(Outcome::Success)
}

/// The error of a field that cannot be explained.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("unknown kind {kind:?}; {suggestion}")]
    UnknownKind { kind: String, suggestion: String },
    #[error("no documentation for {0}")]
    NoSchema(String),
    #[error("{parent} has no field {field:?}; {suggestion}")]
    UnknownField { parent: String, field: String, suggestion: String },
    #[error("{0} has no fields")]
    NoFields(String),
}

/// A field of a kind.
struct ExplainedField {
    kind: KindType,
    /// The path below the kind, such as `spec`, `containers`.
    path: Vec<String>,
    schema: &'static Value,
    required: bool,
}

fn explain(query: &str, recursive: bool) -> Result<String, ExplainError> {
    let field = find_field(query)?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = field.print(&mut text, recursive);
    Ok(text)
}

/// Finds the field of `KIND[.FIELD...]`; indexes such as `containers[0]` are ignored.
fn find_field(query: &str) -> Result<ExplainedField, ExplainError> {
    let mut names = query.split('.').map(|name| name.split('[').next().unwrap_or(name)).filter(|name| !name.is_empty());
    let resource = names.next().unwrap_or_default();
    let kind = kinds::resolve(resource).map(|kind| kind.kind_type()).ok_or_else(|| {
        let known: Vec<&str> = kinds::KINDS.iter().map(|kind| kind.info().singular).collect();
        ExplainError::UnknownKind { kind: resource.into(), suggestion: suggestion(resource, &known) }
    })?;
    let schema = schema::of(&kind).ok_or_else(|| ExplainError::NoSchema(resource.into()))?;
    let mut field = ExplainedField { kind, path: Vec::new(), schema, required: false };
    for name in names {
        field = field.child(name, resource)?;
    }
    Ok(field)
}

/// Returns the end of a message about an unknown `name`: the nearest known name, or all of them.
fn suggestion(name: &str, known: &[&str]) -> String {
    match names::nearest(name, known) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

impl ExplainedField {
    /// Returns the field `name` of this one's type. Messages name the kind as the user did, `resource`.
    fn child(mut self, name: &str, resource: &str) -> Result<ExplainedField, ExplainError> {
        let object = element_or_self(self.schema);
        let Some(schema) = schema::field(object, name) else {
            let parent: Vec<&str> = [resource].into_iter().chain(self.path.iter().map(String::as_str)).collect();
            let parent = parent.join(".");
            let fields: Vec<&str> = schema::fields(object).map(|(name, _)| name).collect();
            if fields.is_empty() {
                return Err(ExplainError::NoFields(parent));
            }
            return Err(ExplainError::UnknownField {
                parent,
                field: name.into(),
                suggestion: suggestion(name, &fields),
            });
        };
        self.required = schema::is_required(object, name);
        self.path.push(name.to_string());
        Ok(ExplainedField { schema, ..self })
    }

    fn print(&self, out: &mut String, recursive: bool) -> std::fmt::Result {
        let (group, version) = match self.kind.api_version().split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", self.kind.api_version()),
        };
        if !group.is_empty() {
            writeln!(out, "GROUP:      {group}")?;
        }
        writeln!(out, "KIND:       {}\nVERSION:    {version}", self.kind.name())?;
        writeln!(out, "WASMPOD:    {}\n", self.support())?;
        if let Some(name) = self.path.last() {
            let required = if self.required { " -required-" } else { "" };
            writeln!(out, "FIELD: {name} <{}>{required}\n", schema::type_name(self.schema))?;
        }
        writeln!(out, "DESCRIPTION:")?;
        let field_text = schema::description(self.schema);
        let type_text = schema::description(element_or_self(self.schema));
        wrap(out, field_text, 4)?;
        if type_text != field_text {
            wrap(out, type_text, 4)?;
        }
        let object = element_or_self(self.schema);
        if schema::fields(object).next().is_some() {
            writeln!(out, "\nFIELDS:")?;
            self.print_fields(out, object, 0, recursive, &mut Vec::new())?;
        }
        Ok(())
    }

    fn print_fields(
        &self,
        out: &mut String,
        object: &'static Value,
        depth: usize,
        recursive: bool,
        ancestors: &mut Vec<&'static str>,
    ) -> std::fmt::Result {
        for (name, field) in schema::fields(object) {
            let required = if schema::is_required(object, name) { " -required-" } else { "" };
            let indent = "  ".repeat(depth + 1);
            writeln!(out, "{indent}{name}\t<{}>{required}", schema::type_name(field))?;
            if !recursive {
                wrap(out, schema::description(field), 4)?;
                writeln!(out)?;
                continue;
            }
            let field_type = element_or_self(field);
            // Recursive types are printed once.
            let is_ancestor = schema::reference(field_type).is_some_and(|name| ancestors.contains(&name));
            if !is_ancestor {
                ancestors.extend(schema::reference(field_type));
                self.print_fields(out, field_type, depth + 1, recursive, ancestors)?;
                if schema::reference(field_type).is_some() {
                    ancestors.pop();
                }
            }
        }
        Ok(())
    }

    /// Returns whether and how wasmpod supports the field.
    fn support(&self) -> String {
        let path = self.path.join(".");
        let kind = kinds::of(&Resource::built_in(self.kind.names()));
        let template = match (self.kind.name(), kind.and_then(|kind| kind.template_path())) {
            ("Pod", _) => "",
            ("ConfigMap" | "Secret", _) => return "available to the pods of the same manifests".into(),
            ("CronJob", _) => return INERT.into(),
            (_, Some(path)) => path,
            _ => return kind.map_or_else(|| INERT.into(), kind_support),
        };
        let in_pod = path.strip_prefix(template).map(|path| path.trim_start_matches('.'));
        match in_pod.filter(|path| template.is_empty() || !path.is_empty()) {
            Some("") => "works as in Kubernetes".into(),
            Some(path) => field_support::find(path).map_or_else(|| "unknown".into(), |state| state.to_string()),
            None if kind.is_some_and(|kind| kind.info().is_acted_on) => "works as in Kubernetes".into(),
            None => "`wasmpod run` runs one pod of the template".into(),
        }
    }
}

/// Returns the support of a kind without a pod template.
fn kind_support(kind: &dyn Kind) -> String {
    match kind.info() {
        KindInfo { is_acted_on: true, limitation: None, .. } => "works as in Kubernetes".into(),
        KindInfo { is_acted_on: true, limitation: Some(limitation), .. } => (*limitation).into(),
        KindInfo { is_acted_on: false, .. } => INERT.into(),
    }
}

/// The support of kinds on which nothing acts.
const INERT: &str = "validated and stored, but nothing acts on it yet";

/// Returns the element type of a list or map, or the type itself.
fn element_or_self(schema: &'static Value) -> &'static Value {
    schema::element(schema).unwrap_or(schema)
}

/// The width of the output, in columns.
const WIDTH: usize = 80;

/// Prints paragraphs, wrapped at [`WIDTH`] and indented.
fn wrap(out: &mut String, text: &str, indent: usize) -> std::fmt::Result {
    for paragraph in text.split('\n').filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && indent + column + 1 + length > WIDTH {
                writeln!(out)?;
                column = 0;
            }
            match column {
                0 => write!(out, "{}{word}", " ".repeat(indent))?,
                _ => write!(out, " {word}")?,
            }
            column += length + usize::from(column > 0);
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_printed_with_support_and_documentation() {
        let text = explain("pod.spec.containers[0].livenessProbe", false).expect("a field");
        let expected = "KIND:       Pod\nVERSION:    v1\nWASMPOD:    works as in Kubernetes\n\n\
                        FIELD: livenessProbe <Probe>\n\nDESCRIPTION:\n    Periodic probe of container liveness.";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("\n  httpGet\t<HTTPGetAction>\n    HTTPGet specifies an HTTP GET request to perform.\n"),
            "{text}"
        );
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= WIDTH + 60), "{text}");
    }

    #[test]
    fn types_and_required_fields_are_printed_as_by_kubectl() {
        let text = explain("deploy.spec", false).expect("a field");
        assert!(text.starts_with("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n"), "{text}");
        assert!(text.contains("  template\t<PodTemplateSpec> -required-\n"), "{text}");
        assert!(text.contains("  replicas\t<integer>\n"), "{text}");
        let text = explain("pods.spec", true).expect("a field");
        assert!(text.contains("\n  containers\t<[]Container> -required-\n    args\t<[]string>\n"), "{text}");
        assert!(text.contains("\n  nodeSelector\t<map[string]string>\n"), "{text}");
    }

    #[test]
    fn template_fields_have_the_support_of_pod_fields() {
        for (field, support) in [
            ("pod.spec.hostNetwork", "not supported: pods have an in-memory network of their own"),
            ("job.spec.template.spec.hostPID", "not supported: containers cannot see host processes"),
            ("deployment.spec.replicas", "`wasmpod run` runs one pod of the template"),
            ("pod.spec.containers.image", "works as in Kubernetes"),
            ("pod.spec.affinity.nodeAffinity", "no effect: wasmpod has only one node"),
            (
                "service.spec",
                "only names of Services with a cluster IP resolve in pods, and connections to them are refused: \
                 not supported yet",
            ),
            ("ingress.spec", "validated and stored, but nothing acts on it yet"),
            (
                "cronjob.spec.jobTemplate.spec.template.spec.containers.image",
                "validated and stored, but nothing acts on it yet",
            ),
        ] {
            let text = explain(field, false).expect(field);
            assert!(text.contains(&format!("WASMPOD:    {support}\n")), "{field}: {text}");
        }
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        for (field, message) in [
            ("pod.spec.container", "pod.spec has no field \"container\"; did you mean \"containers\"?"),
            ("pot", "unknown kind \"pot\"; did you mean \"pod\"?"),
            ("pod.spec.hostname.x", "pod.spec.hostname has no fields"),
            ("xyzzy", "expected one of configmap, endpoints"),
        ] {
            let error = explain(field, false).expect_err(field).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
