//! What the user gave: manifests from files, folders and standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::args::{Restart, RunArgs};
use super::exit::bad_input;
use crate::images::Images;
use crate::model::{self, Manifest, pods};
use crate::node::SOURCE_ANNOTATION;
use crate::registry::pod::{self, Support};

/// Larger manifests are refused: they are something else.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Pods that may be created, in the order of the input.
pub struct Input {
    pub pods: Vec<Pod>,
    /// What will not work as it is written, and why.
    pub warnings: Vec<String>,
}

/// Whether `path` holds a WebAssembly program rather than a manifest.
pub fn is_program(path: &Path) -> bool {
    let mut header = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    (read.is_ok() && header == *b"\0asm") || path.extension().is_some_and(|e| e == "wasm")
}

/// Reads and checks everything; all faults of all files are told at once.
pub fn read(args: &RunArgs, images: &Images) -> anyhow::Result<Input> {
    let mut input = read_files(&args.files, args.restart, images)?;
    for (name, _) in args.images.iter().filter(|(name, _)| !uses_image(&input.pods, name)) {
        input
            .warnings
            .push(format!("--image {name}: no container has `image: {name}` (the name must be the same, tag and all)"));
    }
    Ok(input)
}

/// Reads and checks the manifests of `files`, whose pods get `restart` as their policy where it is given.
pub fn read_files(files: &[PathBuf], restart: Option<Restart>, images: &Images) -> anyhow::Result<Input> {
    let mut faults = Vec::new();
    let mut input = Input { pods: Vec::new(), warnings: Vec::new() };
    for source in sources(files, &mut faults) {
        let text = match source.read() {
            Ok(text) => text,
            Err(error) => {
                faults.push(format!("{error:#}"));
                continue;
            }
        };
        match model::parse(&source.name(), &text) {
            Ok(manifest) => take(manifest, &source, restart, images, &mut input, &mut faults),
            Err(issues) => faults.push(issues.to_string()),
        }
    }
    find_twins(&input.pods, &mut faults);
    if faults.is_empty() && input.pods.is_empty() {
        faults.push("there is no Pod in what was given: the lists are empty".into());
    }
    if faults.is_empty() { Ok(input) } else { Err(bad_input(faults.join("\n"))) }
}

enum Source {
    StandardInput,
    File(PathBuf),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Source::StandardInput => "standard input".into(),
            Source::File(path) => path.to_string_lossy().into_owned(),
        }
    }

    fn read(&self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let name = self.name();
        let failed = |error: std::io::Error| anyhow::anyhow!("cannot read {name}: {error}");
        match self {
            Source::StandardInput => std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
            Source::File(path) => {
                std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            }
        }
        .map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            anyhow::bail!("{name} is larger than 64 MiB: that is no manifest");
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            anyhow::anyhow!("{name} is not text: byte {at} is not UTF-8")
        })
    }

    /// The file itself, absolute; local images are relative to its folder.
    fn origin(&self) -> Option<String> {
        let path = match self {
            Source::StandardInput => std::env::current_dir().ok()?.join("standard-input"),
            Source::File(path) => std::path::absolute(path).ok()?,
        };
        Some(path.to_string_lossy().into_owned())
    }
}

/// Files as they are, folders as their manifests by name.
fn sources(files: &[PathBuf], faults: &mut Vec<String>) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            sources.push(Source::StandardInput);
        } else if path.is_dir() {
            let read = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let entries = match read {
                Ok(entries) => entries,
                Err(error) => {
                    faults.push(format!("cannot read folder {}: {error}", path.display()));
                    continue;
                }
            };
            let is_manifest = |path: &PathBuf| {
                path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") && path.is_file()
            };
            let mut found: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).filter(is_manifest).collect();
            if found.is_empty() {
                faults.push(format!("folder {} holds no manifests (*.yaml, *.yml, *.json)", path.display()));
            }
            found.sort();
            sources.extend(found.into_iter().map(Source::File));
        } else {
            sources.push(Source::File(path.clone()));
        }
    }
    sources
}

fn take(
    manifest: Manifest,
    source: &Source,
    restart: Option<Restart>,
    images: &Images,
    input: &mut Input,
    faults: &mut Vec<String>,
) {
    for (index, pod) in manifest.pods().enumerate() {
        let mut pod = pod.clone();
        if let (Some(restart), Some(spec)) = (restart, &mut pod.spec) {
            spec.restart_policy = Some(restart.name().into());
        }
        if let Some(origin) = source.origin() {
            pod.metadata.annotations.get_or_insert_default().insert(SOURCE_ANNOTATION.into(), origin);
        }
        // A pod that was taken from a cluster names a node of that cluster; nobody would run it here.
        let elsewhere = pod.spec.as_mut().and_then(|spec| spec.node_name.take()).filter(|node| !node.is_empty());
        if let Some(node) = elsewhere {
            let name = pods::name(&pod);
            input.warnings.push(format!("pod {name}: spec.nodeName {node:?} has no effect: there is one node"));
        }
        let mut causes = Vec::new();
        if let Err(status) = pod::prepare_for_create(pod.clone(), jiff::Timestamp::now()) {
            causes.extend(status.causes.into_iter().map(|c| (c.field, c.message)));
        }
        for support in pod::judge(&pod) {
            match support {
                Support::Refused { field, why } => causes.push((field, format!("can't be used: {why}"))),
                Support::Inert { field, why } => {
                    input.warnings.push(format!("pod {}: {field} has no effect: {why}", pods::name(&pod)));
                }
            }
        }
        if causes.is_empty() {
            causes = missing_images(&pod, images);
        }
        if !causes.is_empty() {
            let fault = |(path, message)| crate::model::Fault {
                object: index,
                rule: crate::model::Rule::Invalid,
                path,
                message,
                hint: None,
            };
            faults.push(manifest.place(causes.into_iter().map(fault).collect()).to_string());
        }
        input.pods.push(pod);
    }
}

/// Images that can't be found, by the field that names them.
fn missing_images(pod: &Pod, images: &Images) -> Vec<(String, String)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let base = pods::annotation(pod, SOURCE_ANNOTATION).and_then(|s| Path::new(s).parent()).unwrap_or(Path::new("."));
    let init = pods::init_containers(spec).iter().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let apps = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    let missing = init.chain(apps).filter_map(|(path, container)| {
        let error = images.find(container.image.as_deref()?, base).err()?;
        Some((format!("{path}.image"), super::report::chain(&error.into())))
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
