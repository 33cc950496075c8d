//! Loads and checks the manifests that the user names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::args::{RestartPolicyArg, RunArgs};
use super::check;
use super::exit::bad_input;
use super::habits;
use super::manifest_source::{ManifestSource, manifest_sources};
use crate::control::{Body, ControlPlane, Key, Preconditions, Reason, Status, Subresource, Update};
use crate::images::Images;
use crate::model::{Diagnostics, FieldDiagnostic, Manifest, ManifestObject, Rule, Severity, pods};
use crate::node::SOURCE_ANNOTATION;
use crate::registry::kinds;
use crate::registry::workload::TemplatePod;

/// The valid objects of manifests, in the order of the input.
#[derive(Default)]
pub struct LoadedManifests {
    pub pods: Vec<Pod>,
    /// The other objects, to be created before the pods.
    pub objects: Vec<Body>,
    /// Fields and flags that have no effect.
    pub warnings: Vec<String>,
}

/// Creates objects, and replaces existing ones of the same name.
pub async fn store_objects(control: &dyn ControlPlane, objects: Vec<Body>) -> Result<(), Status> {
    for mut body in objects {
        let namespace = match body.resource().is_namespaced() {
            true => body.metadata_mut().namespace.get_or_insert_with(|| "default".into()).clone(),
            false => String::new(),
        };
        let key = Key::new(body.resource().clone(), &namespace, body.metadata().name.as_deref().unwrap_or_default());
        match control.create(body.clone()).await {
            Err(status) if status.reason == Reason::AlreadyExists => {
                let update = Update::Replace { body, subresource: Subresource::Main };
                control.update(&key, update, Preconditions::default()).await?;
            }
            created => _ = created?,
        }
    }
    Ok(())
}

/// Loads the manifests of `wasmpod run`. The error reports all errors of all files.
pub fn load(args: &RunArgs, images: &Images) -> anyhow::Result<LoadedManifests> {
    let options =
        LoadOptions { restart: args.restart, images: Some(images), is_strict: args.strict, ..LoadOptions::default() };
    let mut loaded = load_files(&args.files, options)?;
    for (name, _) in args.images.iter().filter(|(name, _)| !uses_image(&loaded.pods, name)) {
        loaded.warnings.push(format!(
            "--image {name}: no container has `image: {name}`; the name must match exactly, including its tag"
        ));
    }
    Ok(loaded)
}

/// How manifests are loaded.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions<'a> {
    /// Replaces the pods' restart policies.
    pub restart: Option<RestartPolicyArg>,
    /// With these, an image that is missing is an error; without, the node reports it when the pod starts.
    pub images: Option<&'a Images>,
    /// How workloads are handled.
    pub workloads: WorkloadHandling,
    /// Whether objects of kinds that do not work entirely yet are errors. They are stored with a warning otherwise.
    pub is_strict: bool,
}

/// How workloads are handled: objects with a pod template.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkloadHandling {
    /// One pod of the template runs.
    #[default]
    RunOnePod,
    /// The workload is stored.
    Store,
}

/// Loads the manifests in `files`.
pub fn load_files(files: &[PathBuf], options: LoadOptions<'_>) -> anyhow::Result<LoadedManifests> {
    let mut errors = Vec::new();
    let mut loader = Loader { options, loaded: LoadedManifests::default() };
    for source in manifest_sources(files) {
        let text = match source.read() {
            Ok(text) => text,
            Err(diagnostic) => {
                errors.push(
                    Diagnostics::new(&source.name(), &Arc::from(""), [diagnostic].into_iter().collect()).to_string(),
                );
                continue;
            }
        };
        if habits::is_compose_file(&text) {
            let hint = "describe its containers in a Pod manifest";
            errors.push(format!("{}: Compose files are not supported; {hint}", source.name()));
            continue;
        }
        let manifest = Manifest::read(kinds::types(), &source.name(), &text);
        let field_diagnostics = loader.add_manifest(&manifest, &source);
        let diagnostics = manifest.diagnostics_with(&field_diagnostics);
        match diagnostics.error_count() {
            0 => {
                let warnings = diagnostics
                    .as_slice()
                    .iter()
                    .map(|diagnostic| format!("{}: {}", diagnostic.path, diagnostic.message));
                loader.loaded.warnings.extend(warnings);
            }
            _ => errors.push(diagnostics.to_string()),
        }
    }
    let loaded = loader.loaded;
    errors.extend(find_repeated_names(&loaded.pods));
    if errors.is_empty() {
        errors.extend(find_missing_objects(&loaded, options.workloads));
    }
    if errors.is_empty() { Ok(loaded) } else { Err(bad_input(errors.join("\n"))) }
}

/// Collects the objects of manifests.
struct Loader<'a> {
    options: LoadOptions<'a>,
    loaded: LoadedManifests,
}

impl Loader<'_> {
    /// Adds the objects of a manifest. Returns the errors that prevent them from being run.
    fn add_manifest(&mut self, manifest: &Manifest, source: &ManifestSource) -> Vec<FieldDiagnostic> {
        let mut diagnostics = Vec::new();
        for (number, object) in manifest.objects().enumerate() {
            let is_stored = |template: &Option<TemplatePod>| {
                template.is_some() && self.options.workloads == WorkloadHandling::Store
            };
            if let Some((pod, template)) = check::pod_of(object).filter(|(_, template)| !is_stored(template)) {
                diagnostics.extend(self.add_pod(object, pod, template, source, number));
                continue;
            }
            let mut own = check::check_kind(object, number);
            own.retain(|diagnostic| diagnostic.rule.severity() == Severity::Error);
            match check::limitation(object) {
                Some(message) if self.options.is_strict => {
                    let (rule, path) = (Rule::Unsupported, "kind".into());
                    own.push(FieldDiagnostic { object: number, rule, path, message, hint: None });
                }
                Some(message) => {
                    let metadata = object.metadata();
                    let name = metadata.name.as_deref().or(metadata.generate_name.as_deref()).unwrap_or_default();
                    self.loaded.warnings.push(format!("{} {name}: {message}", object.kind().name()));
                }
                None => {}
            }
            diagnostics.extend(own);
            self.loaded.objects.push(kinds::to_stored(object));
        }
        diagnostics
    }

    /// Adds the pod of `object`, the `number`th of its manifest. Returns the pod's errors; warnings are collected.
    fn add_pod(
        &mut self,
        object: &ManifestObject,
        mut pod: Pod,
        mut template: Option<TemplatePod>,
        source: &ManifestSource,
        number: usize,
    ) -> Vec<FieldDiagnostic> {
        let warnings = &mut self.loaded.warnings;
        if template.is_some() {
            let (kind, name) = (object.kind().name(), pods::name(&pod));
            warnings.push(format!("{kind} {name}: running one pod of its template, named {name}"));
        }
        prepare_pod(&mut pod, source, self.options.restart, warnings);
        if let Some(template) = &mut template {
            template.pod = pod.clone();
        }
        let mut diagnostics = match &template {
            Some(template) => check::check_template(object, template, number),
            None => check::check_pod(&pod, number),
        };
        // Fields that are not supported yet are warnings of `validate`, but errors of a run.
        let not_yet = diagnostics.iter_mut().filter(|diagnostic| diagnostic.rule == Rule::NotYet);
        not_yet.for_each(|diagnostic| diagnostic.rule = Rule::Unsupported);
        diagnostics.retain(|diagnostic| {
            let is_error = diagnostic.rule.severity() == Severity::Error;
            if !is_error {
                warnings.push(format!("pod {}: {}: {}", pods::name(&pod), diagnostic.path, diagnostic.message));
            }
            is_error
        });
        if let Some(images) = self.options.images.filter(|_| diagnostics.is_empty()) {
            let manifest = pods::annotation(&pod, SOURCE_ANNOTATION).map(Path::new);
            diagnostics = check::missing_images(&pod, template.as_ref(), images, manifest, number);
            diagnostics.iter_mut().for_each(|diagnostic| diagnostic.rule = Rule::Unsupported);
        }
        self.loaded.pods.push(pod);
        diagnostics
    }
}

/// Applies the run's settings to a pod and records the file that it comes from.
fn prepare_pod(pod: &mut Pod, source: &ManifestSource, restart: Option<RestartPolicyArg>, warnings: &mut Vec<String>) {
    if let (Some(restart), Some(spec)) = (restart, &mut pod.spec) {
        spec.restart_policy = Some(restart.name().into());
    }
    if let Some(origin) = source.origin() {
        pod.metadata.annotations.get_or_insert_default().insert(SOURCE_ANNOTATION.into(), origin);
    }
    // A pod exported from a cluster names a node of that cluster, and would never be started here.
    let other_node = pod.spec.as_mut().and_then(|spec| spec.node_name.take()).filter(|node| !node.is_empty());
    if let Some(node) = other_node {
        let name = pods::name(pod);
        warnings.push(format!("pod {name}: spec.nodeName {node:?} has no effect: there is one node"));
    }
}

/// Returns a message if there is nothing to run, or nothing to store.
fn find_missing_objects(loaded: &LoadedManifests, workloads: WorkloadHandling) -> Option<String> {
    let kind = match workloads {
        WorkloadHandling::RunOnePod => "Pod",
        WorkloadHandling::Store if loaded.objects.is_empty() => "object",
        WorkloadHandling::Store => return None,
    };
    loaded.pods.is_empty().then(|| format!("the manifests contain no {kind}"))
}

fn uses_image(pods: &[Pod], name: &str) -> bool {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| {
        pods::init_containers(spec).iter().chain(&spec.containers).map(|container| container.image.as_deref())
    });
    containers.into_iter().any(|image| image == Some(name))
}

/// Returns a message for each name that several pods have.
fn find_repeated_names(pods: &[Pod]) -> Vec<String> {
    let mut sources = BTreeMap::new();
    let mut reported = BTreeSet::new();
    let mut messages = Vec::new();
    for pod in pods.iter().filter(|pod| !pods::name(pod).is_empty()) {
        let key = (pods::namespace(pod), pods::name(pod));
        let source = pods::annotation(pod, SOURCE_ANNOTATION).unwrap_or_default();
        let Some(first) = sources.insert(key, source) else { continue };
        if reported.insert(key) {
            let places = if first == source { format!("twice in {first}") } else { format!("in {first} and {source}") };
            messages.push(format!("pod {:?} is defined {places}; give each pod a unique name", key.1));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: \
                       Never, containers: [{name: c, image: busybox}]}}}}";

    /// Loads a manifest and returns the kinds of its objects, the number of its pods and the warnings.
    fn load(text: &str, options: LoadOptions<'_>) -> Result<(Vec<String>, usize, Vec<String>), String> {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("manifest.yaml");
        std::fs::write(&file, text).expect("written");
        let loaded = load_files(&[file], options).map_err(|error| error.to_string())?;
        let kinds = loaded.objects.iter().map(|object| object.resource().kind().to_string()).collect();
        Ok((kinds, loaded.pods.len(), loaded.warnings))
    }

    #[test]
    fn workloads_are_stored_or_run_as_one_pod() {
        let run = LoadOptions::default();
        let warning = "Job j: running one pod of its template, named j";
        assert_eq!(load(JOB, run), Ok((Vec::new(), 1, vec![warning.into()])));
        let store = LoadOptions { workloads: WorkloadHandling::Store, ..run };
        let reason = "Job objects are stored, but nothing acts on them yet";
        assert_eq!(load(JOB, store), Ok((vec!["Job".into()], 0, vec![format!("Job j: {reason}")])));
        let error = load(JOB, LoadOptions { is_strict: true, ..store }).expect_err("nothing acts on it");
        assert!(error.contains(reason), "{error}");
        let error = load(&JOB.replace("Never", "Always"), store).expect_err("an invalid policy");
        assert!(error.contains("spec.template.spec.restartPolicy: Required value"), "{error}");
    }

    #[test]
    fn manifests_without_objects_are_errors() {
        let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}";
        let run = LoadOptions::default();
        let store = LoadOptions { workloads: WorkloadHandling::Store, ..run };
        assert_eq!(load(map, store), Ok((vec!["ConfigMap".into()], 0, Vec::new())));
        assert_eq!(load(map, run), Err("the manifests contain no Pod".into()));
    }
}
