//! Compiles the programs of pods before they start, and finds the files that contain them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::progress::report_if_slow;
use crate::images::Images;
use crate::model::pods;
use crate::node::SOURCE_ANNOTATION;
use crate::runtime::Runtime;

/// Returns the containers of a pod whose program is a local file, with that file.
pub fn program_files<'p>(pod: &'p Pod, images: &Images) -> Vec<(&'p Container, PathBuf)> {
    let with_file = |container: &'p Container| {
        let file = images.local_file(container.image.as_deref()?, image_base(pod))?;
        Some((container, file))
    };
    containers(pod).filter_map(with_file).collect()
}

/// Compiles the programs of `pods`, and returns a message for each one that cannot run. Passes each image's notice to
/// `notify`, unless the image is in `announced`, to which it is then added.
pub async fn compile_programs(
    pods: &[Pod],
    images: &Images,
    engine: &Runtime,
    announced: &mut BTreeSet<String>,
    mut notify: impl FnMut(String),
) -> Vec<String> {
    let mut failures = Vec::new();
    for pod in pods {
        for container in containers(pod) {
            let name = container.image.as_deref().unwrap_or_default();
            let Ok(image) = images.find(name, image_base(pod)) else { continue };
            if let Some(notice) = image.notice.as_ref().filter(|_| announced.insert(name.to_string())) {
                notify(notice.clone());
            }
            let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
            let Ok(command) = image.command(&words(&container.command), &words(&container.args)) else { continue };
            let compile = engine.program(command.program.digest, &command.program.bytes);
            if let Err(error) = report_if_slow(&format!("compiling {name}"), compile).await {
                let (container, pod) = (&container.name, pods::name(pod));
                failures.push(format!("container {container} of pod {pod}: cannot run {name}: {error}"));
            }
        }
    }
    failures
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| pods::init_containers(spec).iter().chain(&spec.containers))
}

/// Returns the directory that paths of local images are relative to: the manifest's.
fn image_base(pod: &Pod) -> &Path {
    let source = pods::annotation(pod, SOURCE_ANNOTATION).map(Path::new);
    source.and_then(Path::parent).unwrap_or(Path::new("."))
}
