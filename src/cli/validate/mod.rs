//! `wasmpod validate`: what is wrong with manifests, for people and for programs.

mod report;
mod sarif;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use rayon::prelude::*;

use super::args::{Report, ValidateArgs};
use super::check;
use super::exit::Outcome;
use super::source::{Source, sources};
use crate::model::{Fault, Issues, Manifest, Object, Rule};

/// What was found in one file.
struct Checked {
    objects: usize,
    issues: Issues,
}

/// Checks the files and prints what was found.
pub fn main(args: &ValidateArgs) -> anyhow::Result<Outcome> {
    let mut known = BTreeMap::new();
    let checked: Vec<Checked> = sources(&args.files).iter().map(|source| check(source, &mut known)).collect();
    let text = match args.output {
        None => report::for_people(&checked),
        Some(Report::Json) => report::json(&checked)?,
        Some(Report::Sarif) => sarif::report(&checked)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the report")?;
    let faults = |checked: &Checked| checked.issues.errors() + if args.strict { checked.issues.warnings() } else { 0 };
    Ok(if checked.iter().all(|checked| faults(checked) == 0) { Outcome::Success } else { Outcome::BadInput })
}

/// Objects by kind, namespace and name, and where each was first seen.
type Known = BTreeMap<(&'static str, String, String), String>;

fn check(source: &Source, known: &mut Known) -> Checked {
    let name = source.name();
    let text = match source.read() {
        Ok(text) => text,
        Err(issue) => {
            let issues = Issues::new(&name, &Arc::from(""), [issue].into_iter().collect());
            return Checked { objects: 0, issues };
        }
    };
    let manifest = Manifest::read(&name, &text);
    let objects: Vec<&Object> = manifest.objects().collect();
    let mut faults: Vec<Fault> = if objects.len() < FEW {
        objects.iter().enumerate().flat_map(|(number, object)| check::object(object, number)).collect()
    } else {
        objects.par_iter().enumerate().flat_map_iter(|(number, object)| check::object(object, number)).collect()
    };
    faults.extend(twins(&objects, &name, known));
    faults.sort_by_key(|fault| fault.object);
    Checked { objects: objects.len(), issues: manifest.issues_with(&faults) }
}

/// So few objects are checked sooner than threads are started.
const FEW: usize = 16;

/// Two objects of one kind and name in what was given: the second would replace the first.
fn twins(objects: &[&Object], file: &str, known: &mut Known) -> Vec<Fault> {
    let mut found = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        let (kind, metadata) = (object.kind().name(), object.metadata());
        let Some(name) = metadata.name.clone().filter(|name| !name.is_empty()) else { continue };
        let namespace = metadata.namespace.clone().unwrap_or_else(|| "default".into());
        let Some(first) = known.insert((kind, namespace, name.clone()), file.to_string()) else { continue };
        let place = if first == file { "in this file".into() } else { format!("in {first}") };
        found.push(Fault {
            object: number,
            rule: Rule::Invalid,
            path: "metadata.name".into(),
            message: format!("{kind} {name:?} is already {place}"),
            hint: Some("give each object a name of its own".into()),
        });
    }
    found
}
