//! The programs of pods: which files hold them, and compiling them before they are needed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::progress::watched;
use crate::images::Images;
use crate::model::pods;
use crate::node::SOURCE_ANNOTATION;
use crate::runtime::Runtime;

/// The containers of a pod whose program is a file, and that file.
pub fn files<'p>(pod: &'p Pod, images: &Images) -> Vec<(&'p Container, PathBuf)> {
    let file = |container: &'p Container| {
        images.local_file(container.image.as_deref()?, base(pod)).map(|path| (container, path))
    };
    containers(pod).filter_map(file).collect()
}

/// Compiles what the pods will run, each image once, and gives the reasons why some can't. `known`
/// are images that were looked at before; new ones that something stands in for are told of.
pub async fn compile(
    pods: &[Pod],
    images: &Images,
    engine: &Runtime,
    known: &mut BTreeSet<String>,
    mut tell: impl FnMut(String),
) -> Vec<String> {
    let mut failures = Vec::new();
    for pod in pods {
        for container in containers(pod) {
            let name = container.image.as_deref().unwrap_or_default();
            let Ok(image) = images.find(name, base(pod)) else { continue };
            if let Some(notice) = image.notice.as_ref().filter(|_| known.insert(name.to_string())) {
                tell(notice.clone());
            }
            let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
            let Ok(command) = image.command(&words(&container.command), &words(&container.args)) else { continue };
            let compile = engine.program(command.program.digest, &command.program.bytes);
            if let Err(error) = watched(&format!("compiling {name}"), compile).await {
                let whose = format!("container {} of pod {}", container.name, pods::name(pod));
                failures.push(format!("{whose}: {name} cannot run: {error}"));
            }
        }
    }
    failures
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| pods::init_containers(spec).iter().chain(&spec.containers))
}

/// Local images are relative to the manifest's folder.
fn base(pod: &Pod) -> &Path {
    let source = pods::annotation(pod, SOURCE_ANNOTATION).map(Path::new);
    source.and_then(Path::parent).unwrap_or(Path::new("."))
}
