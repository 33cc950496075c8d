//! `wasmpod validate`: reports the errors and warnings of manifests, for people and for programs.

mod report;
mod sarif;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use rayon::prelude::*;

use super::args::{ReportFormat, ValidateArgs};
use super::check;
use super::exit::Outcome;
use super::manifest_source::{ManifestSource, manifest_sources};
use super::terminal_text::print;
use crate::images::Images;
use crate::model::{Diagnostics, FieldDiagnostic, Manifest, ManifestObject, Rule};
use crate::registry::kinds;

/// The result of checking a file.
struct CheckedFile {
    /// The number of objects, those with errors included.
    object_count: usize,
    diagnostics: Diagnostics,
}

/// Checks the files and prints a report.
pub fn main(args: &ValidateArgs) -> anyhow::Result<Outcome> {
    let mut known = KnownObjects::new();
    let images = Images::new(args.images.iter().cloned().collect(), true);
    let sources = manifest_sources(&args.files);
    let check = |source: &ManifestSource| {
        let CheckedFile { object_count, diagnostics } = check_file(source, &images, &mut known);
        let diagnostics = if args.ignore_unknown_kinds { diagnostics.without(Rule::UnknownKind) } else { diagnostics };
        CheckedFile { object_count, diagnostics }
    };
    let files: Vec<CheckedFile> = sources.iter().map(check).collect();
    let text = match args.output {
        None => report::text(&files),
        Some(ReportFormat::Json) => report::json(&files)?,
        Some(ReportFormat::Sarif) => sarif::report(&files)?,
    };
    print(&text).context("cannot write the report")?;
    let errors = |file: &CheckedFile| {
        file.diagnostics.error_count() + if args.strict { file.diagnostics.warning_count() } else { 0 }
    };
    Ok(if files.iter().all(|file| errors(file) == 0) { Outcome::Success } else { Outcome::BadInput })
}

/// Objects by kind, namespace and name, with the file that contains each.
type KnownObjects = BTreeMap<(&'static str, String, String), String>;

fn check_file(source: &ManifestSource, images: &Images, known: &mut KnownObjects) -> CheckedFile {
    let name = source.name();
    let text = match source.read() {
        Ok(text) => text,
        Err(diagnostic) => {
            let diagnostics = Diagnostics::new(&name, &Arc::from(""), [diagnostic].into_iter().collect());
            return CheckedFile { object_count: 0, diagnostics };
        }
    };
    let manifest = Manifest::read(kinds::types(), &name, &text);
    let objects: Vec<&ManifestObject> = manifest.objects().collect();
    let origin = source.origin().map(PathBuf::from);
    let check = |(number, object): (usize, &&ManifestObject)| {
        check::check_object_and_images(object, number, images, origin.as_deref())
    };
    let mut field_diagnostics: Vec<FieldDiagnostic> = if objects.len() < MIN_PARALLEL_OBJECTS {
        objects.iter().enumerate().flat_map(check).collect()
    } else {
        objects.par_iter().enumerate().flat_map_iter(check).collect()
    };
    field_diagnostics.extend(find_repeated_names(&objects, &name, known));
    field_diagnostics.sort_by_key(|diagnostic| diagnostic.object);
    CheckedFile { object_count: manifest.object_count(), diagnostics: manifest.diagnostics_with(&field_diagnostics) }
}

/// Fewer objects are checked faster by one thread.
const MIN_PARALLEL_OBJECTS: usize = 16;

/// Returns a diagnostic for each object with the kind, namespace and name of an earlier one, which it would replace.
fn find_repeated_names(objects: &[&ManifestObject], file: &str, known: &mut KnownObjects) -> Vec<FieldDiagnostic> {
    let mut diagnostics = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        let (kind, metadata) = (object.kind().name(), object.metadata());
        let Some(name) = metadata.name.clone().filter(|name| !name.is_empty()) else { continue };
        let namespace = metadata.namespace.clone().unwrap_or_else(|| "default".into());
        let Some(first) = known.insert((kind, namespace, name.clone()), file.to_string()) else { continue };
        let place = if first == file { "in this file".into() } else { format!("in {first}") };
        diagnostics.push(FieldDiagnostic {
            object: number,
            rule: Rule::Invalid,
            path: "metadata.name".into(),
            message: format!("{kind} {name:?} is already defined {place}"),
            hint: Some("give each object a unique name".into()),
        });
    }
    diagnostics
}
