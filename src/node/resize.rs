//! Other resources for a pod that runs (K26): whether the node has room for them, and giving them.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::admission::{self, Resources};
use super::limits;
use super::worker::Worker;
use crate::lifecycle::{Input, ResizeResult};

/// The agent's answer to a pod whose spec has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is room for what it asks for.
    Fits,
    /// There will be when others have gone.
    Deferred(String),
    /// There never will be.
    Infeasible(String),
}

impl Answer {
    /// Whether there is room for `wanted` of `capacity` beside what `others` are promised.
    pub(super) fn of(wanted: &Resources, others: &Resources, capacity: &Resources) -> Answer {
        let Err(refusal) = admission::check(wanted, others, capacity) else { return Answer::Fits };
        let lacks = |refusal: &admission::Rejection| refusal.reason.trim_start_matches("OutOf").to_string();
        match admission::check(wanted, &Resources::default(), capacity) {
            Ok(()) => Answer::Deferred(format!("Node didn't have enough resource: {}", lacks(&refusal))),
            Err(alone) => {
                let name = lacks(&alone);
                let amount = |of: &Resources| match name.as_str() {
                    "cpu" => of.cpu_milli,
                    "memory" => of.memory,
                    "ephemeral-storage" => of.ephemeral_storage,
                    _ => of.pods,
                };
                let (requested, capacity) = (amount(wanted), amount(capacity));
                Answer::Infeasible(format!(
                    "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
                ))
            }
        }
    }
}

/// A limit that is used up already is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

impl Worker {
    /// Takes the agent's answer in.
    pub(super) async fn resized(&mut self, answer: Answer) {
        let resize = match answer {
            Answer::Deferred(message) => ResizeResult::Pending { reason: "Deferred", message },
            Answer::Infeasible(message) => ResizeResult::Pending { reason: "Infeasible", message },
            Answer::Fits => match self.give() {
                Ok(()) => ResizeResult::Done(Box::new(self.pod.as_ref().clone())),
                Err(message) => {
                    let clock = self.shared.clock;
                    self.facts.push(Box::pin(async move {
                        clock.sleep(AGAIN).await;
                        super::worker::WorkerMessage::GiveAgain
                    }));
                    ResizeResult::Failed { message }
                }
            },
        };
        if let ResizeResult::Done(pod) = &resize {
            let old = std::mem::replace(&mut self.given, given(pod));
            for (container, name) in restarts(pod, &old) {
                if let Some(at) = self.place(&name) {
                    let grace = Duration::from_secs(container);
                    self.step(Input::Restart { container: at, grace }).await;
                }
            }
        }
        self.step(Input::Resized(resize)).await;
    }

    /// Changes the limits of what runs; why not, where more is in use than there would be.
    fn give(&self) -> Result<(), String> {
        let wanted: Vec<_> = self
            .running
            .iter()
            .filter_map(|(attempt, running)| {
                let container = self.container(attempt.container)?;
                Some((running, limits::of_container(container.resources.as_ref())))
            })
            .collect();
        for (running, limits) in &wanted {
            let used = running.world.account.usage().memory;
            if let Some(limit) = limits.memory.filter(|limit| *limit < used) {
                return Err(format!(
                    "cannot decrease memory limits: attempting to set pod memory limit ({limit}) below current usage ({used})"
                ));
            }
        }
        wanted.iter().for_each(|(running, limits)| running.world.account.set_limits(*limits));
        if let (Some(sandbox), Some(spec)) = (&self.sandbox, &self.pod.spec) {
            sandbox.account.set_limits(limits::of_pod(spec));
        }
        Ok(())
    }
}

/// The resources of a pod's containers, by name.
pub(super) type Given = BTreeMap<String, Option<ResourceRequirements>>;

/// What the containers of `pod` have once it is as its spec says.
pub(super) fn given(pod: &k8s_openapi::api::core::v1::Pod) -> Given {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|c| (c.name.clone(), c.resources.clone())).collect()
}

/// Containers that want to begin again for what has changed since `old`, with their pod's grace in seconds.
fn restarts(pod: &k8s_openapi::api::core::v1::Pod, old: &Given) -> Vec<(u64, String)> {
    let Some(spec) = &pod.spec else { return vec![] };
    let grace = spec.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30);
    let wants = |container: &&Container| {
        let before = old.get(&container.name).and_then(Option::as_ref);
        let policies = container.resize_policy.iter().flatten().filter(|p| p.restart_policy == "RestartContainer");
        policies.into_iter().any(|policy| {
            amounts(before, &policy.resource_name) != amounts(container.resources.as_ref(), &policy.resource_name)
        })
    };
    spec.containers.iter().filter(wants).map(|c| (grace, c.name.clone())).collect()
}

fn amounts<'r>(of: Option<&'r ResourceRequirements>, name: &str) -> [Option<&'r Quantity>; 2] {
    let get = |map: Option<&'r BTreeMap<String, Quantity>>| map.and_then(|map| map.get(name));
    [get(of.and_then(|r| r.requests.as_ref())), get(of.and_then(|r| r.limits.as_ref()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k26_a_resize_fits_waits_or_never_will() {
        let of = |cpu_milli, memory| Resources { cpu_milli, memory, pods: 1, containers: 1, ..Resources::default() };
        let capacity = Resources { pods: 10, containers: 10, ..of(2000, 1000) };
        for (wanted, answer) in [
            (of(1000, 100), Answer::Fits),
            (of(1500, 100), Answer::Deferred("Node didn't have enough resource: cpu".into())),
            (
                of(6000, 100),
                Answer::Infeasible("Node didn't have enough capacity: cpu, requested: 6000, capacity: 2000".into()),
            ),
            (
                of(100, 5000),
                Answer::Infeasible("Node didn't have enough capacity: memory, requested: 5000, capacity: 1000".into()),
            ),
        ] {
            assert_eq!(Answer::of(&wanted, &of(1000, 100), &capacity), answer, "{wanted:?}");
        }
    }

    #[test]
    fn containers_begin_again_for_what_their_policy_names() {
        let pod = |cpu: &str, memory: &str| {
            let yaml = format!(
                "{{spec: {{containers: [{{name: c, resizePolicy: [{{resourceName: memory, restartPolicy: \
                 RestartContainer}}, {{resourceName: cpu, restartPolicy: NotRequired}}], \
                 resources: {{limits: {{cpu: {cpu}, memory: {memory}}}}}}}]}}}}"
            );
            serde_yaml::from_str(&yaml).expect("a pod")
        };
        let old = given(&pod("1", "1Mi"));
        assert!(restarts(&pod("2", "1Mi"), &old).is_empty());
        assert_eq!(restarts(&pod("1", "2Mi"), &old), [(30, "c".to_string())]);
    }
}
