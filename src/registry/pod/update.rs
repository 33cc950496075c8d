//! What may become of a Pod that exists (`pkg/registry/core/pod/strategy.go`): which part of an update counts, and
//! what of that part may change.

use k8s_openapi::api::core::v1::{Affinity, Container, NodeAffinity, Pod, PodSpec, Toleration};

use super::{canonical, defaults, internal, qos, resize, status, validation};
use crate::control::{Status, Subresource};
use crate::model::{formats, pods};
use crate::registry::fields::{Faults, Path};
use crate::registry::{admission, identity, metadata};

/// `new` as it will be stored in the place of `old`, or why it can't be. What `subresource` leaves out of account
/// stays as it was; the generation grows with the spec.
pub fn replaced(old: &Pod, mut new: Pod, subresource: Subresource) -> Result<Pod, Status> {
    identity::check_same(&old.metadata, &mut new.metadata)?;
    defaults::apply(&mut new);
    canonical::apply(&mut new);
    identity::keep(&old.metadata, &mut new.metadata);
    match subresource {
        Subresource::None => {
            new.status.clone_from(&old.status);
            admission::admit_update(old, &mut new);
        }
        Subresource::Status => status::keep_spec(old, &mut new),
        Subresource::EphemeralContainers => {
            let guests = new.spec.take().and_then(|spec| spec.ephemeral_containers);
            new = Pod { metadata: identity::keep_all(&old.metadata, new.metadata), ..old.clone() };
            if let Some(spec) = &mut new.spec {
                spec.ephemeral_containers = guests;
            }
        }
        Subresource::Resize => new = resize::resized(old, new),
    }
    if new.spec != old.spec {
        new.metadata.generation = Some(old.metadata.generation.unwrap_or(0) + 1);
    }
    let mut faults = Faults::default();
    metadata::check_before_update(&mut faults, &new.metadata, &old.metadata);
    metadata::check_update(&mut faults, &new.metadata, &old.metadata);
    match subresource {
        Subresource::None => check(&mut faults, old, &new),
        Subresource::Status => status::check(&mut faults, old, &new),
        Subresource::EphemeralContainers => check_guests(&mut faults, old, &new),
        Subresource::Resize => resize::check(&mut faults, old, &new),
    }
    let causes = faults.into_causes();
    if causes.is_empty() { Ok(new) } else { Err(Status::invalid("Pod", pods::name(&new), causes)) }
}

fn spec(pod: &Pod) -> PodSpec {
    pod.spec.clone().unwrap_or_default()
}

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

fn check(faults: &mut Faults, old: &Pod, new: &Pod) {
    validation::check(faults, new);
    validation::check_annotation_changes(faults, old, new);
    let (before, after) = (spec(old), spec(new));
    let at = Path::root("spec");
    let init = (pods::init_containers(&before), pods::init_containers(&after));
    for (list, old, new) in
        [("containers", &*before.containers, &*after.containers), ("initContainers", init.0, init.1)]
    {
        if old.len() != new.len() {
            return faults.forbidden(at.child(list), "pod updates may not add or remove containers");
        }
        check_images(faults, at.child(list), new);
    }
    if check_deadline(faults, at.child("activeDeadlineSeconds"), &before, &after).is_err() {
        return;
    }
    check_only_added(faults, at.child("tolerations"), &before, &after);
    for (i, gate) in after.scheduling_gates.iter().flatten().enumerate() {
        if !before.scheduling_gates.iter().flatten().any(|old| old.name == gate.name) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            faults.forbidden(at.child("schedulingGates").index(i).child("name"), why);
        }
    }
    let mut rest = after;
    undo_what_may_change(&before, &mut rest);
    if before.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        undo_what_gates_allow(faults, at, &before, &mut rest);
    }
    if rest != before {
        let difference = internal::spec_difference(&before, &rest);
        faults.forbidden(at, format!("pod updates may not change fields other than {CHANGEABLE}\n{difference}"));
    }
}

fn check_images(faults: &mut Faults, list: Path<'_>, containers: &[Container]) {
    for (i, container) in containers.iter().enumerate() {
        let image = container.image.as_deref().unwrap_or_default();
        let at = list.index(i);
        faults.require_text(at.child("image"), image);
        if image.trim() != image {
            faults.invalid(at.child("image"), image, "must not have leading or trailing whitespace");
        }
    }
}

/// A deadline comes, or comes nearer. An error ends the checks, as in Kubernetes.
fn check_deadline(faults: &mut Faults, at: Path<'_>, old: &PodSpec, new: &PodSpec) -> Result<(), ()> {
    match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (_, Some(new)) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            faults.invalid_for(at, new, formats::between(0, i64::from(i32::MAX), new));
            Err(())
        }
        (Some(old), Some(new)) if old < new => {
            faults.invalid(at, new, "must be less than or equal to previous value");
            Err(())
        }
        (Some(_), None) => {
            faults.invalid(at, None::<i64>, "must not update from a positive integer to nil value");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_only_added(faults: &mut Faults, at: Path<'_>, old: &PodSpec, new: &PodSpec) {
    let timeless = |toleration: &Toleration| Toleration { toleration_seconds: None, ..toleration.clone() };
    let tolerations = new.tolerations.as_deref().unwrap_or_default();
    let kept = |old: &Toleration| tolerations.iter().any(|new| timeless(new) == timeless(old));
    if old.tolerations.iter().flatten().all(kept) {
        validation::check_tolerations(faults, at, tolerations);
    } else {
        faults.forbidden(at, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Takes back all changes that have been judged by themselves.
fn undo_what_may_change(old: &PodSpec, new: &mut PodSpec) {
    let containers = new.containers.iter_mut().zip(&old.containers);
    let init = new.init_containers.iter_mut().flatten().zip(old.init_containers.iter().flatten());
    for (container, old) in containers.chain(init) {
        container.image.clone_from(&old.image);
    }
    new.active_deadline_seconds = old.active_deadline_seconds;
    new.scheduling_gates.clone_from(&old.scheduling_gates);
    new.tolerations.clone_from(&old.tolerations);
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && new.termination_grace_period_seconds == Some(1) {
        new.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
}

/// A pod that waits at a gate may still be told more closely where to run.
fn undo_what_gates_allow(faults: &mut Faults, at: Path<'_>, old: &PodSpec, new: &mut PodSpec) {
    let selector = |spec: &PodSpec| spec.node_selector.clone().unwrap_or_default();
    let (before, after) = (selector(old), selector(new));
    if before.iter().any(|(key, value)| after.get(key) != Some(value)) {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        faults.invalid(at.child("nodeSelector"), &after, why);
    }
    new.node_selector.clone_from(&old.node_selector);
    let node_affinity = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (before, after) = (node_affinity(old), node_affinity(new));
    if before == after {
        return;
    }
    check_node_affinity_change(faults, at.child("affinity").child("nodeAffinity"), before.as_ref(), after.as_ref());
    let affinity = new.affinity.get_or_insert_default();
    affinity.node_affinity = before;
    if *affinity == Affinity::default() && old.affinity.is_none() {
        new.affinity = None;
    }
}

/// Required terms may get further expressions; none may go, and none may change.
fn check_node_affinity_change(
    faults: &mut Faults,
    at: Path<'_>,
    old: Option<&NodeAffinity>,
    new: Option<&NodeAffinity>,
) {
    let terms = |affinity: Option<&NodeAffinity>| {
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.clone());
        required.map(|selector| selector.node_selector_terms)
    };
    let Some(old) = terms(old) else { return };
    let at = at.child("requiredDuringSchedulingIgnoredDuringExecution");
    let at = at.child("nodeSelectorTerms");
    let new = terms(new).unwrap_or_default();
    if new.len() != old.len() {
        return faults.invalid(at, &new, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    }
    for (i, (new, old)) in new.iter().zip(&old).enumerate() {
        let grown = |old: &Option<Vec<_>>, new: &Option<Vec<_>>| {
            let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
            new.starts_with(old)
        };
        let was_empty = old.match_expressions.is_none() && old.match_fields.is_none();
        let fits = grown(&old.match_expressions, &new.match_expressions) && grown(&old.match_fields, &new.match_fields);
        if (was_empty && new != old) || !fits {
            let why = "only additions are allowed (no mutations or deletions)";
            faults.invalid(at.index(i), new, why);
        }
    }
}

/// Guests come and stay as they are.
fn check_guests(faults: &mut Faults, old: &Pod, new: &Pod) {
    validation::check(faults, new);
    validation::check_annotation_changes(faults, old, new);
    if pods::annotation(old, validation::MIRROR).is_some() {
        *faults = Faults::default();
        return faults.forbidden(Path::root(""), "static pods do not support ephemeral containers");
    }
    let at = Path::root("spec");
    let at = at.child("ephemeralContainers");
    let (before, after) = (spec(old), spec(new));
    for old in before.ephemeral_containers.iter().flatten() {
        match after.ephemeral_containers.iter().flatten().find(|new| new.name == old.name) {
            None => {
                let why = format!("existing ephemeral containers {:?} may not be removed\n", old.name);
                faults.forbidden(at, why);
            }
            Some(new) if new != old => {
                let difference = internal::ephemeral_difference(old, new);
                let why = format!("existing ephemeral containers {:?} may not be changed\n{difference}", old.name);
                faults.forbidden(at, why);
            }
            Some(_) => {}
        }
    }
}

/// The class of quality stays for life; what decides it does, too.
pub(super) fn quality_changes(old: &Pod, new: &Pod) -> bool {
    let class = |pod: &Pod| pod.spec.as_ref().map(qos::class);
    class(old) != class(new)
}
