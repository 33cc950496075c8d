//! What the garbage collector does with one object, from its owners and its dependents. Performs nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::control::Propagation;
use crate::controllers::object_metadata::ObjectMetadata;

/// The finalizer of an object whose dependents are deleted before it.
pub(super) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents lose their reference to it.
pub(super) const ORPHAN_FINALIZER: &str = "orphan";

/// The owner that a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It exists.
    Present,
    /// It is marked for deletion in the foreground.
    AwaitsDependents,
    /// It does not exist (any more).
    Absent,
    /// Its kind is not known, or it has a namespace and its dependent has none.
    Unresolvable,
}

/// An object that has an owner reference to the object in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DependentState {
    /// Whether the owner's deletion in the foreground waits for it.
    pub blocks_owner: bool,
    /// Whether it is itself marked for deletion in the foreground.
    pub awaits_dependents: bool,
}

/// A change to make.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Replaces the owner references.
    SetOwners(Vec<OwnerReference>),
    /// Replaces the finalizers.
    SetFinalizers(Vec<String>),
    /// Removes the references to the object from all its dependents.
    OrphanDependents,
    /// Deletes the object.
    Delete(Propagation),
}

/// Returns what the garbage collector does with an object, in order. `owners` has the state of each owner reference; it
/// may be empty for an object that is marked for deletion.
pub(super) fn reconcile(object: &ObjectMetadata, owners: &[OwnerState], dependents: &[DependentState]) -> Vec<Action> {
    if object.is_deleted() {
        return finalize(object, dependents);
    }
    if owners.is_empty() || owners.contains(&OwnerState::Unresolvable) {
        return Vec::new();
    }
    let is_awaited = owners.contains(&OwnerState::AwaitsDependents);
    if owners.contains(&OwnerState::Present) {
        let present = object.owner_references.iter().zip(owners).filter(|(_, owner)| **owner == OwnerState::Present);
        let present: Vec<_> = present.map(|(reference, _)| reference.clone()).collect();
        let is_unchanged = present.len() == object.owner_references.len();
        return if is_unchanged { Vec::new() } else { vec![Action::SetOwners(present)] };
    }
    if is_awaited && !dependents.is_empty() {
        let mut actions = Vec::new();
        // Owners that wait for each other would wait forever.
        if dependents.iter().any(|dependent| dependent.awaits_dependents) {
            actions.push(Action::SetOwners(unblocked(&object.owner_references)));
        }
        actions.push(Action::Delete(Propagation::Foreground));
        return actions;
    }
    vec![Action::Delete(if object.has_finalizer(ORPHAN_FINALIZER) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND_FINALIZER) {
        Propagation::Foreground
    } else {
        Propagation::Background
    })]
}

/// Returns what is done for an object that is marked for deletion.
fn finalize(object: &ObjectMetadata, dependents: &[DependentState]) -> Vec<Action> {
    let without = |finalizer: &str| {
        let others = object.finalizers.iter().filter(|own| *own != finalizer);
        Action::SetFinalizers(others.cloned().collect())
    };
    if object.has_finalizer(ORPHAN_FINALIZER) {
        return vec![Action::OrphanDependents, without(ORPHAN_FINALIZER)];
    }
    let is_blocked = dependents.iter().any(|dependent| dependent.blocks_owner);
    if object.has_finalizer(FOREGROUND_FINALIZER) && !is_blocked {
        return vec![without(FOREGROUND_FINALIZER)];
    }
    Vec::new()
}

/// Returns the references, none of which delays the deletion of its owner.
fn unblocked(references: &[OwnerReference]) -> Vec<OwnerReference> {
    let unblock = |reference: &OwnerReference| OwnerReference {
        block_owner_deletion: reference.block_owner_deletion.map(|_| false),
        ..reference.clone()
    };
    references.iter().map(unblock).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use OwnerState::{Absent, AwaitsDependents, Present, Unresolvable};

    fn object(owners: usize, finalizers: &[&str], is_deleted: bool) -> ObjectMetadata {
        let reference = |i: usize| OwnerReference {
            uid: format!("u{i}"),
            block_owner_deletion: Some(true),
            ..OwnerReference::default()
        };
        ObjectMetadata {
            uid: "u".into(),
            owner_references: (0..owners).map(reference).collect(),
            finalizers: finalizers.iter().map(ToString::to_string).collect(),
            deletion_timestamp: is_deleted.then(|| "2026-01-01T00:00:00Z".into()),
        }
    }

    fn shown(actions: &[Action]) -> String {
        let show = |action: &Action| match action {
            Action::SetOwners(owners) => {
                let blocking = |owner: &OwnerReference| owner.block_owner_deletion == Some(true);
                let owner = |owner: &OwnerReference| format!("{}{}", owner.uid, if blocking(owner) { "!" } else { "" });
                format!("owners {}", owners.iter().map(owner).collect::<Vec<_>>().join(" "))
            }
            Action::SetFinalizers(finalizers) => format!("finalizers {}", finalizers.join(" ")),
            Action::OrphanDependents => "orphan".into(),
            Action::Delete(propagation) => format!("delete {propagation:?}"),
        };
        actions.iter().map(show).collect::<Vec<_>>().join(", ").trim().into()
    }

    const PLAIN: DependentState = DependentState { blocks_owner: false, awaits_dependents: false };
    const BLOCKING: DependentState = DependentState { blocks_owner: true, awaits_dependents: false };
    const AWAITING: DependentState = DependentState { blocks_owner: false, awaits_dependents: true };

    /// Owners, finalizers, dependents, and the actions.
    type Row<'r> = (&'r [OwnerState], &'r [&'r str], &'r [DependentState], &'r str);

    #[test]
    fn objects_without_present_owners_are_deleted() {
        let rows: &[Row<'_>] = &[
            (&[], &[], &[], ""),
            (&[Present], &[], &[], ""),
            (&[Absent], &[], &[], "delete Background"),
            (&[Absent, Absent], &["x/y"], &[PLAIN], "delete Background"),
            (&[Absent], &["orphan"], &[], "delete Orphan"),
            (&[Absent], &["foregroundDeletion"], &[], "delete Foreground"),
            (&[Present, Absent], &[], &[], "owners u0!"),
            (&[AwaitsDependents, Present], &[], &[], "owners u1!"),
            (&[AwaitsDependents], &[], &[], "delete Background"),
            (&[AwaitsDependents, Absent], &[], &[PLAIN], "delete Foreground"),
            (&[AwaitsDependents], &[], &[PLAIN, AWAITING], "owners u0, delete Foreground"),
            (&[Absent], &[], &[AWAITING], "delete Background"),
            (&[Unresolvable], &[], &[], ""),
            (&[Absent, Unresolvable], &[], &[], ""),
        ];
        for (owners, finalizers, dependents, want) in rows {
            let actions = reconcile(&object(owners.len(), finalizers, false), owners, dependents);
            assert_eq!(shown(&actions), *want, "{owners:?} {finalizers:?} {dependents:?}");
        }
    }

    #[test]
    fn deleted_objects_keep_their_finalizer_while_blocked() {
        let rows: &[(&[&str], &[DependentState], &str)] = &[
            (&[], &[], ""),
            (&["x/y"], &[], ""),
            (&["foregroundDeletion"], &[PLAIN, BLOCKING], ""),
            (&["foregroundDeletion"], &[PLAIN], "finalizers"),
            (&["x/y", "foregroundDeletion"], &[], "finalizers x/y"),
            (&["orphan", "x/y"], &[BLOCKING], "orphan, finalizers x/y"),
        ];
        for (finalizers, dependents, want) in rows {
            let actions = reconcile(&object(1, finalizers, true), &[], dependents);
            assert_eq!(shown(&actions), *want, "{finalizers:?} {dependents:?}");
        }
    }
}
