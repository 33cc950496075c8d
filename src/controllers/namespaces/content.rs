//! What remains in a namespace that is being deleted, and the conditions that report it. Performs nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;

use crate::control::Resource;
use crate::model::pods;

/// The result of a pass over a namespace that is being deleted.
#[derive(Debug, Default)]
pub(super) struct RemainingContent {
    /// The number of pods. As long as there are any, nothing else is deleted.
    pub pods: usize,
    /// The number of other objects by resource; none are zero.
    pub objects: Vec<(Resource, usize)>,
    /// The number of objects other than pods by finalizer.
    pub finalizers: BTreeMap<String, usize>,
    /// Why objects could not be deleted.
    pub failures: Vec<String>,
}

impl RemainingContent {
    /// Returns whether the namespace is empty.
    pub fn is_empty(&self) -> bool {
        self.pods == 0 && self.objects.is_empty() && self.failures.is_empty()
    }

    /// Returns the conditions of the namespace in place of `old`, or `None` if they are the same.
    pub fn conditions(&self, old: &[NamespaceCondition], now: Timestamp) -> Option<Vec<NamespaceCondition>> {
        let mut conditions = old.to_vec();
        for new in self.current_conditions() {
            let is_same = |old: &NamespaceCondition| {
                old.status == new.status && old.reason == new.reason && old.message == new.message
            };
            let new = NamespaceCondition { last_transition_time: Some(pods::api_time(now)), ..new.clone() };
            match conditions.iter_mut().find(|old| old.type_ == new.type_) {
                Some(old) if is_same(old) => {}
                Some(old) => *old = new,
                None => conditions.push(new),
            }
        }
        (conditions != old).then_some(conditions)
    }

    /// Returns all conditions, in Kubernetes' order and words. They have no time.
    fn current_conditions(&self) -> [NamespaceCondition; 5] {
        let resource = |(resource, count): &(Resource, usize)| {
            format!("{}.{} has {count} resource instances", resource.plural(), resource.group())
        };
        let mut resources: Vec<String> = self.objects.iter().map(resource).collect();
        resources.sort();
        let finalizer = |(finalizer, count): (&String, &usize)| format!("{finalizer} in {count} resource instances");
        let finalizers: Vec<String> = self.finalizers.iter().map(finalizer).collect();
        let failures = match self.failures.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let is_failed = !self.failures.is_empty();
        [
            // Discovery and parsing cannot fail: the kinds are in a table.
            condition(
                "NamespaceDeletionDiscoveryFailure",
                "ResourcesDiscovered",
                "All resources successfully discovered",
                None,
            ),
            condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
                None,
            ),
            condition(
                "NamespaceDeletionContentFailure",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
                is_failed.then(|| {
                    let message =
                        format!("Failed to delete all resource types, {} remaining: {failures}", self.failures.len());
                    ("ContentDeletionFailed", message)
                }),
            ),
            condition(
                "NamespaceContentRemaining",
                "ContentRemoved",
                "All content successfully removed",
                (!resources.is_empty()).then(|| {
                    let message = format!("Some resources are remaining: {}", resources.join(", "));
                    ("SomeResourcesRemain", message)
                }),
            ),
            condition(
                "NamespaceFinalizersRemaining",
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
                (!finalizers.is_empty()).then(|| {
                    let message =
                        format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", "));
                    ("SomeFinalizersRemain", message)
                }),
            ),
        ]
    }
}

/// Returns a condition with a problem's reason and message, or with those of success.
fn condition(type_: &str, reason: &str, message: &str, problem: Option<(&str, String)>) -> NamespaceCondition {
    let status = if problem.is_some() { "True" } else { "False" };
    let (reason, message) = problem.unwrap_or_else(|| (reason, message.into()));
    NamespaceCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(conditions: &[NamespaceCondition]) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let show =
            |c: &NamespaceCondition| format!("{}={} {}: {}", c.type_, c.status, text(&c.reason), text(&c.message));
        conditions.iter().map(show).collect()
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn problems_are_reported_in_kubernetes_words() {
        let mut content = RemainingContent {
            pods: 1,
            objects: vec![(Resource::SECRETS, 1), (Resource::CONFIG_MAPS, 2)],
            finalizers: [("x/b".to_string(), 1), ("x/a".to_string(), 2)].into(),
            failures: vec!["no".into()],
        };
        let failed =
            "NamespaceDeletionContentFailure=True ContentDeletionFailed: Failed to delete all resource types, ";
        let remaining = "NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: \
            configmaps. has 2 resource instances, secrets. has 1 resource instances";
        let finalizers = "NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has \
            finalizers remaining: x/a in 2 resource instances, x/b in 1 resource instances";
        let conditions = content.conditions(&[], now()).expect("new conditions");
        assert_eq!(shown(&conditions)[2..], [&format!("{failed}1 remaining: no"), remaining, finalizers]);
        content.failures.push("never".into());
        let conditions = content.conditions(&conditions, now()).expect("a changed condition");
        assert_eq!(shown(&conditions)[2], format!("{failed}2 remaining: [no, never]"));
        assert!(!content.is_empty());
    }

    #[test]
    fn unchanged_conditions_keep_their_time() {
        let empty = RemainingContent::default();
        let first = empty.conditions(&[], now()).expect("new conditions");
        assert!(empty.is_empty() && first.iter().all(|condition| condition.status == "False"));
        let later = now() + std::time::Duration::from_secs(9);
        assert_eq!(empty.conditions(&first, later), None);
        let content = RemainingContent { objects: vec![(Resource::SECRETS, 1)], ..RemainingContent::default() };
        let second = content.conditions(&first, later).expect("a changed condition");
        let changed: Vec<_> =
            second.iter().filter(|c| c.last_transition_time != first[0].last_transition_time).collect();
        assert_eq!(changed.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["NamespaceContentRemaining"]);
    }
}
