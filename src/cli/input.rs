//! What the user gave: manifests from files, folders and standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::args::{Restart, RunArgs};
use super::check;
use super::exit::bad_input;
use super::source::{Source, sources};
use crate::control::{Body, ControlPlane, Key, Preconditions, Reason, Status, Subresource, Update};
use crate::images::Images;
use crate::model::{self, Fault, Issues, Kind, Manifest, Object, Rule, Severity, Template, pods};
use crate::node::SOURCE_ANNOTATION;

/// Pods that may be created, in the order of the input.
pub struct Input {
    pub pods: Vec<Pod>,
    /// ConfigMaps and Secrets, which are there before the pods.
    pub configs: Vec<Body>,
    /// What will not work as it is written, and why.
    pub warnings: Vec<String>,
}

/// Stores ConfigMaps and Secrets, over those of the same name.
pub async fn store(control: &dyn ControlPlane, configs: Vec<Body>) -> Result<(), Status> {
    for mut body in configs {
        let meta = body.metadata_mut();
        let namespace = meta.namespace.get_or_insert_with(|| "default".into()).clone();
        let key = Key::new(body.resource(), &namespace, body.metadata().name.as_deref().unwrap_or_default());
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

/// Whether `path` holds a WebAssembly program rather than a manifest.
pub fn is_program(path: &Path) -> bool {
    let mut header = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    (read.is_ok() && header == *b"\0asm") || path.extension().is_some_and(|e| e == "wasm")
}

/// Reads and checks everything; all faults of all files are told at once.
pub fn read(args: &RunArgs, images: &Images) -> anyhow::Result<Input> {
    let mut input = read_files(&args.files, args.restart, Some(images))?;
    for (name, _) in args.images.iter().filter(|(name, _)| !uses_image(&input.pods, name)) {
        input
            .warnings
            .push(format!("--image {name}: no container has `image: {name}` (the name must be the same, tag and all)"));
    }
    Ok(input)
}

/// Reads and checks the manifests of `files`, whose pods get `restart` as their policy where it is given.
/// Without `images` nobody looks whether those of the pods are there: a node tells that of a pod.
pub fn read_files(files: &[PathBuf], restart: Option<Restart>, images: Option<&Images>) -> anyhow::Result<Input> {
    let mut faults = Vec::new();
    let mut input = Input { pods: Vec::new(), configs: Vec::new(), warnings: Vec::new() };
    for source in sources(files) {
        let text = match source.read() {
            Ok(text) => text,
            Err(issue) => {
                faults.push(Issues::new(&source.name(), &Arc::from(""), [issue].into_iter().collect()).to_string());
                continue;
            }
        };
        let manifest = Manifest::read(&source.name(), &text);
        let found = take(&manifest, &source, restart, images, &mut input);
        let issues = manifest.issues_with(&found);
        match issues.errors() {
            0 => input.warnings.extend(issues.all().iter().map(|issue| format!("{}: {}", issue.path, issue.message))),
            _ => faults.push(issues.to_string()),
        }
    }
    find_twins(&input.pods, &mut faults);
    if faults.is_empty() && input.pods.is_empty() {
        faults.push("there is no Pod in what was given: the lists are empty".into());
    }
    if faults.is_empty() { Ok(input) } else { Err(bad_input(faults.join("\n"))) }
}

/// Takes the pods of a manifest; gives back what keeps them, or anything else in it, from being run.
fn take(
    manifest: &Manifest,
    source: &Source,
    restart: Option<Restart>,
    images: Option<&Images>,
    input: &mut Input,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, object) in manifest.objects().enumerate() {
        if let Some(config) = Body::from_config_object(object) {
            input.configs.push(config);
            continue;
        }
        let (mut pod, mut template) = match pod_of(object) {
            Ok(found) => found,
            Err((message, hint)) => {
                let hint = Some(hint.to_string());
                faults.push(Fault { object: number, rule: Rule::Unsupported, path: "kind".into(), message, hint });
                continue;
            }
        };
        if template.is_some() {
            let name = pods::name(&pod);
            let kind = object.kind().name();
            input.warnings.push(format!("{kind} {name}: one pod of its template is run, named {name}"));
        }
        prepare(&mut pod, source, restart, input);
        if let Some(template) = &mut template {
            template.pod = pod.clone();
        }
        let mut found = match &template {
            Some(template) => check::templated(object, template, number),
            None => check::faults(&pod, number),
        };
        // A run can't wait for what will be supported one day.
        let not_yet = found.iter_mut().filter(|fault| fault.rule == Rule::NotYet);
        not_yet.for_each(|fault| fault.rule = Rule::Unsupported);
        // What does not work is told by the pod here, since it runs all the same.
        found.retain(|fault| {
            let is_error = fault.rule.severity() == Severity::Error;
            if !is_error {
                input.warnings.push(format!("pod {}: {} {}", pods::name(&pod), fault.path, fault.message));
            }
            is_error
        });
        if let Some(images) = images.filter(|_| found.is_empty()) {
            found = missing_images(&pod, images, number);
            let placed = |fault: &mut Fault| {
                if let Some(template) = &template {
                    fault.path = template.field(&fault.path);
                }
            };
            found.iter_mut().for_each(placed);
        }
        faults.extend(found);
        input.pods.push(pod);
    }
    faults
}

/// The pod that an object is, or is the template of; or why there is none, with the way out.
fn pod_of(object: &Object) -> Result<(Pod, Option<Template>), (String, &'static str)> {
    if let Object::Pod(pod) = object {
        return Ok((pod.as_ref().clone(), None));
    }
    let kind = object.kind();
    match model::template(object).filter(|_| kind != Kind::CronJob) {
        Some(template) => Ok((template.pod.clone(), Some(template))),
        None => {
            let hint = match kind {
                Kind::CronJob => "write its job as a Job: there are no schedules yet",
                _ => "leave it out: pods, workloads with a pod template, ConfigMaps and Secrets are taken",
            };
            Err((format!("{} can't be run yet", kind.name()), hint))
        }
    }
}

/// Makes the pod one of this run.
fn prepare(pod: &mut Pod, source: &Source, restart: Option<Restart>, input: &mut Input) {
    if let (Some(restart), Some(spec)) = (restart, &mut pod.spec) {
        spec.restart_policy = Some(restart.name().into());
    }
    if let Some(origin) = source.origin() {
        pod.metadata.annotations.get_or_insert_default().insert(SOURCE_ANNOTATION.into(), origin);
    }
    // A pod that was taken from a cluster names a node of that cluster; nobody would run it here.
    let elsewhere = pod.spec.as_mut().and_then(|spec| spec.node_name.take()).filter(|node| !node.is_empty());
    if let Some(node) = elsewhere {
        let name = pods::name(pod);
        input.warnings.push(format!("pod {name}: spec.nodeName {node:?} has no effect: there is one node"));
    }
}

/// Images that can't be found, by the field that names them.
fn missing_images(pod: &Pod, images: &Images, number: usize) -> Vec<Fault> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let base = pods::annotation(pod, SOURCE_ANNOTATION).and_then(|s| Path::new(s).parent()).unwrap_or(Path::new("."));
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let apps = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    let missing = init.chain(apps).filter_map(|(path, container)| {
        let error = images.find(container.image.as_deref()?, base).err()?;
        let (path, message) = (format!("{path}.image"), super::report::chain(&error.into()));
        Some(Fault { object: number, rule: Rule::Unsupported, path, message, hint: None })
    });
    missing.collect()
}

fn uses_image(pods: &[Pod], name: &str) -> bool {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| {
        pods::init_containers(spec).iter().chain(&spec.containers).map(|container| container.image.as_deref())
    });
    containers.into_iter().any(|image| image == Some(name))
}

/// Two pods of one name can't both be created.
fn find_twins(pods: &[Pod], faults: &mut Vec<String>) {
    let mut known = BTreeMap::new();
    let mut told = BTreeSet::new();
    for pod in pods.iter().filter(|pod| !pods::name(pod).is_empty()) {
        let key = (pods::namespace(pod), pods::name(pod));
        let source = pods::annotation(pod, SOURCE_ANNOTATION).unwrap_or_default();
        let Some(first) = known.insert(key, source) else { continue };
        if told.insert(key) {
            let places = if first == source { format!("twice in {first}") } else { format!("in {first} and {source}") };
            faults.push(format!("pod {:?} is given {places}: give each pod a name of its own", key.1));
        }
    }
}
