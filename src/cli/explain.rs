//! `wasmpod explain`: a field's documentation, and what becomes of it here.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context;
use serde_json::Value;

use super::args::ExplainArgs;
use super::exit::{Outcome, bad_input};
use crate::model::{Kind, names, of_resource, schema};
use crate::registry::field_support;

/// Prints what is asked for.
pub fn main(args: &ExplainArgs) -> anyhow::Result<Outcome> {
    let text = explain(&args.field, args.recursive).map_err(bad_input)?;
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the explanation")?;
    Ok(Outcome::Success)
}

/// A field of a kind, found by its path.
struct Field {
    kind: Kind,
    /// The path below the kind: `spec.containers`.
    path: Vec<String>,
    schema: &'static Value,
    required: bool,
}

fn explain(asked: &str, recursive: bool) -> Result<String, String> {
    let field = find(asked)?;
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = field.print(&mut text, recursive);
    Ok(text)
}

fn find(asked: &str) -> Result<Field, String> {
    let mut steps = asked.split('.').map(|step| step.split('[').next().unwrap_or(step)).filter(|step| !step.is_empty());
    let resource = steps.next().unwrap_or_default();
    let Some(kind) = of_resource(resource) else {
        let known: Vec<String> = Kind::ALL.iter().map(|kind| kind.name().to_lowercase()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(match names::nearest(resource, &known) {
            Some(near) => format!("no kind {resource:?} is known: did you mean {near:?}?"),
            None => format!("no kind {resource:?} is known (there are {})", known.join(", ")),
        });
    };
    let schema = schema::of(kind.name()).ok_or_else(|| format!("nothing is known of {resource}"))?;
    let mut field = Field { kind, path: Vec::new(), schema, required: false };
    for step in steps {
        field = field.below(step, resource)?;
    }
    Ok(field)
}

impl Field {
    fn below(mut self, step: &str, resource: &str) -> Result<Field, String> {
        let object = element_or_self(self.schema);
        let Some(schema) = schema::field(object, step) else {
            let within: Vec<&str> = [resource].into_iter().chain(self.path.iter().map(String::as_str)).collect();
            let within = within.join(".");
            let fields: Vec<&str> = schema::fields(object).map(|(name, _)| name).collect();
            return Err(match names::nearest(step, &fields) {
                _ if fields.is_empty() => format!("{within} has no fields"),
                Some(near) => format!("{within} has no field {step:?}: did you mean {near:?}?"),
                None => format!("{within} has no field {step:?} (there are {})", fields.join(", ")),
            });
        };
        self.required = schema::is_required(object, step);
        self.path.push(step.to_string());
        Ok(Field { schema, ..self })
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
        let (own, of_type) = (schema::description(self.schema), schema::description(element_or_self(self.schema)));
        wrap(out, own, 4)?;
        if of_type != own {
            wrap(out, of_type, 4)?;
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
        within: &mut Vec<&'static str>,
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
            let below = element_or_self(field);
            // Types that hold themselves are printed once.
            let known = schema::reference(below).is_some_and(|name| within.contains(&name));
            if !known {
                within.extend(schema::reference(below));
                self.print_fields(out, below, depth + 1, recursive, within)?;
                if schema::reference(below).is_some() {
                    within.pop();
                }
            }
        }
        Ok(())
    }

    /// What becomes of the field here.
    fn support(&self) -> String {
        let path = self.path.join(".");
        let template = match self.kind {
            Kind::Pod => "",
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => "spec.template",
            Kind::CronJob => "spec.jobTemplate.spec.template",
            Kind::ConfigMap | Kind::Secret => return "is there for the pods beside it".into(),
            _ => return "is checked as to its form; it can't be run yet".into(),
        };
        let in_pod = path.strip_prefix(template).map(|path| path.trim_start_matches('.'));
        match in_pod.filter(|path| template.is_empty() || !path.is_empty()) {
            Some("") => "works as in Kubernetes".into(),
            Some(path) => field_support::find(path).map_or_else(|| "is unknown".into(), |state| state.to_string()),
            None if self.kind == Kind::CronJob => "is checked as to its form; it can't be run yet".into(),
            None => "`run` runs one pod of its template".into(),
        }
    }
}

/// What a list or map holds, or the type itself.
fn element_or_self(schema: &'static Value) -> &'static Value {
    schema::element(schema).unwrap_or(schema)
}

/// How wide text is printed.
const WIDTH: usize = 80;

/// Prints paragraphs, each line indented.
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
    fn fields_are_explained_with_their_fate() {
        let told = explain("pod.spec.containers[0].livenessProbe", false).expect("a field");
        let wanted = "KIND:       Pod\nVERSION:    v1\nWASMPOD:    works as in Kubernetes\n\n\
                      FIELD: livenessProbe <Probe>\n\nDESCRIPTION:\n    Periodic probe of container liveness.";
        assert!(told.starts_with(wanted), "{told}");
        assert!(
            told.contains("\n  httpGet\t<HTTPGetAction>\n    HTTPGet specifies an HTTP GET request to perform.\n"),
            "{told}"
        );
        let widest = told.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= WIDTH + 60), "{told}");
    }

    #[test]
    fn required_fields_and_types_are_marked_as_kubectl_marks_them() {
        let told = explain("deploy.spec", false).expect("a field");
        assert!(told.starts_with("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n"), "{told}");
        assert!(told.contains("  template\t<PodTemplateSpec> -required-\n"), "{told}");
        assert!(told.contains("  replicas\t<integer>\n"), "{told}");
        let told = explain("pods.spec", true).expect("a field");
        assert!(told.contains("\n  containers\t<[]Container> -required-\n    args\t<[]string>\n"), "{told}");
        assert!(told.contains("\n  nodeSelector\t<map[string]string>\n"), "{told}");
    }

    #[test]
    fn templates_have_the_fate_of_pods() {
        for (field, fate) in [
            ("pod.spec.hostNetwork", "is not supported: pods have an in-memory network of their own"),
            ("job.spec.template.spec.hostPID", "is not supported: containers cannot see host processes"),
            ("deployment.spec.replicas", "`run` runs one pod of its template"),
            ("pod.spec.containers.image", "works as in Kubernetes"),
            ("pod.spec.affinity.nodeAffinity", "has no effect: wasmpod has only one node"),
            ("service.spec", "is checked as to its form; it can't be run yet"),
        ] {
            let told = explain(field, false).expect(field);
            assert!(told.contains(&format!("WASMPOD:    {fate}\n")), "{field}: {told}");
        }
    }

    #[test]
    fn what_is_not_there_has_a_nearest() {
        for (field, words) in [
            ("pod.spec.container", "pod.spec has no field \"container\": did you mean \"containers\"?"),
            ("pot", "no kind \"pot\" is known: did you mean \"pod\"?"),
            ("pod.spec.hostname.x", "pod.spec.hostname has no fields"),
            ("xyzzy", "there are pod, configmap"),
        ] {
            let told = explain(field, false).expect_err(field);
            assert!(told.contains(words), "{told}");
        }
    }
}
